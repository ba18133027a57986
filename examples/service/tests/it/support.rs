//! A server in this process, and the programs that ask it.

use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use kepler_service::{Body, Limits, Peer, Server, WebArgs};
use tokio::sync::oneshot;

/// A running server; stopped at its end.
pub(crate) struct Running {
    pub(crate) addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn plain() -> Self {
        Self::start(&WebArgs::default(), Limits::default())
    }

    pub(crate) fn start(args: &WebArgs, limits: Limits) -> Self {
        let server = Server::bind(args, "127.0.0.1:0", limits).unwrap();
        let addresses = server.addresses();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let until = async {
                let _ = stopped.await;
            };
            runtime
                .block_on(server.run(service_fn(answer), until))
                .unwrap();
        });
        Self {
            addresses,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(40)))
            .unwrap();
        stream
    }

    /// All that comes back for these bytes.
    pub(crate) fn send(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        rest(&mut stream)
    }

    /// The answer to a request without more headers than these.
    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        ))
    }

    /// Tells it to stop, without waiting for that.
    pub(crate) fn tell_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has stopped.
    pub(crate) fn wait(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is left to read; where it ends by a reset, what came before it.
pub(crate) fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn answer(request: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let (path, argument) = match head.uri.path().rsplit_once('=') {
        Some((path, argument)) => (path, argument.parse().unwrap_or(0)),
        None => (head.uri.path(), 0),
    };
    let text = |text: String| Response::new(Full::new(Bytes::from(text)));
    Ok(match path {
        "/" => {
            let mut page = text("<!doctype html>".into());
            let html = "text/html; charset=utf-8".parse().unwrap();
            page.headers_mut().insert(CONTENT_TYPE, html);
            page
        }
        "/healthz" => text("ok\n".into()),
        "/metrics" => text("# TYPE answer gauge\nanswer 42\n".into()),
        "/who" => text(format!("{:?}\n", head.extensions.get::<Peer>().unwrap())),
        "/wait" => {
            tokio::time::sleep(Duration::from_millis(argument)).await;
            text("waited\n".into())
        }
        "/bytes" => text("x".repeat(usize::try_from(argument).unwrap())),
        "/never" => pending().await,
        "/length" => match body.collect().await {
            Ok(body) => text(format!("{}\n", body.to_bytes().len())),
            Err(error) => {
                let mut failed = text(error.to_string());
                *failed.status_mut() = StatusCode::IM_A_TEAPOT;
                failed
            }
        },
        _ => {
            let mut missing = text("not found\n".into());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    })
}

/// What a program printed, where it ended well.
pub(crate) fn said(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{} is needed: {error}", command.get_program().display()))
}

/// curl that prints the body, and the status and protocol in a line of their own.
pub(crate) fn curl(arguments: &[&str]) -> String {
    said(
        Command::new("curl")
            .args(["-sS", "-m", "60", "-w", "\n%{http_code} %{http_version}"])
            .args(arguments),
    )
}

/// A folder that is gone after the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    #[expect(clippy::disallowed_methods, reason = "the test's own files")]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        // As programs do that write certificates: the new file takes the old one's place at once.
        let (temporary, path) = (self.path("new"), self.path(name));
        fs::write(&temporary, text).unwrap();
        fs::rename(&temporary, &path).unwrap();
        path
    }
}

/// Arguments with these addresses and this web configuration.
pub(crate) fn args(addresses: &[&str], config: Option<&Path>) -> WebArgs {
    let mut args = WebArgs::default();
    args.listen = addresses.iter().map(|a| a.parse().unwrap()).collect();
    args.config_file = config.map(Into::into);
    args
}
