//! A powercap tree that a test may change, and what RAPL gives there.

use std::time::Duration;

use kepler_core::energy::{EnergySource, Powercap, Reading};

use crate::machine_copy::MachineCopy;

/// A machine with an open [`Powercap`] and a clock of its own.
pub(crate) struct Bench {
    pub(crate) machine: MachineCopy,
    pub(crate) rapl: Powercap,
    now: Duration,
    pub(crate) readings: Vec<Reading>,
}

impl Bench {
    /// Opens the machine and takes the baseline.
    pub(crate) fn new(name: &str) -> Self {
        let mut bench = Self::unread(MachineCopy::of(&format!("powercap-{name}")));
        let first = bench.after(0);
        assert!(
            first.iter().all(|r| matches!(r, Reading::Baseline)),
            "{first:?}"
        );
        bench
    }

    pub(crate) fn unread(machine: MachineCopy) -> Self {
        Self {
            rapl: Powercap::open(&machine.host()).unwrap(),
            machine,
            now: Duration::from_secs(1000),
            readings: Vec::new(),
        }
    }

    pub(crate) fn set(&self, zone: &str, energy_uj: u64) {
        self.machine.set(&energy(zone), energy_uj);
    }

    /// Lets seconds pass and reads.
    pub(crate) fn after(&mut self, seconds: u64) -> &[Reading] {
        self.now += Duration::from_secs(seconds);
        self.rapl.read(self.now, &mut self.readings);
        &self.readings
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let zones = self.rapl.zones().iter();
        zones
            .map(|z| {
                let number = |n: Option<u32>| n.map_or("-".into(), |n| n.to_string());
                format!(
                    "{} {} {} {}",
                    z.name,
                    z.domain,
                    number(z.index),
                    number(z.die)
                )
            })
            .collect()
    }
}

pub(crate) fn energy(zone: &str) -> String {
    format!("sys/class/powercap/{zone}/energy_uj")
}

/// The joules of each zone, where every one of them has some and is sure of them.
#[track_caller]
pub(crate) fn joules(readings: &[Reading]) -> Vec<f64> {
    readings
        .iter()
        .map(|reading| match reading {
            Reading::Energy {
                joules,
                ambiguous: false,
                ..
            } => joules.0,
            other => panic!("{other:?}"),
        })
        .collect()
}
