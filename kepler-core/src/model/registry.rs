//! All models of a pipeline, indexed once and parsed when first used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use once_cell::sync::OnceCell;

use super::archive::{Archive, Zip};
use super::best::Usual;
use super::card::HeldOut;
use super::database::{self, Metadata, Trainer};
use super::feature::FeatureGroup;
use super::names::{Component, EnergySourceName, OutputType};
use super::node_index::NodeIndex;
use super::{ModelFile, PowerModel};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;

/// A pipeline of models: a folder or zip of the public database, or several of them together.
///
/// Holds what models are chosen by; a model itself is read when it is first asked for, then kept.
#[derive(Debug)]
pub struct ModelRegistry {
    pipelines: Vec<Pipeline>,
    entries: Vec<ModelEntry>,
    /// The places in `entries` of the models of each folder.
    folders: BTreeMap<Folder, Vec<usize>>,
    skipped: Vec<(String, Error)>,
    usual: OnceCell<Usual>,
}

/// Pipeline, source, output type and group.
type Folder = (usize, EnergySourceName, OutputType, FeatureGroup);

#[derive(Debug)]
struct Pipeline {
    name: String,
    archive: Archive,
    nodes: NodeIndex,
}

/// One model of a [`ModelRegistry`], as its metadata describes it.
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
    model: OnceCell<PowerModel>,
}

/// Folders between a pipeline and a model's files: source, output type, group, model.
const DEPTH: u32 = 4;

