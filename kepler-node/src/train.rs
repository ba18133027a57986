//! Training power models.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kepler_core::Result;
use kepler_core::model as core;
use kepler_core::model::Component;
use kepler_core::model::train::{Progress, TrainOptions, Trainer, TrainingData, Watch};
use napi::Env;
use napi::bindgen_prelude::{Either, External, Float64Array, FnArgs, Object, Uint32Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use ndarray::{Array2, ShapeBuilder};

use crate::errors::promise_apart;
use crate::model::PowerModel;
use crate::options::invalid;

/// Measured rows: one array a feature, and one of watts a component.
#[napi(object)]
pub struct TrainingRows {
    /// Values by feature; counted things per second.
    #[napi(ts_type = "Record<string, Numbers>")]
    pub features: BTreeMap<String, Float64Array>,
    /// Measured watts by component: package, core, uncore, dram, platform.
    #[napi(ts_type = "Record<string, Numbers>")]
    pub targets: BTreeMap<String, Float64Array>,
    /// When each row was measured, in seconds; rows are then held out in blocks of time.
    #[napi(ts_type = "Numbers")]
    pub times: Option<Float64Array>,
    /// The number of each row's machine; rows are then held out by whole machines.
    #[napi(ts_type = "Numbers | Uint32Array")]
    pub machines: Option<Uint32Array>,
}

/// How a model is trained and judged.
#[napi(object)]
#[derive(Default)]
pub struct TrainingOptions {
    /// `EnsembleTrainer`, the default, or one of the public model database such as `GradientBoostingRegressorTrainer`.
    pub trainer: Option<String>,
    /// The columns of a file to learn from; by default every other one that does not tell power or energy.
    pub features: Option<Vec<String>>,
    /// The model's name.
    pub name: Option<String>,
    /// `AbsPower`, the default, or `DynPower`.
    #[napi(ts_type = "'AbsPower' | 'DynPower'")]
    pub output_type: Option<String>,
    /// The meter that measured the power.
    pub energy_source: Option<String>,
    /// Where the rows come from.
    pub source: Option<String>,
    /// How rows are held out to measure the error; by default what the rows allow. An empty list measures none.
    #[napi(
        ts_type = "Array<'shuffled-part' | 'shuffled-folds' | 'blocked-folds' | 'machine-out'>"
    )]
    pub splits: Option<Vec<String>>,
    /// How many folds; 10 by default.
    pub folds: Option<u32>,
    /// The seed of whatever is random. The same seed gives the same model.
    pub seed: Option<u32>,
}

/// The share that is done, and what is being done.
type Told = FnArgs<(f64, String)>;
/// Who is told how far a training is.
type Tell = ThreadsafeFunction<Told, (), Told, napi::Status, false, true>;

/// Trains off the event loop; `kepler.train` is the door to it.
#[napi(js_name = "_train", skip_typescript)]
pub fn train<'e>(
    env: &'e Env,
    data: Either<String, TrainingRows>,
    options: Option<TrainingOptions>,
    tell: Option<Tell>,
    going: &External<Arc<AtomicBool>>,
) -> napi::Result<Object<'e>> {
    let stop = Arc::clone(going);
    promise_apart(env, "kepler-train", move || {
        let mut wanted = options.unwrap_or_default();
        let trainer: Trainer = wanted
            .trainer
            .as_deref()
            .unwrap_or("EnsembleTrainer")
            .parse()?;
        let data = rows(data, wanted.features.take())?;
        let mut watch = Watch::new(|now: Progress<'_>| {
            if let Some(tell) = &tell {
                tell.call(
                    (now.done, now.stage.to_owned()).into(),
                    ThreadsafeFunctionCallMode::NonBlocking,
                );
            }
            if stop.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        core::train::train(trainer, &data, &train_options(wanted)?, &mut watch).map(PowerModel)
    })
}

fn rows(data: Either<String, TrainingRows>, features: Option<Vec<String>>) -> Result<TrainingData> {
    let given = match data {
        Either::A(path) => {
            let choice = core::train::ColumnChoice {
                features,
                ..Default::default()
            };
            return TrainingData::read_csv_as(Path::new(&path), &choice);
        }
        Either::B(given) => given,
    };
    let count = given
        .features
        .values()
        .next()
        .map_or(0, |column| column.len());
    if given.features.values().any(|column| column.len() != count) {
        return Err(invalid("features", "the arrays are of different lengths"));
    }
    let columns: Vec<&[f64]> = given.features.values().map(|column| &**column).collect();
    let matrix = Array2::from_shape_vec((count, columns.len()).f(), columns.concat());
    let names = given.features.into_keys().collect();
    let targets = given
        .targets
        .into_iter()
        .map(|(name, watts)| Ok((name.parse::<Component>()?, watts.to_vec())));
    let matrix = matrix.map_err(|error| invalid("features", error))?;
    let times = given.times.map_or_else(Vec::new, |times| times.to_vec());
    let machines = given
        .machines
        .map_or_else(Vec::new, |machines| machines.to_vec());
    TrainingData::from_arrays(names, matrix, targets.collect::<Result<_>>()?)?
        .measured(times, machines)
}

fn train_options(wanted: TrainingOptions) -> Result<TrainOptions> {
    let mut options = TrainOptions::default();
    options.name = wanted.name.unwrap_or_default();
    if let Some(output_type) = wanted.output_type {
        options.output_type = output_type.parse()?;
    }
    options.energy_source = wanted
        .energy_source
        .map(|source| source.parse())
        .transpose()?;
    options.data = wanted.source.unwrap_or_default();
    options.seed = wanted.seed.unwrap_or_default().into();
    options.splits = wanted
        .splits
        .map(|names| names.iter().map(|name| name.parse()).collect())
        .transpose()?;
    options.folds = wanted.folds.map_or(options.folds, |folds| folds as usize);
    Ok(options)
}
