//! From training rows to a whole model with stated errors.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, s};

use super::data::TrainingData;
use super::progress::Watch;
use super::split::folds;
use super::trainer::{Inputs, Trainer};
use super::validate::Validation;
use crate::error::Result;
use crate::host::MachineSpec;
use crate::model::columns::BLOCK;
use crate::model::{
    ComponentModel, Derived, EnergySourceName, FeatureSpec, ModelFile, OutputType, PowerModel,
    Split, Training,
};

/// What is told about a model besides its rows, and how it is judged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainOptions {
    /// The model's name; empty for the trainer's.
    pub name: String,
    /// Whole node, or above idle.
    pub output_type: OutputType,
    /// The meter that measured the power.
    pub energy_source: Option<EnergySourceName>,
    /// The machine that the rows are of.
    pub machine: MachineSpec,
    /// Where the rows come from, for the model card.
    pub data: String,
    /// The seed of whatever is random.
    pub seed: u64,
    /// How rows are held out, the split that models are chosen by first. `None` for what the rows allow: whole machines,
    /// else blocks in time, then random folds.
    pub splits: Option<Vec<Split>>,
    /// How many folds.
    pub folds: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            output_type: OutputType::AbsPower,
            energy_source: None,
            machine: MachineSpec::default(),
            data: String::new(),
            seed: 0,
            splits: None,
            folds: 10,
        }
    }
}

impl TrainOptions {
    /// The splits that are used for some rows.
    pub(super) fn splits(&self, data: &TrainingData) -> Vec<Split> {
        self.splits.clone().unwrap_or_else(|| {
            let first = if !data.machines.is_empty() {
                Some(Split::MachineOut)
            } else if !data.times.is_empty() {
                Some(Split::BlockedFolds)
            } else {
                None
            };
            first.into_iter().chain([Split::ShuffledFolds]).collect()
        })
    }
}

/// Trains a model on all rows. Its errors and intervals come from cross-validation, in which the same trainer learns from
/// the other folds alone, scaling included.
///
/// ```
/// use std::collections::BTreeMap;
/// use kepler_core::model::{Component, Split};
/// use kepler_core::model::train::{TrainOptions, Trainer, TrainingData, Watch, train};
/// use ndarray::Array2;
///
/// let rows = Array2::from_shape_fn((40, 1), |(i, _)| i as f64 * 100.0);
/// let watts = rows.column(0).iter().map(|ms| 50.0 + 0.02 * ms).collect();
/// let targets = BTreeMap::from([(Component::Package, watts)]);
/// let data = TrainingData::from_arrays(vec!["bpf_cpu_time_ms".into()], rows, targets)?;
///
/// let model = train(Trainer::Linear, &data, &TrainOptions::default(), &mut Watch::none())?;
/// let error = &model.file().components[&Component::Package].errors[0];
/// assert_eq!(error.split, Split::ShuffledFolds);
/// assert!(error.mae < 1e-6);
/// assert!((model.predict_one(&[1000.0])?.watts[&Component::Package] - 70.0).abs() < 1e-6);
/// # Ok::<(), kepler_core::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::InvalidInput`] for rows or options that make no sense and for a curve that cannot be fitted;
/// [`crate::Error::Cancelled`].
pub fn train(
    trainer: Trainer,
    data: &TrainingData,
    options: &TrainOptions,
    watch: &mut Watch<'_>,
) -> Result<PowerModel> {
    data.check()?;
    let splits = options.splits(data);
    let parts = splits.len() + 1;
    let mut file = watch.part(trainer.as_str(), (0, parts), |watch| {
        fit(trainer, data, options, watch)
    })?;
    for (number, split) in splits.iter().enumerate() {
        let validation = watch.part(trainer.as_str(), (number + 1, parts), |watch| {
            cross_validate(trainer, data, *split, options, watch)
        })?;
        for (component, part) in &mut file.components {
            part.errors.extend(validation.error(*component, data));
            if number == 0 {
                part.residuals = validation.residuals(*component, data);
            }
        }
    }
    PowerModel::new(file)
}

/// Predicts every row by a model that was trained without its fold.
///
/// # Errors
/// As [`train`].
pub fn cross_validate(
    trainer: Trainer,
    data: &TrainingData,
    split: Split,
    options: &TrainOptions,
    watch: &mut Watch<'_>,
) -> Result<Validation> {
    data.check()?;
    let folds = folds(data, split, options.folds, options.seed)?;
    let mut predicted: BTreeMap<_, Vec<Option<f64>>> = BTreeMap::new();
    let mut fold_of = vec![None; data.len()];
    for (number, fold) in folds.iter().enumerate() {
        let file = watch.part("", (number, folds.len()), |watch| {
            fit(trainer, &data.at(&fold.train), options, watch)
        })?;
        let test = data.at(&fold.test);
        for (component, watts) in PowerModel::new(file)?.predict(test.rows.view())?.watts {
            let all = predicted
                .entry(component)
                .or_insert_with(|| vec![None; data.len()]);
            for (row, watts) in fold.test.iter().zip(watts) {
                all[*row] = Some(watts);
                fold_of[*row] = Some(number);
            }
        }
    }
    Ok(Validation {
        split,
        predicted,
        fold_of,
    })
}

/// Fits every part of the machine on all the rows given.
fn fit(
    trainer: Trainer,
    data: &TrainingData,
    options: &TrainOptions,
    watch: &mut Watch<'_>,
) -> Result<ModelFile> {
    let inputs = trainer.inputs(data);
    let name = if options.name.is_empty() {
        trainer.as_str()
    } else {
        &options.name
    };
    let mut file = ModelFile::new(name, options.output_type, inputs.features.clone());
    for (number, (component, target)) in data.targets.iter().enumerate() {
        let estimator = watch.part("", (number, data.targets.len()), |watch| {
            trainer.fit(&inputs, *component, target, options.seed, watch)
        })?;
        file.components
            .insert(*component, ComponentModel::from(estimator));
    }
    let Inputs { derived, .. } = inputs;
    file.derived = derived;
    file.energy_source = options.energy_source;
    file.machine = options.machine.clone();
    file.training = Training {
        trainer: trainer.as_str().to_owned(),
        data: options.data.clone(),
        rows: Some(data.len() as u64),
        seed: Some(options.seed),
        ..Training::default()
    };
    if !data.machines.is_empty() {
        let machines: std::collections::BTreeSet<_> = data.machines.iter().collect();
        file.training.machines = Some(machines.len() as u64);
    }
    Ok(file)
}

/// Values of the inputs that estimators see: scaled features, then derived ones, made as predictions make them.
pub(super) fn inputs(
    features: &[FeatureSpec],
    derived: &[Derived],
    rows: ArrayView2<'_, f64>,
) -> Array2<f64> {
    let count = features.len() + derived.len();
    let mut z = Array2::zeros((rows.nrows(), count));
    let mut scratch = vec![0.0; count * BLOCK];
    for start in (0..rows.nrows()).step_by(BLOCK) {
        let n = BLOCK.min(rows.nrows() - start);
        for (i, feature) in features.iter().enumerate() {
            for row in 0..n {
                scratch[i * BLOCK + row] = rows[(start + row, i)] / feature.scale;
            }
        }
        for (i, derived) in derived.iter().enumerate() {
            derived.fill(&mut scratch, features.len() + i, n);
        }
        for ((row, input), value) in z.slice_mut(s![start..start + n, ..]).indexed_iter_mut() {
            *value = scratch[input * BLOCK + row];
        }
    }
    z
}
