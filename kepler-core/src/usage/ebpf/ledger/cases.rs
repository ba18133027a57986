//! The ledger in single cases, worked out by hand.

use std::sync::Arc;
use std::time::Duration;

use crate::usage::{Counters, Usage};

use super::super::record::{Exit, LEADER, Task, Total};
use super::Ledger;
use super::trace::Fake;

fn exit(pid: u32, start_ns: u64, cpu_ns: u64) -> Exit {
    Exit {
        tgid: pid,
        start_ns,
        cpu_ns,
        cgroup: 1,
        ..Exit::default()
    }
}

fn leader(pid: u32, start_ns: u64, cpu_ns: u64, dead_cpu_ns: u64) -> Task {
    Task {
        tgid: pid,
        local: pid,
        flags: LEADER,
        start_ns,
        cpu_ns,
        dead_cpu_ns,
        cgroup: 1,
        comm: *b"first\0\0\0\0\0\0\0\0\0\0\0",
        ..Task::default()
    }
}

/// A ledger and the answers of its last pass.
struct Desk {
    ledger: Ledger,
    usage: Usage,
}

impl Desk {
    fn new(foreign: bool) -> Self {
        Self {
            ledger: Ledger::new(foreign),
            usage: Usage::default(),
        }
    }

    fn pass(&mut self, seconds: u64, tasks: &[Task], exits: &[Exit]) -> &Usage {
        self.ledger.begin(Duration::from_secs(seconds), 1);
        for task in tasks {
            self.ledger.task(task, None);
        }
        for exit in exits {
            self.ledger.exit(exit);
        }
        self.ledger.finish(&mut Fake, &mut self.usage);
        &self.usage
    }
}

const S: u64 = 1_000_000_000;

#[test]
fn a_total_that_falls_is_held_and_not_charged_again() {
    let mut desk = Desk::new(false);
    desk.pass(10, &[leader(5, S, 100, 900)], &[]);
    assert_eq!(
        desk.pass(11, &[leader(5, S, 150, 0)], &[]).processes[0]
            .delta
            .cpu_ns,
        0
    );
    assert_eq!(
        desk.pass(12, &[leader(5, S, 200, 900)], &[]).processes[0]
            .delta
            .cpu_ns,
        100
    );
}

#[test]
fn a_rise_above_elapsed_time_is_refused_once() {
    let mut desk = Desk::new(false);
    desk.pass(10, &[leader(5, S, 0, 0)], &[]);
    let usage = desk.pass(11, &[leader(5, S, 50 * S, 0)], &[]);
    assert_eq!(
        (
            usage.processes[0].delta.cpu_ns,
            usage.refused_ns,
            usage.stats.refused
        ),
        (0, 50 * S, 1)
    );
    let usage = desk.pass(12, &[leader(5, S, 51 * S, 0)], &[]);
    assert_eq!((usage.processes[0].delta.cpu_ns, usage.refused_ns), (S, 0));
}

#[test]
fn a_record_that_never_comes_is_given_up_after_five_seconds() {
    let mut desk = Desk::new(false);
    desk.pass(10, &[leader(5, S, 0, 0)], &[]);
    desk.pass(11, &[leader(5, S, 7, 0)], &[]);
    for second in [12, 16] {
        let usage = desk.pass(second, &[], &[]);
        assert_eq!((usage.pending, usage.processes[0].ended), (1, false));
    }
    let usage = desk.pass(17, &[], &[]);
    assert!(usage.processes[0].ended);
    assert_eq!((usage.pending, usage.stats.pending_expired), (0, 1));
    // It comes after all: what it adds has no name any more, what was booked is not booked again.
    let usage = desk.pass(20, &[], &[exit(5, S, 9)]);
    assert!(usage.processes.is_empty());
    assert_eq!(usage.unnamed[0].delta.cpu_ns, 2);
    assert!(desk.pass(21, &[], &[]).unnamed.is_empty());
}

#[test]
fn a_process_of_before_the_first_pass_is_a_baseline_also_at_its_end() {
    let mut desk = Desk::new(false);
    desk.pass(10, &[leader(5, S, 70 * S, 0)], &[exit(6, 2 * S, 80 * S)]);
    let usage = desk.pass(11, &[], &[exit(5, S, 70 * S + 3), exit(7, 9 * S, S)]);
    let of: Vec<_> = usage
        .processes
        .iter()
        .map(|p| (p.process.key.pid, p.delta.cpu_ns))
        .collect();
    assert_eq!(of, [(5, 3)]);
}

#[test]
fn foreign_records_are_no_ones() {
    let mut desk = Desk::new(true);
    desk.pass(10, &[], &[]);
    assert!(
        desk.pass(11, &[], &[exit(7, 10 * S + 1, 5)])
            .processes
            .is_empty()
    );
}

#[test]
fn an_exec_makes_a_new_process_under_the_same_key() {
    let mut desk = Desk::new(false);
    desk.pass(10, &[leader(5, S, 0, 0)], &[]);
    let before = desk.usage.processes[0].process.clone();
    let renamed = Task {
        comm: *b"second\0\0\0\0\0\0\0\0\0\0",
        ..leader(5, S, 4, 0)
    };
    let usage = desk.pass(11, &[renamed], &[]);
    let after = usage.processes[0].process.clone();
    assert_eq!(
        (&*after.comm, after.key, usage.processes[0].delta.cpu_ns),
        ("second", before.key, 4)
    );
    assert_eq!(after.exe, before.exe);
    let same = desk.pass(12, &[renamed], &[]).processes[0].process.clone();
    assert!(Arc::ptr_eq(&same, &after));
    // It calls exec again and ends before it is seen: its name is known, its command line is not.
    let last = Exit {
        exec_id: 1,
        comm: *b"third\0\0\0\0\0\0\0\0\0\0\0",
        ..exit(5, S, 6)
    };
    let process = desk.pass(13, &[], &[last]).processes[0].process.clone();
    assert_eq!((&*process.comm, process.exe.as_deref()), ("third", None));
}

#[test]
fn an_old_process_that_ends_in_an_overflow_is_not_charged_twice() {
    let hour = 3600 * S;
    let mut desk = Desk::new(false);
    desk.pass(10, &[leader(5, S, hour, 0)], &[]);
    desk.pass(11, &[leader(5, S, hour + 5, 0)], &[]);
    let total = Total {
        records: 2,
        counters: Counters {
            cpu_ns: hour + 7 + 40,
            ..Counters::default()
        },
    };
    desk.ledger.begin(Duration::from_secs(12), 1);
    desk.ledger.overflow(Some(1), &total);
    desk.ledger.finish(&mut Fake, &mut desk.usage);
    let usage = &desk.usage;
    assert_eq!(usage.unnamed.len(), 1);
    assert_eq!(
        (
            usage.unnamed[0].delta.cpu_ns,
            usage.unnamed[0].cgroup.as_deref()
        ),
        (42, Some("/1"))
    );
    assert_eq!(usage.processes[0].delta.cpu_ns, 0);
}
