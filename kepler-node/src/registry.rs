//! A pipeline of models, and the choice among them.

use std::path::Path;
use std::sync::Arc;

use kepler_core::model as core;
use kepler_core::model::{ModelRequest, SelectionPolicy};
use kepler_core::{Error, Result};
use napi::bindgen_prelude::{AsyncTask, Either, Either3, Undefined};
use napi_derive::napi;

use crate::columns::{Cell, Column, of_cells, part};
use crate::doctor::MachineSpec;
use crate::errors::{self, Work, promise, to_js};
use crate::model::PowerModel;
use crate::options::invalid;

/// What a model is wanted for.
#[napi(object)]
pub struct SelectOptions {
    /// The meter whose power is to be predicted, such as `rapl-sysfs` or `acpi`.
    pub source: String,
    /// `AbsPower` for a whole node, `DynPower` for power above idle.
    #[napi(ts_type = "'AbsPower' | 'DynPower'")]
    pub output_type: String,
    /// What can be measured.
    pub features: Vec<String>,
    /// The machine that the model is for, as `doctor` tells it.
    pub machine: Option<MachineSpec>,
    /// The same by its number in the pipeline's index.
    pub node_type: Option<u32>,
    /// Part of the algorithm's name.
    pub trainer: Option<String>,
    /// What else the model must fulfil, such as `mae:5;features:cpu_cycles`.
    pub filter: Option<String>,
    /// Whether another machine type will do; on by default.
    pub loose: Option<bool>,
    /// `best`, or `compatible` for what the older model server would choose.
    #[napi(ts_type = "'best' | 'compatible'")]
    pub policy: Option<String>,
}

/// A chosen model; read it with `registry.model(selection.path)`.
#[napi(object, object_from_js = false)]
pub struct Selection {
    /// Where it lies in the registry.
    pub path: String,
    /// Its mean absolute error in watts, as the choice weighed it.
    pub mae_watts: f64,
    /// How far its machine is from the one that was asked for: 0 is the same.
    pub looseness: f64,
}

/// A folder or zip of the public model database, indexed once; models are read when they are first used.
#[napi]
pub struct ModelRegistry(Arc<core::ModelRegistry>);

#[napi]
impl ModelRegistry {
    /// Indexes a pipeline, or a folder of several.
    #[napi(ts_return_type = "Promise<ModelRegistry>")]
    pub fn open(path: String) -> AsyncTask<Work<ModelRegistry>> {
        promise(move || open(&path))
    }

    /// As `open`, while the event loop waits.
    #[napi]
    pub fn open_sync(path: String) -> errors::Result<Self> {
        open(&path).map_err(to_js)
    }

    /// How many models there are.
    #[napi(getter)]
    pub fn length(&self) -> u32 {
        u32::try_from(self.0.entries().len()).unwrap_or(u32::MAX)
    }

    /// Some entries' values of one field.
    #[napi(js_name = "_column", skip_typescript)]
    pub fn column(&self, field: String, from: u32, count: u32) -> Column {
        let entries = part(self.0.entries(), from as usize, count as usize);
        if field == "features" {
            let names = |entry: &core::ModelEntry| entry.features().map(str::to_owned).collect();
            return Either3::C(entries.iter().map(names).collect());
        }
        of_cells(entries.iter().map(|entry| cell(entry, &field)))
    }

    /// Reads the model at an entry's path.
    #[napi(ts_return_type = "Promise<PowerModel>")]
    pub fn model(&self, path: String) -> AsyncTask<Work<PowerModel>> {
        let registry = self.0.clone();
        promise(move || {
            let entry = registry.entries().iter().find(|entry| entry.path() == path);
            let entry = entry.ok_or_else(|| Error::NotFound {
                what: "model",
                name: path,
                hint: "entries tells which there are".to_owned(),
            })?;
            registry.model(entry).map(PowerModel)
        })
    }

    /// Chooses the best model for what is at hand; undefined when none fits.
    #[napi(ts_return_type = "Promise<Selection | undefined>")]
    pub fn select(&self, options: SelectOptions) -> AsyncTask<Work<Either<Selection, Undefined>>> {
        let registry = self.0.clone();
        promise(move || select(&registry, options).map(Either::from))
    }
}

fn open(path: &str) -> Result<ModelRegistry> {
    core::ModelRegistry::open(Path::new(path)).map(|registry| ModelRegistry(Arc::new(registry)))
}

fn select(registry: &core::ModelRegistry, options: SelectOptions) -> Result<Option<Selection>> {
    let mut request = ModelRequest::new(
        options.source.parse()?,
        options.output_type.parse()?,
        &options.features,
    );
    request.machine = options
        .machine
        .map(|machine| (&kepler_core::MachineSpec::from(machine)).into());
    request.node_type = options.node_type;
    request.trainer = options.trainer.unwrap_or_default();
    request.filter = options.filter.unwrap_or_default().parse()?;
    request.loose = options.loose.unwrap_or(true);
    let policy = match options.policy.as_deref() {
        None | Some("best") => SelectionPolicy::Best,
        Some("compatible") => SelectionPolicy::Compatible,
        Some(other) => {
            return Err(invalid(
                "policy",
                format!("{other} is not best or compatible"),
            ));
        }
    };
    let found = registry.select(&request, policy)?;
    Ok(found.map(|found| Selection {
        path: found.entry.path().to_owned(),
        mae_watts: found.mae,
        looseness: found.looseness,
    }))
}

fn cell<'a>(entry: &'a core::ModelEntry, field: &str) -> Cell<'a> {
    Cell::Word(Some(match field {
        "nodeType" => return Cell::Number(entry.node_type().map_or(f64::NAN, f64::from)),
        "maeWatts" => return Cell::Number(entry.mae().unwrap_or(f64::NAN)),
        "path" => entry.path(),
        "name" => entry.name(),
        "trainer" => entry.trainer(),
        "source" => entry.source().as_str(),
        "outputType" => entry.output_type().as_str(),
        "group" => entry.group().as_str(),
        _ => return Cell::Word(None),
    }))
}
