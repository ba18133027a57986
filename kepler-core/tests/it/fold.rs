//! The largest workloads apart, the others together: every entry only grows, and all together are what was used.

use std::collections::HashMap;
use std::time::Duration;

use kepler_core::Watts;
use kepler_core::energy::{Domain, Scripted as Meter};
use kepler_core::monitor::{Fold, Monitor, Snapshot, UsageChoice, WorkloadKind};
use kepler_core::usage::{NodeUsage, Scripted, Usage};

use crate::attribution::{process, ran};

/// Sum of CPU time in nanoseconds and of joules over all entries, and each entry's by name and id.
fn totals(snapshot: &Snapshot) -> (u64, f64, HashMap<String, (u64, f64)>) {
    let ranked = snapshot.ranked(WorkloadKind::Process);
    let each = ranked.iter().map(|w| {
        let used = (w.usage.counters.cpu_ns, w.usage.energy[0].joules.0);
        (format!("{} {}", w.name, w.id), used)
    });
    let cpu = ranked.iter().map(|w| w.usage.counters.cpu_ns).sum();
    let joules = ranked.iter().map(|w| w.usage.energy[0].joules.0).sum();
    (cpu, joules, each.collect())
}

#[test]
fn entries_only_grow_and_are_all_that_was_used_whoever_is_largest() {
    let processes: Vec<_> = (1..=20_u32)
        .map(|pid| process(pid, &format!("p{pid}"), None))
        .collect();
    let mut turn = 0;
    let script = Scripted::new(move |_, usage: &mut Usage| {
        turn += 1;
        // Each in its turn works ten times as hard as before and overtakes the others.
        let work = |pid: usize| {
            1_000_000
                * u64::from(turn > 1)
                * if pid == turn % 20 {
                    10 * turn as u64
                } else {
                    1
                }
        };
        *usage = Usage {
            processes: processes
                .iter()
                .enumerate()
                .map(|(i, p)| ran(p, work(i)))
                .collect(),
            node: NodeUsage {
                cpus: 4,
                interval: Duration::from_secs(1),
                busy_ns: 2_000_000_000,
                idle_ns: 2_000_000_000,
                ..NodeUsage::default()
            },
            ..Usage::default()
        };
        Ok(())
    });
    let mut monitor = Monitor::builder()
        .energy(vec![Box::new(Meter::constant(&[(
            Domain::Package,
            Watts(20.0),
        )]))])
        .usage(UsageChoice::Source(Box::new(script)))
        .build()
        .unwrap();
    let mut fold = Fold::to(3);
    let mut before: HashMap<String, (u64, f64)> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..60 {
        std::thread::sleep(Duration::from_millis(1));
        let snapshot = monitor.sample().unwrap();
        let (cpu, joules, _) = totals(&snapshot);
        let (_, _, each) = totals(&fold.apply(snapshot));
        assert!(each.len() <= 4 && each.contains_key("(other) "), "{each:?}");
        for (entry, (now, _)) in &each {
            let (earlier, _) = before.get(entry).copied().unwrap_or_default();
            assert!(*now >= earlier, "{entry} fell from {earlier} to {now}");
        }
        // What each entry had when it was last shown, whether it is now or not.
        before.extend(each.clone());
        let all: u64 = before.values().map(|(cpu, _)| cpu).sum();
        assert_eq!(all, cpu, "nothing is lost and nothing told twice");
        let all: f64 = before.values().map(|(_, joules)| joules).sum();
        assert!((all - joules).abs() <= 1e-9 * joules, "{all} of {joules}");
        seen.extend(each.into_keys());
    }
    assert!(
        seen.len() > 10,
        "the largest were always the same: {seen:?}"
    );
}

#[test]
fn few_workloads_are_left_as_they_are() {
    let one = process(7, "one", None);
    let frames = (0..3).map(|_| Usage {
        processes: vec![ran(&one, 5)],
        ..Usage::default()
    });
    let mut monitor = Monitor::builder()
        .energy(Vec::new())
        .usage(UsageChoice::Source(Box::new(Scripted::frames(
            frames.collect::<Vec<_>>(),
        ))))
        .build()
        .unwrap();
    let mut fold = Fold::to(10);
    for turn in 1..=3 {
        let folded = fold.apply(monitor.sample().unwrap());
        assert_eq!(folded.processes[0].usage.counters.cpu_ns, 5 * turn);
        // There from the start, so that its growth is seen when it grows.
        assert_eq!(&*folded.ended[0].comm, "(other)");
        assert_eq!(folded.ended[0].usage.counters.cpu_ns, 0);
    }
}
