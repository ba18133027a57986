//! What each zone used between two samples of one monitor, split into active and idle.

use std::sync::Arc;
use std::time::Duration;

use crate::attribution::{Split, split};
use crate::provenance::Provenance;
use crate::units::{Joules, Watts};

use super::book::{Book, ZoneTotal};
use super::snapshot::ZoneSnapshot;

/// One monitor's view of the zones of a [`Book`].
#[derive(Default)]
pub(super) struct Zones {
    zones: Vec<ZoneState>,
    domains: usize,
}

struct ZoneState {
    now: ZoneTotal,
    energy: Split<Joules>,
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
    /// Takes the book's totals as they are now; what came since the last time is split by the machine's busy ratio. The
    /// first time is the baseline.
    pub(super) fn advance(&mut self, book: &Book, busy_ratio: Option<f64>) {
        self.domains = book.domains().len();
        if self.zones.is_empty() {
            let baseline = |now: &ZoneTotal| ZoneState {
                now: now.clone(),
                energy: Split::default(),
                last: None,
            };
            self.zones = book.zones().iter().map(baseline).collect();
            return;
        }
        for (mine, now) in self.zones.iter_mut().zip(book.zones()) {
            mine.advance(now, busy_ratio);
        }
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
    fn advance(&mut self, now: &ZoneTotal, busy_ratio: Option<f64>) {
        let energy = split(now.joules - self.now.joules, busy_ratio);
        self.energy = self.energy + energy;
        let over = now
            .at
            .zip(self.now.at)
            .map(|(now, before)| now.saturating_sub(before));
        let steady = now.refused == self.now.refused && now.baselines == self.now.baselines;
        let believed = now.at != self.now.at && steady;
        self.last = over.filter(|_| believed).map(|over| (energy, over));
        self.now.clone_from(now);
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
