//! Command line arguments; where Kepler 0.11 has the same one, its name and meaning.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use kepler_core::Host;
use kepler_core::energy::{Meters, Rapl};
use kepler_core::metrics::{Group, Level, Selection};
use kepler_core::monitor::{Monitor, MonitorBuilder, UsageChoice};
use kepler_service::log::LogArgs;
use kepler_service::{WebArgs, duration};

/// Energy of processes, containers and virtual machines as Prometheus metrics, at http://0.0.0.0:28282/metrics where no
/// address is given
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) web: WebArgs,
    /// Time between two samples
    #[arg(long = "monitor.interval", value_name = "DURATION", default_value = "5s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// How many ended processes keep series of their own; negative for all
    #[arg(
        long = "monitor.max-terminated",
        value_name = "COUNT",
        default_value_t = 500,
        allow_negative_numbers = true
    )]
    max_terminated: i64,
    /// How long ended workloads keep their series
    #[arg(long = "monitor.retention", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    retention: Duration,
    /// Where CPU time comes from
    #[arg(long = "monitor.usage", value_name = "SOURCE", default_value = "auto")]
    usage: Usage,
    /// Where /proc is mounted
    #[arg(long = "host.procfs", value_name = "PATH", default_value = "/proc")]
    procfs: PathBuf,
    /// Where /sys is mounted
    #[arg(long = "host.sysfs", value_name = "PATH", default_value = "/sys")]
    sysfs: PathBuf,
    /// Read RAPL by perf events where powercap cannot be read
    #[arg(long = "rapl.perf")]
    rapl_perf: bool,
    /// Read RAPL by model-specific registers where nothing else can be read
    #[arg(long = "rapl.msr")]
    rapl_msr: bool,
    /// Levels to export: node, process, container, vm, pod or all
    #[arg(long = "metrics", value_name = "LEVEL", value_delimiter = ',', default_value = "all", value_parser = levels)]
    levels: Vec<Levels>,
    /// Families to export: cpu (kepler_*_cpu_*), joules (kepler_*_joules_total), process-joules (the same of processes),
    /// counters (bpf_* and hardware), aliases (names of older guides), own (sources and self-metrics)
    #[arg(
        long = "metrics.families",
        value_name = "GROUP",
        value_delimiter = ',',
        default_value = "cpu,joules,own"
    )]
    families: Vec<Group>,
    /// Value of the labels node_name and instance; the host name by default
    #[arg(
        long = "node-name",
        alias = "kube.node-name",
        value_name = "NAME",
        env = "NODE_NAME"
    )]
    pub(crate) node_name: Option<String>,
    /// A made-up meter of constant power, to try things out
    #[arg(long)]
    fake: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Usage {
    Auto,
    Ebpf,
    Procfs,
}

/// One value of `--metrics`.
#[derive(Clone, Debug)]
struct Levels(Vec<Level>);

impl Args {
    /// The machine to measure.
    pub(crate) fn host(&self) -> Host {
        Host::default()
            .with_proc(&self.procfs)
            .with_sys(&self.sysfs)
    }

    /// What to export.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            groups: self.families.clone(),
            levels: self.levels.iter().flat_map(|l| l.0.clone()).collect(),
        }
    }

    /// What to measure it with.
    pub(crate) fn monitor(&self, host: Host) -> MonitorBuilder {
        let monitor = Monitor::builder()
            .host(host)
            .retention(self.retention)
            .ended_limit(usize::try_from(self.max_terminated).unwrap_or(usize::MAX))
            .meters(self.meters())
            .usage(match self.usage {
                Usage::Auto => UsageChoice::Auto,
                Usage::Ebpf => UsageChoice::Ebpf,
                Usage::Procfs => UsageChoice::Procfs,
            });
        if self.fake { monitor.fake() } else { monitor }
    }

    fn meters(&self) -> Meters {
        let mut meters = Meters::default();
        meters.rapl.extend(self.rapl_perf.then_some(Rapl::Perf));
        meters.rapl.extend(self.rapl_msr.then_some(Rapl::Msr));
        meters
    }
}

fn levels(text: &str) -> Result<Levels, kepler_core::Error> {
    match text {
        "all" => Ok(Levels(Level::ALL.into())),
        name => Ok(Levels(vec![name.parse()?])),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval) {
        Ok(interval)
    } else {
        Err("must be from 100ms to 1h".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_bounds() {
        assert_eq!(interval("1.5s"), Ok(Duration::from_millis(1500)));
        for wrong in ["0s", "99ms", "61m", "5"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn levels_and_families_are_lists() {
        let args = [
            "x",
            "--metrics=node,vm",
            "--metrics",
            "pod",
            "--metrics.families=counters,cpu",
        ];
        let selection = Args::try_parse_from(args).unwrap().selection();
        assert_eq!(selection.levels, [Level::Node, Level::Vm, Level::Pod]);
        assert_eq!(selection.groups, [Group::Counters, Group::Cpu]);
        assert_eq!(
            Args::try_parse_from(["x"]).unwrap().selection(),
            Selection::default()
        );
    }
}
