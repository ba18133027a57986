//! What of the wall power packages and memory draw, and how much more cloud hosts draw than machines tuned for a benchmark.

use super::score::{MachineErrors, Row, between, residuals};
use super::tables::{RaplMachine, RaplRow};
use crate::error::Result;
use crate::model::embedded::{Family, LOADS, Machine, at, wall};
use crate::model::train::kernel::rounded;
use crate::model::{
    BlendPart, Component, ComponentModel, EnergySourceName, Estimator, FeatureSpec, ModelFile,
    OutputType, PowerModel, Table, Training,
};
use crate::units::count_to_f64;

/// What package and memory together are of the wall power, idle and at full load. No public table has both meters; these
/// are usual figures of two-socket servers, whose power supplies lose a tenth and whose fans, disks and boards draw the
/// rest. They decide how far platform lies above package and dram, not how large those are.
const PARTS_OF_WALL: [f64; 2] = [0.55, 0.8];

/// Inputs of the zones' model.
const BUSY: usize = 0;
const MEMORY: usize = 1;
const PLATFORM: usize = 2;

/// The model and its errors on machines that it had not seen.
pub(super) struct Zones {
    pub(super) file: ModelFile,
    pub(super) package: MachineErrors,
    pub(super) dram: MachineErrors,
}

/// One machine's medians at each of [`LOADS`]; `None` where it has no row.
struct Medians {
    memory: f64,
    /// Package and dram over what the family says of packages and dram.
    above_family: [Option<f64>; LOADS.len()],
    /// Package as a share of package and dram.
    package_share: [Option<f64>; LOADS.len()],
    dram: [Option<f64>; LOADS.len()],
}

pub(super) fn train(platform: &[PowerModel], machines: &[RaplMachine]) -> Result<Zones> {
    let medians = machines
        .iter()
        .map(|m| medians(platform, m))
        .collect::<Result<Vec<_>>>()?;
    let mut file = fit(&medians.iter().collect::<Vec<_>>());
    file.training.rows = Some(machines.iter().map(|m| m.rows.len() as u64).sum());
    let (mut package, mut dram) = (Vec::new(), Vec::new());
    for (left_out, machine) in machines.iter().enumerate() {
        let others = medians.iter().enumerate().filter(|(m, _)| *m != left_out);
        let zones = PowerModel::new(fit(&others.map(|(_, m)| m).collect::<Vec<_>>()))?;
        let family = Family {
            platform: platform.to_vec(),
            zones,
        };
        let power = family.power(&host(machine), true)?;
        for row in &machine.rows {
            let say = |zone: usize, measured| Row {
                machine: left_out,
                measured,
                predicted: at(&power.watts[zone], row.busy),
            };
            package.push(say(0, row.package));
            dram.push(say(1, row.dram));
        }
    }
    let errors = [MachineErrors::of(&package), MachineErrors::of(&dram)];
    for (component, part) in &mut file.components {
        // No cloud host has a wall meter: platform is as wrong as the packages, its largest part.
        let (rows, errors) = match component {
            Component::Dram => (&dram, &errors[1]),
            _ => (&package, &errors[0]),
        };
        part.errors = vec![errors.held_out()];
        part.residuals = Some(residuals(rows, 1, |machine| machine));
    }
    let [package, dram] = errors;
    Ok(Zones {
        file,
        package,
        dram,
    })
}

fn host(machine: &RaplMachine) -> Machine {
    let mut spec = machine.spec.clone();
    spec.threads_per_core = spec.threads_per_core.or(Some(2));
    Machine::itself(&spec)
}

fn medians(platform: &[PowerModel], machine: &RaplMachine) -> Result<Medians> {
    let host = host(machine);
    let curve = wall(platform, &host)?.watts;
    let parts = |row: &RaplRow| row.package + row.dram;
    let median = |value: &dyn Fn(&RaplRow) -> f64| {
        std::array::from_fn(|place| {
            let near = machine.rows.iter().filter(|row| nearest(row.busy) == place);
            let mut values: Vec<f64> = near.map(value).collect();
            values.sort_by(f64::total_cmp);
            (!values.is_empty()).then(|| between(&values, 0.5))
        })
    };
    Ok(Medians {
        memory: host.memory,
        above_family: median(&|row| parts(row) / (parts_of_wall(row.busy) * at(&curve, row.busy))),
        package_share: median(&|row| row.package / parts(row)),
        dram: median(&|row| row.dram),
    })
}

/// The place in [`LOADS`] that a load is put to; an idle machine's own housekeeping keeps it below 1.8 % busy.
fn nearest(busy: f64) -> usize {
    if busy < 0.018 {
        return 0;
    }
    let far = |place: &usize| (LOADS[*place] - busy).abs();
    (1..LOADS.len())
        .min_by(|a, b| far(a).total_cmp(&far(b)))
        .unwrap_or(0)
}

