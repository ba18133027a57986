//! Questions to a management controller: bounded in time and size, to it alone.

use std::sync::Arc;

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

pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    account: Option<String>,
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
        })
    }

    /// What the controller holds at a path of its own.
    pub(super) fn get(&mut self, path: &str) -> Result<Value> {
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(Error::malformed(&self.endpoint, "a path of its own", path));
        }
        let url = format!("{}{path}", self.endpoint);
        let trouble = |error: &ureq::Error| Error::Unsupported {
            what: url.clone(),
            why: error.to_string(),
            hint: String::new(),
        };
        let mut request = self.agent.get(&url).header("accept", "application/json");
        if let Some(account) = &self.account {
            request = request.header("authorization", account);
        }
        let mut answer = request.call().map_err(|e| trouble(&e))?;
        let status = answer.status().as_u16();
        if status != 200 {
            let hint = match status {
                401 | 403 => "check the account: it has to be allowed to read chassis and power",
                _ => "",
            };
            return Err(Error::Unsupported {
                what: url,
                why: format!("the controller answered {status}"),
                hint: hint.to_owned(),
            });
        }
        let body = answer.body_mut().with_config().limit(ANSWER_LIMIT);
        let json = body.read_to_vec().map_err(|e| trouble(&e))?;
        serde_json::from_slice(&json).map_err(|e| Error::malformed(url, "JSON", e.to_string()))
    }
}

/// The certificates in the first of these files that can be read.
fn authorities(paths: &[impl AsRef<std::path::Path>]) -> Result<RootCerts> {
    let mut read = Err(Error::invalid("certificates", "no file was given"));
    for path in paths {
        read = Host::default().bytes(path, CERTIFICATES_LIMIT);
        if read.is_ok() {
            break;
        }
    }
    let found: Vec<Certificate<'static>> = parse_pem(&read?)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        let place = paths[0].as_ref().display();
        return Err(Error::malformed(place, "certificates", ""));
    }
    Ok(RootCerts::new_with_certs(&found))
}
