//! Errors and intervals from rows that a model had not seen, and the leaderboard made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::data::TrainingData;
use super::fit::{TrainOptions, cross_validate};
use super::progress::Watch;
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::model::{Component, HeldOut, PowerModel, ResidualStep, Residuals, Split};

/// Predictions of rows by models that had not seen them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Validation {
    /// How rows were held out.
    pub split: Split,
    /// Watts of each row, by part of the machine; `None` for a row that was never held out.
    pub predicted: BTreeMap<Component, Vec<Option<f64>>>,
    /// The fold in which each row was held out.
    pub fold_of: Vec<Option<usize>>,
}

/// A held-out row of one part of the machine.
#[derive(Clone, Copy)]
struct Seen {
    measured: f64,
    predicted: f64,
    fold: usize,
    machine: u32,
}

impl Validation {
    /// What a model that was trained elsewhere predicts for rows that it has not seen, as whole machines held out.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use kepler_core::model::{Component, Estimator, FeatureSpec, ModelFile, OutputType, PowerModel};
    /// use kepler_core::model::train::{TrainingData, Validation};
    /// use ndarray::array;
    ///
    /// let mut file = ModelFile::new("mine", OutputType::AbsPower, vec![FeatureSpec::raw("bpf_cpu_time_ms")]);
    /// let line = Estimator::Linear { intercept: 50.0, weights: vec![0.02] };
    /// file.components.insert(Component::Package, line.into());
    /// let watts = BTreeMap::from([(Component::Package, vec![71.0, 87.0])]);
    /// let data = TrainingData::from_arrays(vec!["bpf_cpu_time_ms".into()], array![[1000.0], [2000.0]], watts)?;
    ///
    /// let validation = Validation::of_model(&PowerModel::new(file)?, &data)?;
    /// assert_eq!(validation.error(Component::Package, &data).unwrap().mae, 2.0); // 1 W and 3 W off
    /// # Ok::<(), kepler_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] for a feature of the model that the rows do not have; [`Error::InvalidInput`] for rows that make
    /// no sense.
    pub fn of_model(model: &PowerModel, data: &TrainingData) -> Result<Self> {
        data.check()?;
        let predicted = model
            .bind_among(&data.features)?
            .predict(data.rows.view())?;
        let watts = predicted.watts.into_iter();
        Ok(Self {
            split: Split::MachineOut,
            predicted: watts
                .map(|(component, watts)| (component, watts.into_iter().map(Some).collect()))
                .collect(),
            fold_of: vec![Some(0); data.len()],
        })
    }

    /// The mean error of a part of the machine over all held-out rows; `None` for a part that was not predicted.
    pub fn error(&self, component: Component, data: &TrainingData) -> Option<HeldOut> {
        let seen = self.seen(component, data);
        if seen.is_empty() {
            return None;
        }
        let off = |s: &Seen| (s.measured - s.predicted).abs();
        // A share of almost nothing says nothing: power above idle is often 0.
        let positive: Vec<f64> = seen
            .iter()
            .filter(|s| s.measured > 1e-3)
            .map(|s| off(s) / s.measured)
            .collect();
        Some(HeldOut {
            split: self.split,
            rows: Some(seen.len() as u64),
            mae: seen.iter().map(off).sum::<f64>() / seen.len() as f64,
            mape: (!positive.is_empty())
                .then(|| 100.0 * positive.iter().sum::<f64>() / positive.len() as f64),
        })
    }

