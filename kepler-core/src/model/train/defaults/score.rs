//! Errors on machines not seen in training, each machine counting the same however many rows it has.

use std::fmt;

use crate::model::{HeldOut, ResidualStep, Residuals, Split};
use crate::units::count_to_f64;

/// What was measured and what a model said that had not seen the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) machine: usize,
    pub(super) measured: f64,
    pub(super) predicted: f64,
}

/// Errors over whole machines that were held out of training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineErrors {
    /// Machines held out.
    pub machines: usize,
    /// Their rows.
    pub rows: usize,
    /// Mean absolute error in watts: the mean over machines.
    pub mae: f64,
    /// Mean absolute error in per cent of the measured power: the mean over machines.
    pub mape: f64,
    /// The median over machines of the same.
    pub median_mape: f64,
    /// Nine machines in ten are better than this.
    pub p90_mape: f64,
}

/// The level of the embedded models' intervals.
const LEVEL: f64 = 0.9;

impl MachineErrors {
    pub(super) fn of(rows: &[Row]) -> Self {
        let mut mapes = Vec::new();
        let mut maes = Vec::new();
        for machine in rows.chunk_by(|a, b| a.machine == b.machine) {
            let off = |relative: bool| {
                let off = machine.iter().map(|row| {
                    let unit = if relative { row.measured } else { 1.0 };
                    (row.predicted - row.measured).abs() / unit
                });
                off.sum::<f64>() / count_to_f64(machine.len() as u64)
            };
            maes.push(off(false));
            mapes.push(100.0 * off(true));
        }
        let machines = mapes.len();
        let mean =
            |values: &[f64]| values.iter().sum::<f64>() / count_to_f64(machines.max(1) as u64);
        let (mae, mape) = (mean(&maes), mean(&mapes));
        mapes.sort_by(f64::total_cmp);
        Self {
            machines,
            rows: rows.len(),
            mae,
            mape,
            median_mape: between(&mapes, 0.5),
            p90_mape: between(&mapes, 0.9),
        }
    }

    /// The same for a model's card.
    pub(super) fn held_out(&self) -> HeldOut {
        HeldOut {
            split: Split::MachineOut,
            rows: Some(self.rows as u64),
            mae: hundredths(self.mae),
            mape: Some(hundredths(self.mape)),
        }
    }
}

impl fmt::Display for MachineErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} machines, {} rows: median MAPE {:.1} %, 90th percentile {:.1} %, mean {:.1} %, MAE {:.1} W",
            self.machines, self.rows, self.median_mape, self.p90_mape, self.mape, self.mae
        )
    }
}

/// Intervals for predictions, from held-out residuals: in each third of the predicted powers, the range that held nine in
/// ten. `fold` tells which machines were held out together: those are left out again to measure coverage and mean width.
pub(super) fn residuals(rows: &[Row], steps: usize, fold: impl Fn(usize) -> usize) -> Residuals {
    let mut all = conformal(rows, steps);
    let mut folds: Vec<usize> = rows.iter().map(|row| fold(row.machine)).collect();
    folds.sort_unstable();
    folds.dedup();
    let (mut held, mut width, mut total) = (0.0, 0.0, 0.0);
    for left_out in folds {
        let (test, others): (Vec<Row>, Vec<Row>) =
            rows.iter().partition(|row| fold(row.machine) == left_out);
        let intervals = conformal(&others, steps);
        for (row, weight) in weighted(&test) {
            let interval = intervals.around(row.predicted);
            let inside = (interval.low..=interval.high).contains(&row.measured);
            held += if inside { weight } else { 0.0 };
            width += weight * (interval.high - interval.low);
            total += weight;
        }
    }
    all.coverage = Some(thousandths(held / total));
    all.mean_width = Some(hundredths(width / total));
    all
}

fn conformal(rows: &[Row], steps: usize) -> Residuals {
    let mut by_power: Vec<(Row, f64)> = weighted(rows).collect();
    by_power.sort_by(|(a, _), (b, _)| a.predicted.total_cmp(&b.predicted));
    let size = by_power.len().div_ceil(steps).max(1);
    let step = |part: &[(Row, f64)]| {
        let [low, high] = bounds(part);
        ResidualStep {
            from: part
                .first()
                .map_or(0.0, |(row, _)| hundredths(row.predicted)),
            low: thousandths(low.min(0.0)),
            high: thousandths(high.max(0.0)),
        }
    };
    Residuals {
        level: LEVEL,
        split: Split::MachineOut,
        relative: true,
        steps: by_power.chunks(size).map(step).collect(),
        coverage: None,
        mean_width: None,
    }
}

