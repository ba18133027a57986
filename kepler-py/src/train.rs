//! Training power models.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use kepler_core::Result;
use kepler_core::model as core;
use kepler_core::model::train::{
    ColumnChoice, Progress, TrainOptions, Trainer, TrainingData, Watch,
};
use kepler_core::model::{Component, OutputType};
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::errors::to_py;
use crate::model::RawModel;
use crate::options::whole;

/// How a model is trained and judged.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct RawOptions {
    trainer: Trainer,
    options: TrainOptions,
}

#[pymethods]
impl RawOptions {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        trainer: &str,
        name: String,
        output_type: &str,
        energy_source: Option<&str>,
        data: String,
        seed: &Bound<'_, PyInt>,
        splits: Option<Vec<String>>,
        folds: &Bound<'_, PyInt>,
    ) -> PyResult<Self> {
        let (seed, folds) = (whole("seed", seed)?, whole("folds", folds)?);
        let parse = || -> Result<Self> {
            let mut options = TrainOptions::default();
            options.name = name;
            options.output_type = output_type.parse::<OutputType>()?;
            options.energy_source = energy_source.map(str::parse).transpose()?;
            options.data = data;
            options.seed = seed;
            options.splits = splits
                .map(|names| names.iter().map(|name| name.parse()).collect())
                .transpose()?;
            options.folds = folds;
            Ok(Self {
                trainer: trainer.parse()?,
                options,
            })
        };
        parse().map_err(to_py)
    }
}

/// Which columns are what, as the core tells it from their names and what was chosen.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct RawColumns(ColumnChoice);

#[pymethods]
impl RawColumns {
    #[new]
    fn new(
        target: Option<String>,
        targets: Option<BTreeMap<String, String>>,
        features: Option<Vec<String>>,
        time: Option<String>,
        machine: Option<String>,
    ) -> PyResult<Self> {
        let named = targets.unwrap_or_default().into_iter();
        let named = named.map(|(part, column)| Ok((part.parse::<Component>()?, column)));
        let choice = ColumnChoice {
            targets: named.collect::<Result<_>>().map_err(to_py)?,
            features,
            time,
            machine,
        };
        Ok(Self(match target {
            Some(target) => choice.target(&target),
            None => choice,
        }))
    }

    /// The columns of power by component, of features, of time and of machines.
    #[expect(clippy::type_complexity, reason = "a tuple for Python")]
    fn roles(
        &self,
        names: Vec<String>,
    ) -> PyResult<(
        BTreeMap<&'static str, String>,
        Vec<String>,
        Option<String>,
        Option<String>,
    )> {
        let roles = self.0.roles(&names).map_err(to_py)?;
        let targets = roles
            .targets
            .into_iter()
            .map(|(part, name)| (part.as_str(), name));
        Ok((targets.collect(), roles.features, roles.time, roles.machine))
    }
}

/// Trains on a CSV file.
#[pyfunction]
#[pyo3(signature = (path, columns, options, progress: "Any"))]
pub(crate) fn train_csv(
    py: Python<'_>,
    path: PathBuf,
    columns: &RawColumns,
    options: &RawOptions,
    progress: Option<Py<PyAny>>,
) -> PyResult<RawModel> {
    work(py, options, progress, || {
        TrainingData::read_csv_as(path, &columns.0)
    })
}

/// Trains on rows of features and watts by component.
#[pyfunction]
#[pyo3(signature = (features, rows: "Any", targets, machines, times, options, progress: "Any"))]
#[expect(clippy::too_many_arguments, reason = "what training data are made of")]
pub(crate) fn train_arrays(
    py: Python<'_>,
    features: Vec<String>,
    rows: PyReadonlyArray2<'_, f64>,
    targets: BTreeMap<String, Vec<f64>>,
    machines: Option<Vec<u32>>,
    times: Option<Vec<f64>>,
    options: &RawOptions,
    progress: Option<Py<PyAny>>,
) -> PyResult<RawModel> {
    let rows = rows.as_array().to_owned();
    work(py, options, progress, || {
        let targets = targets
            .into_iter()
            .map(|(name, watts)| Ok((name.parse::<Component>()?, watts)));
        TrainingData::from_arrays(features, rows, targets.collect::<Result<_>>()?)?
            .measured(times.unwrap_or_default(), machines.unwrap_or_default())
    })
}

/// Trains without the GIL. It is taken for each report of progress, where Python's signals are looked at too.
fn work(
    py: Python<'_>,
    options: &RawOptions,
    progress: Option<Py<PyAny>>,
    data: impl FnOnce() -> Result<TrainingData> + Send,
) -> PyResult<RawModel> {
    let mut raised = None;
    let report = |now: Progress<'_>| {
        let told = Python::attach(|py| {
            py.check_signals()?;
            progress.as_ref().map_or(Ok(()), |tell| {
                tell.call1(py, (now.done, now.stage)).map(drop)
            })
        });
        match told {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                raised = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let mut report = report;
    let trained = py.detach(|| {
        let mut watch = Watch::new(&mut report);
        core::train::train(options.trainer, &data()?, &options.options, &mut watch)
    });
    match (raised, trained) {
        (Some(error), _) => Err(error),
        (None, trained) => trained.map(RawModel).map_err(to_py),
    }
}
