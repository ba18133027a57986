//! The tables that the embedded models are trained on: rows of machines whose power was measured.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::host::MachineSpec;
use crate::model::NodeIndex;

/// One machine type whose wall power was measured at rising loads, as SPECpower does.
#[derive(Clone, Debug, PartialEq)]
pub struct WallMachine {
    /// Its attributes; cores are physical ones.
    pub spec: MachineSpec,
    /// How many machines of the type were measured.
    pub members: usize,
    /// Load from 0 to 1, and watts.
    pub rows: Vec<(f64, f64)>,
}

/// One machine whose packages and memory were measured by RAPL.
#[derive(Clone, Debug, PartialEq)]
pub struct RaplMachine {
    /// Its attributes; cores are logical CPUs.
    pub spec: MachineSpec,
    /// One a measurement.
    pub rows: Vec<RaplRow>,
}

/// One measurement of a [`RaplMachine`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RaplRow {
    /// Busy share of the CPU time, 0 to 1.
    pub busy: f64,
    /// Watts of all packages.
    pub package: f64,
    /// Watts of memory.
    pub dram: f64,
}

/// Steps of load in a SPECpower run, besides idle.
const STEPS: u8 = 10;

/// Reads a table of `node_type`, `bpf_cpu_time_ms` and `platform_power`; the index tells what the types are.
///
/// # Errors
/// [`Error::Malformed`] with the line, [`Error::NotFound`] for a column or a machine type that is not there.
pub fn wall_machines(csv: &str, index: &NodeIndex) -> Result<Vec<WallMachine>> {
    // Whole numbers above 0 have the order of their bits.
    let mut rows: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for [number, time, watts] in columns(csv, ["node_type", "bpf_cpu_time_ms", "platform_power"])? {
        rows.entry(number.to_bits())
            .or_default()
            .push((time, watts));
    }
    let machine = |(bits, rows): (u64, Vec<(f64, f64)>)| {
        let mut kinds = index.nodes().iter();
        let kind = kinds
            .find(|kind| f64::from(kind.number()).to_bits() == bits)
            .ok_or_else(|| missing("machine type", &f64::from_bits(bits).to_string()))?;
        Ok(WallMachine {
            spec: kind.attributes().machine(),
            members: kind.members(),
            rows: with_load(rows, kind.members()),
        })
    };
    rows.into_iter().map(machine).collect()
}

/// Reads a table of `bpf_cpu_time_ms`, `package_power` and `dram_power` of one machine. Rows without package power are
/// measurements that failed.
///
/// # Errors
/// As [`wall_machines`].
pub fn rapl_machine(csv: &str, spec: MachineSpec) -> Result<RaplMachine> {
    let cpus = f64::from(spec.cores.unwrap_or(1).max(1));
    let rows = columns(csv, ["bpf_cpu_time_ms", "package_power", "dram_power"])?
        .into_iter()
        .filter(|[_, package, _]| *package > 0.0)
        .map(|[time, package, dram]| RaplRow {
            busy: (time / 1000.0 / cpus).clamp(0.0, 1.0),
            package,
            dram,
        })
        .collect();
    Ok(RaplMachine { spec, rows })
}

/// Turns CPU time, whose unit differs from machine to machine, into load: full load is the highest row. Where one machine
/// was measured and its highest row is missing, its even steps tell where full load would be.
fn with_load(rows: Vec<(f64, f64)>, members: usize) -> Vec<(f64, f64)> {
    let highest = rows
        .iter()
        .map(|(time, _)| *time)
        .fold(f64::MIN_POSITIVE, f64::max);
    let unevenness = |top: u8| -> f64 {
        rows.iter()
            .map(|(time, _)| time / highest * f64::from(top))
            .map(|step| (step - step.round()).abs())
            .sum()
    };
    let one_is_missing = members == 1 && unevenness(STEPS - 1) < unevenness(STEPS) / 2.0;
    let top = f64::from(if one_is_missing { STEPS - 1 } else { STEPS }) / f64::from(STEPS);
    rows.into_iter()
        .map(|(time, watts)| ((time / highest * top).max(0.0), watts))
        .collect()
}

/// The named columns of a CSV with a header and nothing but numbers.
fn columns<const N: usize>(csv: &str, names: [&str; N]) -> Result<Vec<[f64; N]>> {
    let mut lines = csv.lines().enumerate();
    let header: Vec<&str> = lines.next().unwrap_or_default().1.split(',').collect();
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(names) {
        let found = header.iter().position(|h| h.trim() == name);
        *place = found.ok_or_else(|| missing("column", name))?;
    }
    let mut rows = Vec::new();
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let cells: Vec<&str> = text.split(',').collect();
        let mut row = [0.0; N];
        for (value, place) in row.iter_mut().zip(places) {
            let cell = cells.get(place).map_or("", |cell| cell.trim());
            let number = cell.parse().ok().filter(|x: &f64| x.is_finite());
            *value = number
                .ok_or_else(|| Error::malformed(format!("line {}", line + 1), "a number", cell))?;
        }
        rows.push(row);
    }
    Ok(rows)
}

fn missing(what: &'static str, name: &str) -> Error {
    Error::NotFound {
        what,
        name: name.to_owned(),
        hint: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_a_share_of_the_highest_row() {
        let rows = vec![(0.0, 40.0), (500.0, 60.0), (2000.0, 100.0)];
        assert_eq!(
            with_load(rows, 3),
            [(0.0, 40.0), (0.25, 60.0), (1.0, 100.0)]
        );
    }

    #[test]
    fn a_missing_highest_step_is_seen() {
        let rows: Vec<(f64, f64)> = (0..10).map(|step| (f64::from(step) * 70.0, 50.0)).collect();
        let loads = with_load(rows, 1);
        assert!((loads[9].0 - 0.9).abs() < 1e-12 && (loads[1].0 - 0.1).abs() < 1e-12);
    }

    #[test]
    fn columns_are_found_by_name_and_a_bad_cell_by_its_line() {
        assert_eq!(
            columns("b,a\n1,2\n\n3,4\n", ["a", "b"]).unwrap(),
            [[2.0, 1.0], [4.0, 3.0]]
        );
        assert!(columns("a\n1\n", ["z"]).is_err());
        let error = columns("a\n1\nx\n", ["a"]).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
