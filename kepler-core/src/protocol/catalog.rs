//! Everything that can be answered from: pipelines of models, or the embedded family.

use std::sync::Arc;

use serde_json::Value;

use super::choice::{Choice, Chosen, ModelAnswer, ModelId};
use super::family::{self, Family};
use super::query::ModelQuery;
use super::recent::Recent;
use super::refusal::Refusal;
use super::weights::Weights;
use crate::error::Result;
use crate::host::MachineSpec;
use crate::model::{
    EnergySourceName, ModelEntry, ModelRegistry, ModelRequest, PowerModel, SelectionPolicy,
};

/// Bytes of zips that are kept ready.
const PACKAGES: usize = 8 << 20;
/// Bytes of weights that are kept ready.
const WEIGHTS: usize = 2 << 20;
/// Models that are kept ready to predict.
const MODELS: usize = 32;

/// Models that requests are answered from. It never changes; new models are a new catalog.
#[derive(Debug)]
pub struct Catalog {
    registry: Option<ModelRegistry>,
    packages: Recent<usize, Arc<[u8]>>,
    weights: Recent<usize, Weights>,
    models: Recent<usize, PowerModel>,
    pub(super) family: Family,
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
            family: Family::new(),
        }
    }

    /// The pipelines, where models do not come from the embedded family.
    pub fn registry(&self) -> Option<&ModelRegistry> {
        self.registry.as_ref()
    }

    pub(super) fn has_source(&self, source: EnergySourceName) -> bool {
        match &self.registry {
            Some(registry) => registry.sources().any(|s| s == source),
            None => family::SOURCES.contains(&source),
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
            Chosen::Stored(_, entry) if query.request().weights => {
                let kept = self.weights.kept(&entry.place());
                kept.map(|weights| self.weights_answer(query, &choice, &weights))
            }
            Chosen::Stored(_, entry) => {
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
            weights.with(&choice.id.name, &choice.machine(), choice.mae)
        } else {
            weights.alone()
        })
    }

    /// Chooses a model; `None` when none suits.
    pub(super) fn choose(
        &self,
        request: &ModelRequest,
        policy: SelectionPolicy,
    ) -> Result<Option<Choice<'_>>> {
        let Some(registry) = &self.registry else {
            return self.family.choose(request);
        };
        let found = registry.select(request, policy)?;
        Ok(found.map(|selection| Choice {
            id: ModelId::of(registry, selection.entry),
            model: Chosen::Stored(registry, selection.entry),
            mae: Some(selection.mae),
        }))
    }

    fn weights(&self, choice: &Choice<'_>) -> Result<Weights> {
        match &choice.model {
            Chosen::Stored(registry, entry) => {
                let read = || {
                    let weights = serde_json::from_slice(&registry.weights(entry)?);
                    weights.map(Weights::new).map_err(|e| {
                        crate::Error::malformed(entry.path(), "weights as JSON", e.to_string())
                    })
                };
                self.weights.get(entry.place(), read, Weights::size)
            }
            Chosen::Embedded(model) => {
                let line = model.line(choice.id.source, choice.id.output_type)?;
                let weights = line.weights();
                let weights = weights.as_ref().and_then(Value::as_object).cloned();
                Ok(Weights::new(weights.unwrap_or_default()))
            }
        }
    }

    fn package(&self, choice: &Choice<'_>) -> Result<Arc<[u8]>> {
        match &choice.model {
            Chosen::Stored(registry, entry) => self.packages.get(
                entry.place(),
                || Ok(registry.package(entry)?.into()),
                |bytes: &Arc<[u8]>| bytes.len(),
            ),
            Chosen::Embedded(_) => {
                let mut file = self.model(choice)?.file().clone();
                file.name.clone_from(&choice.id.name);
                Ok(PowerModel::new(file)?.package()?.into())
            }
        }
    }

    /// The chosen model, ready to predict.
    pub(super) fn model(&self, choice: &Choice<'_>) -> Result<PowerModel> {
        match &choice.model {
            Chosen::Stored(registry, entry) => self.stored(registry, entry),
            Chosen::Embedded(model) => model.power_model(choice.id.source, choice.id.output_type),
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
            if !family::ids().any(|of| of == *id) {
                return Ok(None);
            }
            let usual = self.family.model(&MachineSpec::default());
            return usual.power_model(id.source, id.output_type).map(Some);
        };
        let found = id.entry(registry);
        found.map(|entry| self.stored(registry, entry)).transpose()
    }
}

fn zip_answer(choice: &Choice<'_>, bytes: Arc<[u8]>) -> ModelAnswer {
    ModelAnswer::Zip {
        name: format!("{}.zip", choice.id.name),
        bytes,
    }
}
