//! Idle + what workloads used + residual = what was measured, whatever the machine did.

use std::sync::Arc;
use std::time::Duration;

use kepler_core::attribution::{IdleFit, IdleShare, IdleSplit, Shares, split, split_by_level};
use kepler_core::usage::{
    Counters, NodeUsage, Process, ProcessKey, ProcessUsage, UnnamedUsage, Usage,
};
use kepler_core::{Joules, Watts};
use proptest::prelude::*;

pub(crate) fn process(pid: u32, comm: &str, cgroup: Option<&str>) -> Arc<Process> {
    Arc::new(Process {
        key: ProcessKey {
            pid,
            start_ns: u64::from(pid),
        },
        comm: comm.into(),
        exe: None,
        command: None,
        cgroup: cgroup.map(Into::into),
        cgroup_id: 0,
        kernel: false,
    })
}

pub(crate) fn ran(process: &Arc<Process>, cpu_ns: u64) -> ProcessUsage {
    ProcessUsage {
        process: process.clone(),
        delta: Counters {
            cpu_ns,
            ..Counters::default()
        },
        ended: false,
    }
}

fn usage(processes: &[u64], unnamed: &[u64], busy_ns: u64, idle_ns: u64) -> Usage {
    let mut pid = 0;
    let mut next = |cpu_ns: &u64| {
        pid += 1;
        ran(&process(pid, "x", None), *cpu_ns)
    };
    Usage {
        processes: processes.iter().map(&mut next).collect(),
        unnamed: unnamed
            .iter()
            .map(|cpu_ns| UnnamedUsage {
                cgroup: None,
                cgroup_id: 0,
                delta: Counters {
                    cpu_ns: *cpu_ns,
                    ..Counters::default()
                },
            })
            .collect(),
        node: NodeUsage {
            cpus: 2,
            interval: Duration::from_secs(1),
            busy_ns,
            idle_ns,
            ..NodeUsage::default()
        },
        ..Usage::default()
    }
}

#[test]
fn a_process_that_used_half_of_the_busy_time_gets_half_of_the_active_energy() {
    // 100 J; 1.6 of 2 s busy: 80 J active. 0.8 s of the busy 1.6 s: 40 J.
    let usage = usage(&[800_000_000, 400_000_000], &[], 1_600_000_000, 400_000_000);
    let mut shares = Shares::default();
    shares.by_cpu_time(&usage);
    let energy = split(Joules(100.0), usage.node.busy_ratio());
    assert!((energy.active.0 - 80.0).abs() < 1e-9);
    assert!((energy.active.0 * shares.processes[0] - 40.0).abs() < 1e-9);
    assert!((energy.active.0 * shares.processes[1] - 20.0).abs() < 1e-9);
    // The remaining 0.4 s is busy time that nobody accounts for: told, not spread over the others.
    assert!((shares.residual(energy.active).unexplained.0 - 20.0).abs() < 1e-9);
    assert!((shares.unexplained_ratio.unwrap() - 0.25).abs() < 1e-9);
}

#[test]
fn fitted_idle_power_is_where_the_line_meets_no_load_and_never_more_than_was_seen() {
    let mut fit = IdleFit::default();
    let second = Duration::from_secs(1);
    // 40 W without load and 60 W more at full load, always a third to two thirds busy.
    for step in 0..60 {
        let busy = 0.33 + 0.34 * f64::from(step % 7) / 6.0;
        fit.learn(busy, Watts(40.0 + 60.0 * busy), second);
    }
    assert!((fit.level().unwrap().0 - 40.0).abs() < 1e-6);
    // A steady load says nothing, nor does a moment.
    let mut steady = IdleFit::default();
    let mut short = IdleFit::default();
    for step in 0..1000 {
        steady.learn(0.5, Watts(70.0), second);
        short.learn(f64::from(step % 2), Watts(50.0), Duration::from_millis(1));
    }
    assert_eq!((steady.level(), short.level()), (None, None));
    // Power that falls with load: the least that was seen. Nonsense changes nothing.
    let mut odd = IdleFit::default();
    for step in 0..60 {
        let busy = f64::from(step % 2);
        odd.learn(busy, Watts(50.0 - 20.0 * busy), second);
        odd.learn(f64::NAN, Watts(1.0), second);
    }
    assert!((odd.level().unwrap().0 - 30.0).abs() < 0.2, "{odd:?}");
    let split = split_by_level(Joules(100.0), Watts(30.0), 2 * second);
    assert_eq!((split.idle, split.active), (Joules(60.0), Joules(40.0)));
    let all_idle = split_by_level(Joules(10.0), Watts(30.0), second);
    assert_eq!(
        (all_idle.idle, all_idle.active),
        (Joules(10.0), Joules(0.0))
    );
}

