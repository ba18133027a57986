//! The file of `--web.config.file`, in the format that Prometheus and its exporters share.
//!
//! <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::duration::duration;
use crate::rate::Rate;
use crate::yaml::yaml;
use crate::{Error, Result};

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WebConfig {
    pub(crate) tls_server_config: Option<TlsSection>,
    pub(crate) http_server_config: HttpSection,
    /// Names and bcrypt hashes.
    pub(crate) basic_auth_users: BTreeMap<String, String>,
    pub(crate) rate_limit: RateSection,
}

/// Certificates and what is asked of clients. Paths are taken from the file's folder.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct TlsSection {
    pub(crate) cert: String,
    pub(crate) cert_file: PathBuf,
    pub(crate) key: String,
    pub(crate) key_file: PathBuf,
    pub(crate) client_ca: String,
    pub(crate) client_ca_file: PathBuf,
    pub(crate) client_auth_type: ClientAuthType,
    pub(crate) client_allowed_sans: Vec<String>,
    pub(crate) min_version: Option<TlsVersion>,
    pub(crate) max_version: Option<TlsVersion>,
    pub(crate) cipher_suites: Vec<String>,
    pub(crate) curve_preferences: Vec<String>,
    pub(crate) prefer_server_cipher_suites: Option<bool>,
}

/// Whether clients are asked for a certificate, and whether it is checked.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) enum ClientAuthType {
    #[default]
    #[serde(alias = "")]
    NoClientCert,
    RequestClientCert,
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsVersion {
    #[serde(rename = "TLS10")]
    Tls10,
    #[serde(rename = "TLS11")]
    Tls11,
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HttpSection {
    pub(crate) http2: Option<bool>,
    headers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RateSection {
    burst: u32,
    #[serde(deserialize_with = "go_duration")]
    interval: Duration,
}

/// Each section and the keys that it may have; `*` are names of somebody's choice.
const KNOWN: [(&str, &[&str]); 6] = [
    (
        "",
        &[
            "tls_server_config",
            "http_server_config",
            "basic_auth_users",
            "rate_limit",
        ],
    ),
    (
        "tls_server_config",
        &[
            "cert",
            "cert_file",
            "key",
            "key_file",
            "client_ca",
            "client_ca_file",
            "client_auth_type",
            "client_allowed_sans",
            "min_version",
            "max_version",
            "cipher_suites",
            "curve_preferences",
            "prefer_server_cipher_suites",
        ],
    ),
    ("http_server_config", &["http2", "headers"]),
    (
        "http_server_config.headers",
        &[
            "Content-Security-Policy",
            "X-Frame-Options",
            "X-Content-Type-Options",
            "X-XSS-Protection",
            "Strict-Transport-Security",
        ],
    ),
    ("basic_auth_users", &["*"]),
    ("rate_limit", &["burst", "interval"]),
];

impl WebConfig {
    /// The text of the file at `path`, understood.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::invalid(&path.display(), problem);
        let tree: Value = yaml(text).map_err(wrong)?;
        if tree.is_null() {
            return Ok(Self::default());
        }
        check_keys("", &tree).map_err(wrong)?;
        yaml(text).map_err(wrong)
    }

    /// The headers that every answer shall have.
    pub(crate) fn headers(&self, path: &Path) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let given = self.http_server_config.headers.iter();
        given
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| {
                let wrong =
                    |what| Error::invalid(&path.display(), format!("the header {name}: {what}"));
                let allowed: &[&str] = match name.as_str() {
                    "X-Frame-Options" => &["deny", "sameorigin"],
                    "X-Content-Type-Options" => &["nosniff"],
                    _ => &[],
                };
                if !allowed.is_empty() && !allowed.contains(&value.to_lowercase().as_str()) {
                    return Err(wrong(format!("expected {}", allowed.join(" or "))));
                }
                let name = name.parse().map_err(|_| wrong("no header's name".into()))?;
                let value = value
                    .parse()
                    .map_err(|_| wrong("no header's value".into()))?;
                Ok((name, value))
            })
            .collect()
    }

    /// How often all clients together may ask.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let RateSection { burst, interval } = self.rate_limit;
        (!interval.is_zero()).then_some(Rate {
            burst: burst.max(1),
            each: interval,
        })
    }
}

