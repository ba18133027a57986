//! A cluster's API server, played for a test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::manage::usage::certificates::Certificates;
use crate::manage::usage::configmap::{ApiServer, ConfigMap};
use crate::manage::usage::{Place, Usage};

/// An API server that keeps one ConfigMap, refuses replacements of what is not its version, and now and then loses an
/// answer to what it did.
pub(super) struct Cluster {
    url: String,
    pub(super) kept: Arc<Mutex<Kept>>,
    account: tempfile::TempDir,
}

#[derive(Default)]
pub(super) struct Kept {
    pub(super) map: Option<Value>,
    version: u64,
    pub(super) conflicts: u64,
    pub(super) calls: u64,
    token: String,
}

impl Cluster {
    pub(super) fn start() -> Self {
        Self::serve("http", answer)
    }

    /// By TLS, with the certificate of a cluster's own authority.
    pub(super) fn start_tls(certificates: &Certificates) -> Self {
        let chain = CertificateDer::pem_file_iter(certificates.path("server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(certificates.path("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key);
        let config = Arc::new(config.unwrap());
        let cluster = Self::serve("https", move |stream, kept| {
            let tls = ServerConnection::new(config.clone()).unwrap();
            answer(StreamOwned::new(tls, stream), kept);
        });
        cluster.trust(certificates);
        cluster
    }

    fn serve(
        scheme: &str,
        answer: impl Fn(TcpStream, &Mutex<Kept>) + Send + Sync + 'static,
    ) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", server.local_addr().unwrap());
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let (shared, answer) = (kept.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in server.incoming().flatten() {
                let (shared, answer) = (shared.clone(), answer.clone());
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        let account = tempfile::tempdir().unwrap();
        let cluster = Self { url, kept, account };
        cluster.renew("a-token");
        cluster
    }

    /// The token that is let in from now on, and that the account has.
    pub(super) fn renew(&self, token: &str) {
        self.kept.lock().unwrap().token = token.to_owned();
        std::fs::write(self.account.path().join("token"), format!("{token}\n")).unwrap();
    }

    /// The authority that pods of the cluster are told.
    pub(super) fn trust(&self, certificates: &Certificates) {
        let authority = crate::manage::client::text_file(&certificates.path("authority.pem"));
        std::fs::write(self.account.path().join("ca.crt"), authority.unwrap()).unwrap();
    }

    pub(super) fn usage(&self) -> Usage {
        let server = ApiServer::at(self.url.clone(), self.account.path());
        let store = ConfigMap::new(server, "kepler", "model-usage-stats");
        Usage::with(Place::Memory, Some(Box::new(store))).unwrap()
    }

    pub(super) fn data(&self) -> Value {
        let kept = self.kept.lock().unwrap();
        let map = kept.map.as_ref().unwrap();
        serde_json::from_str(map["data"]["usage_data"].as_str().unwrap()).unwrap()
    }
}

fn answer(stream: impl Read + Write, kept: &Mutex<Kept>) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length, mut token) = (String::new(), 0, String::new());
    // Who does not trust this server says nothing.
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        let header = header.trim().to_ascii_lowercase();
        length = header
            .strip_prefix("content-length:")
            .map_or(length, |l| l.trim().parse().unwrap());
        if let Some(given) = header.strip_prefix("authorization: bearer ") {
            token = given.to_owned();
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = line.split(' ').nth(1).unwrap_or_default();
    let folder = "/api/v1/namespaces/kepler/configmaps";
    let mut kept = kept.lock().unwrap();
    kept.calls += 1;
    let (status, reply) = match (line.split(' ').next().unwrap_or_default(), &kept.map) {
        _ if token != kept.token => (401, json!({})),
        ("GET", Some(map)) if path == format!("{folder}/model-usage-stats") => (200, map.clone()),
        ("GET", None) => (404, json!({})),
        ("POST", Some(_)) => (409, json!({})),
        ("PUT", Some(map))
            if map["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
        {
            kept.conflicts += 1;
            (409, json!({}))
        }
        ("POST" | "PUT", _) if path.starts_with(folder) => {
            let mut map = body;
            kept.version += 1;
            map["metadata"]["resourceVersion"] = kept.version.to_string().into();
            kept.map = Some(map.clone());
            if kept.version.is_multiple_of(5) {
                // Done, but nobody hears of it.
                return;
            }
            (200, map)
        }
        _ => (404, json!({})),
    };
    drop(kept);
    let text = reply.to_string();
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    let mut stream = reader.into_inner();
    let _ = stream.write_all((head + &text).as_bytes());
    let _ = stream.flush();
}
