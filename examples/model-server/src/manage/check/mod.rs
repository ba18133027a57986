//! `check`: whether every replica of a server has the models that are expected, and fetching those that are missing.

mod address;
mod kepler;
mod ollama;
mod report;
mod visit;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use kepler_service::shown;

use super::admin::Admin;
use super::client::{Client, Settings, Token};
use super::manifest::Manifest;
pub(crate) use report::{Kind, Report, Visit};
pub(crate) use visit::{Deeds, Site, Wanted, visit};

/// What `check` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Check {
    /// What is checked
    #[arg(long, value_enum, default_value_t = Kind::Kepler)]
    kind: Kind,
    /// The model server to check: a URL, or a host with MODEL_SERVER_PORT beside it
    #[arg(long, value_name = "URL", env = "MODEL_SERVER_URL")]
    server: Option<String>,
    /// The Ollama host to check
    #[arg(long, value_name = "URL", env = "OLLAMA_URL")]
    ollama: Option<String>,
    /// The server that knows which models are expected and takes the report; else the checked one
    #[arg(long, value_name = "URL", env = "MODEL_MANAGER_URL")]
    manager: Option<String>,
    /// The models that are expected, instead of asking the manager
    #[arg(long, value_name = "FILE", env = "MODEL_MANIFEST")]
    manifest: Option<PathBuf>,
    /// Port of servers that are named without one
    #[arg(long, value_name = "PORT", env = "MODEL_SERVER_PORT")]
    port: Option<String>,
    /// Have missing models fetched
    #[arg(long, value_name = "BOOL", env = "AUTO_PULL", default_value = "true", value_parser = yes, num_args = 0..=1, default_missing_value = "true")]
    auto_pull: bool,
    /// Have one model predict something
    #[arg(long, value_name = "BOOL", env = "TEST_INFERENCE", default_value = "false", value_parser = no, num_args = 0..=1, default_missing_value = "true")]
    test_inference: bool,
    /// Post the result to the manager
    #[arg(long, value_name = "BOOL", env = "REPORT_STATUS", default_value = "false", value_parser = no, num_args = 0..=1, default_missing_value = "true")]
    report_status: bool,
    #[command(flatten)]
    admin: Admin,
    /// Authorities to trust instead of those of the system, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How long the fetching of one model may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    patience: u64,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Checks, fetches, tries, reports. Exit code 0 where all is as expected in the end, 1 where it is not.
