//! A source of which only some zones are wanted.

use std::time::Duration;

use crate::energy::{Domain, EnergySource, Reading, Zone};
use crate::provenance::Provenance;

/// Another source without the zones of other domains.
pub(super) struct Only {
    source: Box<dyn EnergySource>,
    zones: Vec<Zone>,
    /// Where each of them stands in the source.
    places: Vec<usize>,
    readings: Vec<Reading>,
}

impl Only {
    /// The zones of these domains; `None` where the source has none of them.
    pub(super) fn of(source: Box<dyn EnergySource>, domains: &[Domain]) -> Option<Self> {
        let wanted = source
            .zones()
            .iter()
            .enumerate()
            .filter(|(_, zone)| domains.contains(&zone.domain));
        let (places, zones): (Vec<usize>, Vec<Zone>) =
            wanted.map(|(place, zone)| (place, zone.clone())).unzip();
        (!zones.is_empty()).then_some(Self {
            source,
            zones,
            places,
            readings: Vec::new(),
        })
    }
}

impl EnergySource for Only {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, index: usize) -> Provenance {
        let place = self.places.get(index).copied().unwrap_or(usize::MAX);
        self.source.provenance(place)
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        self.source.read(now, &mut self.readings);
        let mut place = 0;
        readings.clear();
        readings.extend(self.readings.drain(..).filter(|_| {
            place += 1;
            self.places.contains(&(place - 1))
        }));
    }
}