#[test]
fn a_name_of_a_way_that_there_is_not_is_refused() {
    assert_eq!("fitted".parse::<IdleSplit>().unwrap(), IdleSplit::Fitted);
    assert_eq!("usage".parse::<IdleShare>().unwrap(), IdleShare::Usage);
    let error = "half".parse::<IdleShare>().unwrap_err().to_string();
    assert!(error.contains("none, equal or usage"), "{error}");
}

#[test]
fn tasks_that_explain_more_than_was_busy_are_scaled_to_add_up() {
    let usage = usage(&[900, 300], &[], 1000, 1000);
    let mut shares = Shares::default();
    shares.by_cpu_time(&usage);
    assert!((shares.processes[0] - 0.75).abs() < 1e-12);
    assert!((shares.processes[1] - 0.25).abs() < 1e-12);
    assert!((shares.unexplained_ratio.unwrap() + 0.2).abs() < 1e-12);
}

#[test]
fn what_was_refused_explains_only_what_nothing_else_does() {
    let mut usage = usage(&[600], &[], 1000, 0);
    usage.refused_ns = 5000;
    let mut shares = Shares::default();
    shares.by_cpu_time(&usage);
    assert!(
        (shares.processes[0] - 0.6).abs() < 1e-12,
        "a refused step takes nothing from others"
    );
    assert!((shares.refused - 0.4).abs() < 1e-12);
}

#[test]
fn a_machine_without_busy_time_is_all_idle() {
    let usage = usage(&[0, 0], &[], 0, 1000);
    let mut shares = Shares::default();
    shares.by_cpu_time(&usage);
    let energy = split(Joules(7.0), usage.node.busy_ratio());
    assert_eq!((energy.active, energy.idle), (Joules(0.0), Joules(7.0)));
    assert_eq!(shares.unexplained_ratio, None);
}

proptest! {
    #[test]
    fn every_joule_is_somewhere(
        processes in prop::collection::vec(0_u64..10_000_000_000, 0..40),
        unnamed in prop::collection::vec(0_u64..1_000_000_000, 0..5),
        lost in 0_u64..1_000_000_000,
        interrupts in prop::option::of(0_u64..1_000_000_000),
        refused in 0_u64..100_000_000_000,
        busy in 0_u64..20_000_000_000,
        idle in 0_u64..20_000_000_000,
        joules in 0.0_f64..1e6,
    ) {
        let mut usage = usage(&processes, &unnamed, busy, idle);
        usage.lost.cpu_ns = lost;
        usage.node.interrupt_ns = interrupts;
        usage.refused_ns = refused;
        let mut shares = Shares::default();
        shares.by_cpu_time(&usage);
        let energy = split(Joules(joules), usage.node.busy_ratio());
        let residual = shares.residual(energy.active);
        let workloads: f64 = shares.processes.iter().map(|s| energy.active.0 * s).sum();
        let all = energy.idle.0 + workloads + residual.total().0;
        prop_assert!((all - joules).abs() <= 1e-9 * joules.max(1.0), "{all} of {joules}");
        for part in [residual.unnamed, residual.lost, residual.interrupts, residual.refused, residual.unexplained] {
            prop_assert!(part.0 >= 0.0, "{residual:?}");
        }
    }
}