pub(crate) fn run(check: &Check) -> Result<ExitCode, String> {
    let client = Client::new(&check.settings())?;
    let report = check.report(&client)?;
    say(&report, check.json)?;
    let mut healthy = report.healthy;
    if check.report_status
        && let Err(error) = check.post(&client, &report)
    {
        complain(&format!("the report was not taken: {error}"));
        healthy = false;
    }
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Check {
    fn report(&self, client: &Client) -> Result<Report, String> {
        let url = self.url()?;
        let admin = self.admin.text()?;
        let deeds = Deeds {
            pull: self.auto_pull,
            infer: self.test_inference,
        };
        let mut visits = Vec::new();
        let reachable = address::addresses(&url).and_then(|all| Ok((all, self.expected(client)?)));
        let (addresses, wanted) = match reachable {
            Ok(both) => both,
            Err(error) => {
                let visit = Visit {
                    address: shown(&url),
                    errors: vec![error],
                    ..Visit::default()
                };
                visits.push(visit);
                (Vec::new(), None)
            }
        };
        for address in addresses {
            let client = Client::new(&Settings {
                address: Some(address),
                ..self.settings()
            })?;
            visits.push(self.visit(
                client,
                &url,
                &address.to_string(),
                wanted.as_deref(),
                admin.as_deref(),
                deeds,
            ));
        }
        Ok(Report::new(
            self.kind,
            &shown(&url),
            SystemTime::now(),
            visits,
        ))
    }

    fn visit(
        &self,
        client: Client,
        url: &str,
        address: &str,
        wanted: Option<&[Wanted]>,
        admin: Option<&str>,
        deeds: Deeds,
    ) -> Visit {
        let patience = Duration::from_secs(self.patience);
        if self.kind == Kind::Ollama {
            let mut site = ollama::Ollama {
                client,
                url,
                patience,
            };
            return visit(&mut site, address, wanted.unwrap_or_default(), deeds);
        }
        let own;
        let wanted = match wanted {
            Some(wanted) => wanted,
            // Nobody else was named: the replica says itself what it should have.
            None => match kepler::expected(&client, url) {
                Ok(expected) => {
                    own = expected;
                    &own
                }
                Err(error) => {
                    return Visit {
                        address: address.to_owned(),
                        errors: vec![error],
                        ..Visit::default()
                    };
                }
            },
        };
        let mut site = kepler::Kepler {
            client,
            url,
            token: admin.map(Token::Admin),
            patience,
        };
        visit(&mut site, address, wanted, deeds)
    }

    /// What is expected; `None` where each replica is to be asked.
    fn expected(&self, client: &Client) -> Result<Option<Vec<Wanted>>, String> {
        if let Some(path) = &self.manifest {
            let manifest = Manifest::read(path)?;
            return Ok(Some(match self.kind {
                Kind::Kepler => manifest.models.into_iter().map(Wanted::from).collect(),
                Kind::Ollama => {
                    let wanted = |name: &String| Wanted {
                        name: ollama::tagged(name),
                        sha256: None,
                    };
                    manifest.ollama.iter().map(wanted).collect()
                }
            }));
        }
        match (self.kind, self.manager_url()?) {
            (Kind::Ollama, Some(manager)) => ollama::expected(client, &manager).map(Some),
            (Kind::Ollama, None) => {
                Err("nobody tells what is expected: give --manager or --manifest".to_owned())
            }
            (Kind::Kepler, Some(manager)) => kepler::expected(client, &manager).map(Some),
            (Kind::Kepler, None) => Ok(None),
        }
    }

    fn post(&self, client: &Client, report: &Report) -> Result<(), String> {
        let manager = match self.manager_url()? {
            Some(manager) => manager,
            None if self.kind == Kind::Kepler => self.url()?,
            None => return Err("give --manager".to_owned()),
        };
        let body = serde_json::to_value(report).map_err(|e| e.to_string())?;
        let url = format!("{manager}/api/health/report");
        let answer = client.json("POST", &url, None, Some(&body))?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(format!("{url}: HTTP {status}: {}", answer.excerpt())),
        }
    }

    fn url(&self) -> Result<String, String> {
        let (setting, flag, usual) = match self.kind {
            Kind::Kepler => (&self.server, "--server (MODEL_SERVER_URL)", 8100),
            Kind::Ollama => (&self.ollama, "--ollama (OLLAMA_URL)", 11434),
        };
        let setting = setting.as_deref().filter(|s| !s.is_empty());
        let setting = setting.ok_or_else(|| format!("nothing to check: give {flag}"))?;
        let port = self.port.as_deref().filter(|_| self.kind == Kind::Kepler);
        address::base_url(setting, port, usual)
    }

    fn manager_url(&self) -> Result<Option<String>, String> {
        let setting = self.manager.as_deref().filter(|s| !s.is_empty());
        let url = setting.map(|s| address::base_url(s, self.port.as_deref(), 8100));
        url.transpose()
    }

    fn settings(&self) -> Settings {
        Settings {
            certificates: self.ca.clone(),
            ..Settings::default()
        }
    }
}

impl From<super::manifest::Expected> for Wanted {
    fn from(expected: super::manifest::Expected) -> Self {
        Self {
            name: expected.name,
            sha256: expected.sha256,
        }
    }
}

/// A switch that is on where nothing is said.
pub(crate) fn yes(text: &str) -> Result<bool, String> {
    switch(text, true)
}

/// A switch that is off where nothing is said.
pub(crate) fn no(text: &str) -> Result<bool, String> {
    switch(text, false)
}

fn switch(text: &str, usual: bool) -> Result<bool, String> {
    Ok(match text.trim().to_ascii_lowercase().as_str() {
        "" => usual,
        "true" | "1" | "yes" | "on" => true,
        "false" | "0" | "no" | "off" => false,
        _ => return Err("expected true or false".to_owned()),
    })
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn say(report: &Report, json: bool) -> Result<(), String> {
    if json {
        let text = serde_json::to_string_pretty(report).map_err(|e| e.to_string())?;
        println!("{text}");
    } else {
        print!("{report}");
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the end of a failed job")]
fn complain(text: &str) {
    eprintln!("{text}");
}
