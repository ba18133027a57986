//! A pipeline of models, and the choice among them.

use std::path::PathBuf;

use kepler_core::model as core;
use kepler_core::model::{EnergySourceName, ModelRequest, OutputType, SelectionPolicy};
use kepler_core::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::errors::run;
use crate::model::RawModel;
use crate::options::whole;
use crate::record::record;

record! {
    /// One model of a registry, as its metadata describes it.
    ModelEntry {
        /// Where it lies in its pipeline.
        path: String,
        /// Its name, such as `SGDRegressorTrainer_1`.
        name: String,
        /// The algorithm that trained it.
        trainer: String,
        /// The machine type that it is of.
        node_type: Option<u32>,
        /// The meter that its training power came from.
        source: &'static str,
        /// `AbsPower` or `DynPower`.
        output_type: &'static str,
        /// The feature group that it lies in.
        group: &'static str,
        /// Its features, in column order.
        features: Vec<String>,
        /// The published mean absolute error in watts: that of its worst component.
        mae_watts: Option<f64>,
    }
}

/// The machine that a model is wanted for: processor, cores, chips, memory in GiB, frequency in MHz.
type Machine = (
    Option<String>,
    Option<u32>,
    Option<u32>,
    Option<u32>,
    Option<u32>,
);

/// Model, path, weighed error in watts, looseness.
type Chosen = (RawModel, String, f64, f64);

/// A pipeline of models. The public class around it is `kepler.ModelRegistry`.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct RawRegistry(core::ModelRegistry);

#[pymethods]
impl RawRegistry {
    /// Indexes a folder or zip.
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        run(py, || core::ModelRegistry::open(path)).map(Self)
    }

    fn __len__(&self) -> usize {
        self.0.entries().len()
    }

    /// All models, by pipeline and path.
    fn entries(&self, py: Python<'_>) -> PyResult<Vec<Py<ModelEntry>>> {
        self.0
            .entries()
            .iter()
            .map(|entry| Py::new(py, ModelEntry::from(entry)))
            .collect()
    }

    /// The model of an entry by its path.
    fn model(&self, py: Python<'_>, path: &str) -> PyResult<RawModel> {
        run(py, || {
            let entry = self.0.entries().iter().find(|entry| entry.path() == path);
            let entry = entry.ok_or_else(|| Error::NotFound {
                what: "model",
                name: path.to_owned(),
                hint: "entries() tells which there are".to_owned(),
            })?;
            self.0.model(entry)
        })
        .map(RawModel)
    }

    /// The best model for what is at hand; None when none fits.
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn select(
        &self,
        py: Python<'_>,
        source: &str,
        output_type: &str,
        features: Vec<String>,
        machine: Option<Machine>,
        node_type: Option<&Bound<'_, PyInt>>,
        trainer: String,
        filter: &str,
        loose: bool,
        policy: &str,
    ) -> PyResult<Option<Chosen>> {
        let node_type = node_type
            .map(|number| whole("node_type", number))
            .transpose()?;
        run(py, || {
            let source: EnergySourceName = source.parse()?;
            let output_type: OutputType = output_type.parse()?;
            let mut request = ModelRequest::new(source, output_type, &features);
            request.machine = machine.map(|machine| (&spec(machine)).into());
            request.node_type = node_type;
            request.trainer = trainer;
            request.filter = filter.parse()?;
            request.loose = loose;
            let Some(found) = self.0.select(&request, policy_of(policy)?)? else {
                return Ok(None);
            };
            let model = self.0.model(found.entry)?;
            Ok(Some((
                RawModel(model),
                found.entry.path().to_owned(),
                found.mae,
                found.looseness,
            )))
        })
    }
}

fn spec((processor, cores, chips, memory, frequency): Machine) -> kepler_core::MachineSpec {
    kepler_core::MachineSpec {
        processor,
        cores,
        chips,
        memory,
        frequency,
        ..kepler_core::MachineSpec::default()
    }
}

fn policy_of(name: &str) -> Result<SelectionPolicy> {
    match name {
        "best" => Ok(SelectionPolicy::Best),
        "compatible" => Ok(SelectionPolicy::Compatible),
        _ => Err(Error::InvalidInput {
            what: "policy".to_owned(),
            why: format!("{name} is not best or compatible"),
        }),
    }
}

impl From<&core::ModelEntry> for ModelEntry {
    fn from(from: &core::ModelEntry) -> Self {
        Self {
            path: from.path().to_owned(),
            name: from.name().to_owned(),
            trainer: from.trainer().to_owned(),
            node_type: from.node_type(),
            source: from.source().as_str(),
            output_type: from.output_type().as_str(),
            group: from.group().as_str(),
            features: from.features().map(str::to_owned).collect(),
            mae_watts: from.mae(),
        }
    }
}
