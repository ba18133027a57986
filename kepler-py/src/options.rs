//! The options of monitors and meters, as keyword arguments.

use std::path::PathBuf;
use std::time::Duration;

use kepler_core::energy::{Meters, Rapl};
use kepler_core::monitor::{Monitor, MonitorBuilder, UsageChoice};
use kepler_core::usage::CounterSet;
use kepler_core::{Error, Host, Result};
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::errors::to_py;

/// Where a machine's files are: one folder that looks like a machine, or single roots.
#[derive(Default)]
pub(crate) struct Roots {
    pub(crate) root: Option<PathBuf>,
    pub(crate) proc: Option<PathBuf>,
    pub(crate) sys: Option<PathBuf>,
}

impl Roots {
    pub(crate) fn host(self) -> Host {
        let mut host = self.root.map_or_else(Host::default, Host::at);
        if let Some(proc) = self.proc {
            host = host.with_proc(proc);
        }
        if let Some(sys) = self.sys {
            host = host.with_sys(sys);
        }
        host
    }
}

/// A builder with the energy sources that were asked for.
pub(crate) fn energy(
    roots: Roots,
    fake: bool,
    rapl: &[String],
    hwmon: bool,
) -> Result<MonitorBuilder> {
    let way = |name: &String| {
        let found = Rapl::ALL.into_iter().find(|way| way.as_str() == name);
        found.ok_or_else(|| Error::InvalidInput {
            what: "rapl".to_owned(),
            why: format!(
                "{name} is not one of {}",
                Rapl::ALL.map(Rapl::as_str).join(", ")
            ),
        })
    };
    let rapl = rapl.iter().map(way).collect::<Result<_>>()?;
    let builder = Monitor::builder().host(roots.host()).meters(Meters {
        rapl,
        hwmon,
        ..Meters::default()
    });
    Ok(if fake { builder.fake() } else { builder })
}

pub(crate) fn usage(name: &str) -> Result<UsageChoice> {
    match name {
        "auto" => Ok(UsageChoice::Auto),
        "ebpf" => Ok(UsageChoice::Ebpf),
        "procfs" => Ok(UsageChoice::Procfs),
        _ => Err(Error::InvalidInput {
            what: "usage".to_owned(),
            why: format!("{name} is not auto, ebpf or procfs"),
        }),
    }
}

pub(crate) fn counters(names: &[String]) -> Result<CounterSet> {
    names.iter().map(|name| name.parse()).collect()
}

/// A whole number of Python, which has no limits, as one that has.
pub(crate) fn whole<T: TryFrom<u64>>(what: &str, number: &Bound<'_, PyInt>) -> PyResult<T> {
    let fits = number
        .extract::<u64>()
        .ok()
        .and_then(|fits| fits.try_into().ok());
    fits.ok_or_else(|| {
        to_py(Error::InvalidInput {
            what: what.to_owned(),
            why: format!("{number} is negative or too large"),
        })
    })
}

pub(crate) fn seconds(what: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| Error::InvalidInput {
        what: what.to_owned(),
        why: error.to_string(),
    })
}
