//! The options of monitors and meters.

use std::time::Duration;

use kepler_core::energy::{Meters, Rapl};
use kepler_core::monitor::{Monitor, MonitorBuilder, UsageChoice};
use kepler_core::{Error, Host, Result};
use napi_derive::napi;

/// Which meters are read, and where a machine's files are.
#[napi(object)]
#[derive(Clone, Default)]
pub struct MeterOptions {
    /// A folder that stands for `/`, in containers and tests.
    pub root: Option<String>,
    /// A folder that stands for `/proc`.
    pub proc: Option<String>,
    /// A folder that stands for `/sys`.
    pub sys: Option<String>,
    /// A scripted meter of constant power, for tests and demonstrations.
    pub fake: Option<bool>,
    /// The ways to RAPL to try, in order, the first that works is used: `rapl-powercap` (alone by default), `rapl-perf`,
    /// `rapl-msr`.
    pub rapl: Option<Vec<String>>,
    /// Whether to look for power and energy sensors of the platform; on by default.
    pub hwmon: Option<bool>,
}

/// What a monitor watches and with what.
#[napi(object)]
#[derive(Clone, Default)]
pub struct MonitorOptions {
    /// A folder that stands for `/`, in containers and tests.
    pub root: Option<String>,
    /// A folder that stands for `/proc`.
    pub proc: Option<String>,
    /// A folder that stands for `/sys`.
    pub sys: Option<String>,
    /// A scripted meter of constant power, for tests and demonstrations.
    pub fake: Option<bool>,
    /// The ways to RAPL to try, in order: `rapl-powercap` (alone by default), `rapl-perf`, `rapl-msr`.
    pub rapl: Option<Vec<String>>,
    /// Whether to look for power and energy sensors of the platform; on by default.
    pub hwmon: Option<bool>,
    /// Where CPU time comes from: `ebpf` (exact), `procfs` (needs no privilege), or `auto`.
    #[napi(ts_type = "'auto' | 'ebpf' | 'procfs'")]
    pub usage: Option<String>,
    /// Counts wanted beyond CPU time, such as `page_cache_hits`. Their kernel hooks attach only then.
    pub counters: Option<Vec<String>>,
    /// How energy is split into active and idle: by the busy share of the CPU time (`usage-ratio`, the default), or by the
    /// power without work that is `fitted` to power and load.
    #[napi(ts_type = "'usage-ratio' | 'fitted'")]
    pub idle: Option<String>,
    /// How idle energy is handed to workloads: not at all (`none`, the default), `equal` to each, or by `usage`.
    #[napi(ts_type = "'none' | 'equal' | 'usage'")]
    pub idle_share: Option<String>,
    /// Seconds that ended workloads keep their totals; 600 by default.
    pub retention: Option<f64>,
    /// How many ended processes keep an entry of their own, the largest first; 500 by default.
    pub ended_limit: Option<u32>,
}

impl MeterOptions {
    pub(crate) fn host(&self) -> Host {
        let mut host = self.root.as_ref().map_or_else(Host::default, Host::at);
        if let Some(proc) = &self.proc {
            host = host.with_proc(proc);
        }
        if let Some(sys) = &self.sys {
            host = host.with_sys(sys);
        }
        host
    }

    pub(crate) fn builder(&self) -> Result<MonitorBuilder> {
        let mut meters = Meters::default();
        if let Some(names) = &self.rapl {
            meters.rapl = names.iter().map(|name| way(name)).collect::<Result<_>>()?;
        }
        meters.hwmon = self.hwmon.unwrap_or(meters.hwmon);
        let builder = Monitor::builder().host(self.host()).meters(meters);
        Ok(if self.fake.unwrap_or(false) {
            builder.fake()
        } else {
            builder
        })
    }
}

impl MonitorOptions {
    pub(crate) fn builder(self) -> Result<MonitorBuilder> {
        let meters = MeterOptions {
            root: self.root,
            proc: self.proc,
            sys: self.sys,
            fake: self.fake,
            rapl: self.rapl,
            hwmon: self.hwmon,
        };
        let mut builder = meters.builder()?;
        if let Some(name) = &self.usage {
            builder = builder.usage(usage(name)?);
        }
        if let Some(names) = &self.counters {
            builder = builder.counters(
                names
                    .iter()
                    .map(|name| name.parse())
                    .collect::<Result<_>>()?,
            );
        }
        if let Some(seconds) = self.retention {
            builder = builder.retention(
                Duration::try_from_secs_f64(seconds)
                    .map_err(|error| invalid("retention", error))?,
            );
        }
        if let Some(name) = &self.idle {
            builder = builder.idle(name.parse()?);
        }
        if let Some(name) = &self.idle_share {
            builder = builder.idle_share(name.parse()?);
        }
        if let Some(limit) = self.ended_limit {
            builder = builder.ended_limit(limit as usize);
        }
        Ok(builder)
    }
}

pub(crate) fn invalid(what: &str, why: impl ToString) -> Error {
    Error::InvalidInput {
        what: what.to_owned(),
        why: why.to_string(),
    }
}

fn way(name: &str) -> Result<Rapl> {
    let found = Rapl::ALL.into_iter().find(|way| way.as_str() == name);
    let names = Rapl::ALL.map(Rapl::as_str).join(", ");
    found.ok_or_else(|| invalid("rapl", format!("{name} is not one of {names}")))
}

fn usage(name: &str) -> Result<UsageChoice> {
    match name {
        "auto" => Ok(UsageChoice::Auto),
        "ebpf" => Ok(UsageChoice::Ebpf),
        "procfs" => Ok(UsageChoice::Procfs),
        _ => Err(invalid(
            "usage",
            format!("{name} is not auto, ebpf or procfs"),
        )),
    }
}
