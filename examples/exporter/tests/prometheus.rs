//! What a real Prometheus makes of short lives: processes that were born and had died between two scrapes.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIVES: u32 = 150;

#[test]
fn the_growth_of_all_series_is_what_short_lived_processes_used() {
    let (_exporter, address, by_ebpf) = exporter();
    if !by_ebpf {
        eprintln!(
            "skipped: without eBPF nothing knows of processes that live shorter than a sample"
        );
        return;
    }
    let folder = Folder::new();
    let Some((_prometheus, port)) = prometheus(&folder.0, &address) else {
        assert!(std::env::var_os("CI").is_none(), "prometheus is missing");
        eprintln!("skipped: prometheus is missing");
        return;
    };
    until(|| query(port, "count(kepler_node_cpu_joules_total)") > 0.0);

    // A name of its own, so that no other process counts.
    let shell = folder.0.join("briefly");
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
    let seen = query(port, &format!("sum(increase({series}[1m]))"));
    // `increase` extrapolates to the edges of its window, so what it may say at most is asked in another way.
    let grown = query(
        port,
        &format!("sum(max_over_time({series}[1m]) - min_over_time({series}[1m]))"),
    );
    let count = query(port, &format!("count({series})"));
    let figures = format!("increase {seen}, growth {grown} of {used} s in {count} series");
    assert!(seen >= 0.95 * used, "{figures}");
    assert!(grown <= 1.02 * used, "{figures}");
    assert!(count < 20.0, "{figures}");
}

fn exporter() -> (Killed, String, bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kepler-exporter"))
        .args([
            "--fake",
            "--web.listen-address=127.0.0.1:0",
            "--monitor.interval=1s",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let child = Killed(child);
    let mut by_ebpf = false;
    loop {
        let line = lines.next().expect("it ended before it listened").unwrap();
        by_ebpf |= line.contains("usage by ebpf");
        if let Some((_, address)) = line.split_once("http://") {
            let address = address.to_owned();
            std::thread::spawn(move || lines.for_each(drop));
            return (child, address, by_ebpf);
        }
    }
}

fn prometheus(folder: &Path, target: &str) -> Option<(Killed, u16)> {
    let config = folder.join("prometheus.yml");
    let text = format!(
        "scrape_configs:\n- job_name: kepler\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
    );
    fs::write(&config, text).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Some((Killed(child.ok()?), port))
}

/// The figure of an instant query that gives one; 0 where it gives none, or no answer yet.
fn query(port: u16, expression: &str) -> f64 {
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
    let value = answer
        .split("\"value\":[")
        .nth(1)
        .and_then(|v| v.split('"').nth(1));
    value.map_or(0.0, |v| v.parse().unwrap())
}

fn until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "Prometheus does not answer"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// User and system time of the children that were waited for: fields 16 and 17 of `/proc/self/stat`, in hundredths.
#[expect(
    clippy::disallowed_methods,
    reason = "the test's own time, not a machine's"
)]
fn children_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_ascii_whitespace().skip(13).take(2);
    times.map(|t| t.parse::<f64>().unwrap() / 100.0).sum()
}

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kepler-exporter-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
