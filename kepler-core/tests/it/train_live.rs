//! Training rows from a running Prometheus, which scrapes counters of a made-up node.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kepler_core::model::train::{Extraction, PrometheusDump, Scope};
use kepler_core::model::{Component, EnergySourceName};
use kepler_core::{Error, Result};

const FEATURES: [&str; 1] = ["bpf_cpu_time_ms"];
/// The scrape at which the second container comes.
const LATE: usize = 6;

#[test]
fn rows_come_from_a_live_server_and_in_parts_are_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    thread::spawn(move || node(&listener));
    let folder = tempfile::tempdir().unwrap();
    let Some((_server, port)) = prometheus(folder.path(), &target) else {
        assert!(std::env::var_os("CI").is_none(), "prometheus is missing");
        eprintln!("skipped: prometheus is missing");
        return;
    };
    let begun = now();
    let enough = Instant::now() + Duration::from_secs(60);
    let activity = loop {
        thread::sleep(Duration::from_secs(2));
        // What was scraped by then is stored by now.
        let end = now() - 2;
        let whole = pull(port, (begun, end), u64::MAX);
        let activity = whole.and_then(|whole| {
            // Three samples a part: less than any server allows.
            assert_eq!(pull(port, (begun, end), 3)?, whole);
            extraction().run(&whole)
        });
        match activity {
            Ok(activity)
                if activity.ids().len() == 2 && activity.node().is_ok_and(|n| n.len() >= 12) =>
            {
                break activity;
            }
            other => assert!(Instant::now() < enough, "{other:?}"),
        }
    };
    let data = activity.node().unwrap();
    // 50 W idle and 0.02 W a millisecond a second: (50 + 6) W at 300 ms/s, (50 + 16) W at 800 ms/s. Both counters are of
    // the same scrape, so that their ratio does not know when Prometheus scraped.
    let ratios = data
        .rows
        .column(0)
        .into_iter()
        .zip(&data.targets[&Component::Package]);
    let ratios: Vec<f64> = ratios.map(|(ms, watts)| watts / ms).collect();
    let like = |wanted: f64| {
        let near = ratios
            .iter()
            .filter(|r| (*r - wanted).abs() < 1e-6 * wanted);
        near.count()
    };
    let (one, both) = (like(56.0 / 300.0), like(66.0 / 800.0));
    assert!(one >= 2 && both >= 2, "{ratios:?}");
    assert_eq!(one + both, ratios.len(), "{ratios:?}");
}

fn extraction() -> Extraction {
    Extraction {
        source: EnergySourceName::RaplSysfs,
        features: FEATURES.map(str::to_owned).to_vec(),
        scope: Scope::Containers,
        mean_step: false,
    }
}

/// A live pull: what a program with an HTTP client of its own does.
fn pull(port: u16, (start, end): (u64, u64), points: u64) -> Result<PrometheusDump> {
    let mut dump = PrometheusDump::default();
    for metric in PrometheusDump::queries(EnergySourceName::RaplSysfs, &FEATURES) {
        let mut from = start;
        while from <= end {
            let to = from.saturating_add(points - 1).min(end);
            let query = format!("/api/v1/query_range?query={metric}&start={from}&end={to}&step=1");
            dump.add_answer(&metric, &get(port, &query)?)?;
            from = to + 1;
        }
    }
    Ok(dump)
}

fn get(port: u16, path: &str) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        // Answers to HTTP/1.0 come in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        stream.read_to_end(&mut answer).map(drop)
    };
    ask().map_err(|e| Error::InvalidInput {
        what: "prometheus".to_owned(),
        why: e.to_string(),
    })?;
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n");
    Ok(answer.split_off(head.map_or(0, |head| head + 4)))
}

/// Answers every request with the counters of the moment.
fn node(listener: &TcpListener) {
    let begun = Instant::now();
    let mut late = None;
    for (scrape, stream) in listener.incoming().enumerate() {
        let mut stream = stream.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let seconds = begun.elapsed().as_secs_f64();
        if scrape == LATE {
            late = Some(seconds);
        }
        let first = 300.0 * seconds;
        let second = late.map(|late| 500.0 * (seconds - late));
        let mut text = String::new();
        for (id, ms) in [("a", Some(first)), ("b", second)] {
            if let Some(ms) = ms {
                let name = "kepler_container_bpf_cpu_time_ms_total";
                writeln!(text, "{name}{{container_id=\"{id}\"}} {ms}").unwrap();
            }
        }
        let joules = 50.0 * seconds + 0.02 * (first + second.unwrap_or(0.0));
        for (zone, joules) in [
            ("package", joules),
            ("core", 0.0),
            ("uncore", 0.0),
            ("dram", 0.0),
        ] {
            writeln!(
                text,
                "kepler_node_{zone}_joules_total{{source=\"rapl-sysfs\",mode=\"dynamic\"}} {joules}"
            )
            .unwrap();
        }
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A server of its own on a free port, killed at the end.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn prometheus(folder: &std::path::Path, target: &str) -> Option<(Killed, u16)> {
    let config = folder.join("prometheus.yml");
    let text = format!(
        "scrape_configs:\n- job_name: kepler\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
    );
    std::fs::write(&config, text).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let data = folder.join("data");
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Some((Killed(child.ok()?), port))
}