impl ModelRegistry {
    /// Indexes a pipeline: a folder or a zip with `<source>/<output type>/<feature group>/<model>.zip`, where a model may
    /// also be a folder or a JSON file, and `node_type_index.json` at the top. Of a folder of pipelines all are indexed.
    ///
    /// A model that cannot be indexed is left out; see [`ModelRegistry::skipped`].
    ///
    /// # Errors
    /// [`Error::Read`] for what cannot be read, [`Error::NotFound`] for a folder without models, [`Error::Malformed`]
    /// with the place for a zip or index that is none, [`Error::TooLarge`] for a zip over the limits.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let mut registry = Self {
            pipelines: Vec::new(),
            entries: Vec::new(),
            folders: BTreeMap::new(),
            skipped: Vec::new(),
            usual: OnceCell::new(),
        };
        registry.add(path.as_ref())?;
        Ok(registry)
    }

    /// Indexes another pipeline, or folder of pipelines, too.
    ///
    /// # Errors
    /// As [`ModelRegistry::open`].
    pub fn add(&mut self, path: &Path) -> Result<()> {
        self.usual = OnceCell::new();
        if self.add_pipeline(path)? {
            return Ok(());
        }
        let mut found = false;
        if path.is_dir() {
            for name in Host::default().names(path)? {
                let inner = path.join(&name);
                if inner.is_dir() || name.ends_with(".zip") {
                    found |= self.add_pipeline(&inner)?;
                }
            }
        }
        if found {
            return Ok(());
        }
        Err(Error::NotFound {
            what: "pipeline of models",
            name: path.display().to_string(),
            hint: "expected <source>/<output type>/<feature group>/<model>.zip in it".to_owned(),
        })
    }

    /// Indexes one pipeline; false when there are no models at the places where a pipeline has them.
    fn add_pipeline(&mut self, path: &Path) -> Result<bool> {
        let archive = Archive::open(path)?;
        let names = archive.names(DEPTH)?;
        let has: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let pipeline = self.pipelines.len();
        let mut found = false;
        for file in &names {
            let Some(place) = ModelPlace::of(file, &has) else {
                continue;
            };
            found = true;
            match place.entry(pipeline, &archive, &has) {
                Ok(entry) => {
                    let folder = (pipeline, entry.source, entry.output_type, entry.group);
                    let places = self.folders.entry(folder).or_default();
                    let place = self.entries.len();
                    places.push(place);
                    self.entries.push(ModelEntry { place, ..entry });
                }
                Err(error) => self.skipped.push((file.clone(), error)),
            }
        }
        if !found {
            return Ok(false);
        }
        let nodes = match archive.read("node_type_index.json") {
            Ok(bytes) => NodeIndex::parse(&bytes, &path.display().to_string())?,
            Err(error) if error.kind() == ErrorKind::NotFound => NodeIndex::default(),
            Err(error) => return Err(error),
        };
        let name = path
            .file_name()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        self.pipelines.push(Pipeline {
            name: name.trim_end_matches(".zip").to_owned(),
            archive,
            nodes,
        });
        Ok(true)
    }

    /// Files at a model's place that are no model, with what is wrong.
    pub fn skipped(&self) -> &[(String, Error)] {
        &self.skipped
    }

    /// All models, by pipeline and path.
    pub fn entries(&self) -> &[ModelEntry] {
        &self.entries
    }

    /// What errors usually are, worked out when it is first asked for.
    pub(super) fn usual(&self) -> &Usual {
        self.usual.get_or_init(|| Usual::of(&self.entries))
    }

    /// The models of one folder of one pipeline.
    pub(super) fn folder(&self, folder: &Folder) -> impl Iterator<Item = &ModelEntry> {
        let places = self.folders.get(folder).into_iter().flatten();
        places.map(|place| &self.entries[*place])
    }

    /// The pipeline that a source's models are taken from: with several for one source the one that came last.
    pub(super) fn pipeline_of(&self, source: EnergySourceName) -> Option<usize> {
        self.folders
            .keys()
            .rev()
            .find(|(_, of, _, _)| *of == source)
            .map(|(pipeline, ..)| *pipeline)
    }

    /// The sources that there are models of.
    pub fn sources(&self) -> impl Iterator<Item = EnergySourceName> {
        let all = EnergySourceName::ALL.iter().copied();
        all.filter(|source| self.pipeline_of(*source).is_some())
    }

    /// The pipelines' names, in the order in which they were added.
    pub fn pipelines(&self) -> impl Iterator<Item = (&str, &NodeIndex)> {
        self.pipelines.iter().map(|p| (p.name.as_str(), &p.nodes))
    }

    /// The files of an entry's pipeline.
    pub(super) fn archive(&self, entry: &ModelEntry) -> &Archive {
        &self.pipelines[entry.pipeline].archive
    }

    /// The machine types of an entry's pipeline.
    pub fn nodes(&self, entry: &ModelEntry) -> &NodeIndex {
        &self.pipelines[entry.pipeline].nodes
    }

    /// The name of an entry's pipeline.
    pub fn pipeline(&self, entry: &ModelEntry) -> &str {
        &self.pipelines[entry.pipeline].name
    }

    /// The model of an entry, read at the first call and kept.
    ///
    /// # Errors
    /// As [`PowerModel::load`].
    pub fn model(&self, entry: &ModelEntry) -> Result<PowerModel> {
        entry
            .model
            .get_or_try_init(|| self.read_anew(entry))
            .cloned()
    }

    /// The model of an entry; it is read anew and not kept, for those who keep models themselves.
    ///
    /// # Errors
    /// As [`PowerModel::load`].
    pub fn read(&self, entry: &ModelEntry) -> Result<PowerModel> {
        match entry.model.get() {
            Some(kept) => Ok(kept.clone()),
            None => self.read_anew(entry),
        }
    }

    fn read_anew(&self, entry: &ModelEntry) -> Result<PowerModel> {
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

    /// Its place in [`ModelRegistry::entries`].
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
struct ModelPlace<'a> {
    file: &'a str,
    source: EnergySourceName,
    output_type: OutputType,
    group: FeatureGroup,
    name: &'a str,
}

impl<'a> ModelPlace<'a> {
    fn of(file: &'a str, has: &BTreeSet<&str>) -> Option<Self> {
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

    fn entry(
        &self,
        pipeline: usize,
        archive: &Archive,
        has: &BTreeSet<&str>,
    ) -> Result<ModelEntry> {
        let bytes = archive.read(self.file)?;
        let path = self.file.trim_end_matches("/metadata.json");
        let mut entry = ModelEntry {
            place: 0,
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