/// The range of `measured / predicted - 1` that holds nine rows in ten. Of a few machines each may be the odd one, so
/// there it holds nine rows in ten of every machine.
fn bounds(part: &[(Row, f64)]) -> [f64; 2] {
    const FEW: usize = 20;
    let mut machines: Vec<usize> = part.iter().map(|(row, _)| row.machine).collect();
    machines.sort_unstable();
    machines.dedup();
    if machines.len() >= FEW {
        return quantiles(part.iter());
    }
    let one = |machine: &usize| quantiles(part.iter().filter(|(row, _)| row.machine == *machine));
    let each = machines.iter().map(one);
    each.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])])
        .unwrap_or_default()
}

fn quantiles<'a>(part: impl Iterator<Item = &'a (Row, f64)>) -> [f64; 2] {
    let tail = (1.0 - LEVEL) / 2.0;
    let mut off: Vec<(f64, f64)> = part
        .map(|(row, weight)| (row.measured / row.predicted - 1.0, *weight))
        .collect();
    off.sort_by(|a, b| a.0.total_cmp(&b.0));
    [tail, 1.0 - tail].map(|share| quantile(&off, share))
}

/// Each row with the share of its machine that it is.
fn weighted(rows: &[Row]) -> impl Iterator<Item = (Row, f64)> {
    rows.chunk_by(|a, b| a.machine == b.machine)
        .flat_map(|machine| {
            let weight = 1.0 / count_to_f64(machine.len() as u64);
            machine.iter().map(move |row| (*row, weight))
        })
}

/// The quantile of rising values with weights.
fn quantile(values: &[(f64, f64)], share: f64) -> f64 {
    let total: f64 = values.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    for (value, weight) in values {
        below += weight;
        if below >= share * total {
            return *value;
        }
    }
    values.last().map_or(0.0, |(value, _)| *value)
}

/// The quantile of rising values, straight between neighbours.
pub(super) fn between(values: &[f64], share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return 0.0;
    };
    let place = share * count_to_f64(last as u64);
    let at = |place: f64| {
        let wanted = (0..=last).find(|i| count_to_f64(*i as u64) >= place);
        values[wanted.unwrap_or(last)]
    };
    let (low, high) = (at(place.floor()), at(place.ceil()));
    low + (high - low) * place.fract()
}

fn hundredths(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

fn thousandths(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(machine: usize, measured: f64, predicted: f64) -> Row {
        Row {
            machine,
            measured,
            predicted,
        }
    }

    #[test]
    fn every_machine_counts_the_same() {
        // 10 % off in three rows, 30 % off in one: the mean of the machines is 20 %, of the rows 15 %.
        let rows = [
            row(0, 100.0, 110.0),
            row(0, 100.0, 90.0),
            row(0, 100.0, 110.0),
            row(1, 200.0, 140.0),
        ];
        let errors = MachineErrors::of(&rows);
        assert!((errors.mape - 20.0).abs() < 1e-9 && (errors.median_mape - 20.0).abs() < 1e-9);
        assert!((errors.mae - 35.0).abs() < 1e-9);
        assert!((errors.p90_mape - 28.0).abs() < 1e-9);
    }

    #[test]
    fn of_a_few_machines_each_is_held() {
        let rows = [
            row(0, 90.0, 100.0),
            row(0, 95.0, 100.0),
            row(1, 130.0, 100.0),
            row(1, 100.0, 100.0),
        ];
        let residuals = residuals(&rows, 1, |machine| machine);
        let ends = (residuals.steps[0].low, residuals.steps[0].high);
        assert_eq!(ends, (-0.1, 0.3));
        // What either tells does not hold the other's outer row, nor, for the first, the inner one.
        assert!(residuals.coverage.unwrap() <= 0.5);
    }

    #[test]
    fn intervals_hold_nine_in_ten_and_coverage_is_measured_on_others() {
        // Forty machines, off by -20 % to +19 % in even steps: 5 % cut off at each end.
        let rows: Vec<Row> = (0..40_u8)
            .map(|m| row(usize::from(m), 100.0 + f64::from(m) - 20.0, 100.0))
            .collect();
        let residuals = residuals(&rows, 1, |machine| machine);
        assert_eq!(residuals.steps.len(), 1);
        assert!(
            (residuals.steps[0].low - -0.19).abs() < 0.011,
            "{residuals:?}"
        );
        assert!(
            (residuals.steps[0].high - 0.17).abs() < 0.011,
            "{residuals:?}"
        );
        // The two at each end fall outside what the others tell.
        let coverage = residuals.coverage.unwrap();
        assert!((0.85..=0.95).contains(&coverage), "{coverage}");
    }
}
