//! A server that plays kubelet and API server over TLS.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const NODE: &str = "node-7";

/// A container id made of one letter.
pub(crate) fn id(letter: char) -> String {
    letter.to_string().repeat(64)
}

/// A pod's uid made of a short name.
pub(crate) fn uid(name: &str) -> String {
    let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex:0>8}-1f0c-4f9e-8a11-0b2d8e7c5a33")
}

/// A pod with one container.
pub(crate) fn pod(name: &str, uid_of: &str, container: &str, letter: char, version: u64) -> Value {
    let status = json!({"name": container, "containerID": format!("containerd://{}", id(letter)), "restartCount": 0});
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": uid(uid_of), "resourceVersion": version.to_string()},
        "spec": {"nodeName": NODE},
        "status": {"containerStatuses": [status]},
    })
}

/// What the server is to do, and what it saw.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) pods: Vec<Value>,
    pub(crate) token: String,
    /// Answered instead of a pod list.
    pub(crate) nonsense: Option<String>,
    /// Whether the next pod list stops halfway, on a connection that stays open.
    pub(crate) stall: bool,
    /// Whether the next watch is answered with 410.
    pub(crate) gone: bool,
    /// Paths of requests with the right token.
    pub(crate) asked: Vec<String>,
    /// Versions that watches began from.
    pub(crate) watched: Vec<String>,
    /// The watch under way.
    watch: Option<Sender<String>>,
}

pub(crate) struct Server {
    folder: TempDir,
    world: Arc<Mutex<World>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self {
            folder,
            world: Arc::new(Mutex::new(World {
                token: "first".into(),
                ..World::default()
            })),
        };
        std::fs::write(server.authority(), certified.cert.pem()).unwrap();
        server.write_token("first");
        let kubeconfig = json!({
            "current-context": "t",
            "contexts": [{"name": "t", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": format!("https://{address}"), "certificate-authority": "ca.crt"}}],
            "users": [{"name": "u", "user": {"tokenFile": "token"}}],
        });
        std::fs::write(server.kubeconfig(), kubeconfig.to_string()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
            certified.signing_key.serialize_der(),
        ));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let (config, world) = (Arc::new(config), Arc::clone(&server.world));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, world) = (Arc::clone(&config), Arc::clone(&world));
                std::thread::spawn(move || serve(stream, config, &world, address));
            }
        });
        server
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    pub(crate) fn get<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.world.lock().unwrap())
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.folder.path().join("token"), format!("{token}\n")).unwrap();
    }

    /// Tells the watch under way of a change, when there is one.
    pub(crate) fn event(&self, kind: &str, object: &Value) {
        let line = json!({"type": kind, "object": object}).to_string();
        for _ in 0..200 {
            let sent = self.get(|world| {
                world
                    .watch
                    .as_ref()
                    .is_some_and(|watch| watch.send(line.clone()).is_ok())
            });
            if sent {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("nobody watches");
    }

    pub(crate) fn end_watch(&self) {
        self.set(|world| world.watch = None);
    }
}

/// Answers requests on one connection until it is closed.
fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    world: &Mutex<World>,
    address: SocketAddr,
) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let (mut first, mut token) = (String::new(), String::new());
        stream.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if let Some(value) = line.to_lowercase().strip_prefix("authorization: bearer ") {
                value.trim().clone_into(&mut token);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let path = first.split(' ').nth(1)?.to_owned();
        let (status, body, events) = answer(&mut world.lock().unwrap(), &path, &token, address);
        let out = stream.get_mut();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n");
        let is_list = events.is_none() && path.contains("/pods");
        if is_list && std::mem::take(&mut world.lock().unwrap().stall) {
            let half = &body[..body.len() / 2];
            write!(out, "{head}content-length: {}\r\n\r\n{half}", body.len()).ok()?;
            out.flush().ok()?;
            // Until the client has had enough.
            stream.read_line(&mut String::new()).ok()?;
            return None;
        }
        let Some(events) = events else {
            write!(out, "{head}content-length: {}\r\n\r\n{body}", body.len()).ok()?;
            out.flush().ok()?;
            continue;
        };
        write!(out, "{head}transfer-encoding: chunked\r\n\r\n").ok()?;
        out.flush().ok()?;
        for event in events {
            write!(out, "{:x}\r\n{event}\n\r\n", event.len() + 1).ok()?;
            out.flush().ok()?;
        }
        write!(out, "0\r\n\r\n").ok()?;
        out.flush().ok()?;
    }
}

fn answer(
    world: &mut World,
    path: &str,
    token: &str,
    address: SocketAddr,
) -> (u16, String, Option<Receiver<String>>) {
    if token != world.token {
        return (401, "Unauthorized".into(), None);
    }
    world.asked.push(path.to_owned());
    if path.starts_with("/api/v1/nodes/") {
        let addresses = json!([{"type": "Hostname", "address": "x"}, {"type": "InternalIP", "address": "127.0.0.1"}]);
        let endpoints = json!({"kubeletEndpoint": {"Port": address.port()}});
        let node = json!({"status": {"addresses": addresses, "daemonEndpoints": endpoints}});
        return (200, node.to_string(), None);
    }
    if path.contains("watch=true") {
        if std::mem::take(&mut world.gone) {
            return (410, "{}".into(), None);
        }
        let version = path.rsplit('=').next().unwrap_or_default();
        world.watched.push(version.to_owned());
        let (sender, events) = channel();
        world.watch = Some(sender);
        return (200, String::new(), Some(events));
    }
    let list =
        json!({"kind": "PodList", "metadata": {"resourceVersion": "100"}, "items": world.pods});
    (
        200,
        world.nonsense.clone().unwrap_or(list.to_string()),
        None,
    )
}
