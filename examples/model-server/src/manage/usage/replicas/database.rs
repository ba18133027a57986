//! Debian's PostgreSQL, run for a test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::LONG;
use crate::manage::usage::certificates::succeeds;

/// Debian's PostgreSQL, as the user whom it needs to be run by, on a socket in a folder of its own.
pub(super) struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    child: Option<Child>,
    /// A loopback port, where it listens on one by TLS.
    pub(super) port: Option<u16>,
}

impl Server {
    pub(super) fn new() -> Option<Self> {
        let all = Path::new("/usr/lib/postgresql");
        let versions = kepler_core::Host::default().names(all).unwrap_or_default();
        let mut versions = versions.iter().map(|version| all.join(version).join("bin"));
        let Some(programs) = versions.find(|programs| programs.join("initdb").exists()) else {
            skip("PostgreSQL is not installed: apt-get install postgresql");
            return None;
        };
        let server = Self {
            folder: tempfile::tempdir().unwrap(),
            programs,
            child: None,
            port: None,
        };
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(server.folder.path(), all).unwrap();
        let mut init = server.program("initdb");
        init.args(["--auth=trust", "--username=kepler", "--no-sync", "-D"])
            .arg(server.data());
        succeeds(&mut init);
        Some(server)
    }

    pub(super) fn start(&mut self) {
        self.start_with(&["-h", ""]);
    }

    /// By TLS too, with a certificate for this host. A port that somebody else was faster to take is left to them.
    pub(super) fn start_tls(&mut self, certificate: &Path, key: &Path) {
        let files = [("certificate", certificate), ("key", key)];
        let [certificate, key] = files.map(|(name, from)| {
            // The server wants a key that nobody else may read, and be its owner.
            let path = self.folder.path().join(name);
            let mut copy = self.program("sh");
            copy.args(["-c", "umask 077; cat > \"$0\""]).arg(&path);
            let bytes = kepler_core::Host::default().open(from).unwrap();
            let from = bytes.file().try_clone().unwrap();
            succeeds(copy.stdin(from));
            path.to_str().unwrap().to_owned()
        });
        let files = [
            format!("ssl_cert_file={certificate}"),
            format!("ssl_key_file={key}"),
        ];
        while self.child.is_none() {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let settings = [
                "-h",
                "127.0.0.1",
                "-c",
                "ssl=on",
                "-c",
                &*files[0],
                "-c",
                &*files[1],
            ];
            self.port = Some(port);
            self.start_with(&settings);
        }
    }

    /// Starts it, unless it ends by itself at once.
    fn start_with(&mut self, settings: &[&str]) {
        let mut command = self.program("postgres");
        command.arg("-F").arg("-D").arg(self.data());
        command.arg("-k").arg(self.folder.path()).args(settings);
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let url = format!("{}&connect_timeout=5", self.url());
        while postgres::Client::connect(&url, postgres::NoTls).is_err() {
            if self.port.is_some() && child.try_wait().unwrap().is_some() {
                return;
            }
            assert!(begun.elapsed() < LONG, "PostgreSQL does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.child = Some(child);
    }

    /// Ends it at once, with all of its connections.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let mut stop = self.program("pg_ctl");
            stop.args(["stop", "-m", "immediate", "-D"])
                .arg(self.data());
            let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
            let _ = child.wait();
        }
    }

    pub(super) fn url(&self) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        let port = self.port.unwrap_or(5432);
        format!("postgres://kepler@{folder}:{port}/postgres?sslmode=disable")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server refuses to be root.
    fn program(&self, name: &str) -> Command {
        let program = match self.programs.join(name) {
            program if program.exists() => program,
            _ => name.into(),
        };
        let id = Command::new("id").arg("-u").output().unwrap();
        let is_root = id.stdout == b"0\n";
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn skip(why: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is told by the environment"
    )]
    let must = std::env::var("CI").is_ok();
    assert!(!must, "{why}");
    eprintln!("skipped: {why}");
}
