//! The client side of HTTP: for pushes and for what is fetched.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Connections that trust whom the system trusts. `patience` is for a whole question and its answer.
pub(crate) fn agent(patience: Duration, redirects: u32) -> ureq::Agent {
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
        .timeout_global(Some(patience))
        .max_redirects(redirects)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("kepler/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

/// A URL of http or https as it was written, for the parser of the command line.
///
/// ```
/// assert!(kepler_service::url("https://10.0.0.1:10250").is_ok());
/// assert!(kepler_service::url("10.0.0.1:10250").is_err());
/// ```
/// # Errors
/// What was expected.
pub fn url(text: &str) -> Result<String, String> {
    judge(text).map(|()| text.to_owned())
}

/// What is wrong with a URL of http or https, if anything.
pub(crate) fn judge(url: &str) -> Result<(), String> {
    let wrong = || "expected http://host:port/path or https://...".to_owned();
    let (_, rest) = url
        .split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        .ok_or_else(wrong)?;
    let parsed: Result<ureq::http::Uri, _> = url.parse();
    let parsed = parsed.map_err(|e| format!("{} ({e})", wrong()))?;
    let host = parsed.host().unwrap_or_default();
    // A port that is none is overlooked by the parser.
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let behind = place.rsplit_once(host).map_or("", |(_, behind)| behind);
    let has_port = behind.is_empty() || parsed.port_u16().is_some();
    (!host.is_empty() && has_port)
        .then_some(())
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_a_host_and_a_port_that_can_be() {
        for right in [
            "http://h",
            "https://h/",
            "http://u:p@h:1/x:y?z",
            "http://[::1]:65535/",
            "http://10.0.0.1?x=:",
        ] {
            assert_eq!(judge(right), Ok(()), "{right}");
        }
        for wrong in [
            "",
            "h",
            "h:80",
            "ftp://h",
            "http://",
            "http:///x",
            "http://:80/",
            "http://h:x/",
            "http://h:65536",
            "http://[::1",
            "http://[::1]:x",
            "http://a b",
            "http://u:p@h:-1",
        ] {
            let said = judge(wrong).unwrap_err();
            assert!(
                said.starts_with("expected http://host:port/path"),
                "{wrong}: {said}"
            );
        }
    }
}
