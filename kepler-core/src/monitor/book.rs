//! The raw totals of every zone: what its meter gave since it was opened. Shared by a monitor and its measurements, which
//! each look at differences between two of their own readings.

use std::sync::Arc;
use std::time::Duration;

use crate::energy::{self, Domain, EnergySource, PowerPart, Reading, Zone};
use crate::modeled::{GivenModel, Modeled};
use crate::note::Note;
use crate::provenance::Provenance;
use crate::units::Joules;
use crate::usage::{Counters, NodeReader, NodeUsage};

/// Energy sources with the running totals of their zones. Each domain is read from one source: the first that has it.
pub(super) struct Book {
    sources: Vec<Source>,
    zones: Vec<ZoneTotal>,
    domains: Vec<Domain>,
    readings: Vec<Reading>,
    /// Meters that stopped to answer or answer again.
    news: Vec<Note>,
    clock: Clock,
}

/// Tells the time since boot.
pub(super) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A source and, for each of its zones, where it stands in the book.
struct Source {
    meter: Meter,
    slots: Vec<Option<usize>>,
    /// Why nothing of it could be read last.
    trouble: Option<String>,
}

/// A meter, or the model that stands in for one.
pub(super) enum Meter {
    /// Hardware, or a script.
    Measured(Box<dyn EnergySource>),
    /// A power model, and what it must be told of the machine.
    Modeled(Box<ModeledMeter>),
}

/// A power model fed with what the machine did.
pub(super) struct ModeledMeter {
    model: Modeled,
    node: NodeReader,
    /// What the machine did when it was last looked at over an interval long enough to judge.
    usage: NodeUsage,
    looked: Option<Duration>,
    fed: Duration,
    /// What was counted of the machine in the last sample, and how long that was.
    counted: (Counters, Duration),
}

/// One zone's running total.
#[derive(Clone)]
pub(super) struct ZoneTotal {
    pub(super) zone: Arc<Zone>,
    /// Its place in [`Book::domains`].
    pub(super) domain: usize,
    /// Energy since the book was opened; never falls.
    pub(super) joules: Joules,
    /// When the meter was last read well; `None` before the baseline.
    pub(super) at: Option<Duration>,
    pub(super) provenance: Arc<Provenance>,
    pub(super) failures: u64,
    pub(super) refused: u64,
    pub(super) ambiguous: u64,
    /// How often the meter began anew: what passed since the look before is unknown.
    pub(super) baselines: u64,
}

/// `/proc/stat` steps by 10 ms a CPU: a shorter interval says little about how busy the machine was.
const BUSY_STEP: Duration = Duration::from_millis(100);

impl ModeledMeter {
    pub(super) fn new(model: Modeled, node: NodeReader) -> Self {
        let usage = NodeUsage::default();
        Self {
            model,
            node,
            usage,
            looked: None,
            fed: Duration::ZERO,
            counted: Default::default(),
        }
    }

    /// Tells the model how busy the machine was since it was told last. Between two readings that are close together the
    /// machine is taken to be as busy as when it was last looked at, and to do what was counted in the last sample.
    fn feed(&mut self, now: Duration) {
        let unknown = self.usage.busy_ratio().is_none();
        if self
            .looked
            .is_none_or(|looked| unknown || now.saturating_sub(looked) >= BUSY_STEP)
            && self.node.read(now, &mut self.usage).is_ok()
            && self.looked.replace(now).is_none()
        {
            self.fed = now;
        }
        let interval = now.saturating_sub(self.fed);
        let (counters, over) = &self.counted;
        let since = NodeUsage {
            interval,
            counters: counters.in_proportion(interval, *over),
            ..self.usage.clone()
        };
        self.model.feed(&since);
        self.fed = now;
    }
}

impl Meter {
    fn source(&self) -> &dyn EnergySource {
        match self {
            Self::Measured(source) => source.as_ref(),
            Self::Modeled(modeled) => &modeled.model,
        }
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        match self {
            Self::Measured(source) => source.read(now, readings),
            Self::Modeled(modeled) => {
                modeled.feed(now);
                modeled.model.read(now, readings);
            }
        }
    }
}

impl Book {
    pub(super) fn new(meters: Vec<Meter>, clock: Clock) -> Self {
        let mut domains: Vec<Domain> = Vec::new();
        // (source, zone of the source, the zone): those of a domain that no earlier source has.
        let mut chosen: Vec<(usize, usize, Zone)> = Vec::new();
        for (s, meter) in meters.iter().enumerate() {
            let zones = meter.source().zones();
            let fresh = |zone: &Zone| !domains.contains(&zone.domain);
            chosen.extend(
                zones
                    .iter()
                    .enumerate()
                    .filter(|(_, z)| fresh(z))
                    .map(|(z, zone)| (s, z, zone.clone())),
            );
            domains.extend(zones.iter().map(|z| z.domain));
        }
        domains.sort_unstable();
        domains.dedup();
        let mut sources: Vec<Source> = meters
            .into_iter()
            .map(|meter| Source {
                slots: vec![None; meter.source().zones().len()],
                meter,
                trouble: None,
            })
            .collect();
        let mut zones = Vec::with_capacity(chosen.len());
        for (s, z, zone) in chosen {
            sources[s].slots[z] = Some(zones.len());
            zones.push(ZoneTotal {
                domain: domains.partition_point(|d| *d < zone.domain),
                provenance: Arc::new(sources[s].meter.source().provenance(z)),
                zone: Arc::new(zone),
                joules: Joules::ZERO,
                at: None,
                failures: 0,
                refused: 0,
                ambiguous: 0,
                baselines: 0,
            });
        }
        Self {
            sources,
            zones,
            domains,
            readings: Vec::new(),
            news: Vec::new(),
            clock,
        }
    }

