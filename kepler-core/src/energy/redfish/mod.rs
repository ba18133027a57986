//! Power of the whole machine, by its management controller.

mod client;
mod walk;

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::provenance::Provenance;
use crate::units::Watts;

use super::meter::ceiling;
use super::{Domain, EnergySource, PowerPart, Reading, Zone};
use client::Client;
use walk::Leaf;

/// Who must vouch for a management controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that this system trusts.
    #[default]
    System,
    /// Those in a file of certificates.
    File(PathBuf),
    /// Nobody: the credentials are shown to whoever answers.
    Anyone,
}

/// A management controller and how to ask it.
#[derive(Clone)]
pub struct Bmc {
    /// Where it answers, such as `https://10.0.0.7`.
    pub endpoint: String,
    /// What it is called in [`super::PowerPart::controller`]; the endpoint where this is empty.
    pub name: String,
    /// Name and password of an account that may read.
    pub account: Option<(String, String)>,
    /// Who must vouch for it.
    pub trust: Trust,
    /// Time between two questions.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Bmc {
    /// A controller that is asked every 10 s without an account.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            name: String::new(),
            account: None,
            trust: Trust::System,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
        }
    }

    /// Whether it could be asked, without asking it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the endpoint is no HTTP address, or an interval is 0; [`Error::Read`] and
    /// [`Error::Malformed`] for the certificates.
    pub fn check(&self) -> Result<()> {
        self.client().map(drop)
    }

    fn client(&self) -> Result<Client> {
        if self.interval.is_zero() || self.timeout.is_zero() {
            return Err(Error::invalid(
                "redfish",
                "interval and timeout must be above 0",
            ));
        }
        Client::new(self)
    }
}

/// Without the password.
impl std::fmt::Debug for Bmc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bmc")
            .field("endpoint", &self.endpoint)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

/// The platform's power as a management controller tells it by Redfish: what its power supplies take in, else give out; where
/// they do not tell, the power that a chassis says it consumes.
///
/// A thread of its own asks, so that a reading never waits. Power is taken to hold until the next answer; a controller that has
/// not answered for three intervals is a failure.
#[derive(Debug)]
pub struct Redfish {
    zones: [Zone; 1],
    latest: Arc<Mutex<Latest>>,
    patience: Duration,
    last: Option<Duration>,
    /// What the last power that was read is made of.
    parts: Vec<PowerPart>,
    /// Closed to end the thread.
    _running: Sender<()>,
}

/// What the thread knows.
#[derive(Debug, Default)]
struct Latest {
    /// The last power, when it was told, and what it is made of.
    power: Option<(Watts, Duration, Vec<PowerPart>)>,
    /// Why there is none since.
    trouble: Option<String>,
}

impl Redfish {
    /// The name in provenance.
    pub const NAME: &'static str = "redfish";

    /// Begins to ask. A controller that does not answer is no error: it is asked again.
    ///
    /// # Errors
    /// Those of [`Bmc::check`].
    pub fn open(bmc: &Bmc) -> Result<Self> {
        let mut client = bmc.client()?;
        let latest = Arc::<Mutex<Latest>>::default();
        let (running, stopped) = channel::<()>();
        let (shared, interval) = (Arc::clone(&latest), bmc.interval);
        let name = match bmc.name.as_str() {
            "" => bmc.endpoint.clone(),
            name => name.to_owned(),
        };
        let thread = std::thread::Builder::new().name("redfish".into());
        let ask = move || {
            let mut leaves = Vec::new();
            loop {
                let answer = ask(&mut client, &mut leaves);
                let mut latest = shared.lock().unwrap_or_else(PoisonError::into_inner);
                match answer {
                    Ok((watts, mut parts)) => {
                        for part in &mut parts {
                            part.controller.clone_from(&name);
                        }
                        latest.power = Some((watts, Host::since_boot(), parts));
                        latest.trouble = None;
                    }
                    Err(error) => {
                        // One that only did not answer now is taken to draw what it drew, until patience ends.
                        if !error.is_temporary() {
                            latest.power = None;
                        }
                        latest.trouble = Some(error.to_string());
                    }
                }
                drop(latest);
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread.spawn(ask).map_err(|e| Error::read("thread", e))?;
        Ok(Self {
            zones: [Zone {
                name: Self::NAME.to_owned(),
                domain: Domain::Platform,
                index: None,
                die: None,
                path: bmc.endpoint.clone(),
                max: None,
            }],
            latest,
            patience: 3 * interval + bmc.timeout,
            last: None,
            parts: Vec::new(),
            _running: running,
        })
    }
}

/// The platform's power. What tells it is found once, and again after trouble that does not end by waiting.
fn ask(client: &mut Client, leaves: &mut Vec<Leaf>) -> Result<(Watts, Vec<PowerPart>)> {
    client.begin();
    if leaves.is_empty() {
        *leaves = walk::find(client)?;
    }
    let power = walk::power(client, leaves);
    match power {
        Ok(parts) => {
            let watts = Watts(parts.iter().map(|part| part.watts.0).sum());
            if watts.0 <= ceiling(Domain::Platform).0 {
                return Ok((watts, parts));
            }
            Err(Error::malformed(
                "power",
                "what a machine can draw",
                watts.to_string(),
            ))
        }
        Err(error) => {
            if !error.is_temporary() {
                leaves.clear();
            }
            Err(error)
        }
    }
}

impl EnergySource for Redfish {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, _: usize) -> Provenance {
        Provenance::measured(Self::NAME)
    }

    fn parts(&self) -> &[PowerPart] {
        &self.parts
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        readings.clear();
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |at: Duration| now.saturating_sub(at) <= self.patience;
        let told = latest.power.as_ref().filter(|(_, at, _)| fresh(*at));
        self.parts.clear();
        self.parts
            .extend(told.into_iter().flat_map(|(_, _, parts)| parts.clone()));
        let power = told.map(|p| p.0);
        let power = power.ok_or_else(|| Error::Unsupported {
            what: self.zones[0].path.clone(),
            why: match &latest.trouble {
                Some(why) => why.clone(),
                None if latest.power.is_none() => "it has not answered yet".to_owned(),
                None => "it has not answered for a while".to_owned(),
            },
            hint: String::new(),
        });
        readings.push(match power {
            Err(error) => {
                // What it used in the meantime is unknown.
                self.last = None;
                Reading::Failed(error)
            }
            Ok(watts) => match self.last.replace(now) {
                None => Reading::Baseline,
                Some(last) => {
                    let over = now.saturating_sub(last);
                    Reading::Energy {
                        joules: watts * over,
                        over,
                        ambiguous: false,
                    }
                }
            },
        });
    }
}
