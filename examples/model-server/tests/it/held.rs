//! A listening socket that is held while its server is killed and started anew.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::server::{Answer, Server};

/// A running holder, ended with the test.
struct Holder {
    child: Child,
    first_line: String,
}

impl Holder {
    fn start(listen: &str, path: &Path) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kepler-model-server"));
        program.args(["hold", "--listen", listen]).arg(path);
        let mut child = program.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut first_line = String::new();
        lines.read_line(&mut first_line).unwrap();
        std::thread::spawn(move || lines.lines().for_each(drop));
        Self { child, first_line }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(path: &Path) -> Server {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kepler-model-server"));
    let listen = format!("--listen=held:{}", path.display());
    Server::of(program.args([&listen, "-c", "/nonexistent"])).unwrap()
}

fn asks(place: &str) -> TcpStream {
    let mut stream = TcpStream::connect(place).unwrap();
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    stream
}

/// A holder at a free port, where it gives its socket away, and a server that has it.
fn held() -> (TempDir, PathBuf, Holder, Server) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("held.sock");
    let holder = Holder::start("127.0.0.1:0", &path);
    let server = serve(&path);
    (folder, path, holder, server)
}

#[test]
fn who_comes_while_a_killed_server_is_started_anew_is_answered() {
    let (_folder, path, _holder, server) = held();
    assert_eq!(server.get("/health").status, 200);
    let url = server.url();
    // Killed.
    drop(server);
    let place = url.trim_start_matches("http://");
    let waiting: Vec<TcpStream> = (0..50).map(|_| asks(place)).collect();
    let server = serve(&path);
    assert_eq!(server.url(), url);
    for mut stream in waiting {
        assert_eq!(Answer::read(&mut stream).status, 200);
    }
    assert!(server.stop().success());
}

#[test]
fn a_holder_that_was_killed_itself_waits_for_what_the_server_has() {
    let (_folder, path, holder, server) = held();
    drop(holder);
    let url = server.url();
    let holder = Holder::start(url.trim_start_matches("http://"), &path);
    assert!(
        holder.first_line.contains("waiting for"),
        "{}",
        holder.first_line
    );
    assert_eq!(server.get("/health").status, 200);
    drop(server);
    assert_eq!(serve(&path).url(), url);
}

#[test]
fn what_gives_no_socket_and_what_holds_none_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.sock");
    let other = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || other.incoming().for_each(drop));
    let run = |arguments: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kepler-model-server"));
        let ended = program.args(arguments).output().unwrap();
        (
            ended.status.code(),
            String::from_utf8(ended.stderr).unwrap(),
        )
    };
    let held = format!("--listen=held:{}", path.display());
    let (code, said) = run(&[&held, "-c", "/nonexistent"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("no socket is given there: is `kepler-model-server hold` running"),
        "{said}"
    );
    for listen in ["unix:/nowhere", "https://:8100", "held:/nowhere"] {
        let (code, said) = run(&["hold", "--listen", listen, "/nowhere"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("expected host:port or :port"), "{said}");
    }
}
