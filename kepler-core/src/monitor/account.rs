//! One workload's running totals, and what an interval costs it.

use crate::attribution::IdleShare;
use crate::units::{Joules, Watts};
use crate::usage::Counters;

use super::snapshot::{State, WorkloadEnergy, WorkloadUsage};
use super::zones::DomainDelta;

/// One interval's prices: what a share of the machine costs in each domain.
pub(super) struct Prices {
    domains: Vec<DomainDelta>,
    /// The place of the graphics processors among the domains.
    gpu: Option<usize>,
    idle_share: IdleShare,
    /// One living process of all.
    each: f64,
}

/// A workload's shares of the active energy of an interval.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) cpu: f64,
    /// Of the graphics processors.
    pub(super) gpu: f64,
}

impl Prices {
    pub(super) fn new(
        domains: Vec<DomainDelta>,
        gpu: Option<usize>,
        idle_share: IdleShare,
        living: usize,
    ) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a count of processes")]
        let each = if living > 0 { 1.0 / living as f64 } else { 0.0 };
        Self {
            domains,
            gpu,
            idle_share,
            each,
        }
    }

    /// The share that a workload has of the idle energy of every domain.
    pub(super) fn idle(&self, share: Share, living: bool) -> f64 {
        match self.idle_share {
            IdleShare::Usage => share.cpu,
            IdleShare::None | IdleShare::Equal if living => self.each,
            IdleShare::None | IdleShare::Equal => 0.0,
        }
    }
}

/// Totals of one workload.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) counters: Counters,
    pub(super) energy: Box<[WorkloadEnergy]>,
    /// The sample that last changed it.
    pub(super) sequence: u64,
}

impl Account {
    pub(super) fn new(domains: usize) -> Self {
        Self {
            counters: Counters::default(),
            energy: vec![WorkloadEnergy::default(); domains].into(),
            sequence: 0,
        }
    }

    /// Adds one process's interval. The first addition of a sample starts the interval's power anew.
    pub(super) fn charge(
        &mut self,
        sequence: u64,
        delta: &Counters,
        share: Share,
        prices: &Prices,
        living: bool,
    ) {
        let fresh = self.sequence != sequence;
        self.sequence = sequence;
        self.counters.add(delta);
        let idle = prices.idle(share, living);
        let add = |before: Option<Watts>, now: Option<Watts>| match (before, now) {
            (Some(before), Some(now)) if !fresh => Some(before + now),
            (_, now) => now,
        };
        for (place, (mine, domain)) in self.energy.iter_mut().zip(&prices.domains).enumerate() {
            let active = if prices.gpu == Some(place) {
                share.gpu
            } else {
                share.cpu
            };
            mine.joules += domain.energy.active * active;
            mine.idle += domain.energy.idle * idle;
            mine.watts = add(mine.watts, domain.power.map(|p| p.active * active));
            mine.idle_watts = add(mine.idle_watts, domain.power.map(|p| p.idle * idle));
        }
    }

    /// Nothing was done in this interval.
    pub(super) fn rest(&mut self, prices: &Prices) {
        for (mine, domain) in self.energy.iter_mut().zip(&prices.domains) {
            mine.watts = domain.power.map(|_| Watts::ZERO);
            mine.idle_watts = mine.watts;
        }
    }

    pub(super) fn usage(&self, living: bool) -> WorkloadUsage {
        let state = if living {
            State::Running
        } else {
            State::Terminated
        };
        WorkloadUsage {
            state,
            counters: self.counters,
            energy: self.energy.clone(),
        }
    }

    /// Energy in the first domain.
    pub(super) fn first(&self) -> Joules {
        self.energy.first().map_or(Joules::ZERO, |e| e.joules)
    }

    /// Adds what another account has; its power is not known to be of the same interval.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        for (mine, theirs) in self.energy.iter_mut().zip(&other.energy) {
            mine.joules += theirs.joules;
            mine.idle += theirs.idle;
        }
    }
}