    /// Intervals for 90 % of rows from these residuals, with the share that they really held and their width: each fold
    /// is judged by intervals made of the other folds.
    ///
    /// `None` with fewer than 20 held-out rows.
    pub fn residuals(&self, component: Component, data: &TrainingData) -> Option<Residuals> {
        let seen = self.seen(component, data);
        if seen.len() < 20 {
            return None;
        }
        // Machines differ in size: what is as far off in per cent is alike.
        let relative = self.split == Split::MachineOut;
        let mut residuals = Residuals {
            level: LEVEL,
            split: self.split,
            relative,
            steps: steps(&seen, relative),
            coverage: None,
            mean_width: None,
        };
        let last = seen.iter().map(|s| s.fold).max().unwrap_or(0);
        let (mut held, mut width, mut count) = (0, 0.0, 0);
        for fold in 0..=last {
            let (test, rest): (Vec<Seen>, Vec<Seen>) = seen.iter().partition(|s| s.fold == fold);
            if test.is_empty() || rest.len() < 20 {
                continue;
            }
            let of_others = Residuals {
                steps: steps(&rest, relative),
                ..residuals.clone()
            };
            for row in test {
                let interval = of_others.around(row.predicted);
                held += usize::from((interval.low..=interval.high).contains(&row.measured));
                width += interval.high - interval.low;
                count += 1;
            }
        }
        if count > 0 {
            residuals.coverage = Some(held as f64 / f64::from(count));
            residuals.mean_width = Some(width / f64::from(count));
        }
        Some(residuals)
    }

    fn seen(&self, component: Component, data: &TrainingData) -> Vec<Seen> {
        let (Some(predicted), Some(measured)) =
            (self.predicted.get(&component), data.targets.get(&component))
        else {
            return Vec::new();
        };
        let seen = |row: usize| {
            Some(Seen {
                measured: measured[row],
                predicted: predicted[row]?,
                fold: self.fold_of[row]?,
                machine: data.machines.get(row).copied().unwrap_or(0),
            })
        };
        let rows = [predicted.len(), measured.len(), self.fold_of.len()];
        (0..rows.into_iter().min().unwrap_or(0))
            .filter_map(seen)
            .collect()
    }
}

/// The share of true values that intervals are made to hold.
const LEVEL: f64 = 0.9;
/// Predicted power is cut into at most this many levels, with at least so many rows each.
const STEPS: usize = 5;
const STEP_ROWS: usize = 60;

/// Machines below which the farthest off of them counts, rather than all their rows together: a new machine is one draw
/// among machines, however many rows each has.
const FEW_MACHINES: usize = 20;

/// The quantiles of residuals by predicted level.
fn steps(seen: &[Seen], relative: bool) -> Vec<ResidualStep> {
    let machines: BTreeSet<u32> = seen.iter().map(|s| s.machine).collect();
    if relative && machines.len() < FEW_MACHINES {
        let of = |machine: &u32| step(&of_machine(seen, *machine), relative);
        let farthest = |a: ResidualStep, b: ResidualStep| ResidualStep {
            from: a.from.min(b.from),
            low: a.low.min(b.low),
            high: a.high.max(b.high),
        };
        return machines
            .iter()
            .map(of)
            .reduce(farthest)
            .into_iter()
            .collect();
    }
    let mut seen = seen.to_vec();
    seen.sort_by(|a, b| a.predicted.total_cmp(&b.predicted));
    let count = (seen.len() / STEP_ROWS).clamp(1, STEPS);
    let part = |number: usize| number * seen.len() / count..(number + 1) * seen.len() / count;
    let mut steps: Vec<ResidualStep> = (0..count)
        .map(|number| step(&seen[part(number)], relative))
        .collect();
    // Equal predictions (leaves) may meet at a border: the later step would never be used alone.
    steps.dedup_by(|later, earlier| {
        let same = later.from <= earlier.from;
        if same {
            earlier.low = earlier.low.min(later.low);
            earlier.high = earlier.high.max(later.high);
        }
        same
    });
    steps
}

fn of_machine(seen: &[Seen], machine: u32) -> Vec<Seen> {
    seen.iter()
        .copied()
        .filter(|s| s.machine == machine)
        .collect()
}

