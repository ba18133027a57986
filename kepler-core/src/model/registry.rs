//! All models of a pipeline, indexed once and parsed when first used.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use once_cell::sync::OnceCell;

use super::PowerModel;
use super::archive::{Archive, Zip};
use super::best::Usual;
use super::database;
use super::entry::{ModelEntry, ModelPlace};
use super::feature::FeatureGroup;
use super::names::{EnergySourceName, OutputType};
use super::node_index::NodeIndex;
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
            let Some(model) = ModelPlace::of(file, &has) else {
                continue;
            };
            found = true;
            let place = self.entries.len();
            match model.entry(place, pipeline, &archive, &has) {
                Ok(entry) => {
                    let (source, output_type) = (entry.source(), entry.output_type());
                    let folder = (pipeline, source, output_type, entry.group());
                    self.folders.entry(folder).or_default().push(place);
                    self.entries.push(entry);
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
        &self.pipelines[entry.pipeline_number()].archive
    }

    /// The machine types of an entry's pipeline.
    pub fn nodes(&self, entry: &ModelEntry) -> &NodeIndex {
        &self.pipelines[entry.pipeline_number()].nodes
    }

    /// The name of an entry's pipeline.
    pub fn pipeline(&self, entry: &ModelEntry) -> &str {
        &self.pipelines[entry.pipeline_number()].name
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
        let pipeline = &self.pipelines[entry.pipeline_number()];
        let path = entry.path();
        let mut file = if path.ends_with(".zip") {
            let bytes = pipeline.archive.read(path)?;
            let mut zip = Zip::from_bytes(&bytes, path)?;
            database::model(&mut |name| zip.read(name), path)?
        } else {
            let mut read = |name: &str| pipeline.archive.read(&format!("{path}/{name}"));
            database::model(&mut read, path)?
        };
        file.energy_source = Some(entry.source());
        if let Some(node) = entry.node_type().and_then(|n| pipeline.nodes.get(n)) {
            file.machine = node.attributes().machine();
        }
        file.training.data = format!("Kepler model database, {}", pipeline.name);
        PowerModel::new(file)
    }
}
