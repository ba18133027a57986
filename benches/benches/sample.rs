//! What a sample costs apart from reading: shares, accounts, the snapshot, and its text.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use kepler_core::Host;
use kepler_core::attribution::Shares;
use kepler_core::metrics::{Exposition, Format, Selection};
use kepler_core::monitor::{Monitor, UsageChoice};
use kepler_core::usage::{Counters, NodeUsage, Process, ProcessKey, ProcessUsage, Scripted, Usage};
use kepler_core::workload::classify_cgroup;

const PROCESSES: u32 = 3000;

fn frame() -> Usage {
    let process = |pid: u32| ProcessUsage {
        process: Arc::new(Process {
            key: ProcessKey {
                pid,
                start_ns: u64::from(pid),
            },
            comm: format!("worker-{pid}").into(),
            exe: Some("/usr/bin/worker".into()),
            command: Some("worker --serve".into()),
            cgroup: Some(
                format!(
                    "/kubepods/burstable/pod{:08x}-1111-2222-3333-444455556666/{}",
                    pid % 50,
                    format!("{:02x}", pid % 50).repeat(32)
                )
                .into(),
            ),
            cgroup_id: u64::from(pid % 50),
            kernel: false,
        }),
        delta: Counters {
            cpu_ns: u64::from(pid) * 1000,
            ..Counters::default()
        },
        ended: false,
    };
    Usage {
        processes: (1..=PROCESSES).map(process).collect(),
        node: NodeUsage {
            cpus: 8,
            interval: Duration::from_secs(5),
            busy_ns: 5_000_000_000,
            idle_ns: 35_000_000_000,
            ..NodeUsage::default()
        },
        ..Usage::default()
    }
}

fn attribution(criterion: &mut Criterion) {
    let usage = frame();
    let mut shares = Shares::default();
    criterion.bench_function("attribution: shares of 3000 processes", |bench| {
        bench.iter(|| {
            shares.by_cpu_time(black_box(&usage));
            black_box(shares.unexplained)
        });
    });
    let path = usage.processes[7]
        .process
        .cgroup
        .clone()
        .expect("each has one");
    criterion.bench_function("workload: classify a pod's cgroup path", |bench| {
        bench.iter(|| classify_cgroup(black_box(&path)));
    });
}

fn monitor(criterion: &mut Criterion) {
    let processes = frame().processes;
    let script = Scripted::new(move |_, usage: &mut Usage| {
        if usage.processes.is_empty() {
            *usage = frame();
            usage.processes.clone_from(&processes);
        }
        Ok(())
    });
    let source = UsageChoice::Source(Box::new(script));
    let mut monitor = Monitor::builder()
        .fake()
        .usage(source)
        .build()
        .expect("all is scripted");
    criterion.bench_function(
        "monitor: sample of 3000 processes, without reading them",
        |bench| {
            bench.iter(|| monitor.sample());
        },
    );
    let mut exposition = Exposition::new(&Selection::default(), Host::default());
    criterion.bench_function("metrics: text of 3000 processes", |bench| {
        bench.iter_batched(
            || monitor.sample().expect("all is scripted"),
            |snapshot| exposition.page(&snapshot, Format::Text).into_text().len(),
            criterion::BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, attribution, monitor);
criterion_main!(benches);
