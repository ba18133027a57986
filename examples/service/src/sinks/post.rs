//! Protocol buffers sent by HTTP.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::{Error, Result};

/// Where to push, and with what credentials.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Push {
    url: String,
    headers: Vec<(String, String)>,
}

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

impl Push {
    /// To a URL of http or https, with more headers, `Name: value` each.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the URL or a header is none.
    pub fn to(url: &str, headers: &[String]) -> Result<Self> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("http" | "https")) {
            return Err(Error::invalid(
                &url,
                "expected http://host:port/path or https://...",
            ));
        }
        let parsed: std::result::Result<ureq::http::Uri, _> = url.parse();
        if let Err(error) = parsed {
            return Err(Error::invalid(&url, error.to_string()));
        }
        let one = |header: &String| {
            let (name, value) = header.split_once(':').unwrap_or((header, ""));
            let (name, value) = (name.trim(), value.trim());
            if ureq::http::HeaderName::try_from(name).is_err()
                || ureq::http::HeaderValue::try_from(value).is_err()
            {
                return Err(Error::invalid(
                    &name,
                    "expected a header such as Authorization: Bearer ...",
                ));
            }
            Ok((name.to_owned(), value.to_owned()))
        };
        Ok(Self {
            url: url.to_owned(),
            headers: headers.iter().map(one).collect::<Result<_>>()?,
        })
    }

    pub(super) fn agent() -> ureq::Agent {
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .user_agent(concat!("kepler/", env!("CARGO_PKG_VERSION")))
            .build();
        config.into()
    }

    /// Sends a body. An answer other than 2xx is an error with what the other side said.
    pub(super) fn send(
        &self,
        agent: &ureq::Agent,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::result::Result<(), String> {
        let mut request = agent.post(&self.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut answer = request
            .send(body)
            .map_err(|e| format!("{}: {e}", self.place()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let said = answer
            .body_mut()
            .with_config()
            .limit(1000)
            .read_to_string()
            .unwrap_or_default();
        let said = said.lines().next().unwrap_or_default();
        Err(format!("{}: {} {said}", self.place(), answer.status()))
    }

    /// The URL without what may be a secret.
    fn place(&self) -> &str {
        let end = self.url.find('?').unwrap_or(self.url.len());
        match (self.url.find("://"), self.url[..end].rfind('@')) {
            (Some(_), Some(at)) => &self.url[at + 1..end],
            _ => &self.url[..end],
        }
    }
}
