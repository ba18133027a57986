//! What a Prometheus server kept, fetched by range queries.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kepler_core::model::EnergySourceName;
use kepler_core::model::train::PrometheusDump;

use crate::manage::client::{Client, Settings, Token};

/// What to ask a server for.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct History {
    /// A Prometheus server to take history from
    #[arg(long, value_name = "URL", env = "PROM_SERVER", hide_env = true)]
    pub(super) prometheus: Option<String>,
    /// How far back to look
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    since: Duration,
    /// The end of the history, as RFC 3339; now if it is not given
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339)]
    until: Option<SystemTime>,
    /// Time between two samples
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = humantime::parse_duration)]
    step: Duration,
    /// Authorities to trust instead of those of the system, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<std::path::PathBuf>,
    /// A file with the token to show the server
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
}

/// Points of each series in a query: an answer of many series has a bounded size, too, and a server refuses more than 11,000.
const POINTS: u32 = 2_000;
/// Points of each series in all: 34 days at the usual step.
const MOST: u128 = 1_000_000;

impl History {
    /// The series of some features and of a meter.
    ///
    /// # Errors
    /// Why the server does not tell. A metric that it does not have is none.
    pub(super) fn fetch(
        &self,
        url: &str,
        source: EnergySourceName,
        features: &[&str],
    ) -> Result<PrometheusDump, String> {
        let step = self.step;
        if step < Duration::from_millis(1) {
            return Err("--step: expected at least 1ms".to_owned());
        }
        let points = self.since.as_nanos() / step.as_nanos();
        if points > MOST {
            return Err(format!(
                "--since at this --step asks for {points} points of each series: expected at most {MOST}"
            ));
        }
        let client = Client::new(&Settings {
            certificates: self.ca.clone(),
            ..Settings::default()
        })?;
        let token = self
            .token_file
            .as_deref()
            .map(crate::manage::client::text_file);
        let token = token.transpose()?;
        let end = self.until.unwrap_or_else(SystemTime::now);
        let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut start = end.saturating_sub(self.since);
        let mut dump = PrometheusDump::default();
        while start <= end {
            let last = start
                .saturating_add(step.saturating_mul(POINTS - 1))
                .min(end);
            for metric in PrometheusDump::queries(source, features) {
                let query = format!(
                    "{}/api/v1/query_range?query={metric}&start={}&end={}&step={}",
                    url.trim_end_matches('/'),
                    start.as_secs_f64(),
                    last.as_secs_f64(),
                    step.as_secs_f64()
                );
                let token = token.as_deref().map(|t| Token::Bearer(t.trim()));
                let answer = client.json("GET", &query, token, None)?;
                // A refusal has its reason in the body, which the dump reads.
                dump.add_answer(&metric, &answer.body).map_err(|e| {
                    format!(
                        "{}: HTTP {}: {e}",
                        kepler_service::shown(url),
                        answer.status
                    )
                })?;
            }
            start = last.saturating_add(step);
        }
        Ok(dump)
    }
}
