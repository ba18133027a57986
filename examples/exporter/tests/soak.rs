//! A short form of the long run: under a storm of short lives, memory stays flat and what ended is forgotten in time.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Running, command, text};

const STORM: Duration = Duration::from_secs(15);

#[test]
fn memory_stays_flat_under_churn_and_what_ended_is_forgotten() {
    // A name of its own, so that no other process counts.
    let folder = tempfile::tempdir().unwrap();
    let life = folder.path().join("soak-life");
    std::os::unix::fs::symlink("/bin/true", &life).unwrap();
    let exporter = exporter();
    // The first round fills what has bounds: the table of ended processes, buffers, caches.
    storm(&exporter, &life);
    let before = rss_kib(exporter.pid());
    let series = storm(&exporter, &life);
    let after = rss_kib(exporter.pid());
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
    while left(&exporter.get("/metrics")) > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_secs(1));
    }
    let text = exporter.get("/metrics");
    assert_eq!(left(&text), 0, "ended longer than the retention ago");
}

/// Lives of no length at all, one after another, and a scrape each second; the most series seen.
fn storm(exporter: &Running, life: &Path) -> usize {
    let (start, mut next, mut most) = (Instant::now(), Duration::ZERO, 0);
    while start.elapsed() < STORM {
        let _ = Command::new(life).status().unwrap();
        if start.elapsed() >= next {
            next += Duration::from_secs(1);
            let series = exporter.get("/metrics");
            most = most.max(series.lines().filter(|l| !l.starts_with('#')).count());
        }
    }
    most
}

fn exporter() -> Running {
    let flags = [
        "--fake",
        "--monitor.interval=200ms",
        "--monitor.retention=4s",
    ];
    Running::of(command().args(flags))
}

fn rss_kib(pid: u32) -> u64 {
    let status = text(format!("/proc/{pid}/status"));
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let figure = line.unwrap().trim().trim_end_matches(" kB");
    figure.parse().unwrap()
}
