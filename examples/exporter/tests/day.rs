//! A day of samples in less than a minute, by a clock of the test's own: counters only grow, and memory has bounds.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kepler_core::energy::{Domain, Scripted as Meter};
use kepler_core::metrics::{Exposition, Format, Selection};
use kepler_core::monitor::{Monitor, UsageChoice};
use kepler_core::usage::{Counters, NodeUsage, Process, ProcessKey, ProcessUsage, Scripted, Usage};
use kepler_core::{Host, Watts};

const INTERVAL: u64 = 10;
const SAMPLES: u64 = 24 * 3600 / INTERVAL;
const LIVING: u32 = 40;
/// Processes that are born and die in each sample, a third of them in a container.
const SHORT: u32 = 15;

#[test]
fn a_day_of_churn_leaves_counters_monotonic_and_memory_bounded() {
    let seconds = Arc::new(AtomicU64::new(1000));
    let clock = Arc::clone(&seconds);
    let mut monitor = Monitor::builder()
        .clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)))
        .energy(vec![Box::new(Meter::constant(&[
            (Domain::Package, Watts(20.0)),
            (Domain::Dram, Watts(4.0)),
        ]))])
        .usage(UsageChoice::Source(Box::new(churn())))
        .ended_limit(100)
        .build()
        .unwrap();
    // Two Prometheus, one of which asks half as often.
    let mut readers = [Reader::new(6), Reader::new(12)];
    let (mut after_an_hour, mut most) = (0, 0);
    for turn in 0..SAMPLES {
        seconds.fetch_add(INTERVAL, Ordering::Relaxed);
        let snapshot = monitor.sample().unwrap();
        most =
            most.max(snapshot.processes.len() + snapshot.containers.len() + snapshot.ended.len());
        for reader in &mut readers {
            if turn % reader.each == 0 {
                reader.read(&snapshot);
                monitor.export_mark().exported(&snapshot);
            }
        }
        if turn == 3600 / INTERVAL {
            after_an_hour = resident_kib();
        }
    }
    // 20 W since the first sample, the baseline; no time passes between the last two.
    let last = monitor.sample().unwrap();
    let joules = last.node.domains[0].energy.total.0;
    let day = 20.0 * Duration::from_secs(INTERVAL * (SAMPLES - 1)).as_secs_f64();
    assert!((joules - day).abs() < 1e-6 * day, "{joules} of {day} J");
    // Those that live, 100 that ended, and the containers and names of the last ten minutes.
    assert!(most < 500, "{most} workloads");
    let grown = resident_kib().saturating_sub(after_an_hour);
    assert!(
        grown < 4096,
        "{grown} KiB more than after an hour, {after_an_hour} KiB"
    );
    // What each of the two saw grow is what was used, but for what it had not asked for yet.
    let used = last.node.busy.as_secs_f64();
    for reader in &readers {
        assert!(
            (0.98..=1.001).contains(&(reader.grown / used)),
            "{} of {used} s",
            reader.grown
        );
    }
}

/// Reads pages as Prometheus does, and checks that no counter falls while its process lives.
struct Reader {
    each: u64,
    exposition: Exposition,
    before: HashMap<String, f64>,
    /// Growth of the CPU time of all processes.
    grown: f64,
}

impl Reader {
    fn new(each: u64) -> Self {
        Self {
            each,
            exposition: Exposition::new(&Selection::default(), Host::at("/nowhere")),
            before: HashMap::new(),
            grown: 0.0,
        }
    }

    fn read(&mut self, snapshot: &Arc<kepler_core::monitor::Snapshot>) {
        let page = self.exposition.page(snapshot, Format::Text).into_text();
        let first = self.before.is_empty();
        let mut now = HashMap::new();
        for line in page.lines().filter(|l| l.contains("_total{")) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let earlier = self.before.get(series).copied();
            if let Some(earlier) = earlier {
                assert!(value >= earlier, "{series} fell from {earlier} to {value}");
            }
            if series.starts_with("kepler_process_cpu_seconds_total") && !first {
                self.grown += earlier.map_or(0.0, |earlier| value - earlier);
            }
            now.insert(series.to_owned(), value);
        }
        self.before = now;
    }
}

/// Processes that live all day, and others that are born and die within one sample, under 30 names.
fn churn() -> Scripted {
    let named = |pid: u32, start_ns: u64, comm: String, cgroup: Option<String>| {
        Arc::new(Process {
            key: ProcessKey { pid, start_ns },
            comm: comm.into(),
            exe: None,
            command: None,
            cgroup: cgroup.map(Into::into),
            cgroup_id: 0,
            kernel: false,
        })
    };
    let living: Vec<_> = (0..LIVING)
        .map(|i| named(100 + i, 1, format!("lives{i}"), None))
        .collect();
    let mut turn = 0_u64;
    Scripted::new(move |_, usage: &mut Usage| {
        turn += 1;
        let ran = |process: &Arc<Process>, cpu_ns: u64, ended: bool| ProcessUsage {
            process: Arc::clone(process),
            delta: Counters {
                cpu_ns,
                ..Counters::default()
            },
            ended,
        };
        usage.processes.clear();
        usage
            .processes
            .extend(living.iter().map(|p| ran(p, 40_000_000, false)));
        for i in 0..SHORT {
            // A container an hour, of an id of its own.
            let cgroup = (i % 3 == 0).then(|| format!("/docker/{:064x}", turn / 360));
            let pid = 1000 + u32::try_from(turn % 1000).unwrap() * SHORT + i;
            let process = named(pid, turn, format!("short{}", i * 2), cgroup);
            usage.processes.push(ran(&process, 20_000_000, true));
        }
        let busy = usage.processes.iter().map(|p| p.delta.cpu_ns).sum();
        usage.node = NodeUsage {
            cpus: 2,
            interval: Duration::from_secs(INTERVAL),
            busy_ns: busy,
            idle_ns: 2 * INTERVAL * 1_000_000_000 - busy,
            ..NodeUsage::default()
        };
        Ok(())
    })
}

fn resident_kib() -> u64 {
    let status = Host::default().text("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
