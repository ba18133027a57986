//! Everything that can be answered from: pipelines of models, or the embedded family.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::best::BestQuery;
use super::choice::{Choice, Chosen, ModelAnswer, ModelId};
use super::query::ModelQuery;
use super::recent::Recent;
use super::refusal::Refusal;
use super::weights::Weights;
use crate::error::Result;
use crate::host::MachineSpec;
use crate::model::embedded::NodeModel;
use crate::model::{
    EnergySourceName, FeatureGroup, ModelEntry, ModelRegistry, ModelRequest, OutputType,
    PowerModel, SelectionPolicy, SpecRecord, embedded,
};

/// The name of the pipeline of embedded models.
const EMBEDDED: &str = "embedded";
/// The name of an embedded model. Clients tell the formula of weights by it: this one says that they are linear.
const LINE: &str = "SGDRegressorTrainer_0";
/// What there are embedded models of.
const EMBEDDED_SOURCES: [EnergySourceName; 2] =
    [EnergySourceName::Acpi, EnergySourceName::RaplSysfs];

/// Bytes of zips that are kept ready.
const PACKAGES: usize = 8 << 20;
/// Bytes of weights that are kept ready.
const WEIGHTS: usize = 2 << 20;
/// Bytes of machines that the embedded family's figures are kept ready for.
const MACHINES: usize = 256 << 10;
/// Models that are kept ready to predict.
const MODELS: usize = 32;

/// Models that requests are answered from. It never changes; new models are a new catalog.
#[derive(Debug)]
pub struct Catalog {
    registry: Option<ModelRegistry>,
    packages: Recent<usize, Arc<[u8]>>,
    weights: Recent<usize, Weights>,
    models: Recent<usize, PowerModel>,
    /// The embedded family's figures for machines that were asked for.
    family: Recent<MachineSpec, NodeModel>,
}

/// A model in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// Where it lies.
    #[serde(flatten)]
    pub id: ModelId,
    /// The algorithm that trained it.
    pub trainer: String,
    /// The number of its machine type in the pipeline.
    pub node_type: Option<u32>,
    /// The names of its features, in column order.
    pub features: Vec<String>,
    /// The published mean absolute error of its worst component in watts.
    pub mae: Option<f64>,
    /// Whether it is there as weights too.
    pub weights: bool,
}

/// A machine type of a pipeline.
#[derive(Clone, Debug, Serialize)]
pub struct MachineType {
    /// The pipeline.
    pub pipeline: String,
    /// Its number there.
    pub node_type: u32,
    /// How many machines of it were measured.
    pub members: usize,
    /// Its attributes.
    #[serde(flatten)]
    pub machine: MachineSpec,
}

impl Catalog {
    /// The embedded models: one family for every machine, for `acpi` and RAPL.
    pub fn embedded() -> Self {
        Self::of(None)
    }

    /// The models of pipelines.
    pub fn new(registry: ModelRegistry) -> Self {
        Self::of(Some(registry))
    }

    fn of(registry: Option<ModelRegistry>) -> Self {
        Self {
            registry,
            packages: Recent::new(PACKAGES),
            weights: Recent::new(WEIGHTS),
            models: Recent::new(MODELS),
            family: Recent::new(MACHINES),
        }
    }

    /// The pipelines, where models do not come from the embedded family.
    pub fn registry(&self) -> Option<&ModelRegistry> {
        self.registry.as_ref()
    }

    /// How many models there are, by pipeline.
    pub fn counts(&self) -> Vec<(&str, usize)> {
        let Some(registry) = &self.registry else {
            return vec![(EMBEDDED, EMBEDDED_SOURCES.len() * OutputType::ALL.len())];
        };
        let mut counts: Vec<_> = registry.pipelines().map(|(name, _)| (name, 0)).collect();
        for entry in registry.entries() {
            let name = registry.pipeline(entry);
            if let Some((_, count)) = counts.iter_mut().find(|(of, _)| *of == name) {
                *count += 1;
            }
        }
        counts
    }