    /// Models learn what was counted of the machine.
    pub(super) fn tell(&mut self, node: &NodeUsage) {
        for modeled in self.modeled() {
            modeled.counted = (node.counters, node.interval);
        }
    }

    /// A model takes over from the embedded one.
    pub(super) fn give(&mut self, model: GivenModel) {
        if let Some(modeled) = self.modeled().next() {
            modeled.model.give(model);
        }
    }

    fn modeled(&mut self) -> impl Iterator<Item = &mut ModeledMeter> {
        self.sources.iter_mut().filter_map(|s| match &mut s.meter {
            Meter::Modeled(modeled) => Some(modeled.as_mut()),
            Meter::Measured(_) => None,
        })
    }

    /// Whether a model stands in for meters.
    pub(super) fn has_model(&self) -> bool {
        self.sources
            .iter()
            .any(|s| matches!(s.meter, Meter::Modeled(_)))
    }

    /// What tells the time.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether all figures come from a model, but for those of graphics processors.
    pub(super) fn is_modeled(&self) -> bool {
        let only_gpus = |s: &Source| {
            let zones = s.meter.source().zones();
            !zones.is_empty() && zones.iter().all(|zone| zone.domain == Domain::Gpu)
        };
        self.sources
            .iter()
            .all(|s| matches!(s.meter, Meter::Modeled(_)) || only_gpus(s))
    }

    /// The domains that are read, in the order of [`Domain`].
    pub(super) fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// What is to be said of meters since the last call.
    pub(super) fn news(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.news)
    }

    /// Every zone as of the last reading.
    pub(super) fn zones(&self) -> &[ZoneTotal] {
        &self.zones
    }

    /// Names of the sources that give at least one zone.
    pub(super) fn names(&self) -> Vec<String> {
        let in_use = self
            .sources
            .iter()
            .filter(|s| s.slots.iter().any(Option::is_some));
        in_use.map(|s| s.meter.source().name().to_owned()).collect()
    }

    /// What the power of zones is made of, where meters tell.
    pub(super) fn parts(&self) -> Vec<PowerPart> {
        let used = self
            .sources
            .iter()
            .filter(|s| s.slots.iter().any(Option::is_some));
        used.flat_map(|s| s.meter.source().parts().to_vec())
            .collect()
    }

    /// Reads every zone and books what came.
    pub(super) fn read(&mut self) {
        for source in &mut self.sources {
            let now = (self.clock)();
            source.meter.read(now, &mut self.readings);
            self.news.extend(source.news(&self.readings));
            let meter = source.meter.source();
            for (z, reading) in self.readings.drain(..).enumerate() {
                let Some(slot) = source.slots.get(z).copied().flatten() else {
                    continue;
                };
                let zone = &mut self.zones[slot];
                zone.book(&reading, now);
                let provenance = meter.provenance(z);
                if *zone.provenance != provenance {
                    zone.provenance = Arc::new(provenance);
                }
            }
        }
    }
}

impl Source {
    /// What is to be said of these readings: that none of them came, and why, where that is new, or that they come again.
    fn news(&mut self, readings: &[Reading]) -> Option<Note> {
        let Meter::Measured(meter) = &self.meter else {
            return None;
        };
        let used = readings.iter().zip(&self.slots);
        let used = used.filter_map(|(reading, slot)| slot.map(|_| reading));
        let mut failed = None;
        for reading in used {
            let Reading::Failed(error) = reading else {
                failed = None;
                break;
            };
            failed.get_or_insert(error);
        }
        let trouble = failed.map(ToString::to_string);
        let note = match failed {
            _ if trouble == self.trouble => return None,
            Some(error) => Note::off(meter.name(), error, ""),
            None => energy::found(meter.as_ref()),
        };
        self.trouble = trouble;
        Some(note)
    }
}

impl ZoneTotal {
    fn book(&mut self, reading: &Reading, now: Duration) {
        match reading {
            Reading::Baseline => {
                self.baselines += 1;
                self.at = Some(now);
            }
            Reading::Energy {
                joules, ambiguous, ..
            } => {
                self.joules += *joules;
                self.at = Some(now);
                self.ambiguous += u64::from(*ambiguous);
            }
            Reading::Refused => {
                self.refused += 1;
                self.at = Some(now);
            }
            Reading::Failed(_) => self.failures += 1,
        }
    }
}
