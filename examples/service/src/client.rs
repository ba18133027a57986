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

/// What is wrong with a URL of http or https, if anything.
pub(crate) fn judge(url: &str) -> Result<(), String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("http" | "https")) {
        return Err("expected http://host:port/path or https://...".to_owned());
    }
    let parsed: Result<ureq::http::Uri, _> = url.parse();
    parsed.map(drop).map_err(|e| e.to_string())
}
