//! Which machine is measured and with what: the flags that every command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kepler_core::Host;
use kepler_core::energy::{Domain, Meters, Rapl};
use kepler_core::monitor::{Diagnosis, Monitor, MonitorBuilder, UsageChoice, doctor_with};

/// The machine and its meters.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct Machine {
    /// Where /proc is mounted
    #[arg(
        long = "host.procfs",
        value_name = "PATH",
        default_value = "/proc",
        global = true
    )]
    procfs: PathBuf,
    /// Where /sys is mounted
    #[arg(
        long = "host.sysfs",
        value_name = "PATH",
        default_value = "/sys",
        global = true
    )]
    sysfs: PathBuf,
    /// Where CPU time comes from
    #[arg(
        long = "monitor.usage",
        value_name = "SOURCE",
        default_value = "auto",
        global = true
    )]
    usage: Usage,
    /// Meters to look for; RAPL is read first in any order
    #[arg(
        long = "cpu.preferred-meters",
        value_name = "METER",
        value_delimiter = ',',
        default_value = "rapl,hwmon",
        global = true
    )]
    meters: Vec<MeterKind>,
    /// Zones of RAPL to read: psys, package, core, uncore, dram; all by default
    #[arg(long = "rapl.zones", value_name = "ZONE", value_delimiter = ',', value_parser = zone, global = true)]
    zones: Vec<Domain>,
    /// Read RAPL by perf events where powercap cannot be read
    #[arg(long = "rapl.perf", global = true)]
    rapl_perf: bool,
    /// Read RAPL by model-specific registers where nothing else can be read
    #[arg(long = "rapl.msr", global = true)]
    rapl_msr: bool,
    /// A made-up meter of constant power, to try things out
    #[arg(long, global = true)]
    fake: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Usage {
    Auto,
    Ebpf,
    Procfs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MeterKind {
    Rapl,
    Hwmon,
}

impl Machine {
    /// The machine to measure.
    pub(crate) fn host(&self) -> Host {
        Host::default()
            .with_proc(&self.procfs)
            .with_sys(&self.sysfs)
    }

    /// What to measure it with.
    pub(crate) fn monitor(&self) -> MonitorBuilder {
        let usage = match self.usage {
            Usage::Auto => UsageChoice::Auto,
            Usage::Ebpf => UsageChoice::Ebpf,
            Usage::Procfs => UsageChoice::Procfs,
        };
        let monitor = Monitor::builder()
            .host(self.host())
            .meters(self.meters())
            .usage(usage);
        if self.fake { monitor.fake() } else { monitor }
    }

    /// What works on it, for a monitor as it was asked for.
    pub(crate) fn diagnosis(&self) -> Result<Diagnosis, String> {
        if self.fake {
            return Err("a made-up meter needs no doctor: leave out --fake".to_owned());
        }
        let mut diagnosis = doctor_with(&self.host(), &self.meters()).map_err(|e| e.to_string())?;
        diagnosis.by_ebpf &= self.usage != Usage::Procfs;
        Ok(diagnosis)
    }

    /// Whether nothing but eBPF will do.
    pub(crate) fn needs_ebpf(&self) -> bool {
        self.usage == Usage::Ebpf
    }

    fn meters(&self) -> Meters {
        let mut meters = Meters {
            hwmon: self.meters.contains(&MeterKind::Hwmon),
            zones: self.zones.clone(),
            ..Meters::default()
        };
        if !self.meters.contains(&MeterKind::Rapl) {
            meters.rapl.clear();
        }
        meters.rapl.extend(self.rapl_perf.then_some(Rapl::Perf));
        meters.rapl.extend(self.rapl_msr.then_some(Rapl::Msr));
        meters
    }
}

fn zone(name: &str) -> Result<Domain, String> {
    const OF_RAPL: [Domain; 5] = [
        Domain::Psys,
        Domain::Package,
        Domain::Core,
        Domain::Uncore,
        Domain::Dram,
    ];
    let found = OF_RAPL
        .into_iter()
        .find(|domain| domain.as_str().eq_ignore_ascii_case(name));
    found.ok_or_else(|| "known: psys, package, core, uncore, dram".to_owned())
}