    fn has_source(&self, source: EnergySourceName) -> bool {
        match &self.registry {
            Some(registry) => registry.sources().any(|s| s == source),
            None => EMBEDDED_SOURCES.contains(&source),
        }
    }

    /// Answers a request for a model, with where that model lies.
    ///
    /// # Errors
    /// A [`Refusal`]: 400 when no model suits, 500 when the model's files cannot be read.
    pub fn answer(&self, query: &ModelQuery) -> Result<(ModelId, ModelAnswer), Refusal> {
        let choice = self.chosen(query)?;
        let answer = self.made_answer(query, &choice);
        Ok((choice.id, answer.map_err(|e| Refusal::broken(&e))?))
    }

    /// The same where nothing has to be read or packed for it, so that it takes no time worth telling; else `None`.
    ///
    /// # Errors
    /// A [`Refusal`]: 400 when no model suits.
    pub fn answer_at_hand(
        &self,
        query: &ModelQuery,
    ) -> Result<Option<(ModelId, ModelAnswer)>, Refusal> {
        let choice = self.chosen(query)?;
        let answer = match &choice.model {
            Chosen::Stored(entry) if query.request().weights => {
                let kept = self.weights.kept(&entry.place());
                kept.map(|weights| self.weights_answer(query, &choice, &weights))
            }
            Chosen::Stored(entry) => {
                let kept = self.packages.kept(&entry.place());
                kept.map(|package| zip_answer(&choice, package))
            }
            Chosen::Embedded(_) if query.request().weights => {
                let made = self.made_answer(query, &choice);
                Some(made.map_err(|e| Refusal::broken(&e))?)
            }
            Chosen::Embedded(_) => None,
        };
        Ok(answer.map(|answer| (choice.id, answer)))
    }

