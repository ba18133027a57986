//! Questions to a management controller: bounded in time and size, to it alone.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::error::{Error, Result};
use crate::host::Host;

use super::{Bmc, Trust};

/// A controller's answers have some kilobytes.
const ANSWER_LIMIT: u64 = 1 << 20;
const CERTIFICATES_LIMIT: u64 = 16 << 20;
/// Where Debian and its kin, and Red Hat and its, keep the authorities that a system trusts.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Questions of one poll, at most: an enclosure of sixteen servers takes some 150 when it is looked through.
const QUESTIONS: u32 = 512;
/// A poll may take as long as this many of the slowest answers.
const SLOW_ANSWERS: u32 = 12;

pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    account: Option<String>,
    timeout: Duration,
    /// What is left of this poll's questions, and when its time is over.
    questions: u32,
    until: Duration,
}

impl Client {
    pub(super) fn new(bmc: &Bmc) -> Result<Self> {
        let endpoint = bmc.endpoint.trim_end_matches('/');
        let Some((scheme @ ("http" | "https"), _)) = endpoint.split_once("://") else {
            let why = format!("{endpoint} is not http://... or https://...");
            return Err(Error::invalid("redfish endpoint", why));
        };
        let mut tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        tls = match &bmc.trust {
            Trust::Anyone => tls.disable_verification(true),
            _ if scheme == "http" => tls,
            Trust::File(path) => tls.root_certs(authorities(&[path])?),
            Trust::System => tls.root_certs(authorities(&SYSTEM)?),
        };
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(bmc.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None);
        let account = bmc.account.as_ref().map(|(name, password)| {
            let pair = format!("{name}:{password}");
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(pair)
            )
        });
        Ok(Self {
            agent: config.build().new_agent(),
            endpoint: endpoint.to_owned(),
            account,
            timeout: bmc.timeout,
            questions: 0,
            until: Duration::ZERO,
        })
    }

    /// Begins a poll: so many questions and so much time are there for it.
    pub(super) fn begin(&mut self) {
        self.questions = QUESTIONS;
        self.until = Host::since_boot() + SLOW_ANSWERS * self.timeout;
    }

    /// What the controller holds at a path of its own.
    ///
    /// # Errors
    /// [`Error::is_temporary`] where it did not answer or has no time now; [`Error::NotFound`] where it holds nothing there;
    /// [`Error::TooLarge`] when the poll has no more questions.
    pub(super) fn get(&mut self, path: &str) -> Result<Value> {
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(Error::malformed(&self.endpoint, "a path of its own", path));
        }
        let url = format!("{}{path}", self.endpoint);
        let later = |why: String| Error::read(&url, io::Error::new(io::ErrorKind::TimedOut, why));
        if Host::since_boot() >= self.until {
            return Err(later("this poll has taken its time".into()));
        }
        self.questions = self.questions.checked_sub(1).ok_or(Error::TooLarge {
            what: format!("questions to {}", self.endpoint),
            size: u64::from(QUESTIONS) + 1,
            limit: QUESTIONS.into(),
        })?;
        let mut request = self.agent.get(&url).header("accept", "application/json");
        if let Some(account) = &self.account {
            request = request.header("authorization", account);
        }
        let mut answer = request.call().map_err(|e| later(e.to_string()))?;
        let status = answer.status().as_u16();
        let answered = format!("the controller answered {status}");
        let hint = match status {
            200 => "",
            404 | 410 => {
                return Err(Error::NotFound {
                    what: "resource of the controller",
                    name: url,
                    hint: String::new(),
                });
            }
            // 500 is what some say for good about a part that is not there.
            408 | 429 | 502..=504 => return Err(later(answered)),
            401 | 403 => "check the account: it has to be allowed to read chassis and power",
            _ => "",
        };
        if status != 200 {
            return Err(Error::Unsupported {
                what: url,
                why: answered,
                hint: hint.to_owned(),
            });
        }
        let body = answer.body_mut().with_config().limit(ANSWER_LIMIT);
        let json = body.read_to_vec().map_err(|e| match e {
            ureq::Error::BodyExceedsLimit(limit) => {
                Error::malformed(&url, "a shorter answer", format!("more than {limit} bytes"))
            }
            other => later(other.to_string()),
        })?;
        serde_json::from_slice(&json).map_err(|e| Error::malformed(url, "JSON", e.to_string()))
    }
}

/// The certificates in the first of these files that has some.
fn authorities(paths: &[impl AsRef<Path>]) -> Result<RootCerts> {
    let mut wrong = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        match certificates(path) {
            Ok(found) => return Ok(RootCerts::new_with_certs(&found)),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.len() == 1 {
        return Err(wrong.remove(0));
    }
    let all: Vec<String> = wrong.iter().map(Error::to_string).collect();
    Err(Error::NotFound {
        what: "certificates of authorities",
        name: all.join("; "),
        hint: "install the system's (ca-certificates), or name a file of certificates".into(),
    })
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let text = Host::default().bytes(path, CERTIFICATES_LIMIT)?;
    let found: Vec<Certificate<'static>> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(Error::malformed(path.display(), "certificates", ""));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn without_certificates_all_places_that_were_looked_at_are_named() {
        let error = authorities(&["/nowhere/a.pem", "/nowhere/b.pem"]).err();
        let error = error.map(|e| (e.kind(), e.to_string()));
        let (kind, text) = error.unwrap_or((ErrorKind::Io, String::new()));
        assert_eq!(kind, ErrorKind::NotFound, "{text}");
        assert!(text.contains("/nowhere/a.pem") && text.contains("/nowhere/b.pem"));
    }
}
