//! A certificate of our own, for a machine that was given none.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use crate::{Error, Result, log, tls};

/// How long it holds. It is made anew at each start.
const VALID: Duration = Duration::from_secs(3650 * 24 * 3600);

/// TLS with a new certificate for this host's name, `localhost`, the loopback addresses and `addresses`.
pub(crate) fn server_config(addresses: &[IpAddr]) -> Result<Arc<ServerConfig>> {
    let wrong = |e: &dyn std::fmt::Display| {
        Error::invalid(
            &"--web.self-signed",
            format!("cannot make a certificate: {e}"),
        )
    };
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let mut names = vec![
        host.clone(),
        "localhost".into(),
        "127.0.0.1".into(),
        "::1".into(),
    ];
    for address in addresses.iter().map(ToString::to_string) {
        if !names.contains(&address) {
            names.push(address);
        }
    }
    let mut params = CertificateParams::new(names.clone()).map_err(|e| wrong(&e))?;
    params.distinguished_name.push(DnType::CommonName, host);
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(24 * 3600)).into();
    params.not_after = (now + VALID).into();
    let key = KeyPair::generate().map_err(|e| wrong(&e))?;
    let certificate = params.self_signed(&key).map_err(|e| wrong(&e))?;
    let print = ::ring::digest::digest(&::ring::digest::SHA256, certificate.der());
    let print: Vec<String> = print.as_ref().iter().map(|b| format!("{b:02X}")).collect();
    log::info(&format!(
        "made a certificate for {}; SHA-256 fingerprint {}",
        names.join(", "),
        print.join(":")
    ));
    let key = key
        .serialize_der()
        .try_into()
        .map_err(|e: &str| wrong(&e))?;
    let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
        })
        .map_err(|e| wrong(&e))?;
    tls::finish(&mut config, true);
    Ok(Arc::new(config))
}