fn parts_of_wall(load: f64) -> f64 {
    let [idle, full] = PARTS_OF_WALL;
    idle + (full - idle) * load
}

fn fit(machines: &[&Medians]) -> ModelFile {
    let over_machines = |value: &dyn Fn(&Medians, usize) -> Option<f64>| -> Vec<f64> {
        let mean = |place| {
            let values: Vec<f64> = machines.iter().filter_map(|m| value(m, place)).collect();
            values.iter().sum::<f64>() / count_to_f64(values.len().max(1) as u64)
        };
        (0..LOADS.len()).map(mean).collect()
    };
    let cloud = over_machines(&|m, place| Some(m.above_family[place]?.ln()));
    let share = over_machines(&|m, place| m.package_share[place]);
    let package = share
        .iter()
        .zip(LOADS)
        .map(|(share, load)| share * parts_of_wall(load));
    let lines: Vec<[f64; 2]> = (0..LOADS.len())
        .map(|place| dram_line(machines, place))
        .collect();

    let features = [
        ("busy_ratio", "", 1.0),
        ("memory", "GiB", 4096.0),
        ("platform", "W", 10_000.0),
    ];
    let features = features.map(|(name, unit, max)| FeatureSpec {
        unit: unit.to_owned(),
        min: Some(0.0),
        max: Some(max),
        ..FeatureSpec::raw(name)
    });
    let mut file = ModelFile::new(
        "kepler-default-2026-zones",
        OutputType::AbsPower,
        features.to_vec(),
    );
    file.energy_source = Some(EnergySourceName::RaplSysfs);
    let of_load = |watts: Vec<f64>| {
        Estimator::Table(Table {
            input: BUSY,
            x: LOADS.to_vec(),
            y: watts,
        })
    };
    let times = |input, watts| Estimator::Times {
        input,
        of: Box::new(of_load(watts)),
    };
    let part = |estimator| BlendPart {
        weight: 1.0,
        estimator,
    };
    let platform = times(PLATFORM, cloud.iter().map(|ln| rounded(ln.exp())).collect());
    let package = times(PLATFORM, rising(package));
    let dram = Estimator::Blend {
        parts: vec![
            part(of_load(rising(lines.iter().map(|[at_none, _]| *at_none)))),
            part(times(
                MEMORY,
                rising(lines.iter().map(|[_, per_gib]| *per_gib)),
            )),
        ],
    };
    for (component, estimator) in [
        (Component::Platform, platform),
        (Component::Package, package),
        (Component::Dram, dram),
    ] {
        file.components
            .insert(component, ComponentModel::from(estimator));
    }
    file.training = Training {
        trainer: "means over machines of medians by load; package and dram are taken as 55 % (idle) to 80 % (full load) \
                  of wall power"
            .to_owned(),
        data: "RAPL power of EC2 metal machines under stress loads, as in the public model database v0.7 (ec2-0.7.11); \
               errors: every machine once, each counting the same, platform's taken from package"
            .to_owned(),
        rows: None,
        machines: Some(machines.len() as u64),
        seed: None,
    };
    file
}

/// Memory's watts at one load as a line over its size, by least squares: `[watts, watts a GiB]`.
fn dram_line(machines: &[&Medians], place: usize) -> [f64; 2] {
    let points: Vec<(f64, f64)> = machines
        .iter()
        .filter_map(|m| Some((m.memory, m.dram[place]?)))
        .collect();
    let n = count_to_f64(points.len().max(1) as u64);
    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    let spread = mean(&|p| (p.0 - x) * (p.0 - x));
    let slope = mean(&|p| (p.0 - x) * (p.1 - y)) / spread.max(f64::MIN_POSITIVE);
    [y - slope * x, slope]
}

fn rising(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut highest: f64 = 0.0;
    values
        .map(|value| {
            highest = highest.max(value);
            rounded(highest)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_to_their_nearest_load_and_idle_ones_to_idle() {
        let places = [0.0, 0.015, 0.02, 0.04, 0.3, 0.34, 0.36, 1.0].map(nearest);
        assert_eq!(places, [0, 0, 1, 2, 5, 5, 6, 12]);
    }

    #[test]
    fn memory_is_a_line_over_its_size() {
        let machine = |memory: f64| Medians {
            memory,
            above_family: [None; LOADS.len()],
            package_share: [None; LOADS.len()],
            dram: [Some(5.0 + 0.04 * memory); LOADS.len()],
        };
        let machines = [100.0, 200.0, 400.0].map(machine);
        let [watts, per_gib] = dram_line(&machines.iter().collect::<Vec<_>>(), 0);
        assert!((watts - 5.0).abs() < 1e-9 && (per_gib - 0.04).abs() < 1e-12);
    }
}
