//! What workloads used together, and its growth: what they use goes on, whoever of them is still there.

use crate::units::{Joules, Watts};
use crate::usage::Counters;

use super::snapshot::{State, WorkloadEnergy, WorkloadUsage};

/// Counts of a workload, without its power.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    counters: Counters,
    energy: Vec<(Joules, Joules)>,
}

impl Sum {
    /// What a workload has used.
    pub(crate) fn of(usage: &WorkloadUsage) -> Self {
        Self {
            counters: usage.counters,
            energy: usage.energy.iter().map(|e| (e.joules, e.idle)).collect(),
        }
    }

    /// A workload of the same domains that has used nothing.
    pub(crate) fn nothing(like: &WorkloadUsage) -> WorkloadUsage {
        WorkloadUsage {
            state: State::Running,
            counters: Counters::default(),
            energy: vec![WorkloadEnergy::default(); like.energy.len()].into(),
        }
    }

    /// Forgets the power of several workloads, before those of another sample are added.
    pub(crate) fn still(together: &mut WorkloadUsage) {
        for energy in &mut together.energy {
            (energy.watts, energy.idle_watts) = (None, None);
        }
    }

    /// Adds this, and the power of `usage`, to what several used.
    pub(crate) fn book(&self, together: &mut WorkloadUsage, usage: &WorkloadUsage) {
        together.counters.add(&self.counters);
        let mine = together.energy.iter_mut();
        for ((mine, (joules, idle)), theirs) in mine.zip(&self.energy).zip(&usage.energy) {
            mine.joules += *joules;
            mine.idle += *idle;
            for (mine, theirs) in [
                (&mut mine.watts, theirs.watts),
                (&mut mine.idle_watts, theirs.idle_watts),
            ] {
                if let Some(watts) = theirs {
                    *mine = Some(mine.unwrap_or(Watts::ZERO) + watts);
                }
            }
        }
    }

    /// What was used since there was `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let grown = self.energy.iter().enumerate().map(|(d, (joules, idle))| {
            let (before, idle_before) = earlier.energy.get(d).copied().unwrap_or_default();
            let risen = |now: Joules, before: Joules| Joules((now.0 - before.0).max(0.0));
            (risen(*joules, before), risen(*idle, idle_before))
        });
        Self {
            counters: self.counters.since(&earlier.counters),
            energy: grown.collect(),
        }
    }

    /// Whether it is all 0.
    pub(super) fn is_nothing(&self) -> bool {
        self.counters == Counters::default() && self.energy.iter().all(|e| *e == Default::default())
    }

    /// Adds another one.
    pub(super) fn add(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        let domains = self.energy.len().max(other.energy.len());
        self.energy.resize(domains, Default::default());
        for (mine, theirs) in self.energy.iter_mut().zip(&other.energy) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
    }

    /// Leaves this out of what a workload used.
    pub(super) fn take_from(&self, usage: &mut WorkloadUsage) {
        usage.counters = usage.counters.since(&self.counters);
        for (mine, hidden) in usage.energy.iter_mut().zip(&self.energy) {
            mine.joules = Joules((mine.joules.0 - hidden.0.0).max(0.0));
            mine.idle = Joules((mine.idle.0 - hidden.1.0).max(0.0));
        }
    }
}
