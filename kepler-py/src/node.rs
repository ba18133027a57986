//! The machine of a sample, as records.

use std::collections::BTreeMap;

use kepler_core::Watts;
use kepler_core::attribution::{Residual, Split};
use kepler_core::monitor as core;
use kepler_core::usage::{Counter, CounterSet, Counters};
use pyo3::prelude::*;

use crate::provenance::Provenance;
use crate::record::record;

/// Counts by counter name; a counter that is not collected here is absent.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

record! {
    /// One metered part of the machine. Joules are since the monitor started, watts of the last interval.
    Zone {
        /// The name its meter gives it, such as `package-0`.
        name: String,
        /// What kind of part it is: psys, package, core, uncore, dram, platform or gpu.
        domain: &'static str,
        /// The socket or device number, where the name tells one.
        index: Option<u32>,
        /// The die in the socket, where the name tells one.
        die: Option<u32>,
        /// Where the figure is read.
        path: String,
        /// All energy.
        joules: f64,
        /// What the work cost.
        active_joules: f64,
        /// What it would have cost without work.
        idle_joules: f64,
        /// Mean power; None when the zone could not be read in the last interval.
        watts: Option<f64>,
        /// Mean power of the work.
        active_watts: Option<f64>,
        /// Mean power without the work.
        idle_watts: Option<f64>,
        /// Intervals in which the meter could not be read.
        failures: u64,
        /// Steps of the counter that were not believed.
        refused: u64,
        /// Intervals in which the counter may have wrapped more than once.
        ambiguous: u64,
        /// Where the figures come from.
        provenance: Py<Provenance>,
    }
}

record! {
    /// All zones of one domain. Domains overlap: they are not to be added up.
    DomainEnergy {
        /// All energy since the monitor started.
        joules: f64,
        /// What the work cost.
        active_joules: f64,
        /// What it would have cost without work.
        idle_joules: f64,
        /// Mean power of the last interval; None when no zone could be read.
        watts: Option<f64>,
        /// Mean power of the work.
        active_watts: Option<f64>,
        /// Mean power without the work.
        idle_watts: Option<f64>,
        /// Active joules that no process was charged with, by cause.
        residual: BTreeMap<&'static str, f64>,
        /// Idle joules that no process carries.
        idle_residual: f64,
        /// Where the figures come from.
        provenance: Py<Provenance>,
    }
}

record! {
    /// The machine.
    Node {
        /// Every zone, apart.
        zones: Vec<Py<Zone>>,
        /// Zones put together by domain.
        domains: BTreeMap<&'static str, Py<DomainEnergy>>,
        /// Online CPUs.
        cpus: u32,
        /// Busy share of the CPU time in the last interval, 0 to 1; None on the first sample.
        busy_ratio: Option<f64>,
        /// Busy CPU time since the monitor started.
        busy_seconds: f64,
        /// Busy time of the last interval that nothing accounts for, as a share of busy time.
        unexplained_ratio: Option<f64>,
        /// Events since the monitor started.
        counters: Counts,
    }
}

impl Node {
    pub(crate) fn new(py: Python<'_>, snapshot: &core::Snapshot) -> PyResult<Py<Self>> {
        let node = &snapshot.node;
        let domains = node
            .domains
            .iter()
            .map(|d| Ok((d.domain.as_str(), DomainEnergy::new(py, d)?)))
            .collect::<PyResult<_>>()?;
        Py::new(
            py,
            Self {
                zones: node
                    .zones
                    .iter()
                    .map(|zone| Zone::new(py, zone))
                    .collect::<PyResult<_>>()?,
                domains,
                cpus: node.usage.cpus,
                busy_ratio: node.busy_ratio,
                busy_seconds: node.busy.as_secs_f64(),
                unexplained_ratio: node.unexplained_ratio,
                counters: counts(&node.counters, snapshot.collected),
            },
        )
    }
}

impl Zone {
    fn new(py: Python<'_>, from: &core::ZoneSnapshot) -> PyResult<Py<Self>> {
        let power = from.power;
        Py::new(
            py,
            Self {
                name: from.zone.name.clone(),
                domain: from.zone.domain.as_str(),
                index: from.zone.index,
                die: from.zone.die,
                path: from.zone.path.clone(),
                joules: from.energy.total.0,
                active_joules: from.energy.active.0,
                idle_joules: from.energy.idle.0,
                watts: power.map(|p| p.total.0),
                active_watts: power.map(|p| p.active.0),
                idle_watts: power.map(|p| p.idle.0),
                failures: from.failures,
                refused: from.refused,
                ambiguous: from.ambiguous,
                provenance: Provenance::new(py, &from.provenance)?,
            },
        )
    }
}

impl DomainEnergy {
    fn new(py: Python<'_>, from: &core::DomainSnapshot) -> PyResult<Py<Self>> {
        let power: Option<Split<Watts>> = from.power;
        Py::new(
            py,
            Self {
                joules: from.energy.total.0,
                active_joules: from.energy.active.0,
                idle_joules: from.energy.idle.0,
                watts: power.map(|p| p.total.0),
                active_watts: power.map(|p| p.active.0),
                idle_watts: power.map(|p| p.idle.0),
                residual: residual(&from.residual),
                idle_residual: from.idle_residual.0,
                provenance: Provenance::new(py, &from.provenance)?,
            },
        )
    }
}

pub(crate) fn counts(counters: &Counters, collected: CounterSet) -> Counts {
    let named = Counter::ALL
        .iter()
        .filter(|c| **c != Counter::CpuTime && collected.contains(**c));
    named.map(|c| (c.as_str(), counters.get(*c))).collect()
}

fn residual(from: &Residual) -> BTreeMap<&'static str, f64> {
    BTreeMap::from([
        ("unnamed", from.unnamed.0),
        ("lost", from.lost.0),
        ("interrupts", from.interrupts.0),
        ("refused", from.refused.0),
        ("unexplained", from.unexplained.0),
    ])
}
