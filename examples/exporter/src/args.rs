//! Command line arguments; where Kepler 0.11 has the same one, its name and meaning.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, CommandFactory, Parser};
use kepler_core::Joules;
use kepler_core::metrics::{Exposition, Group, Level, Selection};
use kepler_core::monitor::MonitorBuilder;
use kepler_service::log::LogArgs;
use kepler_service::{WebArgs, duration};

use crate::commands::Command;
use crate::duration::interval;
use crate::machine::Machine;
use crate::models::ModelArgs;
use crate::outputs::OutputArgs;
use crate::{kube, power};

/// Energy of processes, containers and virtual machines as Prometheus metrics, at http://0.0.0.0:28282/metrics where no
/// address is given
///
/// Every flag is also a key of the YAML file (web.listen-address: web.listenAddresses) and a variable (monitor.interval:
/// KEPLER_MONITOR_INTERVAL). The command line goes over variables, variables over the file.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// A YAML file of settings [variable: KEPLER_CONFIG_FILE]
    #[arg(long = "config.file", value_name = "FILE")]
    settings_file: Option<PathBuf>,
    /// Check the settings, print what holds and where it comes from, and end
    #[arg(long = "config.check")]
    pub(crate) config_check: bool,
    #[command(flatten)]
    pub(crate) web: WebArgs,
    /// Time between two samples
    #[arg(long = "monitor.interval", value_name = "DURATION", default_value = "5s", value_parser = interval)]
    interval: Duration,
    /// How many ended processes keep series of their own; negative for all
    #[arg(
        long = "monitor.max-terminated",
        value_name = "COUNT",
        default_value_t = 500,
        allow_negative_numbers = true
    )]
    max_terminated: i64,
    /// Ended processes below this energy in joules keep no series of their own; without it, energy decides nothing
    #[arg(long = "monitor.min-terminated-energy-threshold", value_name = "JOULES", value_parser = energy)]
    min_terminated: Option<f64>,
    /// How long ended workloads keep their series
    #[arg(long = "monitor.retention", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    retention: Duration,
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
    /// Labels of workloads' series, such as comm,pod_name; all by default. What they no longer tell apart is one series
    #[arg(long = "metrics.labels", value_name = "LABEL", value_delimiter = ',', value_parser = Selection::label)]
    labels: Option<Vec<&'static str>>,
    /// Value of the labels node_name and instance; the host name by default
    #[arg(
        long = "node-name",
        alias = "kube.node-name",
        value_name = "NAME",
        global = true
    )]
    pub(crate) node_name: Option<String>,
    /// Workloads of each level with series of their own, the largest first; the others together
    #[arg(long = "metrics.top", value_name = "N")]
    pub(crate) top: Option<usize>,
    #[command(flatten)]
    pub(crate) machine: Machine,
    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
    #[command(flatten)]
    pub(crate) kube: kube::KubeArgs,
    #[command(flatten)]
    pub(crate) power: power::PowerArgs,
    #[command(flatten)]
    pub(crate) models: ModelArgs,
    /// Give up all privileges but those of reading, and deny system calls that an exporter never makes
    #[arg(long = "harden")]
    pub(crate) harden: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// A flag of Kepler 0.11 that means nothing here
    #[arg(long = "debug.pprof", hide = true)]
    pprof: bool,
}

/// One value of `--metrics`.
#[derive(Clone, Debug)]
struct Levels(Vec<Level>);

/// What is used where the interval of Kepler 0.11 is 0, which stands for sampling at each scrape.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);

impl Args {
    /// Time between two samples.
    pub(crate) fn interval(&self) -> Duration {
        if self.interval.is_zero() {
            DEFAULT_INTERVAL
        } else {
            self.interval
        }
    }

    /// The name of this machine.
    pub(crate) fn machine_name(&self) -> String {
        match &self.node_name {
            Some(name) => name.clone(),
            None => Exposition::new(&self.selection(), self.machine.host())
                .node_name()
                .to_owned(),
        }
    }

    /// What to export.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            groups: self.families.clone(),
            levels: self.levels.iter().flat_map(|l| l.0.clone()).collect(),
            labels: self.labels.clone(),
        }
    }

    /// What to measure with.
    pub(crate) fn monitor(&self) -> MonitorBuilder {
        self.machine
            .monitor()
            .retention(self.retention)
            .ended_limit(usize::try_from(self.max_terminated).unwrap_or(usize::MAX))
            .ended_least(Joules(self.min_terminated.unwrap_or(0.0)))
    }

    /// What is worth a word of the settings.
    pub(crate) fn notes(&self) -> Vec<String> {
        let interval = self.interval.is_zero().then_some(
"monitor.interval 0 asks for samples at each scrape; a scrape never waits for a sample here, so one is taken each 5s"
);
        let pprof = self.pprof.then_some("debug.pprof means nothing here");
        interval
            .into_iter()
            .chain(pprof)
            .map(str::to_owned)
            .collect()
    }
}

/// The parser. A switch takes a value too, as a file or a variable gives it one.
pub(crate) fn command() -> clap::Command {
    Args::command().mut_args(|argument| match argument.get_action() {
        ArgAction::SetTrue => argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_name("BOOL")
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .hide_possible_values(true),
        _ => argument,
    })
}

/// Whether a flag is on or off.
pub(crate) fn is_switch(argument: &Arg) -> bool {
    argument.get_num_args().is_some_and(|n| n.min_values() == 0)
}

/// Prints help or version as they are, and anything else in one line. Returns the exit code: 2 for a usage error.
#[expect(clippy::print_stderr, reason = "no log is set up yet")]
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Nothing is left to do where even this cannot be printed.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    eprintln!("kepler-exporter: {} (try --help)", one_line(error));
    ExitCode::from(2)
}

/// What is wrong, in one line, with what would be right or near.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim);
    let line = lines.next().unwrap_or_default();
    let mut line = line.strip_prefix("error: ").unwrap_or(line).to_owned();
    let more = lines.take_while(|l| !l.starts_with("Usage:"));
    for hint in more.filter(|l| l.starts_with("[possible values") || l.contains("a similar ")) {
        line += " ";
        line += hint.strip_prefix("tip: ").unwrap_or(hint);
    }
    line
}

fn energy(text: &str) -> Result<f64, &'static str> {
    let joules: f64 = text.parse().map_err(|_| "expected joules")?;
    let fits = joules.is_finite() && joules >= 0.0;
    fits.then_some(joules).ok_or("expected joules of 0 or more")
}

fn levels(text: &str) -> Result<Levels, kepler_core::Error> {
    match text {
        "all" => Ok(Levels(Level::ALL.into())),
        name => Ok(Levels(vec![name.parse()?])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
