//! Zone energy and what tasks did, in; energy per workload, out. Pure: no I/O, no clock, no state.
//!
//! For each domain and interval, with `dE` the measured energy and `busy` the machine's busy CPU time:
//!
//! ```text
//! active  = dE x busy ratio              idle = dE - active
//! share_i = cpu_i / busy                 energy_i = share_i x active
//! idle + sum of energy_i + residual = dE
//! ```
//!
//! The divisor is the machine's busy time, measured apart from the tasks, so that what no task accounts for stays visible
//! in the residual instead of being spread over those that were seen. Where tasks account for more than was busy (a record
//! that came late, stolen time inside a task's runtime), every share is scaled down so that they add up to one.

mod idle;

use std::collections::HashMap;
use std::ops::Add;
use std::time::Duration;

use serde::Serialize;

use crate::units::{Joules, Watts, count_to_f64};
use crate::usage::{GpuUsage, Usage};

pub use idle::{IdleFit, IdleShare, IdleSplit};

/// Energy split by whether the machine worked: `total = active + idle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Split<T> {
    /// All of it.
    pub total: T,
    /// What the work cost.
    pub active: T,
    /// What it would have cost without work.
    pub idle: T,
}

impl<T: Add<Output = T>> Add for Split<T> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            active: self.active + other.active,
            idle: self.idle + other.idle,
        }
    }
}

/// What of a domain's active energy no process was charged with, by cause, in joules since the monitor started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Residual {
    /// Processes whose names were lost, though their cgroups are known: charged to containers, not to processes.
    pub unnamed: Joules,
    /// Processes whose names and cgroups were lost.
    pub lost: Joules,
    /// Interrupts, where the kernel keeps their time apart from the tasks' own.
    pub interrupts: Joules,
    /// CPU time that was not believed.
    pub refused: Joules,
    /// Busy time that nothing above and no task accounts for: processes still owed and what was not seen.
    pub unexplained: Joules,
}

impl Residual {
    /// All parts together.
    pub fn total(&self) -> Joules {
        self.unnamed + self.lost + self.interrupts + self.refused + self.unexplained
    }

    /// Adds `other`, part by part.
    pub fn add(&mut self, other: &Self) {
        self.unnamed += other.unnamed;
        self.lost += other.lost;
        self.interrupts += other.interrupts;
        self.refused += other.refused;
        self.unexplained += other.unexplained;
    }
}

/// How the active energy of an interval is shared, the same for every domain: shares are machine-wide.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    /// Share of each entry of [`Usage::processes`], 0 to 1.
    pub processes: Vec<f64>,
    /// Share of each entry of [`Usage::unnamed`], 0 to 1.
    pub unnamed: Vec<f64>,
    /// Share of what lost even its cgroup.
    pub lost: f64,
    /// Share of interrupts, where they are kept apart.
    pub interrupts: f64,
    /// Share of CPU time that was not believed.
    pub refused: f64,
    /// The rest: busy time that nothing accounts for.
    pub unexplained: f64,
    /// Busy time that nothing accounts for, as a share of busy time and before scaling: below 0 where tasks account for
    /// more than was busy. `None` when the machine was not busy.
    pub unexplained_ratio: Option<f64>,
    /// Share that each entry of [`Usage::processes`] has of the active energy of the graphics processors, 0 to 1; empty where
    /// there is none.
    pub gpu: Vec<f64>,
    /// The rest of it: processors whose users are unknown, and users that are no process here.
    pub gpu_unexplained: f64,
}

