//! Several servers that share a store, tested with the real one where there is one.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::configmap::{ApiServer, ConfigMap};
use super::{Event, Place, Usage};

const LONG: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts `times` requests and as many inferences of one model out of three, each after a rest.
fn use_models(usage: &Usage, times: u64, rest: Duration) -> Duration {
    let mut longest = Duration::ZERO;
    for time in 0..times {
        let begun = Instant::now();
        let counter = usage.model(["a", "b", "c"][usize::try_from(time % 3).unwrap()]);
        counter.count(Event::Request, SystemTime::now());
        counter.count(Event::Inference, SystemTime::now());
        longest = longest.max(begun.elapsed());
        std::thread::sleep(rest);
    }
    longest
}

/// Waits until a replica shows so many requests in all; then each model has a third of them.
fn shows(usage: &Usage, requests: u64) {
    let begun = Instant::now();
    loop {
        let view = usage.fresh_view(PATIENCE);
        let sum: u64 = view.models.values().map(|f| f.requests).sum();
        if sum == requests && view.failing.is_none() {
            for (name, figures) in &view.models {
                let counts = (figures.requests, figures.inferences);
                assert_eq!(counts, (requests / 3, requests / 3), "{name}");
            }
            return;
        }
        assert!(
            sum <= requests,
            "{sum} of {requests}: something was counted twice"
        );
        assert!(begun.elapsed() < LONG, "{sum} of {requests}; {view:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Debian's PostgreSQL on a loopback port, as the user whom it needs to be run by.
#[cfg(feature = "postgres")]
struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    child: Option<Child>,
}

#[cfg(feature = "postgres")]
impl Server {
    fn new() -> Option<Self> {
        let all = Path::new("/usr/lib/postgresql");
        let versions = kepler_core::Host::default().names(all).unwrap_or_default();
        let mut versions = versions.iter().map(|version| all.join(version).join("bin"));
        let Some(programs) = versions.find(|programs| programs.join("initdb").exists()) else {
            skip("PostgreSQL is not installed: apt-get install postgresql");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Self {
            folder: tempfile::tempdir().unwrap(),
            programs,
            port,
            child: None,
        };
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(server.folder.path(), all).unwrap();
        let mut init = server.program("initdb");
        init.args(["--auth=trust", "--username=kepler", "--no-sync", "-D"])
            .arg(server.data());
        let done = init.output().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        Some(server)
    }

    fn start(&mut self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args([
            "-p",
            &self.port.to_string(),
            "-h",
            "127.0.0.1",
            "-k",
            "",
            "-F",
        ]);
        self.child = Some(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let begun = Instant::now();
        let url = format!("{}&connect_timeout=5", self.url());
        while postgres::Client::connect(&url, postgres::NoTls).is_err() {
            assert!(begun.elapsed() < LONG, "PostgreSQL does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it at once, with all of its connections.
    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let mut stop = self.program("pg_ctl");
            stop.args(["stop", "-m", "immediate", "-D"])
                .arg(self.data());
            let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
            let _ = child.wait();
        }
    }

    fn url(&self) -> String {
        format!(
            "postgres://kepler@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server refuses to be root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
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

#[cfg(feature = "postgres")]
impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(feature = "postgres")]
#[test]
fn three_servers_and_a_database_that_goes_away_add_up_exactly() {
    let Some(mut server) = Server::new() else {
        return;
    };
    // Away at first, too: a server begins without it.
    let place: Place = server.url().parse().unwrap();
    let replicas: [Usage; 3] = std::array::from_fn(|_| Usage::open(place.clone()).unwrap());
    use_models(&replicas[0], 30, Duration::ZERO);
    server.start();
    replicas.iter().for_each(|replica| shows(replica, 30));

    let longest = std::thread::scope(|scope| {
        let load =
            |replica| scope.spawn(move || use_models(replica, 600, Duration::from_millis(5)));
        let loads = replicas.each_ref().map(load);
        std::thread::sleep(Duration::from_millis(700));
        server.stop();
        std::thread::sleep(Duration::from_millis(1500));
        server.start();
        loads.map(|l| l.join().unwrap()).into_iter().max().unwrap()
    });
    replicas.iter().for_each(|replica| shows(replica, 1830));
    // Far below what one try to reach the database takes, on a busy machine too.
    assert!(
        longest < Duration::from_secs(1),
        "a request was held up for {longest:?}"
    );

    // One that ends writes what it has, and what the others wrote is there for one that begins.
    let [first, second, third] = replicas;
    use_models(&first, 30, Duration::ZERO);
    drop(first);
    let fourth = Usage::open(place).unwrap();
    [&second, &third, &fourth]
        .into_iter()
        .for_each(|replica| shows(replica, 1860));
    fourth.reset().unwrap();
    assert!(second.fresh_view(PATIENCE).models.is_empty());
}

/// An API server that keeps one ConfigMap, refuses replacements of what is not its version, and now and then loses an
/// answer to what it did.
struct Cluster {
    url: String,
    kept: Arc<Mutex<Kept>>,
    account: tempfile::TempDir,
}

#[derive(Default)]
struct Kept {
    map: Option<Value>,
    version: u64,
    conflicts: u64,
    calls: u64,
}

impl Cluster {
    fn start() -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let shared = kept.clone();
        std::thread::spawn(move || {
            for stream in server.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        let account = tempfile::tempdir().unwrap();
        std::fs::write(account.path().join("token"), "a-token\n").unwrap();
        Self { url, kept, account }
    }

    fn usage(&self) -> Usage {
        let server = ApiServer::plain(&self.url, self.account.path());
        let store = ConfigMap::new(server, "kepler", "model-usage-stats");
        Usage::with(Place::Memory, Some(Box::new(store))).unwrap()
    }

    fn data(&self) -> Value {
        let kept = self.kept.lock().unwrap();
        let map = kept.map.as_ref().unwrap();
        serde_json::from_str(map["data"]["usage_data"].as_str().unwrap()).unwrap()
    }
}

fn answer(mut stream: std::net::TcpStream, kept: &Mutex<Kept>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length, mut token) = (String::new(), 0, false);
    let _ = reader.read_line(&mut line);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        let header = header.trim().to_ascii_lowercase();
        length = header
            .strip_prefix("content-length:")
            .map_or(length, |l| l.trim().parse().unwrap());
        token |= header == "authorization: bearer a-token";
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
        _ if !token => (401, json!({})),
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
    let _ = stream.write_all((head + &text).as_bytes());
}

#[test]
fn three_servers_that_write_a_configmap_at_once_add_up_exactly() {
    let cluster = Cluster::start();
    let replicas: [Usage; 3] = std::array::from_fn(|_| cluster.usage());
    std::thread::scope(|scope| {
        for replica in &replicas {
            scope.spawn(move || {
                for _ in 0..20 {
                    use_models(replica, 3, Duration::ZERO);
                    let _ = replica.fresh_view(PATIENCE);
                }
            });
        }
    });
    replicas.iter().for_each(|replica| shows(replica, 180));
    assert!(
        cluster.kept.lock().unwrap().conflicts > 0,
        "no two of them met"
    );
    let data = cluster.data();
    assert_eq!(data["models"]["a"]["requests"], 60);
    assert_eq!(data["writers"].as_object().unwrap().len(), 3);
    // What was counted last is written at the end.
    let [first, second, _] = replicas;
    use_models(&first, 30, Duration::ZERO);
    drop(first);
    shows(&second, 210);
    second.reset().unwrap();
    assert_eq!(cluster.data()["models"], json!({}));
}

#[test]
fn a_configmap_keeps_its_size_and_the_sums() {
    let cluster = Cluster::start();
    let usage = cluster.usage();
    let models: Value = (0..12_000)
        .map(|n| {
            let used = humantime::format_rfc3339_seconds(
                SystemTime::UNIX_EPOCH + Duration::from_secs(n + 1),
            );
            (
                format!("model-{n:05}"),
                json!({"requests": 2, "last_used": used.to_string()}),
            )
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    usage
        .import(json!({"models": models}).to_string().as_bytes())
        .unwrap();
    let begun = Instant::now();
    while cluster.kept.lock().unwrap().map.is_none() {
        assert!(begun.elapsed() < LONG);
        let _ = usage.fresh_view(PATIENCE);
    }
    let view = usage.fresh_view(PATIENCE);
    let text = cluster.kept.lock().unwrap().map.as_ref().unwrap()["data"]["usage_data"]
        .as_str()
        .unwrap()
        .len();
    assert!((400 << 10..=900 << 10).contains(&text), "{text} bytes");
    assert_eq!(
        view.models.values().map(|f| f.requests).sum::<u64>(),
        24_000
    );
    assert!(view.models.contains_key("model-11999") && !view.models.contains_key("model-00000"));
    assert!(view.models["(others)"].requests > 0);
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