    fn chosen(&self, query: &ModelQuery) -> Result<Choice<'_>, Refusal> {
        let source = query.request().source;
        if !self.has_source(source) {
            return Err(Refusal::bad(format!("there are no models of {source}")));
        }
        let choice = self.choose(query.request(), SelectionPolicy::Compatible)?;
        choice.ok_or_else(|| query.unmet())
    }

    fn made_answer(&self, query: &ModelQuery, choice: &Choice<'_>) -> Result<ModelAnswer> {
        Ok(if query.request().weights {
            self.weights_answer(query, choice, &self.weights(choice)?)
        } else {
            zip_answer(choice, self.package(choice)?)
        })
    }

    fn weights_answer(
        &self,
        query: &ModelQuery,
        choice: &Choice<'_>,
        weights: &Weights,
    ) -> ModelAnswer {
        ModelAnswer::Weights(if query.open {
            weights.with(&choice.id.name, &self.machine_of(choice), choice.mae)
        } else {
            weights.alone()
        })
    }

    /// The names of the best models by output type and feature group, as JSON.
    ///
    /// # Errors
    /// A [`Refusal`] for a source that there are no models of.
    pub fn best_models(&self, query: &BestQuery) -> Result<Value, Refusal> {
        if !self.has_source(query.source) {
            return Err(query.unknown_source());
        }
        let none: [&str; 0] = [];
        let mut best = Map::new();
        for output_type in &query.output_types {
            let mut request = ModelRequest::new(query.source, *output_type, &none);
            request.node_type = query.node_type;
            request.filter = query.filter.clone();
            request.loose = false;
            let mut names = Map::new();
            for group in &query.groups {
                request.group = Some(*group);
                if let Some(choice) = self.choose(&request, SelectionPolicy::Compatible)? {
                    names.insert(group.to_string(), choice.id.name.into());
                }
            }
            best.insert(output_type.to_string(), names.into());
        }
        Ok(best.into())
    }

    /// Chooses a model; `None` when none suits.
    pub(super) fn choose(
        &self,
        request: &ModelRequest,
        policy: SelectionPolicy,
    ) -> Result<Option<Choice<'_>>> {
        let Some(registry) = &self.registry else {
            return self.choose_embedded(request);
        };
        let found = registry.select(request, policy)?;
        Ok(found.map(|selection| Choice {
            id: id(registry, selection.entry),
            model: Chosen::Stored(selection.entry),
            mae: Some(selection.mae),
        }))
    }

    /// The embedded family suits every machine, where the CPU time is known.
    fn choose_embedded(&self, request: &ModelRequest) -> Result<Option<Choice<'static>>> {
        let group = FeatureGroup::BpfOnly;
        let asked = match request.group {
            Some(asked) => asked == group,
            None => request.metrics.iter().any(|m| m == group.features()[0]),
        };
        if !asked || !LINE.contains(&request.trainer) || !EMBEDDED_SOURCES.contains(&request.source)
        {
            return Ok(None);
        }
        let machine = match &request.machine {
            Some(record) => {
                record.has_values()?;
                record.machine()
            }
            None => MachineSpec::default(),
        };
        let model = self.family(&machine);
        let line = model.line(request.source, request.output_type)?;
        let main = request.source.main_component();
        if !request.filter.admits_model(&line, main) {
            return Ok(None);
        }
        let error = line.file().components[&main].errors.first();
        let mae = error.map(|e| e.mae);
        Ok(Some(Choice {
            id: embedded_id(request.source, request.output_type),
            model: Chosen::Embedded(Box::new(model)),
            mae,
        }))
    }

    /// The embedded family's figures for a machine: a few milliseconds of work, unless it was asked for lately.
    pub(super) fn family(&self, machine: &MachineSpec) -> NodeModel {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let cost = size_of::<(MachineSpec, NodeModel)>()
            + 2 * (text(&machine.vendor) + text(&machine.processor))
            + 512;
        let make = || Ok::<_, std::convert::Infallible>(embedded::for_machine(machine));
        match self.family.get(machine.clone(), make, |_| cost) {
            Ok(model) => model,
            Err(never) => match never {},
        }
    }

    fn weights(&self, choice: &Choice<'_>) -> Result<Weights> {
        match (&choice.model, &self.registry) {
            (Chosen::Stored(entry), Some(registry)) => {
                let read = || {
                    let weights = serde_json::from_slice(&registry.weights(entry)?);
                    weights.map(Weights::new).map_err(|e| {
                        crate::Error::malformed(entry.path(), "weights as JSON", e.to_string())
                    })
                };
                self.weights.get(entry.place(), read, Weights::size)
            }
            (Chosen::Embedded(model), _) => {
                let line = model.line(choice.id.source, choice.id.output_type)?;
                let weights = line.weights();
                let weights = weights.as_ref().and_then(Value::as_object).cloned();
                Ok(Weights::new(weights.unwrap_or_default()))
            }
            (Chosen::Stored(_), None) => Ok(Weights::new(Map::new())),
        }
    }

    /// The machine of a chosen model, in the five attributes that clients know.
    fn machine_of(&self, choice: &Choice<'_>) -> Value {
        match (&choice.model, &self.registry) {
            (Chosen::Stored(entry), Some(registry)) => {
                let node = entry.node_type().and_then(|n| registry.nodes(entry).get(n));
                json!(node.map(|node| node.attributes()))
            }
            (Chosen::Embedded(model), _) => json!(SpecRecord::from(model.machine())),
            (Chosen::Stored(_), None) => Value::Null,
        }
    }

    fn package(&self, choice: &Choice<'_>) -> Result<Arc<[u8]>> {
        match (&choice.model, &self.registry) {
            (Chosen::Stored(entry), Some(registry)) => self.packages.get(
                entry.place(),
                || Ok(registry.package(entry)?.into()),
                |bytes: &Arc<[u8]>| bytes.len(),
            ),
            _ => {
                let mut file = self.model(choice)?.file().clone();
                file.name.clone_from(&choice.id.name);
                Ok(PowerModel::new(file)?.package()?.into())
            }
        }
    }

    /// The chosen model, ready to predict.
    pub(super) fn model(&self, choice: &Choice<'_>) -> Result<PowerModel> {
        match (&choice.model, &self.registry) {
            (Chosen::Stored(entry), Some(registry)) => self.stored(registry, entry),
            (Chosen::Embedded(model), _) => {
                model.power_model(choice.id.source, choice.id.output_type)
            }
            (Chosen::Stored(_), None) => Err(crate::Error::NotFound {
                what: "model",
                name: choice.id.to_string(),
                hint: String::new(),
            }),
        }
    }

    fn stored(&self, registry: &ModelRegistry, entry: &ModelEntry) -> Result<PowerModel> {
        self.models
            .get(entry.place(), || registry.read(entry), |_| 1)
    }

    /// A model by where it lies; `None` when it is not there.
    ///
    /// # Errors
    /// As [`ModelRegistry::model`].
    pub fn model_at(&self, id: &ModelId) -> Result<Option<PowerModel>> {
        let Some(registry) = &self.registry else {
            if self.listing_at(id).is_none() {
                return Ok(None);
            }
            let usual = self.family(&MachineSpec::default());
            return usual.power_model(id.source, id.output_type).map(Some);
        };
        let found = entry_at(registry, id);
        found.map(|entry| self.stored(registry, entry)).transpose()
    }

    /// What a list says of the model that lies there.
    pub fn listing_at(&self, id: &ModelId) -> Option<Listing> {
        match &self.registry {
            Some(registry) => entry_at(registry, id).map(|entry| listing(registry, entry)),
            None => self.listings().find(|l| l.id == *id),
        }
    }

    /// All models, by pipeline and place.
    pub fn listings(&self) -> impl Iterator<Item = Listing> + '_ {
        let stored = self.registry.iter().flat_map(|registry| {
            let entries = registry.entries().iter();
            entries.map(|entry| listing(registry, entry))
        });
        let embedded = self.registry.is_none().then(|| {
            EMBEDDED_SOURCES.into_iter().flat_map(|source| {
                OutputType::ALL.iter().map(move |output_type| Listing {
                    id: embedded_id(source, *output_type),
                    trainer: embedded::FAMILY.to_owned(),
                    node_type: None,
                    features: vec![FeatureGroup::BpfOnly.features()[0].to_owned()],
                    mae: None,
                    weights: true,
                })
            })
        });
        stored.chain(embedded.into_iter().flatten())
    }

    /// The machine types of all pipelines.
    pub fn machine_types(&self) -> impl Iterator<Item = MachineType> + '_ {
        let pipelines = self.registry.iter().flat_map(ModelRegistry::pipelines);
        pipelines.flat_map(|(pipeline, nodes)| {
            nodes.nodes().iter().map(move |node| MachineType {
                pipeline: pipeline.to_owned(),
                node_type: node.number(),
                members: node.members(),
                machine: node.attributes().machine(),
            })
        })
    }
}

