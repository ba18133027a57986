//! The family of wall-power models: one formula over generation, cores, chips, memory, frequency and load.

use super::score::{MachineErrors, Row, residuals};
use super::tables::WallMachine;
use crate::error::Result;
use crate::model::embedded::{INPUTS, LEVELS, Machine, at, wall};
use crate::model::train::Watch;
use crate::model::train::kernel::{KernelRegression, rounded};
use crate::model::{
    Component, ComponentModel, EnergySourceName, Estimator, FeatureSpec, ModelFile, OutputType,
    PowerModel, Training,
};
use crate::units::count_to_f64;

/// Length scales of [`INPUTS`], then of belonging to a generation: a step of one makes two machines unlike. Scales and the
/// variances below were chosen by leaving machines out of the SPECpower table, once; training takes them as given.
const SCALES: [f64; INPUTS.len()] = [
    4.09, 0.683, 15.2, 0.138, 0.507, 2.6, 4.29, 0.781, 0.817, 0.153, 6.46, 5.61,
];
const GENERATION_SCALE: f64 = 3.33;
const KERNEL: KernelRegression = KernelRegression {
    bump: 0.551,
    linear: 0.312,
    quadratic: 0.00332,
};
/// How much machines of one type differ from what the inputs tell, and one machine from its type: variances of ln watts.
const TYPE_NOISE: f64 = 0.00675;
const MEMBER_NOISE: f64 = 0.0409;

/// Folds of machines that intervals are tried on: coverage is measured on each by what the others tell.
const FOLDS: usize = 10;
/// Halves of the predicted power have intervals of their own.
const INTERVAL_STEPS: usize = 2;
/// Rows within this of a level tell how wrong it is.
const NEAR_LEVEL: f64 = 0.05;
/// What keeps a machine at the edge of the training data inside it, whatever rounding does.
const MARGIN: f64 = 1e-3;

/// The family and its errors on machines that it had not seen.
pub(super) struct Platform {
    /// One a load of [`LEVELS`].
    pub(super) files: Vec<ModelFile>,
    pub(super) machine_out: MachineErrors,
    pub(super) processor_out: MachineErrors,
}

pub(super) fn train(machines: &[WallMachine], watch: &mut Watch<'_>) -> Result<Platform> {
    let mut files = fit(machines)?;
    let by_processor = processors(machines);
    let machine_rows = held_out(machines, |machine| machine, "machine types held out", watch)?;
    let mut processor_rows = held_out(
        machines,
        |machine| by_processor[machine],
        "processors held out",
        watch,
    )?;
    processor_rows.sort_by_key(|(row, _)| row.machine);
    let errors = |rows: &[(Row, f64)]| {
        MachineErrors::of(&rows.iter().map(|(row, _)| *row).collect::<Vec<_>>())
    };
    for (file, level) in files.iter_mut().zip(LEVELS) {
        let near = machine_rows
            .iter()
            .filter(|(_, load)| (load - level).abs() <= NEAR_LEVEL);
        let rows: Vec<Row> = near.map(|(row, _)| *row).collect();
        if let Some(part) = file.components.get_mut(&Component::Platform) {
            part.errors = vec![MachineErrors::of(&rows).held_out()];
            part.residuals = Some(residuals(&rows, INTERVAL_STEPS, |machine| machine % FOLDS));
        }
    }
    Ok(Platform {
        files,
        machine_out: errors(&machine_rows),
        processor_out: errors(&processor_rows),
    })
}

/// The number of each machine's processor.
fn processors(machines: &[WallMachine]) -> Vec<usize> {
    let mut names: Vec<_> = machines.iter().map(|m| &m.spec.processor).collect();
    names.sort_unstable();
    names.dedup();
    machines
        .iter()
        .map(|m| names.partition_point(|name| *name < &m.spec.processor))
        .collect()
}

/// Every row, and its load, as predicted by a family that was trained without the row's group.
fn held_out(
    machines: &[WallMachine],
    group: impl Fn(usize) -> usize,
    stage: &str,
    watch: &mut Watch<'_>,
) -> Result<Vec<(Row, f64)>> {
    let groups = (0..machines.len())
        .map(&group)
        .max()
        .map_or(0, |last| last + 1);
    let mut rows = Vec::new();
    for left_out in 0..groups {
        watch.report(
            stage,
            count_to_f64(left_out as u64) / count_to_f64(groups as u64),
        )?;
        let others = (0..machines.len()).filter(|m| group(*m) != left_out);
        let others: Vec<WallMachine> = others.map(|m| machines[m].clone()).collect();
        let family = fit(&others)?
            .into_iter()
            .map(PowerModel::new)
            .collect::<Result<Vec<_>>>()?;
        for machine in (0..machines.len()).filter(|m| group(*m) == left_out) {
            let curve = wall(&family, &Machine::itself(&machines[machine].spec))?.watts;
            rows.extend(machines[machine].rows.iter().map(|(load, measured)| {
                let predicted = at(&curve, *load);
                (
                    Row {
                        machine,
                        measured: *measured,
                        predicted,
                    },
                    *load,
                )
            }));
        }
    }
    Ok(rows)
}