/// Says which key is none, and which may have been meant.
fn check_keys(section: &str, value: &Value) -> std::result::Result<(), String> {
    let (Some(object), Some((_, known))) = (
        value.as_object(),
        KNOWN.iter().find(|(name, _)| *name == section),
    ) else {
        return Ok(());
    };
    for (key, value) in object {
        let path = match section {
            "" => key.clone(),
            section => format!("{section}.{key}"),
        };
        if !known.contains(&key.as_str()) && !known.contains(&"*") {
            let tip = nearest(key, known);
            return Err(format!("{path} is not known; did you mean {tip}?"));
        }
        check_keys(&path, value)?;
    }
    Ok(())
}

/// The known name that is most like `name`.
fn nearest<'a>(name: &str, known: &[&'a str]) -> &'a str {
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    let best = known.iter().copied();
    best.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .unwrap_or("*")
}

fn go_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "0" => Ok(Duration::ZERO),
        text => duration(text).map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<WebConfig> {
        WebConfig::parse(Path::new("web.yml"), text)
    }

    #[test]
    fn every_key_of_the_format_is_read() {
        let config = parse(
            "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n  client_auth_type: RequireAndVerifyClientCert\n  \
             client_ca_file: ca.crt\n  client_allowed_sans: [a, b]\n  min_version: TLS12\n  max_version: TLS13\n  \
             cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n  prefer_server_cipher_suites: true\n  \
             curve_preferences: [CurveP256]\nhttp_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    \
             Strict-Transport-Security: ''\nbasic_auth_users:\n  alice: x\nrate_limit:\n  burst: 5\n  interval: 100ms\n",
        )
        .unwrap();
        assert_eq!(
            config.tls_server_config.as_ref().unwrap().client_auth_type,
            ClientAuthType::RequireAndVerifyClientCert
        );
        assert_eq!(config.http_server_config.http2, Some(false));
        assert_eq!(config.headers(Path::new("web.yml")).unwrap().len(), 1);
        assert_eq!(config.basic_auth_users["alice"], "x");
        let rate = config.rate().unwrap();
        assert_eq!((rate.burst, rate.each), (5, Duration::from_millis(100)));
        let empty = parse("").unwrap();
        assert!(empty.tls_server_config.is_none() && empty.rate().is_none());
    }

    #[test]
    fn a_key_that_is_none_is_named_with_its_like() {
        for (text, said) in [
            (
                "tls_server_conf: {}",
                "tls_server_conf is not known; did you mean tls_server_config?",
            ),
            (
                "tls_server_config: {cert_fil: x}",
                "did you mean cert_file?",
            ),
            (
                "http_server_config: {headers: {X-Frame-Option: deny}}",
                "did you mean X-Frame-Options?",
            ),
            ("rate_limit: {interval: fast}", "5s"),
            ("tls_server_config: {min_version: TLS14}", "TLS13"),
            (
                "tls_server_config: {client_auth_type: Always}",
                "RequireAnyClientCert",
            ),
            ("http_server_config: {http2: perhaps}", "bool"),
            ("basic_auth_users: {alice: [secret]}", "line 1"),
            ("a: {", "web.yml"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with("web.yml: ") && error.contains(said),
                "{error}"
            );
            assert!(
                !error.contains('\n') && !error.contains("secret"),
                "{error}"
            );
        }
        let frame = parse("http_server_config: {headers: {X-Frame-Options: allow}}").unwrap();
        let error = frame.headers(Path::new("web.yml")).unwrap_err().to_string();
        assert!(error.contains("deny or sameorigin"), "{error}");
    }
}
