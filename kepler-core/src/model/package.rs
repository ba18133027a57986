//! A model as one zip, and as weights: what is handed to those who ask for it.

use std::io::{Cursor, Write};

use serde_json::{Map, Value, json};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::archive::Zip;
use super::database::OWN_CLASS;
use super::entry::ModelEntry;
use super::registry::ModelRegistry;
use super::spec::SpecRecord;
use super::{ModelFile, PowerModel, weights};
use crate::error::{Error, Result};

/// A zip that is written in memory. Its times are always the same, so that the same files are the same bytes.
struct Package(ZipWriter<Cursor<Vec<u8>>>);

impl ModelRegistry {
    /// The model of an entry as a zip: its files as they lie in the pipeline, its weights as `weight.json` where it has
    /// some, and its machine in `metadata.json`. The same entry gives the same bytes.
    ///
    /// # Errors
    /// As [`PowerModel::load`].
    pub fn package(&self, entry: &ModelEntry) -> Result<Vec<u8>> {
        let path = entry.path();
        let machine = entry.node_type().and_then(|n| self.nodes(entry).get(n));
        let machine = machine.map(|node| node.attributes().clone());
        if path.ends_with(".json") {
            let mut file = self.model(entry)?.file().clone();
            entry.name().clone_into(&mut file.name);
            return package(&file, entry.mae(), machine.as_ref());
        }
        let archive = self.archive(entry);
        let mut package = Package::new();
        if path.ends_with(".zip") {
            let bytes = archive.read(path)?;
            let mut zip = Zip::from_bytes(&bytes, path)?;
            package.metadata(&zip.read("metadata.json")?, machine, path)?;
            for name in zip.names() {
                if name != "metadata.json" && name != "weight.json" {
                    zip.copy(&name, &mut package.0)?;
                }
            }
        } else {
            let read = |name: &str| archive.read(&format!("{path}/{name}"));
            package.metadata(&read("metadata.json")?, machine, path)?;
            for name in archive.files(path)? {
                if name != "metadata.json" && name != "weight.json" {
                    package.add(&name, &read(&name)?)?;
                }
            }
        }
        if entry.has_weights() {
            package.add("weight.json", &self.weights(entry)?)?;
        }
        package.finish()
    }

    /// The weights of an entry as JSON.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a model that has none; otherwise as [`PowerModel::load`].
    pub fn weights(&self, entry: &ModelEntry) -> Result<Vec<u8>> {
        let path = entry.path();
        if path.ends_with(".json") {
            let weights = self.model(entry)?.weights();
            let weights = weights.ok_or_else(|| Error::NotFound {
                what: "weights",
                name: path.to_owned(),
                hint: "its formula is none that weights can tell".to_owned(),
            })?;
            return Ok(weights.to_string().into_bytes());
        }
        let archive = self.archive(entry);
        let beside = format!("{}.json", path.trim_end_matches(".zip"));
        archive
            .read(&beside)
            .or_else(|_| archive.read(&format!("{path}/weight.json")))
    }
}

impl PowerModel {
    /// The model as weights, one item a component; `None` for formulas that weights cannot tell.
    pub fn weights(&self) -> Option<Value> {
        weights::to_json(self.file())
    }

    /// The model as a zip with its own file, weights where they can tell it, and metadata. The same model gives the same
    /// bytes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for numbers that JSON does not know.
    pub fn package(&self) -> Result<Vec<u8>> {
        let errors = self.file().components.values();
        let worst = errors.filter_map(|part| Some(part.errors.first()?.mae));
        package(self.file(), worst.reduce(f64::max), None)
    }
}

fn package(file: &ModelFile, mae: Option<f64>, machine: Option<&SpecRecord>) -> Result<Vec<u8>> {
    let model_file = format!("{}.json", file.name);
    let features: Vec<&str> = file.features.iter().map(|f| f.name.as_str()).collect();
    let machine = machine
        .cloned()
        .unwrap_or_else(|| SpecRecord::from(&file.machine));
    let mut metadata = json!({
        "model_name": file.name,
        "model_class": OWN_CLASS,
        "model_file": model_file,
        "features": features,
        "fe_files": [],
        "output_type": file.output_type,
        "mae": mae,
    });
    for (component, part) in &file.components {
        if let Some(error) = part.errors.first() {
            metadata[format!("{component}_mae")] = error.mae.into();
            metadata[format!("{component}_mape")] = error.mape.unwrap_or(-1.0).into();
        }
    }
    let mut package = Package::new();
    package.metadata(metadata.to_string().as_bytes(), Some(machine), &model_file)?;
    package.add(&model_file, file.to_json()?.as_bytes())?;
    if let Some(weights) = weights::to_json(file) {
        package.add("weight.json", weights.to_string().as_bytes())?;
    }
    package.finish()
}

impl Package {
    fn new() -> Self {
        Self(ZipWriter::new(Cursor::new(Vec::new())))
    }

    /// Metadata with the machine, unless it tells one itself.
    fn metadata(&mut self, bytes: &[u8], machine: Option<SpecRecord>, place: &str) -> Result<()> {
        let mut metadata: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|e| Error::malformed(place, "a model's metadata", e.to_string()))?;
        if let Some(machine) = machine {
            let machine = json!(machine);
            metadata.entry("machine_spec").or_insert(machine);
        }
        self.add(
            "metadata.json",
            Value::Object(metadata).to_string().as_bytes(),
        )
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::DEFAULT)
            .unix_permissions(0o644);
        let written = self.0.start_file(name, options);
        written.map_err(|e| unwritten(name, &e))?;
        self.0
            .write_all(bytes)
            .map_err(|e| unwritten(name, &e.into()))
    }

    fn finish(self) -> Result<Vec<u8>> {
        let written = self.0.finish();
        Ok(written.map_err(|e| unwritten("the end", &e))?.into_inner())
    }
}

fn unwritten(name: &str, error: &ZipError) -> Error {
    Error::malformed(name, "what a zip can hold", error.to_string())
}
