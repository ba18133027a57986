//! A chosen model and its names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::model::embedded::NodeModel;
use crate::model::{EnergySourceName, ModelEntry, ModelRegistry, OutputType, SpecRecord};

/// Where a model lies: pipeline, source, output type, group and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ModelId {
    /// The pipeline, such as `ec2-0.7.11` or `embedded`.
    pub pipeline: String,
    /// The meter that its training power came from.
    pub source: EnergySourceName,
    /// What it predicts.
    pub output_type: OutputType,
    /// The feature group that it lies in.
    pub group: String,
    /// Its name.
    pub name: String,
}

impl ModelId {
    pub(super) fn of(registry: &ModelRegistry, entry: &ModelEntry) -> Self {
        Self {
            pipeline: registry.pipeline(entry).to_owned(),
            source: entry.source(),
            output_type: entry.output_type(),
            group: entry.group().to_string(),
            name: entry.name().to_owned(),
        }
    }

    /// The model that lies there.
    pub(super) fn entry<'a>(&self, registry: &'a ModelRegistry) -> Option<&'a ModelEntry> {
        registry.entries().iter().find(|entry| {
            entry.name() == self.name
                && entry.source() == self.source
                && entry.output_type() == self.output_type
                && entry.group().as_str() == self.group
                && registry.pipeline(entry) == self.pipeline
        })
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pipeline,
            source,
            output_type,
            group,
            name,
        } = self;
        write!(f, "{pipeline}/{source}/{output_type}/{group}/{name}")
    }
}

impl FromStr for ModelId {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let parts: Vec<&str> = text.split('/').collect();
        let [pipeline, source, output_type, group, name] = parts[..] else {
            return Err(Refusal::bad(format!(
                "{text:?} is no model: expected pipeline/source/output type/group/name"
            )));
        };
        Ok(Self {
            pipeline: pipeline.to_owned(),
            source: source.parse()?,
            output_type: output_type.parse()?,
            group: group.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// A model as it is answered to who asked for one.
#[derive(Clone, Debug)]
pub enum ModelAnswer {
    /// Weights as JSON.
    Weights(String),
    /// The model's files in a zip.
    Zip {
        /// The name to save it under, such as `SGDRegressorTrainer_1.zip`.
        name: String,
        /// The zip.
        bytes: Arc<[u8]>,
    },
}

/// A chosen model.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub(super) id: ModelId,
    pub(super) model: Chosen<'a>,
    /// The error to expect in watts.
    pub(super) mae: Option<f64>,
}

/// Where a chosen model is.
#[derive(Debug)]
pub(super) enum Chosen<'a> {
    /// In a registry.
    Stored(&'a ModelRegistry, &'a ModelEntry),
    /// The embedded family's figures for a machine.
    Embedded(Box<NodeModel>),
}

impl Choice<'_> {
    /// The machine of the model, in the five attributes that clients know.
    pub(super) fn machine(&self) -> Value {
        match &self.model {
            Chosen::Stored(registry, entry) => {
                let node = entry.node_type().and_then(|n| registry.nodes(entry).get(n));
                json!(node.map(|node| node.attributes()))
            }
            Chosen::Embedded(model) => json!(SpecRecord::from(model.machine())),
        }
    }
}