impl Shares {
    /// Shares by CPU time. Buffers are kept between calls.
    pub fn by_cpu_time(&mut self, usage: &Usage) {
        let busy = count_to_f64(usage.node.busy_ns);
        let tasks: f64 = usage
            .processes
            .iter()
            .map(|p| count_to_f64(p.delta.cpu_ns))
            .sum();
        let unnamed: f64 = usage
            .unnamed
            .iter()
            .map(|u| count_to_f64(u.delta.cpu_ns))
            .sum();
        let lost = count_to_f64(usage.lost.cpu_ns);
        let interrupts = count_to_f64(usage.node.interrupt_ns.unwrap_or(0));
        let known = tasks + unnamed + lost + interrupts;
        // What was refused is not believed to be exact, so it can only explain what nothing else does.
        let refused = count_to_f64(usage.refused_ns).min((busy - known).max(0.0));
        let explained = known + refused;
        let divisor = busy.max(explained);
        let share = if divisor > 0.0 { 1.0 / divisor } else { 0.0 };

        self.processes.clear();
        self.processes.extend(
            usage
                .processes
                .iter()
                .map(|p| count_to_f64(p.delta.cpu_ns) * share),
        );
        self.unnamed.clear();
        self.unnamed.extend(
            usage
                .unnamed
                .iter()
                .map(|u| count_to_f64(u.delta.cpu_ns) * share),
        );
        self.lost = lost * share;
        self.interrupts = interrupts * share;
        self.refused = refused * share;
        self.unexplained = if divisor > 0.0 {
            (divisor - explained) * share
        } else {
            1.0
        };
        self.unexplained_ratio = (busy > 0.0).then(|| (busy - explained) / busy);
    }

    /// Shares of the graphics processors, by who worked on each. `active` tells the active energy of the one of an index.
    pub fn by_gpu(&mut self, usage: &Usage, active: impl Fn(u32) -> Joules) {
        self.gpu.clear();
        self.gpu_unexplained = 1.0;
        let all: f64 = usage.gpus.iter().map(|gpu| active(gpu.index).0).sum();
        if usage.gpus.is_empty() || all <= 0.0 {
            return;
        }
        let mut by_pid: HashMap<u32, f64> = HashMap::new();
        for GpuUsage {
            index, processes, ..
        } in &usage.gpus
        {
            for (pid, share) in processes {
                *by_pid.entry(*pid).or_default() += active(*index).0 * share / all;
            }
        }
        // Of two processes with one pid the later has it: it is taken out here.
        let share = |pid| by_pid.remove(&pid).unwrap_or(0.0);
        let pids = usage.processes.iter().rev().map(|p| p.process.key.pid);
        self.gpu.extend(pids.map(share));
        self.gpu.reverse();
        self.gpu_unexplained = (1.0 - self.gpu.iter().sum::<f64>()).max(0.0);
    }

    /// What of `active` joules of a domain no process is charged with.
    pub(crate) fn of(&self, is_gpu: bool, active: Joules) -> Residual {
        if is_gpu {
            self.gpu_residual(active)
        } else {
            self.residual(active)
        }
    }

    /// What of `active` joules of the graphics processors no process is charged with.
    pub fn gpu_residual(&self, active: Joules) -> Residual {
        Residual {
            unexplained: active * self.gpu_unexplained,
            ..Residual::default()
        }
    }

    /// What of `active` joules no process is charged with, by cause.
    pub fn residual(&self, active: Joules) -> Residual {
        Residual {
            unnamed: active * self.unnamed.iter().sum::<f64>(),
            lost: active * self.lost,
            interrupts: active * self.interrupts,
            refused: active * self.refused,
            unexplained: active * self.unexplained,
        }
    }
}

/// Splits energy by what the part draws without work, over the interval's length.
pub fn split_by_level(total: Joules, idle: Watts, over: Duration) -> Split<Joules> {
    let idle = Joules((idle * over).0.clamp(0.0, total.0.max(0.0)));
    Split {
        total,
        active: total - idle,
        idle,
    }
}

/// Splits a domain's energy by the busy share of the machine's CPU time. With no time to judge by, all of it is idle.
pub fn split(total: Joules, busy_ratio: Option<f64>) -> Split<Joules> {
    let active = total * busy_ratio.unwrap_or(0.0).clamp(0.0, 1.0);
    Split {
        total,
        active,
        idle: total - active,
    }
}
