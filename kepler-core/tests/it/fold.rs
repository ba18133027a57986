//! The largest workloads apart, the others together: every entry only grows, and all together are what was used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kepler_core::Watts;
use kepler_core::energy::{Domain, Scripted as Meter};
use kepler_core::monitor::{Fold, Monitor, MonitorBuilder, Snapshot, UsageChoice, WorkloadKind};
use kepler_core::usage::{NodeUsage, ProcessUsage, Scripted, Usage};
use proptest::prelude::*;

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

/// What somebody who looks at some snapshots knows of each entry.
#[derive(Default)]
struct Seen(HashMap<String, (u64, f64)>);

impl Seen {
    fn look(&mut self, snapshot: &Snapshot) {
        let (_, _, each) = totals(snapshot);
        let all = snapshot.ranked(WorkloadKind::Process).len();
        assert_eq!(each.len(), all, "two entries of one name");
        for (entry, (now, _)) in &each {
            let (earlier, _) = self.0.get(entry).copied().unwrap_or_default();
            assert!(*now >= earlier, "{entry} fell from {earlier} to {now}");
        }
        self.0.extend(each);
    }

    fn sum(&self) -> (u64, f64) {
        let cpu = self.0.values().map(|(cpu, _)| cpu).sum();
        (cpu, self.0.values().map(|(_, joules)| joules).sum())
    }
}

/// A process: when it comes, and what it does in each sample.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) born: usize,
    pub(crate) name: &'static str,
    pub(crate) work: Vec<u8>,
}

/// All ends before the last samples, which everybody looks at.
pub(crate) const TURNS: usize = 44;

pub(crate) fn lives() -> impl Strategy<Value = Vec<Life>> {
    let name = prop::sample::select(vec!["make", "cc", "(other)"]);
    let work = prop::collection::vec(0_u8..9, 1..9);
    let life = (1..TURNS - 12, name, work).prop_map(|(born, name, work)| Life { born, name, work });
    prop::collection::vec(life, 1..50)
}

/// What ran in a sample.
pub(crate) fn running(lives: &[Life], turn: usize) -> Vec<ProcessUsage> {
    let all = (1..).zip(lives).filter_map(|(pid, life)| {
        let age = turn.checked_sub(life.born)?;
        let work = *life.work.get(age)?;
        let process = process(pid, life.name, None);
        let mut ran = ran(&process, u64::from(work) * 1_000_000);
        ran.ended = age + 1 == life.work.len();
        Some(ran)
    });
    all.collect()
}

/// A monitor of processes that come and go, with a clock of its own.
pub(crate) fn monitor(lives: &[Life]) -> MonitorBuilder {
    let (script, mut turn) = (lives.to_vec(), 0);
    let script = Scripted::new(move |_, usage: &mut Usage| {
        turn += 1;
        *usage = Usage {
            processes: running(&script, turn),
            node: NodeUsage {
                cpus: 1,
                interval: Duration::from_secs(1),
                busy_ns: 500_000_000,
                idle_ns: 500_000_000,
                ..NodeUsage::default()
            },
            ..Usage::default()
        };
        Ok(())
    });
    let meter = Meter::constant(&[(Domain::Package, Watts(20.0))]);
    let time = AtomicU64::new(0);
    Monitor::builder()
        .energy(vec![Box::new(meter)])
        .usage(UsageChoice::Source(Box::new(script)))
        .clock(move || Duration::from_millis(time.fetch_add(100, Ordering::Relaxed)))
}

/// Samples while processes come and go, folded to `limit`. The samples that a scraper looks at; without any, somebody sees
/// all and nobody marks.
fn come_and_go(lives: &[Life], limit: usize, looks: Option<&[bool]>) {
    let mut monitor = monitor(lives).ended_limit(2).build().unwrap();
    let mark = monitor.export_mark();
    let mut fold = Fold::to(limit);
    let (mut whole, mut folded) = (Seen::default(), Seen::default());
    for turn in 1..=TURNS {
        let snapshot = monitor.sample().unwrap();
        let shown = fold.apply(snapshot.clone());
        match looks {
            // What was before the first look is nobody's growth.
            Some(looks) if looks[turn % looks.len()] || turn == 1 || turn > TURNS - 3 => {
                mark.exported(&shown);
            }
            Some(_) => continue,
            // Without a mark, all that a process used goes to another entry with it.
            None => {
                let (_, _, each) = totals(&snapshot);
                for seen in [&mut whole, &mut folded] {
                    let there = |entry: &str| entry.ends_with(' ') || each.contains_key(entry);
                    seen.0.retain(|entry, _| there(entry));
                }
            }
        }
        whole.look(&snapshot);
        folded.look(&shown);
    }
    let ran = (1..=TURNS).flat_map(|turn| running(lives, turn));
    let ran: u64 = ran.map(|ran| ran.delta.cpu_ns).sum();
    let ((cpu, joules), (all, all_joules)) = (folded.sum(), whole.sum());
    assert_eq!(all, ran, "unfolded");
    assert_eq!(cpu, ran, "folded");
    assert!(
        (joules - all_joules).abs() <= 1e-9 * all_joules,
        "{joules} of {all_joules}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_ended_processes_used_is_told_once(
        lives in lives(),
        limit in 0_usize..8,
        looks in prop::option::of(prop::collection::vec(any::<bool>(), 1..12)),
    ) {
        come_and_go(&lives, limit, looks.as_deref());
    }
}

#[test]
fn containers_together_have_no_runtime() {
    let cgroup = format!("/docker/{}", "a".repeat(64));
    let one = process(7, "one", Some(&cgroup));
    let frames = vec![Usage {
        processes: vec![ran(&one, 5)],
        ..Usage::default()
    }];
    let mut monitor = Monitor::builder()
        .energy(Vec::new())
        .usage(UsageChoice::Source(Box::new(Scripted::frames(frames))))
        .build()
        .unwrap();
    let folded = Fold::to(0).apply(monitor.sample().unwrap());
    let runtimes = folded.containers.iter().map(|c| c.container.runtime);
    assert_eq!(runtimes.map(|r| r.as_str()).collect::<Vec<_>>(), [""]);
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
