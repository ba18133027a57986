//! All models of a pipeline, indexed once and parsed when first used.

use std::collections::BTreeSet;
use std::path::Path;

use once_cell::sync::OnceCell;

use super::PowerModel;
use super::archive::{Archive, Zip};
use super::card::HeldOut;
use super::database::{self, Metadata, Trainer};
use super::feature::FeatureGroup;
use super::names::{Component, EnergySourceName, OutputType};
use super::node_index::NodeIndex;
use crate::error::Result;

/// A pipeline of models: a folder or zip of the public database, or several of them together.
///
/// Holds what models are chosen by; a model itself is read when it is first asked for, then kept.
#[derive(Debug)]
pub struct ModelRegistry {
    pipelines: Vec<Pipeline>,
    entries: Vec<ModelEntry>,
}

#[derive(Debug)]
struct Pipeline {
    name: String,
    archive: Archive,
    nodes: NodeIndex,
}

/// One model of a [`ModelRegistry`], as its metadata describes it.
#[derive(Debug)]
pub struct ModelEntry {
    pipeline: usize,
    path: Box<str>,
    /// The folder's name, such as `LinearRegressionTrainer_3`.
    name: Box<str>,
    source: EnergySourceName,
    output_type: OutputType,
    group: FeatureGroup,
    features: Box<[Box<str>]>,
    mae: Option<f64>,
    errors: Box<[(Component, HeldOut)]>,
    weights: bool,
    model: OnceCell<PowerModel>,
}

/// Folders between a pipeline and a model's files: source, output type, group, model.
const DEPTH: u32 = 4;

impl ModelRegistry {
    /// Indexes a pipeline: a folder or a zip with `<source>/<output type>/<feature group>/<model>.zip`, where a model may
    /// also be a folder, and `node_type_index.json` at the top. A folder of several pipelines is indexed whole.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read) for what cannot be read, [`Error::Malformed`](crate::Error::Malformed) with the place for files that are not those of
    /// a pipeline, [`Error::TooLarge`](crate::Error::TooLarge) for a zip over the limits.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let mut registry = Self {
            pipelines: Vec::new(),
            entries: Vec::new(),
        };
        registry.add(path.as_ref())?;
        Ok(registry)
    }

    /// Indexes another pipeline too.
    ///
    /// # Errors
    /// As [`ModelRegistry::open`].
    pub fn add(&mut self, path: &Path) -> Result<()> {
        let archive = Archive::open(path)?;
        let names = archive.names(DEPTH)?;
        let name = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        let nodes = match archive.read("node_type_index.json") {
            Ok(bytes) => NodeIndex::parse(&bytes, &path.display().to_string())?,
            Err(error) if error.kind() == crate::ErrorKind::NotFound => NodeIndex::default(),
            Err(error) => return Err(error),
        };
        let pipeline = self.pipelines.len();
        let has: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        for file in &names {
            if let Some(entry) = entry(pipeline, &archive, file, &has)? {
                self.entries.push(entry);
            }
        }
        self.pipelines.push(Pipeline {
            name: name.to_owned(),
            archive,
            nodes,
        });
        Ok(())
    }

    /// All models, by pipeline and path.
    pub fn entries(&self) -> &[ModelEntry] {
        &self.entries
    }

    /// The machine types of an entry's pipeline.
    pub fn nodes(&self, entry: &ModelEntry) -> &NodeIndex {
        &self.pipelines[entry.pipeline].nodes
    }

    /// The name of an entry's pipeline.
    pub fn pipeline(&self, entry: &ModelEntry) -> &str {
        &self.pipelines[entry.pipeline].name
    }

    /// The model of an entry, read at the first call.
    ///
    /// # Errors
    /// As [`PowerModel::load`].
    pub fn model(&self, entry: &ModelEntry) -> Result<PowerModel> {
        let read = || {
            let pipeline = &self.pipelines[entry.pipeline];
            let mut file = if entry.path.ends_with(".zip") {
                let bytes = pipeline.archive.read(&entry.path)?;
                let mut zip = Zip::from_bytes(&bytes, &entry.path)?;
                database::model(&mut |name| zip.read(name), &entry.path)?
            } else {
                let folder = &entry.path;
                database::model(
                    &mut |name| pipeline.archive.read(&format!("{folder}/{name}")),
                    folder,
                )?
            };
            file.energy_source = Some(entry.source);
            if let Some(node) = entry.node_type().and_then(|n| pipeline.nodes.get(n)) {
                file.machine = node.attributes().machine();
            }
            file.training.data = format!("Kepler model database, {}", pipeline.name);
            PowerModel::new(file)
        };
        entry.model.get_or_try_init(read).cloned()
    }
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
        Trainer::node_type(&self.name)
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

/// The entry that a file of the pipeline stands for, if it is a model's.
fn entry(
    pipeline: usize,
    archive: &Archive,
    file: &str,
    has: &BTreeSet<&str>,
) -> Result<Option<ModelEntry>> {
    let parts: Vec<&str> = file.split('/').collect();
    let (source, output_type, group, name) = match parts[..] {
        [source, output, group, zip] => match zip.strip_suffix(".zip") {
            Some(name) => (source, output, group, name),
            None => return Ok(None),
        },
        [source, output, group, name, "metadata.json"] => (source, output, group, name),
        _ => return Ok(None),
    };
    let (Some(source), Ok(output_type)) = (source_of(source), output_type.parse()) else {
        return Ok(None);
    };
    let metadata = if file.ends_with(".zip") {
        // A folder unpacked beside its zip is the same model.
        if has.contains(format!("{}/metadata.json", file.trim_end_matches(".zip")).as_str()) {
            return Ok(None);
        }
        let bytes = archive.read(file)?;
        Zip::from_bytes(&bytes, file)?.read("metadata.json")?
    } else {
        archive.read(file)?
    };
    let metadata = Metadata::parse(&metadata, file)?;
    let path = file.trim_end_matches("/metadata.json");
    let beside = format!("{}.json", path.trim_end_matches(".zip"));
    let errors = Component::ALL
        .iter()
        .filter_map(|c| Some((*c, metadata.error(*c)?)));
    Ok(Some(ModelEntry {
        pipeline,
        path: path.into(),
        name: name.into(),
        source,
        output_type,
        group: group.parse().unwrap_or(FeatureGroup::Unknown),
        errors: errors.collect(),
        features: metadata
            .features
            .into_iter()
            .map(String::into_boxed_str)
            .collect(),
        mae: metadata.mae,
        weights: has.contains(beside.as_str())
            || has.contains(format!("{path}/weight.json").as_str()),
        model: OnceCell::new(),
    }))
}

/// The source that a folder is named after; older pipelines say `rapl`.
fn source_of(folder: &str) -> Option<EnergySourceName> {
    match folder {
        "rapl" => Some(EnergySourceName::RaplSysfs),
        _ => folder.parse().ok(),
    }
}
