//! Several servers that share a store, tested with the real one where there is one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::certificates::Certificates;
#[cfg(feature = "postgres")]
use super::certificates::succeeds;
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

/// Debian's PostgreSQL, as the user whom it needs to be run by, on a socket in a folder of its own.
#[cfg(feature = "postgres")]
struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    child: Option<Child>,
    /// A loopback port, where it listens on one by TLS.
    port: Option<u16>,
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

    fn start(&mut self) {
        self.start_with(&["-h", ""]);
    }

    /// By TLS too, with a certificate for this host. A port that somebody else was faster to take is left to them.
    fn start_tls(&mut self, certificate: &Path, key: &Path) {
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

#[cfg(feature = "postgres")]
impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(feature = "postgres")]
#[test]
fn a_database_is_reached_by_tls_with_an_authority_of_its_own() {
    let Some(mut server) = Server::new() else {
        return;
    };
    let (certificates, others) = (
        Certificates::new("IP:127.0.0.1"),
        Certificates::new("DNS:elsewhere"),
    );
    server.start_tls(
        &certificates.path("server.pem"),
        &certificates.path("server.key"),
    );
    let port = server.port.unwrap();
    let usage = |host: &str, roots: &Path| {
        let roots = roots.display();
        let url =
            format!("postgres://kepler@{host}:{port}/postgres?sslmode=require&sslrootcert={roots}");
        Usage::open(url.parse().unwrap())
    };
    let good = usage("127.0.0.1", &certificates.path("authority.pem")).unwrap();
    use_models(&good, 30, Duration::ZERO);
    shows(&good, 30);
    // Encrypted indeed, by what the server says.
    let mut client = postgres::Client::connect(&server.url(), postgres::NoTls).unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
        WHERE s.ssl AND a.application_name = 'kepler-model-server'";
    let count: i64 = client.query_one(encrypted, &[]).unwrap().get(0);
    assert_eq!(count, 1);
    // A server that the authority did not sign for, or another authority: nothing is sent.
    for (host, roots) in [
        ("127.0.0.1", others.path("authority.pem")),
        ("localhost", certificates.path("authority.pem")),
    ] {
        let stranger = usage(host, &roots).unwrap();
        use_models(&stranger, 30, Duration::ZERO);
        let failing = stranger.fresh_view(PATIENCE).failing.unwrap();
        assert!(failing.contains("certificate"), "{failing}");
    }
    let absent = usage("127.0.0.1", Path::new("/nonexistent.pem"));
    assert!(absent.err().unwrap().contains("/nonexistent.pem"));
    shows(&good, 30);
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
    // A sum that a database cannot hold stays at the largest number, and nothing waits behind it.
    let most = json!({"models": {"d": {"errors": i64::MAX}}}).to_string();
    for _ in 0..2 {
        fourth.import(most.as_bytes()).unwrap();
    }
    let view = fourth.fresh_view(PATIENCE);
    let errors = view.models["d"].errors;
    assert_eq!((errors, view.failing), (i64::MAX.unsigned_abs(), None));
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
    token: String,
}

impl Cluster {
    fn start() -> Self {
        Self::serve("http", answer)
    }

    /// By TLS, with the certificate of a cluster's own authority.
    fn start_tls(certificates: &Certificates) -> Self {
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
    fn renew(&self, token: &str) {
        self.kept.lock().unwrap().token = token.to_owned();
        std::fs::write(self.account.path().join("token"), format!("{token}\n")).unwrap();
    }

    /// The authority that pods of the cluster are told.
    fn trust(&self, certificates: &Certificates) {
        let authority = crate::manage::client::text_file(&certificates.path("authority.pem"));
        std::fs::write(self.account.path().join("ca.crt"), authority.unwrap()).unwrap();
    }

    fn usage(&self) -> Usage {
        let server = ApiServer::at(self.url.clone(), self.account.path());
        let store = ConfigMap::new(server, "kepler", "model-usage-stats");
        Usage::with(Place::Memory, Some(Box::new(store))).unwrap()
    }

    fn data(&self) -> Value {
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
fn a_cluster_is_spoken_to_by_tls_with_its_own_authority_and_a_token_that_changes() {
    let certificates = Certificates::new("IP:127.0.0.1");
    let cluster = Cluster::start_tls(&certificates);
    let usage = cluster.usage();
    use_models(&usage, 30, Duration::ZERO);
    shows(&usage, 30);
    cluster.renew("the-next-token");
    use_models(&usage, 30, Duration::ZERO);
    shows(&usage, 60);
    assert_eq!(cluster.data()["models"]["a"]["requests"], 20);
    // Who does not know the authority sends neither figures nor token.
    drop(usage);
    let calls = cluster.kept.lock().unwrap().calls;
    cluster.trust(&Certificates::new("IP:127.0.0.1"));
    let stranger = cluster.usage();
    use_models(&stranger, 3, Duration::ZERO);
    let failing = stranger.fresh_view(PATIENCE).failing.unwrap();
    assert!(failing.contains("certificate"), "{failing}");
    assert_eq!(cluster.kept.lock().unwrap().calls, calls);
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
