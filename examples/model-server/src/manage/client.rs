//! The one HTTP client: blocking, TLS by rustls, and never without a limit of time and size.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kepler_core::Host;
use kepler_service::{AdminToken, shown};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Request, Response, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How servers are talked to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// A PEM file of the authorities to trust, instead of those of the system.
    pub(crate) certificates: Option<PathBuf>,
    /// Whom to connect to, whatever the name in a URL resolves to.
    pub(crate) address: Option<SocketAddr>,
    /// How long a call may take, with all of its answer. `None` for as long as something comes.
    pub(crate) whole: Option<Duration>,
}

/// A client with a pool of connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client(ureq::Agent);

/// By what a server is to let a request in.
#[derive(Clone, Copy)]
pub(crate) enum Token<'a> {
    Bearer(&'a str),
    /// In a header of its own, so that it goes beside the password of a URL.
    Admin(&'a str),
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    url: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    text: String,
    /// Whether another try can help.
    pub(crate) temporary: bool,
}

const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// The largest answer that is kept in memory.
const ANSWER: u64 = 8 << 20;

impl Client {
    /// # Errors
    /// What is wrong with the certificates.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let roots = match &settings.certificates {
            Some(path) => authorities_of(path)?,
            None => system_authorities().to_vec(),
        };
        let roots: Vec<_> = roots
            .iter()
            .map(|c| Certificate::from_der(c.as_ref()).to_owned())
            .collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .user_agent(concat!("kepler-model-server/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .timeout_global(settings.whole);
        if settings.address.is_some() {
            config = config.proxy(None);
        }
        let resolver = Pinned(settings.address, DefaultResolver::default());
        Ok(Self(ureq::Agent::with_parts(
            config.build(),
            DefaultConnector::default(),
            resolver,
        )))
    }

    /// Asks with some headers; the answer's body is still to be read.
    ///
    /// # Errors
    /// What happened on the way. A status that tells of an error is an answer.
    pub(crate) fn get(
        &self,
        url: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Result<Response<ureq::Body>, Unanswered> {
        let mut request = Request::get(url);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request
            .body(())
            .map_err(|e| Unanswered::new(url, &e.into()))?;
        self.0.run(request).map_err(|e| Unanswered::new(url, &e))
    }

    /// Sends JSON, or nothing, and reads the answer to its end.
    ///
    /// # Errors
    /// As [`Client::get`]; and an answer that is too large.
    pub(crate) fn json(
        &self,
        method: &str,
        url: &str,
        token: Option<Token<'_>>,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let (parts, mut body) = self.send(method, url, token, body)?.into_parts();
        let body = body.with_config().limit(ANSWER).read_to_vec();
        Ok(Answer {
            status: parts.status.as_u16(),
            body: body.map_err(|e| Unanswered::new(url, &e).to_string())?,
            url: shown(url),
        })
    }

    /// Sends a request as it is and reads the answer to its end.
    ///
    /// # Errors
    /// As [`Client::get`]; and an answer that is too large.
    #[cfg(feature = "s3")]
    pub(crate) fn whole(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, ureq::Error> {
        let (parts, mut body) = self.0.run(request)?.into_parts();
        let body = body.with_config().limit(ANSWER).read_to_vec()?;
        Ok(Response::from_parts(parts, body))
    }

    /// Sends JSON, or nothing; the answer's body is still to be read.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        token: Option<Token<'_>>,
        body: Option<&Value>,
    ) -> Result<Response<ureq::Body>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::ACCEPT, "application/json");
        request = match token {
            Some(Token::Bearer(token)) => {
                request.header(header::AUTHORIZATION, format!("Bearer {token}"))
            }
            Some(Token::Admin(token)) => request.header(AdminToken::HEADER, token),
            None => request,
        };
        let sent = match body {
            Some(body) => {
                let request = request.header(header::CONTENT_TYPE, "application/json");
                let request = request.body(body.to_string());
                request.map_err(Into::into).and_then(|r| self.0.run(r))
            }
            None => request
                .body(())
                .map_err(Into::into)
                .and_then(|r| self.0.run(r)),
        };
        sent.map_err(|e| Unanswered::new(url, &e).to_string())
    }
}

impl Answer {
    /// What the answer says, if it is one of success.
    ///
    /// # Errors
    /// The status, or what is wrong with the JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        if !(200..300).contains(&self.status) {
            return Err(format!(
                "{}: HTTP {}: {}",
                self.url,
                self.status,
                self.excerpt()
            ));
        }
        serde_json::from_slice(&self.body)
            .map_err(|e| format!("{}: {e} in {:?}", self.url, self.excerpt()))
    }

    /// The beginning of the body, for a message.
    pub(crate) fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(400)]);
        let text = text.trim().replace(char::is_control, " ");
        text.chars().take(200).collect()
    }
}

impl Unanswered {
    fn new(url: &str, error: &ureq::Error) -> Self {
        let lasting = matches!(
            error,
            ureq::Error::BadUri(_)
                | ureq::Error::Http(_)
                | ureq::Error::TooManyRedirects
                | ureq::Error::RedirectFailed
                | ureq::Error::BodyExceedsLimit(_)
                | ureq::Error::Tls(_)
                | ureq::Error::Rustls(_)
        );
        Self {
            text: format!("{}: {error}", shown(url)),
            temporary: !lasting,
        }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Resolves as the system does, or to the one address that is wanted.
#[derive(Debug)]
struct Pinned(Option<SocketAddr>, DefaultResolver);

impl Resolver for Pinned {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        match self.0 {
            Some(address) => {
                let mut one = self.empty();
                one.push(address);
                Ok(one)
            }
            None => self.1.resolve(uri, config, timeout),
        }
    }
}

/// TLS for what is not HTTP, with the authorities of a PEM file or of the system.
///
/// # Errors
/// What is wrong with the file, or that the cryptography cannot be set up.
#[cfg(feature = "postgres")]
pub(crate) fn tls(certificates: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, String> {
    let mut roots = rustls::RootCertStore::empty();
    match certificates {
        Some(path) => roots.add_parsable_certificates(authorities_of(path)?),
        None => roots.add_parsable_certificates(system_authorities().iter().cloned()),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS: {e}"))?;
    Ok(Arc::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}

/// A small text file, such as a token.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn text_file(path: &Path) -> Result<String, String> {
    Host::default().text(path).map_err(|e| e.to_string())
}

/// The system's authorities, or those of `SSL_CERT_FILE`; none where there are none, which the first call over TLS tells.
fn system_authorities() -> &'static [CertificateDer<'static>] {
    static KEPT: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    KEPT.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

fn authorities_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text_file(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!("{}: no certificate in it", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
