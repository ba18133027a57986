//! What taking a sample costs and how much of what ran it accounts for, on the live kernel. Prints one line of JSON.
//!
//! ```text
//! sample cost SAMPLES [ebpf|procfs]             CPU of a sample by process and by thread, whatever else runs now
//! sample short COUNT MILLISECONDS [MIB]         CPU time of short-lived processes in process records, against getrusage
//! sample text SERIES                            time to write the text of so many series
//! sample pods COUNT                             CPU time to read a pod list, and to read as many changes of a watch
//! sample hooks OBJECT                           cost of our hook on each context switch, beside an empty one (benches/bpf)
//! ```
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kepler_core::metrics::{Exposition, Format, Group, Selection};
use kepler_core::monitor::{Monitor, State, UsageChoice};
use kepler_core::usage::ebpf::{Ebpf, Options};
use kepler_core::usage::{
    Counter, Counters, NodeUsage, Process, ProcessKey, ProcessUsage, Scripted, Usage, UsageSource,
};
use kepler_core::workload::PodTable;
use kepler_core::{Host, Result};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| {
        words
            .get(at)
            .and_then(|w| w.parse().ok())
            .unwrap_or(default)
    };
    match words.first().map(String::as_str) {
        Some("cost") => cost(number(1, 20), words.get(2).map(String::as_str)),
        Some("short") => short(number(1, 845), number(2, 20), number(3, 0)),
        Some("text") => text(number(1, 100_000)),
        Some("pods") => pods(number(1, 2000)),
        Some("hooks") => {
            hooks(words.get(1).map_or("", String::as_str)).unwrap_or_else(|e| panic!("{e}"));
            Ok(())
        }
        _ => {
            eprintln!("sample: see the head of benches/src/bin/sample.rs");
            std::process::exit(2);
        }
    }
}

