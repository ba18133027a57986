//! What a check found, as it is printed, posted and shown.

use std::fmt;
use std::time::SystemTime;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) kind: Kind,
    /// What was checked, as it is named.
    pub(crate) server: String,
    /// When, as RFC 3339.
    pub(crate) checked: String,
    /// Whether every replica has all that is expected and does what was tried: worked out from the replicas, whatever a
    /// report that is read says.
    pub(crate) healthy: bool,
    pub(crate) replicas: Vec<Visit>,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A kepler-model-server
    Kepler,
    /// An Ollama host
    Ollama,
}

/// What was found at one address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Visit {
    pub(crate) address: String,
    /// Whether it answered at all.
    pub(crate) reachable: bool,
    /// How many models are expected.
    pub(crate) expected: usize,
    /// How many of them were there.
    pub(crate) present: usize,
    /// Those that were not.
    pub(crate) missing: Vec<String>,
    /// Those of them that were fetched.
    pub(crate) pulled: Vec<String>,
    /// What a prediction gave, if one was tried.
    pub(crate) inference: Option<String>,
    /// What failed.
    pub(crate) errors: Vec<String>,
}

impl Report {
    /// Of some visits, at a time of the clock.
    pub(crate) fn new(kind: Kind, server: &str, now: SystemTime, replicas: Vec<Visit>) -> Self {
        Self {
            kind,
            server: server.to_owned(),
            checked: humantime::format_rfc3339_seconds(now).to_string(),
            healthy: are_healthy(&replicas),
            replicas,
        }
    }

    /// Reads a report that was posted.
    ///
    /// # Errors
    /// What is wrong with it, or that it is too large to be kept.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > BYTES {
            return Err(format!("a report has at most {BYTES} bytes"));
        }
        let mut report: Self =
            serde_json::from_slice(text).map_err(|e| format!("not a report of a check: {e}"))?;
        report.healthy = are_healthy(&report.replicas);
        Ok(report)
    }
}

fn are_healthy(replicas: &[Visit]) -> bool {
    !replicas.is_empty() && replicas.iter().all(Visit::is_healthy)
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Kepler => "kepler",
            Self::Ollama => "ollama",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The largest report that is kept.
const BYTES: usize = 1 << 20;

impl Visit {
    /// Whether all is there and all that was tried went well.
    pub(crate) fn is_healthy(&self) -> bool {
        self.reachable
            && self.errors.is_empty()
            && self.missing.iter().all(|m| self.pulled.contains(m))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for visit in &self.replicas {
            write!(
                f,
                "{}: {} of {} models present",
                visit.address, visit.present, visit.expected
            )?;
            if !visit.missing.is_empty() {
                write!(f, "; missing: {}", visit.missing.join(", "))?;
            }
            if !visit.pulled.is_empty() {
                write!(f, "; pulled: {}", visit.pulled.join(", "))?;
            }
            if let Some(inference) = &visit.inference {
                write!(f, "; inference: {inference}")?;
            }
            writeln!(f)?;
            for error in &visit.errors {
                writeln!(f, "{}: {error}", visit.address)?;
            }
        }
        let state = if self.healthy {
            "healthy"
        } else {
            "not healthy"
        };
        writeln!(f, "{} {} is {state}", self.kind, self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn healthy_is_when_all_is_there_in_the_end() {
        let mut visit = Visit {
            reachable: true,
            missing: vec!["a".to_owned()],
            ..Visit::default()
        };
        assert!(!visit.is_healthy());
        visit.pulled = visit.missing.clone();
        assert!(visit.is_healthy());
        let report = Report::new(
            Kind::Kepler,
            "s",
            SystemTime::UNIX_EPOCH,
            vec![visit.clone()],
        );
        assert_eq!(report.checked, "1970-01-01T00:00:00Z");
        let text = serde_json::to_vec(&report).unwrap();
        assert_eq!(Report::parse(&text), Ok(report.clone()));
        // Nobody is healthy by saying so.
        let boast = Report {
            replicas: vec![Visit::default()],
            ..report
        };
        let text = serde_json::to_vec(&boast).unwrap();
        assert!(boast.healthy && !Report::parse(&text).unwrap().healthy);
        let other = String::from_utf8(text).unwrap().replace("kepler", "other");
        assert!(Report::parse(other.as_bytes()).is_err());
        visit.errors.push("x".to_owned());
        assert!(!visit.is_healthy());
        assert!(!Report::new(Kind::Kepler, "s", SystemTime::UNIX_EPOCH, vec![]).healthy);
        assert!(Report::parse(b"{}").is_err());
    }
}