fn zip_answer(choice: &Choice<'_>, bytes: Arc<[u8]>) -> ModelAnswer {
    ModelAnswer::Zip {
        name: format!("{}.zip", choice.id.name),
        bytes,
    }
}

fn embedded_id(source: EnergySourceName, output_type: OutputType) -> ModelId {
    ModelId {
        pipeline: EMBEDDED.to_owned(),
        source,
        output_type,
        group: FeatureGroup::BpfOnly.to_string(),
        name: LINE.to_owned(),
    }
}

fn id(registry: &ModelRegistry, entry: &ModelEntry) -> ModelId {
    ModelId {
        pipeline: registry.pipeline(entry).to_owned(),
        source: entry.source(),
        output_type: entry.output_type(),
        group: entry.group().to_string(),
        name: entry.name().to_owned(),
    }
}

fn entry_at<'a>(registry: &'a ModelRegistry, id: &ModelId) -> Option<&'a ModelEntry> {
    registry.entries().iter().find(|entry| {
        entry.name() == id.name
            && entry.source() == id.source
            && entry.output_type() == id.output_type
            && entry.group().as_str() == id.group
            && registry.pipeline(entry) == id.pipeline
    })
}

fn listing(registry: &ModelRegistry, entry: &ModelEntry) -> Listing {
    Listing {
        id: id(registry, entry),
        trainer: entry.trainer().to_owned(),
        node_type: entry.node_type(),
        features: entry.features().map(str::to_owned).collect(),
        mae: entry.mae(),
        weights: entry.has_weights(),
    }
}
