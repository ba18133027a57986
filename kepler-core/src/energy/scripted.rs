//! Zones that say what they were told to: for tests and demonstrations.

use std::collections::VecDeque;
use std::time::Duration;

use crate::energy::{Domain, EnergySource, Reading, Zone};
use crate::provenance::Provenance;
use crate::units::Watts;

/// A scripted energy source, `fake` in provenance.
///
/// ```
/// use std::time::Duration;
/// use kepler_core::{Joules, Watts};
/// use kepler_core::energy::{Domain, EnergySource, Reading, Scripted};
///
/// let mut source = Scripted::constant(&[(Domain::Package, Watts(30.0))]);
/// let mut readings = Vec::new();
/// source.read(Duration::from_secs(1), &mut readings);
/// assert!(matches!(readings[0], Reading::Baseline));
/// source.read(Duration::from_secs(3), &mut readings);
/// assert!(matches!(readings[0], Reading::Energy { joules: Joules(60.0), .. }));
/// ```
#[derive(Debug)]
pub struct Scripted {
    zones: Vec<Zone>,
    watts: Vec<Watts>,
    looks: VecDeque<Vec<Reading>>,
    last: Option<Duration>,
}

impl Scripted {
    /// The name in provenance.
    pub const NAME: &'static str = "fake";

    /// Zones that draw a constant power, one for each entry. Several of one domain are its sockets 0, 1, ...
    pub fn constant(zones: &[(Domain, Watts)]) -> Self {
        let mut made: Vec<Zone> = Vec::with_capacity(zones.len());
        for (domain, _) in zones {
            let index = made.iter().filter(|z| z.domain == *domain).count();
            made.push(Zone {
                name: match domain {
                    Domain::Package => format!("package-{index}"),
                    _ => domain.to_string(),
                },
                domain: *domain,
                index: u32::try_from(index).ok(),
                die: None,
                path: format!("fake:{}", made.len()),
                max: None,
            });
        }
        let watts = zones.iter().map(|(_, watts)| *watts).collect();
        Self::new(made, watts, VecDeque::new())
    }

    /// Zones that give each of `looks` once, in order, a reading a zone. After the last one, and where a look has no reading
    /// for a zone, the zone uses nothing.
    pub fn looks(zones: Vec<Zone>, looks: impl IntoIterator<Item = Vec<Reading>>) -> Self {
        let watts = vec![Watts::ZERO; zones.len()];
        Self::new(zones, watts, looks.into_iter().collect())
    }

    fn new(zones: Vec<Zone>, watts: Vec<Watts>, looks: VecDeque<Vec<Reading>>) -> Self {
        Self {
            zones,
            watts,
            looks,
            last: None,
        }
    }
}

impl EnergySource for Scripted {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, _index: usize) -> Provenance {
        Provenance::measured(Self::NAME)
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        readings.clear();
        let over = self.last.map(|last| now.saturating_sub(last));
        self.last = Some(now);
        if let Some(look) = self.looks.pop_front() {
            readings.extend(look.into_iter().take(self.zones.len()));
        }
        for watts in &self.watts[readings.len()..] {
            readings.push(over.map_or(Reading::Baseline, |over| Reading::Energy {
                joules: *watts * over,
                over,
                ambiguous: false,
            }));
        }
    }
}
