//! The program as its users meet it: over HTTP on a loopback port, by signals and by exit codes.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Running, command, ended, figure};

/// A running exporter that is asked by HTTP/1.1.
struct Exporter(Running);

impl Exporter {
    fn start(arguments: &[&str]) -> Self {
        let mut command = command();
        command.arg("--monitor.interval=200ms").args(arguments);
        Self(Running::of(&mut command))
    }

    fn ask(&self, path: &str, headers: &str) -> Answer {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        ))
    }

    fn send(&self, request: &str) -> Answer {
        let mut stream = self.0.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(&mut stream)
    }

    fn metrics(&self) -> String {
        self.ask("/metrics", "").text()
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A server that closes with something unread resets the connection; what came before counts.
        let _ = stream.read_to_end(&mut bytes);
        Self::parse(&bytes).0
    }

    /// The first answer in `bytes`, which end with it or with the next one.
    fn parse(bytes: &[u8]) -> (Self, &[u8]) {
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("a whole head");
        let head = String::from_utf8(bytes[..end].to_vec())
            .unwrap()
            .to_lowercase();
        let mut rest = &bytes[end + 4..];
        let body = if head.contains("transfer-encoding: chunked") && !rest.is_empty() {
            joined(&mut rest)
        } else {
            std::mem::take(&mut rest).to_vec()
        };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (Self { status, head, body }, rest)
    }

    fn text(self) -> String {
        assert_eq!(self.status, 200, "{}", self.head);
        String::from_utf8(self.body).unwrap()
    }
}

/// The chunks of a body joined; panics where the last one is missing.
fn joined(bytes: &mut &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes
            .windows(2)
            .position(|w| w == b"\r\n")
            .expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        *bytes = &bytes[end + 2 + size + 2..];
        if size == 0 {
            return body;
        }
    }
}

/// Runs it to its end: exit code and what it said.
fn run(arguments: &[&str]) -> (i32, String) {
    let ended = ended(command().args(arguments));
    (ended.code, ended.err)
}

#[test]
fn both_formats_and_gzip_tell_the_same() {
    let exporter = Exporter::start(&["--fake"]);
    let plain = exporter.ask("/metrics", "");
    assert!(
        plain
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{}",
        plain.head
    );
    let open = exporter.ask(
        "/metrics",
        "Accept: application/openmetrics-text;version=1.0.0\r\n",
    );
    assert!(
        open.head
            .contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        open.head
    );
    let packed = exporter.ask("/metrics", "Accept-Encoding: gzip\r\n");
    assert!(
        packed.head.contains("content-encoding: gzip"),
        "{}",
        packed.head
    );
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice())
        .read_to_string(&mut unpacked)
        .unwrap();
    assert!(packed.body.len() * 3 < unpacked.len());
    let open = open.text();
    assert!(open.ends_with("# EOF\n"));
    for text in [&plain.text(), &open, &unpacked] {
        assert!(
            text.contains("kepler_node_cpu_joules_total{zone=\"package\""),
            "{text}"
        );
    }
}