/// The family of these machines, one model a level, without errors yet.
pub(super) fn fit(machines: &[WallMachine]) -> Result<Vec<ModelFile>> {
    let whole: Vec<Machine> = machines.iter().map(|m| Machine::itself(&m.spec)).collect();
    let features = features(&whole);
    let inputs: Vec<Vec<f64>> = whole
        .iter()
        .map(|m| {
            features
                .iter()
                .map(|f| rounded(m.input(&f.name) / f.scale))
                .collect()
        })
        .collect();
    let targets: Vec<Vec<Option<f64>>> = machines.iter().map(|m| levels(&m.rows)).collect();
    let noise = |m: &WallMachine| TYPE_NOISE + MEMBER_NOISE / count_to_f64(m.members.max(1) as u64);
    let level = |(level, load): (usize, &f64)| {
        let measured: Vec<usize> = (0..machines.len())
            .filter(|m| targets[*m][level].is_some())
            .collect();
        let inputs: Vec<_> = measured.iter().map(|m| inputs[*m].clone()).collect();
        let ln_watts: Vec<_> = measured.iter().filter_map(|m| targets[*m][level]).collect();
        let noise: Vec<_> = measured.iter().map(|m| noise(&machines[*m])).collect();
        let ln_watts = KERNEL.fit(&inputs, &ln_watts, &noise)?;
        Ok(file(&features, *load, ln_watts, machines))
    };
    LEVELS.iter().enumerate().map(level).collect()
}

fn file(
    features: &[FeatureSpec],
    load: f64,
    ln_watts: Estimator,
    machines: &[WallMachine],
) -> ModelFile {
    let name = format!("kepler-default-2026-at-{:.0}-percent", load * 100.0);
    let mut file = ModelFile::new(&name, OutputType::AbsPower, features.to_vec());
    file.energy_source = Some(EnergySourceName::Acpi);
    let estimator = Estimator::Exp {
        of: Box::new(ln_watts),
    };
    file.components
        .insert(Component::Platform, ComponentModel::from(estimator));
    file.training = Training {
        trainer: "kernel regression on ln watts: squared exponential plus quadratic, solved exactly".to_owned(),
        data: "SPECpower_ssj2008 wall power at eleven loads, machine types of 2005 to 2024, as in the public model \
               database v0.7 (specpower-0.7.11); errors: every machine type left out once, each counting the same"
            .to_owned(),
        rows: Some(machines.iter().map(|m| m.rows.len() as u64).sum()),
        machines: Some(machines.len() as u64),
        seed: None,
    };
    file
}

/// [`INPUTS`], then one input a generation of these machines.
fn features(machines: &[Machine]) -> Vec<FeatureSpec> {
    let mut generations: Vec<&str> = machines.iter().map(Machine::generation).collect();
    generations.sort_unstable();
    generations.dedup();
    let scales = SCALES
        .into_iter()
        .chain(std::iter::repeat(GENERATION_SCALE));
    let feature = |(name, scale): (&str, f64)| {
        let column = machines.iter().map(|m| m.input(name));
        FeatureSpec {
            scale,
            min: Some(rounded(column.clone().fold(f64::MAX, f64::min) - MARGIN)),
            max: Some(rounded(column.fold(f64::MIN, f64::max) + MARGIN)),
            ..FeatureSpec::raw(name)
        }
    };
    INPUTS
        .into_iter()
        .chain(generations)
        .zip(scales)
        .map(feature)
        .collect()
}

/// A type's mean ln watts at each of [`LEVELS`]; `None` at those that its rows do not span.
fn levels(rows: &[(f64, f64)]) -> Vec<Option<f64>> {
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for step in 0..=10_u8 {
        let near = |load: f64| (load * 10.0 - f64::from(step)).abs() <= 0.5;
        let part: Vec<_> = rows.iter().filter(|(load, _)| near(*load)).collect();
        if part.is_empty() {
            continue;
        }
        let mean = |value: &dyn Fn(&(f64, f64)) -> f64| {
            part.iter().map(|row| value(row)).sum::<f64>() / count_to_f64(part.len() as u64)
        };
        steps.push((mean(&|row| row.0), mean(&|row| row.1.ln())));
    }
    let at = |level: f64| {
        let after = steps.partition_point(|(load, _)| *load < level);
        let (low, high) = (steps.get(after.checked_sub(1)?)?, steps.get(after)?);
        Some(low.1 + (high.1 - low.1) * (level - low.0) / (high.0 - low.0))
    };
    let ends = |level: f64| {
        steps
            .iter()
            .find(|(load, _)| (load - level).abs() < 0.03)
            .map(|(_, w)| *w)
    };
    LEVELS
        .iter()
        .map(|level| at(*level).or_else(|| ends(*level)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_put_together_at_even_loads() {
        // Two machines: e^1 and e^3 at idle, e^4 and e^4 at full load, straight between; no row below 0 or above 1.
        let rows = [(0.0, 1.0_f64), (0.0, 3.0), (1.0, 4.0), (1.0, 4.0)].map(|(l, w)| (l, w.exp()));
        let levels = levels(&rows);
        assert_eq!(levels.len(), LEVELS.len());
        for (ln_watts, expected) in levels.iter().zip([2.0, 2.2, 2.4, 2.8, 3.2, 3.6, 4.0]) {
            assert!((ln_watts.unwrap() - expected).abs() < 1e-12, "{levels:?}");
        }
    }

    #[test]
    fn a_load_beyond_the_rows_has_no_level() {
        let rows = [(0.2, 50.0), (0.9, 80.0)];
        let found: Vec<bool> = levels(&rows).iter().map(Option::is_some).collect();
        assert_eq!(found, [false, false, true, true, true, true, false]);
    }
}
