//! TLS as the web configuration asks for it, by rustls.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::client_cert::{Authorities, ClientCert};
use crate::config::{ClientAuthType, TlsSection, TlsVersion};
use crate::files::Files;
use crate::{Error, Result};

/// The TLS of a listener. `file` is the web configuration, for messages and relative paths.
pub(crate) fn server_config(
    section: &TlsSection,
    http2: bool,
    file: &Path,
    files: &mut Files,
) -> Result<Arc<ServerConfig>> {
    let wrong =
        |problem: String| Error::invalid(&file.display(), format!("tls_server_config: {problem}"));
    let mut pem = |key: &str, inline: &str, path: &Path| match (
        inline.is_empty(),
        path.as_os_str().is_empty(),
    ) {
        (false, false) => Err(wrong(format!("both {key} and {key}_file are set"))),
        (true, true) => Ok(None),
        (false, true) => Ok(Some(inline.as_bytes().to_vec())),
        (true, false) => {
            let folder = file.parent().unwrap_or(Path::new(""));
            files.read(&folder.join(path)).map(Some)
        }
    };
    let missing = |key: &str| wrong(format!("{key} is missing: set {key}_file"));
    let cert = pem("cert", &section.cert, &section.cert_file)?.ok_or_else(|| missing("cert"))?;
    let key = pem("key", &section.key, &section.key_file)?.ok_or_else(|| missing("key"))?;
    let client_ca = pem("client_ca", &section.client_ca, &section.client_ca_file)?;

    let chain = certificates(&cert).map_err(|e| wrong(format!("the certificate: {e}")))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|e| wrong(format!("the key: no private key in PEM ({e})")))?;
    let provider = Arc::new(provider(section).map_err(&wrong)?);
    let clients = client_cert(section, client_ca.as_deref(), &provider).map_err(&wrong)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(section).map_err(&wrong)?)
        .map_err(|e| wrong(format!("the versions and cipher_suites do not fit: {e}")))?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| wrong(format!("the certificate and the key: {}", reason(&e))))?;
    config.ignore_client_order = section.prefer_server_cipher_suites.unwrap_or(true);
    finish(&mut config, http2);
    Ok(Arc::new(config))
}

/// Why a certificate of ours is not taken; rustls speaks of the other side's.
fn reason(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => format!("the certificate is unusable: {why:?}"),
        other => other.to_string(),
    }
}

/// What holds for every certificate: the protocols that are offered.
pub(crate) fn finish(config: &mut ServerConfig, http2: bool) {
    config.alpn_protocols = [&b"h2"[..], b"http/1.1"]
        .into_iter()
        .filter(|p| http2 || *p != b"h2")
        .map(Into::into)
        .collect();
}

fn certificates(pem: &[u8]) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| e.to_string())?;
    if found.is_empty() {
        return Err("no certificate in PEM".into());
    }
    Ok(found)
}

/// The cryptography, narrowed to what the file allows. Go's and rustls' names of cipher suites are those of IANA.
fn provider(section: &TlsSection) -> std::result::Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    if !section.cipher_suites.is_empty() {
        let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
        let for_tls12 = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_none();
        let (known, of_tls13): (Vec<_>, Vec<_>) =
            provider.cipher_suites.into_iter().partition(for_tls12);
        // Those of TLS 1.3 cannot be chosen, in Go neither.
        provider.cipher_suites = of_tls13;
        for wanted in &section.cipher_suites {
            if wanted.starts_with("TLS_AES_") || wanted.starts_with("TLS_CHACHA20_") {
                continue;
            }
            let suite = known.iter().find(|s| name(s) == *wanted).ok_or_else(|| {
                let names: Vec<_> = known.iter().map(name).collect();
                format!("cipher_suites: {wanted} is not among {}", names.join(", "))
            })?;
            provider.cipher_suites.push(*suite);
        }
    }
    if !section.curve_preferences.is_empty() {
        let groups = section
            .curve_preferences
            .iter()
            .map(|wanted| match wanted.as_str() {
                "X25519" => Ok(ring::kx_group::X25519),
                "CurveP256" => Ok(ring::kx_group::SECP256R1),
                "CurveP384" => Ok(ring::kx_group::SECP384R1),
                _ => Err(format!(
                    "curve_preferences: {wanted} is not among X25519, CurveP256, CurveP384"
                )),
            });
        provider.kx_groups = groups.collect::<std::result::Result<_, _>>()?;
    }
    Ok(provider)
}

fn versions(
    section: &TlsSection,
) -> std::result::Result<Vec<&'static SupportedProtocolVersion>, String> {
    let least = section.min_version.unwrap_or(TlsVersion::Tls12);
    let most = section.max_version.unwrap_or(TlsVersion::Tls13);
    let versions: Vec<_> = [
        (TlsVersion::Tls12, &rustls::version::TLS12),
        (TlsVersion::Tls13, &rustls::version::TLS13),
    ]
    .into_iter()
    .filter(|(version, _)| (least..=most).contains(version))
    .map(|(_, version)| version)
    .collect();
    if versions.is_empty() {
        return Err(
            "max_version: TLS12 and TLS13 are spoken here, and min_version comes first".into(),
        );
    }
    Ok(versions)
}

fn client_cert(
    section: &TlsSection,
    client_ca: Option<&[u8]>,
    provider: &Arc<CryptoProvider>,
) -> std::result::Result<Option<ClientCert>, String> {
    use ClientAuthType::{
        NoClientCert, RequestClientCert, RequireAndVerifyClientCert, RequireAnyClientCert,
        VerifyClientCertIfGiven,
    };
    let kind = section.client_auth_type;
    let mandatory = matches!(kind, RequireAnyClientCert | RequireAndVerifyClientCert);
    if !section.client_allowed_sans.is_empty() && !mandatory {
        return Err(
            "client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert".into(),
        );
    }
    let authorities = match (kind, client_ca) {
        (NoClientCert, None) => return Ok(None),
        (NoClientCert, Some(_)) => {
            return Err("client_ca needs client_auth_type: RequireAndVerifyClientCert".into());
        }
        (RequestClientCert | RequireAnyClientCert, _) => None,
        (VerifyClientCertIfGiven | RequireAndVerifyClientCert, None) => {
            return Err("client_ca is missing: set client_ca_file".into());
        }
        (VerifyClientCertIfGiven | RequireAndVerifyClientCert, Some(pem)) => {
            let listed = certificates(pem).map_err(|e| format!("client_ca: {e}"))?;
            let mut roots = RootCertStore::empty();
            for root in &listed {
                let added = roots.add(root.clone());
                added.map_err(|e| format!("client_ca: {}", reason(&e)))?;
            }
            let builder =
                WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
            let verifier = builder.build().map_err(|e| format!("client_ca: {e}"))?;
            Some(Authorities { verifier, listed })
        }
    };
    Ok(Some(ClientCert::new(
        authorities,
        mandatory,
        section.client_allowed_sans.clone(),
        provider.signature_verification_algorithms,
    )))
}
