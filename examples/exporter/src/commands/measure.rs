//! `measure -- COMMAND`: energy of a command, as `perf stat` counts its events.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus};

use clap::Args;
use kepler_core::monitor::Measurement;

use crate::machine::Machine;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
    /// How often to run it; the figures are means, with their relative spread
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Options {
    /// The exit code is the command's, 128 and the signal where it died of one, as shells have it.
    pub(super) fn run(&self, machine: &Machine) -> Result<ExitCode, String> {
        let meter = machine.monitor().meter().map_err(|e| e.to_string())?;
        let Some((program, arguments)) = self.command.split_first() else {
            return Err("no command".to_owned());
        };
        let mut runs = Vec::new();
        let mut code = 0;
        for _ in 0..self.repeat {
            let measured = meter.measure_command(Command::new(program).args(arguments));
            let (status, measurement) = measured.map_err(|e| e.to_string())?;
            runs.push(measurement);
            code = exit_code(status);
            if code != 0 {
                break;
            }
        }
        let text = if self.json {
            runs.iter()
                .map(json)
                .collect::<Result<Vec<_>, _>>()?
                .concat()
        } else {
            table(&self.command.join(" ".as_ref()).to_string_lossy(), &runs)
        };
        // Standard output is the command's own.
        std::io::stderr()
            .write_all(text.as_bytes())
            .map_err(|e| e.to_string())?;
        Ok(ExitCode::from(code))
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn json(measurement: &Measurement) -> Result<String, String> {
    let line = serde_json::to_string(measurement).map_err(|e| e.to_string())?;
    Ok(line + "\n")
}

fn table(command: &str, runs: &[Measurement]) -> String {
    let mut text = match runs {
        [_] => format!("\n Energy of '{command}':\n\n"),
        runs => format!("\n Energy of '{command}' ({} runs):\n\n", runs.len()),
    };
    let mut row = |figures: Vec<f64>, unit: &str, what: &str| {
        let (mean, spread) = statistics(&figures);
        let spread = spread.map_or_else(String::new, |s| format!("  ( +- {:.2} % )", s * 100.0));
        let line = format!("{mean:>18.6} {unit:<4} {what}");
        let _ = writeln!(text, "{}{spread}", line.trim_end());
    };
    let last = runs.last();
    for (place, zone) in last.iter().flat_map(|m| m.zones.iter().enumerate()) {
        let of = |m: &Measurement| m.zones.get(place).map(|z| (z.joules.0, z.node_joules.0));
        row(
            runs.iter().filter_map(of).map(|e| e.0).collect(),
            "J",
            zone.domain.as_str(),
        );
        let node = format!("{} of the whole machine", zone.domain);
        row(
            runs.iter().filter_map(of).map(|e| e.1).collect(),
            "J",
            &node,
        );
    }
    let watts: Vec<f64> = runs.iter().filter_map(|m| Some(m.watts()?.0)).collect();
    if !watts.is_empty() {
        row(watts, "W", "mean active power");
    }
    row(
        runs.iter().map(|m| m.cpu_time.as_secs_f64()).collect(),
        "s",
        "CPU time",
    );
    row(
        runs.iter().map(|m| m.duration.as_secs_f64()).collect(),
        "s",
        "elapsed",
    );
    if let Some(provenance) = last.and_then(|m| m.provenance()) {
        let _ = writeln!(text, "\n {}", provenance);
    }
    if let (Some((low, high)), [_]) = (last.and_then(|m| m.interval), runs) {
        let _ = writeln!(
            text,
            " shorter than the meter resolves: between {low} and {high}"
        );
    }
    text.push('\n');
    text
}

/// Mean, and the mean's own spread relative to it where there are several figures.
fn statistics(figures: &[f64]) -> (f64, Option<f64>) {
    #[expect(clippy::cast_precision_loss, reason = "at most 10,000 runs")]
    let n = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / n;
    let square = figures.iter().map(|f| (f - mean).powi(2)).sum::<f64>();
    let spread = (square / (n - 1.0) / n).sqrt();
    (
        mean,
        (figures.len() > 1 && mean > 0.0).then(|| spread / mean),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_the_mean() {
        assert_eq!(statistics(&[2.0]), (2.0, None));
        // Deviations of 1, 0, 1: variance 1, of the mean 1/3.
        let (mean, spread) = statistics(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12);
        assert!((spread.unwrap() - (1.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-12);
    }
}
