//! What a pair of real Prometheus servers makes of short lives: processes that were born and had died between two scrapes.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod support;

use std::process::Command;
use std::time::Duration;

use support::prometheus::Prometheus;
use support::{Folder, Running, command, eventually, text};

const LIVES: u32 = 150;

#[test]
fn to_both_of_a_pair_the_growth_of_all_series_is_what_short_lived_processes_used() {
    let exporter = Running::of(command().args(["--fake", "--monitor.interval=1s"]));
    if !exporter.said().contains("usage by ebpf") {
        support::skip("without eBPF nothing knows of processes that live shorter than a sample");
        return;
    }
    let folder = Folder::new("lives");
    let mut pair = Vec::new();
    for name in ["one", "other"] {
        let own = folder.path().join(name);
        std::fs::create_dir(&own).unwrap();
        // Their labels tell them apart, and when each of them scrapes.
        let config = Prometheus::scraping(&exporter.address);
        let config = format!("global: {{external_labels: {{replica: {name}}}}}\n{config}");
        let Some(prometheus) = Prometheus::start(&own, &config, &[]) else {
            return;
        };
        let up = || prometheus.query("count(kepler_node_cpu_joules_total)") > 0.0;
        assert!(eventually(up), "Prometheus does not answer");
        pair.push(prometheus);
    }

    // A name of its own, so that no other process counts.
    let shell = folder.path().join("briefly");
    std::os::unix::fs::symlink("/bin/sh", &shell).unwrap();
    let burn = "i=0; while [ $i -lt 12000 ]; do i=$((i+1)); done";
    let before = children_seconds();
    for _ in 0..LIVES {
        assert!(
            Command::new(&shell)
                .args(["-c", burn])
                .status()
                .unwrap()
                .success()
        );
    }
    let used = children_seconds() - before;
    assert!(used > 0.5, "{used} s");

    // Final records come some time after the end, and then wait for a sample and a scrape.
    std::thread::sleep(Duration::from_secs(5));
    let series = r#"kepler_process_cpu_seconds_total{comm="briefly"}"#;
    for prometheus in pair {
        let query = |expression: &str| prometheus.query(expression);
        let seen = query(&format!("sum(increase({series}[1m]))"));
        // `increase` extrapolates to the edges of its window, so what it may say at most is asked in another way.
        let grown = query(&format!(
            "sum(max_over_time({series}[1m]) - min_over_time({series}[1m]))"
        ));
        let count = query(&format!("count({series})"));
        // What one had used when a sample found it alive, as happens on a machine that is busy with other things, has no growth.
        let first = query(&format!(
            "sum(min_over_time({}[1m]))",
            series.replace('}', ",pid!=\"\"}")
        ));
        let figures = format!(
            "increase {seen}, growth {grown}, {first} at first sight of {used} s in {count} series"
        );
        assert!(seen + first >= 0.95 * used, "{figures}");
        assert!(grown <= 1.02 * used, "{figures}");
        assert!(count < f64::from(LIVES) / 2.0, "{figures}");
    }
}

/// User and system time of the children that were waited for: fields 16 and 17 of `/proc/self/stat`, in hundredths.
fn children_seconds() -> f64 {
    let stat = text("/proc/self/stat");
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_ascii_whitespace().skip(13).take(2);
    times.map(|t| t.parse::<f64>().unwrap() / 100.0).sum()
}
