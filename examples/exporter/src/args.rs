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
use kepler_service::{Server, WebArgs, duration};

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
    #[command(flatten, next_help_heading = "Power")]
    pub(crate) power: power::PowerArgs,
    #[command(flatten)]
    pub(crate) models: ModelArgs,
    /// Give up all privileges but those of reading, and deny system calls that an exporter never makes
    #[arg(long = "harden", help_heading = "Privileges")]
    pub(crate) harden: bool,
    #[command(flatten, next_help_heading = "Log")]
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

    /// Reads the files that settings name, as a start would.
    pub(crate) fn check(&self) -> Result<(), Box<dyn std::error::Error>> {
        Server::check(&self.web)?;
        self.outputs.check()?;
        self.power.check(&self.machine_name())?;
        if let Some(settings) = self.kube.settings("") {
            kepler_service::kube::check(&settings)?;
        }
        Ok(())
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
    for hint in more.filter(|l| !l.is_empty()) {
        match hint.strip_prefix("tip: ") {
            Some(tip) if tip.contains("a similar ") => line += &format!("; {tip}"),
            None if hint.starts_with("[possible values") || hint.starts_with("--") => {
                line += &format!(" {hint}");
            }
            _ => {}
        }
    }
    line.replace("invalid digit found in string", "expected a whole number")
}

fn energy(text: &str) -> Result<f64, &'static str> {
    let joules: f64 = text.parse().map_err(|_| "expected joules")?;
    let fits = joules.is_finite() && joules >= 0.0;
    fits.then_some(joules).ok_or("expected joules of 0 or more")
}

fn levels(text: &str) -> Result<Levels, String> {
    match text {
        "all" => Ok(Levels(Level::ALL.into())),
        name => (name.parse().map(|level| Levels(vec![level])))
            .map_err(|error: kepler_core::Error| format!("{error}, all")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_one_line_with_what_would_be_right() {
        for (wrong, line) in [
            (
                "--monitor.intervals=3s",
                "unexpected argument '--monitor.intervals' found; a similar argument exists: '--monitor.interval'",
            ),
            (
                "--experimental.platform.redfish.enabled",
                "the following required arguments were not provided: --experimental.platform.redfish.config-file <FILE>",
            ),
            (
                "--metrics.top=-1",
                "invalid value '-1' for '--metrics.top <N>': expected a whole number",
            ),
            (
                "--log.format=xml",
                "invalid value 'xml' for '--log.format <FORMAT>' [possible values: text, json]",
            ),
        ] {
            let error = command().try_get_matches_from(["x", wrong]).unwrap_err();
            assert_eq!(one_line(&error), line);
        }
    }

    #[test]
    fn of_a_wrong_level_or_family_all_right_ones_are_told() {
        for (wrong, known) in [
            ("--metrics=nodee", "node, process, container, vm, pod, all"),
            (
                "--metrics.families=cpus",
                "cpu, joules, process-joules, counters, aliases, own",
            ),
        ] {
            let error = Args::try_parse_from(["x", wrong]).unwrap_err();
            let line = one_line(&error);
            assert!(line.ends_with(&format!("known: {known}")), "{line}");
        }
    }

    #[test]
    fn every_flag_has_a_word_of_help_and_stands_under_its_heading() {
        for argument in command().get_arguments().filter(|a| !a.is_hide_set()) {
            let help = argument
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(!help.is_empty(), "{argument}");
            let heading = argument.get_help_heading();
            let first = argument.get_id().as_str();
            let long = argument.get_long().unwrap_or(first);
            let prefix = long.split('.').next().unwrap_or(long);
            let wanted = match prefix {
                "kube" => Some("Kubernetes"),
                "attribution" | "experimental" | "vm" => Some("Power"),
                "model-server" => Some("Models"),
                "exporter" => Some("Outputs"),
                "log" => Some("Log"),
                "web" | "metrics" => None,
                _ => continue,
            };
            assert_eq!(heading, wanted, "{long}");
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