fn cost(samples: u64, usage: Option<&str>) -> Result<()> {
    let usage = match usage {
        Some("procfs") => UsageChoice::Procfs,
        _ => UsageChoice::Ebpf,
    };
    let mut monitor = Monitor::builder().fake().usage(usage).build()?;
    // The source is open and has given back what that took: from here on the peak counts anew.
    let before = rss_kib("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap_or_else(|e| panic!("clear_refs: {e}"));
    for _ in 0..3 {
        monitor.sample()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    let (mut each, mut processes, mut tasks) = (Vec::new(), 0, 0);
    for _ in 0..samples {
        std::thread::sleep(Duration::from_millis(500));
        let snapshot = monitor.sample()?;
        processes = snapshot
            .processes
            .iter()
            .filter(|p| p.usage.state == State::Running)
            .count();
        tasks = snapshot.stats.tasks;
        each.push(snapshot.cost.cpu.as_secs_f64() * 1e6);
    }
    each.sort_unstable_by(f64::total_cmp);
    let median = each[each.len() / 2];
    println!(
        r#"{{"sample":"cost","source":"{}","processes":{processes},"tasks":{tasks},"cpu_us":{median:.0},"us_a_process":{:.3},"us_a_task":{:.3},"rss_kib":{},"grown_kib":{}}}"#,
        monitor.sources().usage,
        median / f64::from(u32::try_from(processes.max(1)).unwrap_or(u32::MAX)),
        median / f64::from(u32::try_from(tasks.max(1)).unwrap_or(u32::MAX)),
        rss_kib("VmRSS:"),
        rss_kib("VmHWM:").saturating_sub(before),
    );
    Ok(())
}

/// The list as a kubelet answers, with what a small deployment puts into a pod; the changes as an API server's watch begins.
fn pods(count: u64) -> Result<()> {
    let pod = |i: u64| {
        let environment: Vec<String> = (0..12)
            .map(|n| format!(r#"{{"name":"SETTING_{n}","value":"https://service-{n}.shop.svc.cluster.local:8443/v1"}}"#))
            .collect();
        let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(|kind| {
            format!(r#"{{"type":"{kind}","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-01-01T00:00:00Z"}}"#)
        });
        format!(
            r#"{{"metadata":{{"name":"web-{i}","namespace":"shop","uid":"{i:08x}-1f0c-4f9e-8a11-0b2d8e7c5a33","resourceVersion":"{i}","labels":{{"app":"web"}}}},"spec":{{"nodeName":"node","containers":[{{"name":"app","image":"registry.example/shop/web:1.2","env":[{}],"resources":{{"limits":{{"cpu":"1","memory":"1Gi"}}}},"livenessProbe":{{"httpGet":{{"path":"/healthz","port":8080}},"periodSeconds":10}}}}]}},"status":{{"phase":"Running","conditions":[{}],"containerStatuses":[{{"name":"app","containerID":"containerd://{i:064x}","restartCount":0,"ready":true,"image":"registry.example/shop/web:1.2"}}]}}}}"#,
            environment.join(","),
            conditions.join(","),
        )
    };
    let all: Vec<String> = (1..=count).map(pod).collect();
    let list = format!(
        r#"{{"kind":"PodList","metadata":{{"resourceVersion":"7"}},"items":[{}]}}"#,
        all.join(",")
    );
    let changes: Vec<String> = all
        .iter()
        .map(|pod| format!("{{\"type\":\"ADDED\",\"object\":{pod}}}\n"))
        .collect();
    let (mut listed, mut changed) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let start = Host::thread_cpu_time();
        let table = PodTable::parse(list.as_bytes())?;
        listed.push(Host::thread_cpu_time() - start);
        assert_eq!(table.len() as u64, count);
        let (start, mut table) = (Host::thread_cpu_time(), PodTable::default());
        for change in &changes {
            table.apply(change.as_bytes())?;
        }
        changed.push(Host::thread_cpu_time() - start);
        assert_eq!(table.len() as u64, count);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    println!(
        r#"{{"sample":"pods","pods":{count},"kib":{},"list_ms":{:.2},"watch_ms":{:.2}}}"#,
        list.len() / 1024,
        median(&mut listed),
        median(&mut changed),
    );
    Ok(())
}

fn rss_kib(field: &str) -> u64 {
    let status = Host::default()
        .text("/proc/self/status")
        .unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(field));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn short(count: u64, milliseconds: u64, mib: u64) -> Result<()> {
    let mut monitor = Monitor::builder().fake().ended_limit(1_000_000).build()?;
    monitor.sample()?;
    let load = std::env::current_exe()
        .ok()
        .and_then(|p| Some(p.parent()?.join("load")))
        .unwrap_or_default();
    let numbers = [count, milliseconds, mib].map(|n| n.to_string());
    let mut child = Command::new(load)
        .arg("short")
        .args(numbers)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("load, built beside this program: {e}"));
    let parent = child.id();
    let (start, mut next) = (Instant::now(), 1);
    while child.try_wait().ok().flatten().is_none() {
        std::thread::sleep(Duration::from_millis(100));
        if start.elapsed() >= Duration::from_secs(5) * next {
            monitor.sample()?;
            next += 1;
        }
    }
    let told = child
        .wait_with_output()
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let told = told.unwrap_or_default();
    let truth: f64 = told
        .split("cpu_seconds\":")
        .nth(1)
        .and_then(|t| t.trim_end().trim_end_matches('}').parse().ok())
        .unwrap_or(f64::NAN);
    std::thread::sleep(Duration::from_secs(1));
    monitor.sample()?;
    let last = monitor.sample()?;
    let mut by_name: HashMap<&str, u64> = HashMap::new();
    let mine = last
        .processes
        .iter()
        .filter(|p| p.process.key.pid != parent);
    for process in mine {
        *by_name.entry(&process.process.comm).or_default() += process.usage.counters.cpu_ns;
    }
    let seen = kepler_seconds(by_name.get("load").copied().unwrap_or(0));
    println!(
        r#"{{"sample":"short","processes":{count},"ms":{milliseconds},"mib":{mib},"rusage_seconds":{truth:.4},"records_seconds":{seen:.4},"share":{:.4},"records":{},"dropped":{}}}"#,
        seen / truth,
        last.stats.exit_records,
        last.stats.exit_records_dropped,
    );
    Ok(())
}

fn kepler_seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

/// A scripted machine of so many processes that the newer family alone has `series` of them.
fn text(series: u64) -> Result<()> {
    const SERIES_A_PROCESS: u64 = 7;
    let process = |pid: u32| ProcessUsage {
        process: std::sync::Arc::new(Process {
            key: ProcessKey {
                pid,
                start_ns: u64::from(pid),
            },
            comm: format!("worker-{pid}").into(),
            exe: Some("/usr/lib/postgresql/15/bin/postgres".into()),
            command: Some("postgres: checkpointer".into()),
            cgroup: None,
            cgroup_id: 0,
            kernel: false,
        }),
        delta: Counters {
            cpu_ns: u64::from(pid) * 1000,
            ..Counters::default()
        },
        ended: false,
    };
    let count = u32::try_from(series / SERIES_A_PROCESS).unwrap_or(u32::MAX);
    let all: Vec<ProcessUsage> = (1..=count).map(process).collect();
    let script = Scripted::new(move |_, usage: &mut Usage| {
        usage.processes.clone_from(&all);
        usage.node = NodeUsage {
            cpus: 2,
            busy_ns: 900,
            idle_ns: 100,
            ..NodeUsage::default()
        };
        Ok(())
    });
    let mut monitor = Monitor::builder()
        .fake()
        .usage(UsageChoice::Source(Box::new(script)))
        .build()?;
    let mut exposition = Exposition::new(
        &Selection {
            groups: vec![Group::Cpu],
            ..Selection::default()
        },
        Host::default(),
    );
    let mut times = Vec::new();
    let (mut lines, mut bytes) = (0, 0);
    for _ in 0..12 {
        let snapshot = monitor.sample()?;
        let start = Instant::now();
        let text = exposition.page(&snapshot, Format::Text).into_text();
        times.push(start.elapsed().as_secs_f64() * 1e3);
        bytes = text.len();
        lines = text.lines().filter(|l| !l.starts_with('#')).count();
    }
    let first = times[0];
    times.sort_unstable_by(f64::total_cmp);
    println!(
        r#"{{"sample":"text","series":{lines},"bytes":{bytes},"first_ms":{first:.1},"ms":{:.1}}}"#,
        times[times.len() / 2]
    );
    Ok(())
}

/// Runs a storm of context switches under an empty program, one with task storage, and ours with three counters (software
/// events stand in for hardware ones), all at once, and tells each one's own run time.
fn hooks(object: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let btf = aya::Btf::from_sys_fs()?;
    let mut loader = aya::EbpfLoader::new();
    let mut bench = loader.allow_unsupported_maps().load_file(object)?;
    for name in ["empty", "storage"] {
        let program: &mut aya::programs::BtfTracePoint = bench
            .program_mut(name)
            .ok_or("no such program")?
            .try_into()?;
        program.load("sched_switch", &btf)?;
        program.attach()?;
    }
    let mut options = Options::default();
    options.counters = [Counter::Cycles, Counter::Instructions, Counter::CacheMisses]
        .into_iter()
        .collect();
    options.stand_ins = true;
    let mut ours = Ebpf::open(&Host::default(), &options)?;
    ours.sample(Host::since_boot(), &mut Usage::default())?;
    std::fs::write("/proc/sys/kernel/bpf_stats_enabled", "1")?;
    let load = std::env::current_exe()?.with_file_name("load");
    let ran = Command::new(load)
        .args(["switches", "4"])
        .stdout(Stdio::null())
        .status();
    let mut each = HashMap::new();
    for program in aya::programs::loaded_programs().flatten() {
        let name = program.name_as_str().unwrap_or_default().to_owned();
        if program.run_count() > 0 {
            each.insert(
                name,
                program.run_time().as_secs_f64() * 1e9 / program.run_count() as f64,
            );
        }
    }
    std::fs::write("/proc/sys/kernel/bpf_stats_enabled", "0")?;
    ran?;
    let ns = |name: &str| each.get(name).copied().unwrap_or(f64::NAN);
    println!(
        r#"{{"sample":"hooks","empty_ns":{:.1},"storage_ns":{:.1},"ours_ns":{:.1},"storage_ratio":{:.2},"ours_ratio":{:.2}}}"#,
        ns("empty"),
        ns("storage"),
        ns("switched"),
        ns("storage") / ns("empty"),
        ns("switched") / ns("empty"),
    );
    Ok(())
}
