//! The program as tests meet it: run to its end, or running and asked over HTTP; and what else they start and make.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod prometheus;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
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

/// Says that a test could not be run; in CI, where it can, it fails.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "skipped in CI: {why}");
    eprintln!("skipped: {why}");
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

/// A child that does not outlive the test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program while it runs; killed when a test fails.
pub(crate) struct Running {
    child: Killed,
    pub(crate) address: String,
    /// One for each place that it listens at, in their order.
    pub(crate) addresses: Vec<String>,
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Listening on a port of its own.
    pub(crate) fn of(command: &mut Command) -> Self {
        let command = command.arg("--web.listen-address=127.0.0.1:0");
        Self::listening(command, 1)
            .unwrap_or_else(|said| panic!("it ended before it listened: {said}"))
    }

    /// Once it listens at so many addresses; what it said where it ends before.
    pub(crate) fn listening(command: &mut Command, places: usize) -> Result<Self, String> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let child = Killed(child);
        let (said, mut addresses) = (Arc::new(Mutex::new(Vec::new())), Vec::new());
        while addresses.len() < places {
            let Some(line) = lines.next() else {
                let said = said.lock().unwrap().join("\n");
                return Err(said);
            };
            let line = line.unwrap();
            let place = line.split_once("listening on ");
            let address = place.and_then(|(_, place)| place.split_once("://"));
            addresses.extend(address.map(|(_, a)| a.trim_end_matches("\"}").to_owned()));
            said.lock().unwrap().push(line);
        }
        // What it says later is read, so that it never waits for a full pipe.
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| heard.lock().unwrap().push(line));
        });
        Ok(Self {
            child,
            address: addresses[0].clone(),
            addresses,
            said,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
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
        assert!(found, "{last}\n{}", self.said());
        last
    }

    /// All that it said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Waits for a line that holds `text`.
    pub(crate) fn says(&self, text: &str) -> String {
        let find = || {
            let said = self.said.lock().unwrap();
            said.iter().find(|line| line.contains(text)).cloned()
        };
        assert!(
            eventually(|| find().is_some()),
            "{text:?} in {}",
            self.said()
        );
        find().unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Whether it has not ended.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_none()
    }

    /// Waits until it ends.
    pub(crate) fn end(&mut self) -> ExitStatus {
        assert!(eventually(|| !self.lives()), "it does not end");
        self.child.0.wait().unwrap()
    }

    /// Asks it to stop; its exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.signal("-TERM");
        self.end().code().unwrap()
    }
}

/// Whether `done` comes true within a time that a busy machine needs.
pub(crate) fn eventually(done: impl FnMut() -> bool) -> bool {
    within(Duration::from_secs(60), done)
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

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The figure of the first series that begins so.
pub(crate) fn figure(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|l| l.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|out| out.stdout == b"0\n")
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

/// The text of a file that the program, the kernel or the test wrote.
#[expect(clippy::disallowed_methods, reason = "the test's own files")]
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}
