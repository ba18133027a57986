//! One model of a pipeline: which files stand for it, and what they tell before it is read.

use std::collections::BTreeSet;

use once_cell::sync::OnceCell;

use super::archive::{Archive, Zip};
use super::card::HeldOut;
use super::database::{Metadata, Trainer};
use super::feature::FeatureGroup;
use super::names::{Component, EnergySourceName, OutputType};
use super::{ModelFile, PowerModel};
use crate::error::Result;

/// One model of a [`super::ModelRegistry`], as its metadata describes it.
#[derive(Debug)]
pub struct ModelEntry {
    /// Its place among all entries.
    place: usize,
    pipeline: usize,
    path: Box<str>,
    /// The folder's name, such as `LinearRegressionTrainer_3`.
    name: Box<str>,
    source: EnergySourceName,
    output_type: OutputType,
    group: FeatureGroup,
    node_type: Option<u32>,
    features: Box<[Box<str>]>,
    mae: Option<f64>,
    errors: Box<[(Component, HeldOut)]>,
    weights: bool,
    /// The model, once it was read.
    pub(super) model: OnceCell<PowerModel>,
}

impl ModelEntry {
    /// Where the model lies in its pipeline, such as `acpi/AbsPower/BPFOnly/SGDRegressorTrainer_1.zip`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The model's name, such as `SGDRegressorTrainer_1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its place in [`super::ModelRegistry::entries`].
    pub fn place(&self) -> usize {
        self.place
    }

    /// Which pipeline of the registry it is in.
    pub(super) fn pipeline_number(&self) -> usize {
        self.pipeline
    }

    /// The algorithm that trained it.
    pub fn trainer(&self) -> &str {
        Trainer::name(&self.name)
    }

    /// The machine type that it is of.
    pub fn node_type(&self) -> Option<u32> {
        self.node_type
    }

    /// The meter that its training power came from.
    pub fn source(&self) -> EnergySourceName {
        self.source
    }

    /// What it predicts.
    pub fn output_type(&self) -> OutputType {
        self.output_type
    }

    /// The feature group that it lies in.
    pub fn group(&self) -> FeatureGroup {
        self.group
    }

    /// The names of its features, in column order.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(|f| &**f)
    }

    /// The published mean absolute error in watts: that of its worst component.
    pub fn mae(&self) -> Option<f64> {
        self.mae
    }

    /// The published error of one component.
    pub fn error(&self, component: Component) -> Option<&HeldOut> {
        self.errors
            .iter()
            .find(|(c, _)| *c == component)
            .map(|(_, error)| error)
    }

    /// Whether the database has this model as weights in JSON too.
    pub fn has_weights(&self) -> bool {
        self.weights
    }
}

/// A file of a pipeline that stands for a model: a zip, a folder's metadata, or a JSON file of its own.
pub(super) struct ModelPlace<'a> {
    file: &'a str,
    source: EnergySourceName,
    output_type: OutputType,
    group: FeatureGroup,
    name: &'a str,
}

impl<'a> ModelPlace<'a> {
    pub(super) fn of(file: &'a str, has: &BTreeSet<&str>) -> Option<Self> {
        let parts: Vec<&str> = file.split('/').collect();
        let (source, output, group, name) = match parts[..] {
            [source, output, group, name, "metadata.json"] => (source, output, group, name),
            [source, output, group, last] => {
                let name = last
                    .strip_suffix(".zip")
                    .or_else(|| last.strip_suffix(".json"))?;
                let path = format!("{source}/{output}/{group}/{name}");
                // A folder unpacked beside its zip is the same model, and so are weights beside either.
                let unpacked = has.contains(format!("{path}/metadata.json").as_str());
                let zipped =
                    last.ends_with(".json") && has.contains(format!("{path}.zip").as_str());
                if unpacked || zipped {
                    return None;
                }
                (source, output, group, name)
            }
            _ => return None,
        };
        Some(Self {
            file,
            source: source_of(source)?,
            output_type: output.parse().ok()?,
            group: group.parse().unwrap_or(FeatureGroup::Unknown),
            name,
        })
    }

    /// What the files tell: the entry at a place among all, of a pipeline by its number.
    pub(super) fn entry(
        &self,
        place: usize,
        pipeline: usize,
        archive: &Archive,
        has: &BTreeSet<&str>,
    ) -> Result<ModelEntry> {
        let bytes = archive.read(self.file)?;
        let path = self.file.trim_end_matches("/metadata.json");
        let mut entry = ModelEntry {
            place,
            pipeline,
            path: path.into(),
            name: self.name.into(),
            source: self.source,
            output_type: self.output_type,
            group: self.group,
            node_type: Trainer::node_type(self.name),
            features: Box::default(),
            mae: None,
            errors: Box::default(),
            weights: true,
            model: OnceCell::new(),
        };
        if path.ends_with(".json") {
            let mut file = ModelFile::from_bytes(&bytes, self.name, path)?;
            file.output_type = self.output_type;
            file.energy_source = Some(self.source);
            let errors = file.components.iter();
            entry.errors = errors
                .filter_map(|(c, part)| Some((*c, part.errors.first()?.clone())))
                .collect();
            entry.mae = entry
                .errors
                .iter()
                .map(|(_, error)| error.mae)
                .reduce(f64::max);
            entry.features = file
                .features
                .iter()
                .map(|f| f.name.as_str().into())
                .collect();
            entry.model = OnceCell::with_value(PowerModel::new(file)?);
            return Ok(entry);
        }
        let bytes = match path.ends_with(".zip") {
            true => Zip::from_bytes(&bytes, path)?.read("metadata.json")?,
            false => bytes,
        };
        let metadata = Metadata::parse(&bytes, path)?;
        let errors = Component::ALL
            .iter()
            .filter_map(|c| Some((*c, metadata.error(*c)?)));
        entry.errors = errors.collect();
        entry.mae = metadata.mae;
        entry.features = metadata
            .features
            .into_iter()
            .map(String::into_boxed_str)
            .collect();
        let beside = format!("{}.json", path.trim_end_matches(".zip"));
        let within = format!("{path}/weight.json");
        entry.weights = has.contains(beside.as_str()) || has.contains(within.as_str());
        Ok(entry)
    }
}

/// The source that a folder is named after; older pipelines say `rapl`.
fn source_of(folder: &str) -> Option<EnergySourceName> {
    match folder {
        "rapl" => Some(EnergySourceName::RaplSysfs),
        _ => folder.parse().ok(),
    }
}