#[test]
fn health_and_landing_pages_answer() {
    let exporter = Exporter::start(&["--fake"]);
    for path in ["/healthz", "/readyz", "/health", "/ready"] {
        assert_eq!(exporter.ask(path, "").text(), "ok\n", "{path}");
    }
    let page = exporter.ask("/", "").text();
    assert!(
        page.contains("measured by fake") && page.contains("href=/metrics"),
        "{page}"
    );
    assert_eq!(exporter.ask("/nothing", "").status, 404);
    assert_eq!(exporter.send("POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").status, 405);
    let head = exporter.send("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn at_start_it_says_what_it_uses_and_why() {
    let exporter = Exporter::start(&["--fake", "--monitor.usage=procfs", "--log.format=json"]);
    let said = exporter.0.said();
    assert!(
        said.contains("measured by fake") && said.contains("usage by procfs"),
        "{said}"
    );
    assert!(said.lines().all(|l| l.starts_with("{\"time\":")), "{said}");
}

#[test]
fn this_machine_has_watts_and_a_busy_process_has_its_share() {
    let exporter = Exporter::start(&[]);
    let mut busy = Command::new("sh")
        .args(["-c", "while :; do :; done"])
        .spawn()
        .unwrap();
    let series = format!("kepler_process_cpu_seconds_total{{pid=\"{}\"", busy.id());
    let text = exporter
        .0
        .metrics_once(|text| figure(text, &series).is_some_and(|s| s > 0.3));
    busy.kill().unwrap();
    busy.wait().unwrap();
    assert!(figure(&text, "kepler_node_cpu_watts{").unwrap() > 0.0);
    let joules = format!("kepler_process_cpu_joules_total{{pid=\"{}\"", busy.id());
    assert!(figure(&text, &joules).unwrap() > 0.0);
    assert!(figure(&text, "kepler_node_power_source_info{").is_some());
    assert!(figure(&text, "process_resident_memory_bytes").unwrap() > 1e6);
}

#[test]
fn levels_and_families_narrow_the_text() {
    let exporter = Exporter::start(&["--fake", "--metrics=node", "--metrics.families=cpu"]);
    let text = exporter.metrics();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE "))
        .collect();
    assert!(names.len() >= 5, "{text}");
    assert!(
        names
            .iter()
            .all(|n| n.starts_with("kepler_node_cpu_") || n.starts_with("kepler_build")),
        "{names:?}"
    );
}

#[test]
fn a_scrape_under_way_is_finished_before_the_end() {
    for signal in ["-TERM", "-INT"] {
        let mut exporter = Exporter::start(&["--fake"]);
        // Far more than the buffers of the sockets hold, so that an answer is under way when the signal comes.
        let asked = 200;
        let mut stream = exporter.0.connect();
        let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(asked);
        let mut writer = stream.try_clone().unwrap();
        std::thread::spawn(move || writer.write_all(requests.as_bytes()));
        std::thread::sleep(Duration::from_secs(1));
        exporter.0.signal(signal);
        let stopping = Instant::now();
        std::thread::sleep(Duration::from_millis(500));
        assert!(exporter.0.lives(), "nothing was under way");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let (mut rest, mut answers) = (bytes.as_slice(), 0);
        while !rest.is_empty() {
            let (answer, behind) = Answer::parse(rest);
            assert!(answer.text().contains("\nprocess_resident_memory_bytes "));
            (rest, answers) = (behind, answers + 1);
        }
        assert!((1..asked).contains(&answers), "{answers}");
        assert!(exporter.0.end().success());
        assert!(stopping.elapsed() < Duration::from_secs(5));
        TcpStream::connect(&exporter.0.address).unwrap_err();
    }
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let mut exporter = Exporter::start(&["--fake"]);
    let mut idle = exporter.0.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    idle.read_exact(&mut [0; 20]).unwrap();
    let _silent = exporter.0.connect();
    exporter.0.signal("-TERM");
    let stopping = Instant::now();
    assert!(exporter.0.end().success());
    assert!(stopping.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_reader_that_stalls_holds_up_nobody() {
    let exporter = Exporter::start(&["--fake"]);
    let stalled: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = exporter.0.connect();
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        assert!(exporter.metrics().contains("kepler_node_cpu_joules_total"));
    }
    drop(stalled);
}

#[test]
fn hostile_clients_are_bounded() {
    let exporter = Exporter::start(&["--fake"]);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n",
        "a".repeat(100_000)
    );
    assert_eq!(exporter.send(&long).status, 431);
    for nonsense in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9\r\n\r\n"] {
        let mut stream = exporter.0.connect();
        stream.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    // Clients that never finish their request take all places, and lose them after 10 s.
    let mut slow: Vec<TcpStream> = (0..64).map(|_| exporter.0.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(exporter.ask("/metrics", "").status, 503);
    let start = Instant::now();
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(start.elapsed() < Duration::from_secs(15));
    assert_eq!(exporter.ask("/healthz", "").status, 200);
}

#[test]
fn a_busy_port_is_one_line_and_code_1() {
    let exporter = Exporter::start(&["--fake"]);
    let address = format!("--web.listen-address={}", exporter.0.address);
    let (code, said) = run(&["--fake", &address]);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(
        said.contains(&exporter.0.address) && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn an_unreadable_root_is_one_line_and_code_1() {
    for root in ["--host.procfs=/nowhere", "--host.sysfs=/nowhere"] {
        let (code, said) = run(&["--web.listen-address=127.0.0.1:0", root]);
        assert_eq!((code, said.lines().count()), (1, 1), "{said}");
        assert!(said.contains("/nowhere/"), "{said}");
    }
}

#[test]
fn a_wrong_argument_is_one_line_and_code_2() {
    for (argument, named) in [
        ("--colour", "--colour"),
        ("--metrics=pods", "pods"),
        ("--metrics.families=all", "known: cpu"),
        ("--monitor.interval=5", "5s"),
        ("--monitor.interval=50ms", "100ms"),
        ("--log.level=loud", "loud"),
        ("surplus", "surplus"),
    ] {
        let (code, said) = run(&[argument]);
        assert_eq!((code, said.lines().count()), (2, 1), "{said}");
        assert!(said.contains(named), "{said}");
    }
    assert_eq!(run(&["--version"]).0, 0);
}
