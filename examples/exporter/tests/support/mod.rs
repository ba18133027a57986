//! The program: run to its end, or running and asked over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The program with nothing of this process's variables but the search path.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kepler-exporter"));
    command.env_clear();
    for (name, value) in std::env::vars_os().filter(|(name, _)| name == "PATH") {
        command.env(name, value);
    }
    command
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The program while it runs; killed when a test fails.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let address = loop {
            let Some(line) = lines.next() else {
                panic!("it ended before it listened: {:?}", said.lock().unwrap());
            };
            let line = line.unwrap();
            let address = line
                .split_once("http://")
                .map(|(_, a)| a.trim_end_matches("\"}").to_owned());
            said.lock().unwrap().push(line);
            if let Some(address) = address {
                break address;
            }
        };
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| heard.lock().unwrap().push(line));
        });
        Self {
            child,
            address,
            said,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        body.to_owned()
    }

    /// The metrics once `wanted` says yes to them.
    pub(crate) fn metrics_once(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = eventually(|| {
            last = self.get("/metrics");
            wanted(&last)
        });
        assert!(found, "{last}");
        last
    }

    /// Waits for a line that holds `text`.
    pub(crate) fn says(&self, text: &str) -> String {
        let find = || {
            let said = self.said.lock().unwrap();
            said.iter().find(|line| line.contains(text)).cloned()
        };
        assert!(
            eventually(|| find().is_some()),
            "{:?}",
            self.said.lock().unwrap()
        );
        find().unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Asks it to stop; its exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal("-TERM");
        let mut code = None;
        assert!(eventually(|| {
            code = self.child.try_wait().unwrap();
            code.is_some()
        }));
        code.unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether `done` comes true within a time that a busy machine needs.
pub(crate) fn eventually(done: impl FnMut() -> bool) -> bool {
    within(Duration::from_secs(60), done)
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Whether `done` comes true within `time`.
pub(crate) fn within(time: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > time {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// A folder of a test's own, gone when it ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("kepler-exporter-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The text of a file that the program or the test wrote.
#[expect(clippy::disallowed_methods, reason = "the test's own files")]
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The figure of an instant query to a Prometheus: the first of its results; 0 where it gives none, or no answer yet.
pub(crate) fn query(port: u16, expression: &str) -> f64 {
    let first = results(port, expression).into_iter().next();
    first.unwrap_or(0.0)
}

/// The figures of an instant query.
pub(crate) fn results(port: u16, expression: &str) -> Vec<f64> {
    let escaped: String = expression.bytes().map(|b| format!("%{b:02x}")).collect();
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        write!(
            stream,
            "GET /api/v1/query?query={escaped} HTTP/1.0\r\nHost: x\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let results = json["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let figures = results
        .iter()
        .filter_map(|r| r["value"][1].as_str()?.parse().ok());
    figures.collect()
}
