//! A server of the cluster, and how to prove who asks. Tokens and certificates are replaced while this runs: the token is
//! read again for each question, the certificates for each attempt to connect anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kepler_core::Host;
use ureq::http::Response;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::kubeconfig::Kubeconfig;

/// What Kubernetes mounts into every pod with a service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// How long a server may be silent within an answer that is made at once.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// What is read from a connection at a time, in bytes. A list of 2,000 pods has 4 MB; with half as much it takes a tenth longer,
/// since this thread sleeps and wakes more often.
const BUFFER: usize = 256 << 10;
/// The largest token or certificate file.
const SECRET_LIMIT: u64 = 1 << 20;

/// Bytes, or the file that has them.
#[derive(Clone, Debug)]
pub(super) enum Secret {
    Given(Vec<u8>),
    File(PathBuf),
}

/// Credentials for the servers of a cluster, and the API server's address.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) server: String,
    /// Who vouches for a server; `None` for anyone.
    pub(super) authority: Option<Secret>,
    pub(super) token: Option<Secret>,
    /// Certificates and their key.
    pub(super) certificate: Option<(Secret, Secret)>,
}

impl Access {
    /// The credentials of a kubeconfig file, or of the pod that this runs in.
    pub(super) fn open(kubeconfig: Option<&Path>) -> Result<Self, String> {
        match kubeconfig {
            Some(path) => Kubeconfig::read(path),
            None => Self::of_this_pod(),
        }
    }

    fn of_this_pod() -> Result<Self, String> {
        let variable =
            |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
        let host = variable("KUBERNETES_SERVICE_HOST");
        let (Some(host), port) = (host, variable("KUBERNETES_SERVICE_PORT")) else {
            return Err("this is no pod of Kubernetes (KUBERNETES_SERVICE_HOST is not set): give --kube.config".into());
        };
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        let file = |name: &str| Secret::File(Path::new(ACCOUNT).join(name));
        let access = Self {
            server: format!("https://{host}:{}", port.as_deref().unwrap_or("443")),
            authority: Some(file("ca.crt")),
            token: Some(file("token")),
            certificate: None,
        };
        // So that a pod without an account is told at once.
        access.bearer()?;
        Ok(access)
    }

    /// A connection pool with the certificates as they are now.
    pub(super) fn agent(&self) -> Result<Agent, String> {
        let mut tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        tls = match &self.authority {
            Some(authority) => {
                let certificates = certificates(authority)?;
                tls.root_certs(RootCerts::new_with_certs(&certificates))
            }
            None => tls.disable_verification(true),
        };
        if let Some((certificate, key)) = &self.certificate {
            let key = PrivateKey::from_pem(&key.read()?)
                .map_err(|e| format!("{key}: expected a private key: {e}"))?;
            let own = ClientCert::new_with_certs(&certificates(certificate)?, key);
            tls = tls.client_cert(Some(own));
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .http_status_as_error(false)
            // Whoever redirects is not whom the token is for.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .input_buffer_size(BUFFER)
            .user_agent(concat!("kepler/", env!("CARGO_PKG_VERSION")));
        Ok(config.build().new_agent())
    }

    /// Asks, of a server that may be silent so long within its answer; an answer other than 200 is an error that says what to do, but for 410, which is the caller's.
    pub(super) fn get(
        &self,
        agent: &Agent,
        url: &str,
        silence: Duration,
    ) -> Result<Response<Body>, String> {
        let request = agent.get(url).header("accept", "application/json");
        let mut request = request.config().timeout_per_read(Some(silence)).build();
        if let Some(bearer) = self.bearer()? {
            request = request.header("authorization", bearer);
        }
        let mut response = request.call().map_err(|e| explain(url, &e))?;
        let status = response.status().as_u16();
        if status == 200 || status == 410 {
            return Ok(response);
        }
        let text = response
            .body_mut()
            .with_config()
            .limit(2000)
            .read_to_string();
        let text: String = text.unwrap_or_default().chars().take(300).collect();
        let advice = match status {
            401 => "the credentials are not accepted",
            403 => {
                "the account may not do this: it needs the role of the deployment's files (get on nodes/proxy or nodes/pods for the kubelet; list and watch on pods for the API server)"
            }
            404 => "there is no such thing: check the node's name and the address",
            _ => "",
        };
        Err(format!("{url} answered {status} {advice} {}", text.trim())
            .trim_end()
            .to_owned())
    }

    fn bearer(&self) -> Result<Option<String>, String> {
        let Some(token) = &self.token else {
            return Ok(None);
        };
        let bytes = token.read()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if text.is_empty() || text.contains(|c: char| c.is_control() || !c.is_ascii()) {
            return Err(format!("{token}: expected a token"));
        }
        Ok(Some(format!("Bearer {text}")))
    }
}

impl Secret {
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Given(bytes) => Ok(bytes.clone()),
            Self::File(path) => Host::default()
                .bytes(path, SECRET_LIMIT)
                .map_err(|e| e.to_string()),
        }
    }
}

impl std::fmt::Display for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => f.write_str("kubeconfig"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

fn certificates(from: &Secret) -> Result<Vec<Certificate<'static>>, String> {
    let pem = from.read()?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(format!("{from}: expected certificates"));
    }
    Ok(certificates)
}

fn explain(url: &str, error: &ureq::Error) -> String {
    let text = error.to_string();
    let advice = if text.contains("nvalid peer certificate") || text.contains("UnknownIssuer") {
        "; a kubelet often vouches for itself: give its certificate with --kube.kubelet-ca, or ask the API server with --kube.pod-informer.mode=apiserver"
    } else {
        ""
    };
    format!("{url}: {text}{advice}")
}
