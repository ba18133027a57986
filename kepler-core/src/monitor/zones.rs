//! What each zone used between two samples of one monitor, split into active and idle.

use std::sync::Arc;
use std::time::Duration;

use crate::attribution::{IdleFit, IdleSplit, Split, split, split_by_level};
use crate::energy::Domain;
use crate::provenance::Provenance;
use crate::units::{Joules, Watts};
use crate::usage::GpuUsage;

use super::book::{Book, ZoneTotal};
use super::snapshot::ZoneSnapshot;

/// One monitor's view of the zones of a [`Book`].
#[derive(Default)]
pub(super) struct Zones {
    zones: Vec<ZoneState>,
    domains: usize,
}

/// How an interval's energy is split into active and idle.
pub(super) struct Judge<'a> {
    pub(super) busy_ratio: Option<f64>,
    pub(super) idle: IdleSplit,
    pub(super) gpus: &'a [GpuUsage],
    /// What a graphics processor draws idle, where it was told.
    pub(super) gpu_idle: Option<Watts>,
}

struct ZoneState {
    now: ZoneTotal,
    energy: Split<Joules>,
    fit: IdleFit,
    /// The least mean power of an interval in which nobody used the graphics processor.
    unused: Option<Watts>,
    /// Energy of the last interval and the time it covers; `None` when the zone could not be read in it.
    last: Option<(Split<Joules>, Duration)>,
}

/// One domain's last interval: all its zones together.
#[derive(Clone, Copy, Debug)]
pub(super) struct DomainDelta {
    pub(super) energy: Split<Joules>,
    /// `None` when one of its zones could not be read.
    pub(super) power: Option<Split<Watts>>,
}

impl Zones {
    /// Takes the book's totals as they are now; what came since the last time is split as `judge` says. The first time is the
    /// baseline.
    pub(super) fn advance(&mut self, book: &Book, judge: &Judge<'_>) {
        self.domains = book.domains().len();
        if self.zones.is_empty() {
            let baseline = |now: &ZoneTotal| ZoneState {
                now: now.clone(),
                energy: Split::default(),
                fit: IdleFit::default(),
                unused: None,
                last: None,
            };
            self.zones = book.zones().iter().map(baseline).collect();
            return;
        }
        for (mine, now) in self.zones.iter_mut().zip(book.zones()) {
            mine.advance(now, judge);
        }
    }

    /// Active energy of the graphics processor of this number in the last interval.
    pub(super) fn gpu_active(&self, index: u32) -> Joules {
        let mut mine = self
            .zones
            .iter()
            .filter(|z| z.now.zone.domain == Domain::Gpu && z.now.zone.index == Some(index));
        let last = mine.next().and_then(|zone| zone.last);
        last.map_or(Joules::ZERO, |(energy, _)| energy.active)
    }

    /// What each domain used in the last interval, in the order of [`Book::domains`].
    pub(super) fn deltas(&self) -> Vec<DomainDelta> {
        let none = DomainDelta {
            energy: Split::default(),
            power: Some(Split::default()),
        };
        let mut deltas = vec![none; self.domains];
        for zone in &self.zones {
            let delta = &mut deltas[zone.now.domain];
            delta.power = delta.power.zip(zone.power()).map(|(a, b)| a + b);
            if let Some((energy, _)) = zone.last {
                delta.energy = delta.energy + energy;
            }
        }
        deltas
    }

    /// Energy of each domain since the baseline, in the order of [`Book::domains`].
    pub(super) fn totals(&self) -> Vec<Split<Joules>> {
        let mut totals = vec![Split::default(); self.domains];
        for zone in &self.zones {
            totals[zone.now.domain] = totals[zone.now.domain] + zone.energy;
        }
        totals
    }

    /// Where the figures of a domain come from: its first zone's provenance.
    pub(super) fn provenance(&self, domain: usize) -> Option<Arc<Provenance>> {
        self.zones
            .iter()
            .find(|z| z.now.domain == domain)
            .map(|z| z.now.provenance.clone())
    }

    pub(super) fn snapshot(&self) -> Vec<ZoneSnapshot> {
        let zone = |z: &ZoneState| ZoneSnapshot {
            zone: z.now.zone.clone(),
            energy: z.energy,
            power: z.power(),
            provenance: z.now.provenance.clone(),
            failures: z.now.failures,
            refused: z.now.refused,
            ambiguous: z.now.ambiguous,
        };
        self.zones.iter().map(zone).collect()
    }
}

impl ZoneState {
    fn advance(&mut self, now: &ZoneTotal, judge: &Judge<'_>) {
        let over = now
            .at
            .zip(self.now.at)
            .map(|(now, before)| now.saturating_sub(before));
        if now.provenance.model != self.now.provenance.model {
            // What the power was like at rest, it was by another model.
            self.fit = IdleFit::default();
        }
        let steady = now.refused == self.now.refused && now.baselines == self.now.baselines;
        let believed = now.at != self.now.at && steady;
        let energy = self.split(
            now.joules - self.now.joules,
            over.filter(|_| believed),
            judge,
        );
        self.energy = self.energy + energy;
        self.last = over.filter(|_| believed).map(|over| (energy, over));
        self.now.clone_from(now);
    }

    fn split(&mut self, total: Joules, over: Option<Duration>, judge: &Judge<'_>) -> Split<Joules> {
        let power = over.and_then(|over| Some((over, (total / over)?)));
        if self.now.zone.domain == Domain::Gpu {
            return self.split_gpu(total, power, judge);
        }
        let by_ratio = split(total, judge.busy_ratio);
        let (Some((over, watts)), Some(busy), IdleSplit::Fitted) =
            (power, judge.busy_ratio, judge.idle)
        else {
            return by_ratio;
        };
        self.fit.learn(busy, watts, over);
        match self.fit.level() {
            Some(level) => split_by_level(total, level, over),
            None => by_ratio,
        }
    }

    /// A graphics processor works when somebody uses it, whatever the CPUs do.
    fn split_gpu(
        &mut self,
        total: Joules,
        power: Option<(Duration, Watts)>,
        judge: &Judge<'_>,
    ) -> Split<Joules> {
        let index = self.now.zone.index;
        let used = judge.gpus.iter().find(|gpu| Some(gpu.index) == index);
        let (Some(gpu), Some((over, watts))) = (used, power) else {
            return split(total, None);
        };
        if gpu.unused {
            let least = self.unused.map_or(watts.0, |least| least.0.min(watts.0));
            self.unused = Some(Watts(least));
            return split(total, None);
        }
        let level = judge.gpu_idle.or(self.unused).unwrap_or(Watts::ZERO);
        split_by_level(total, level, over)
    }

    fn power(&self) -> Option<Split<Watts>> {
        let (energy, over) = self.last?;
        Some(Split {
            total: (energy.total / over)?,
            active: (energy.active / over)?,
            idle: (energy.idle / over)?,
        })
    }
}