/// The quantiles of some rows' residuals.
fn step(rows: &[Seen], relative: bool) -> ResidualStep {
    let mut off: Vec<f64> = rows
        .iter()
        .map(|s| {
            let unit = if relative { s.predicted.max(1e-9) } else { 1.0 };
            (s.measured - s.predicted) / unit
        })
        .collect();
    off.sort_by(f64::total_cmp);
    ResidualStep {
        from: rows
            .iter()
            .map(|s| s.predicted)
            .fold(f64::INFINITY, f64::min)
            .min(f64::MAX),
        low: -quantile(off.iter().rev().map(|o| -o)),
        high: quantile(off.iter().copied()),
    }
}

/// The smallest of rising values that a new one stays under with a chance of 95 %, as counted by split conformal
/// prediction: the value at place `ceil((n + 1) 0.95)`.
fn quantile(rising: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = rising.len();
    let place = ((n + 1) as f64 * (1.0 + LEVEL) / 2.0).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and n"
    )]
    let place = place.clamp(1.0, n.max(1) as f64) as usize;
    let mut rising = rising;
    rising.nth(place - 1).unwrap_or(0.0)
}

/// Trainers by their error on rows that they had not seen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Leaderboard {
    /// How rows were held out.
    pub split: Split,
    /// The part of the machine that trainers are ranked by.
    pub component: Component,
    /// Least error first; those that failed last.
    pub entries: Vec<Entry>,
}

/// A trainer's place on a [`Leaderboard`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The trainer.
    pub trainer: Trainer,
    /// Its errors by part of the machine; empty where it failed.
    pub errors: BTreeMap<Component, HeldOut>,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

/// Cross-validates several trainers on the same folds.
///
/// A trainer that cannot be fitted to the rows is told as failed; it does not end the others.
///
/// # Errors
/// As [`cross_validate`], for reasons that hold for all trainers; [`Error::Cancelled`].
pub fn leaderboard(
    trainers: &[Trainer],
    data: &TrainingData,
    split: Split,
    options: &TrainOptions,
    watch: &mut Watch<'_>,
) -> Result<Leaderboard> {
    data.check()?;
    super::split::folds(data, split, options.folds, options.seed)?;
    let component = data.main_component().unwrap_or(Component::Platform);
    let mut entries = Vec::new();
    for (number, trainer) in trainers.iter().enumerate() {
        let validation = watch.part(trainer.as_str(), (number, trainers.len()), |watch| {
            cross_validate(*trainer, data, split, options, watch)
        });
        let entry = |errors, failed| Entry {
            trainer: *trainer,
            errors,
            failed,
        };
        entries.push(match validation {
            Ok(validation) => {
                let error = |c: &Component| Some((*c, validation.error(*c, data)?));
                entry(data.targets.keys().filter_map(error).collect(), None)
            }
            Err(error @ Error::Cancelled(_)) => return Err(error),
            Err(error) => entry(BTreeMap::new(), Some(error.to_string())),
        });
    }
    let mae = |e: &Entry| e.errors.get(&component).map_or(f64::INFINITY, |e| e.mae);
    entries.sort_by(|a, b| mae(a).total_cmp(&mae(b)));
    Ok(Leaderboard {
        split,
        component,
        entries,
    })
}

impl Leaderboard {
    /// The trainer with the least error; `None` where all failed.
    pub fn best(&self) -> Option<Trainer> {
        let first = self.entries.first()?;
        first.failed.is_none().then_some(first.trainer)
    }
}

impl fmt::Display for Leaderboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "mean absolute error in W, {} ({})",
            self.component, self.split
        )?;
        for entry in &self.entries {
            write!(f, "{:<32}", entry.trainer.as_str())?;
            if let Some(why) = &entry.failed {
                writeln!(f, "  {why}")?;
                continue;
            }
            for (component, error) in &entry.errors {
                write!(f, "  {component} {:.2}", error.mae)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_count_the_row_to_come() {
        // n = 39: ceil(40 x 0.95) = 38, so one value stays above.
        assert!((quantile((1..=39u8).map(f64::from)) - 38.0).abs() < 1e-12);
        // n = 5: ceil(6 x 0.95) = 6 is beyond the last, which is all there is.
        assert!((quantile((1..=5u8).map(f64::from)) - 5.0).abs() < 1e-12);
    }
}
