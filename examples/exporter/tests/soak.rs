//! A short form of the long run: under a storm of short lives, memory stays flat and what ended is forgotten in time.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STORM: Duration = Duration::from_secs(15);

#[test]
fn memory_stays_flat_under_churn_and_what_ended_is_forgotten() {
    // A name of its own, so that no other process counts.
    let folder = tempfile::tempdir().unwrap();
    let life = folder.path().join("soak-life");
    std::os::unix::fs::symlink("/bin/true", &life).unwrap();
    let (exporter, address) = exporter();
    // The first round fills what has bounds: the table of ended processes, buffers, caches.
    storm(&address, &life);
    let before = rss_kib(exporter.0.id());
    let series = storm(&address, &life);
    let after = rss_kib(exporter.0.id());
    assert!(after <= before + 2048, "{before} KiB grew to {after} KiB");
    assert!(series < 20_000, "{series} series");
    // The retention, and two samples more. One that a sample saw alive and whose final record never came (see `attempts` of
    // the core's live tests) is given up after 30 s, and then kept for the retention.
    let left = |text: &str| {
        let mine = |line: &&str| line.contains("comm=\"soak-life\"");
        text.lines().filter(mine).count()
    };
    let end = Instant::now() + Duration::from_secs(45);
    std::thread::sleep(Duration::from_secs(6));
    while left(&scrape(&address)) > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_secs(1));
    }
    let text = scrape(&address);
    assert_eq!(left(&text), 0, "ended longer than the retention ago");
}

/// Lives of no length at all, one after another, and a scrape each second; the most series seen.
fn storm(address: &str, life: &Path) -> usize {
    let (start, mut next, mut most) = (Instant::now(), Duration::ZERO, 0);
    while start.elapsed() < STORM {
        let _ = Command::new(life).status().unwrap();
        if start.elapsed() >= next {
            next += Duration::from_secs(1);
            let series = scrape(address);
            most = most.max(series.lines().filter(|l| !l.starts_with('#')).count());
        }
    }
    most
}

fn exporter() -> (Killed, String) {
    let flags = [
        "--fake",
        "--web.listen-address=127.0.0.1:0",
        "--monitor.interval=200ms",
        "--monitor.retention=4s",
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_kepler-exporter"))
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let child = Killed(child);
    loop {
        let line = lines.next().expect("it ended before it listened").unwrap();
        if let Some((_, address)) = line.split_once("http://") {
            let address = address.to_owned();
            std::thread::spawn(move || lines.for_each(drop));
            return (child, address);
        }
    }
}

fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[expect(
    clippy::disallowed_methods,
    reason = "the exporter's own memory, not a machine's figure"
)]
fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let figure = line.unwrap().trim().trim_end_matches(" kB");
    figure.parse().unwrap()
}

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
