//! What there is to be asked for: models and machine types.

use serde::Serialize;

use super::catalog::Catalog;
use super::choice::ModelId;
use super::family;
use crate::host::MachineSpec;
use crate::model::{FeatureGroup, ModelEntry, ModelRegistry, embedded::FAMILY};

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
    /// How many models there are, by pipeline.
    pub fn counts(&self) -> Vec<(&str, usize)> {
        let Some(registry) = self.registry() else {
            return vec![(family::PIPELINE, family::ids().count())];
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

    /// What a list says of the model that lies there.
    pub fn listing_at(&self, id: &ModelId) -> Option<Listing> {
        match self.registry() {
            Some(registry) => id.entry(registry).map(|entry| stored(registry, entry)),
            None => family::ids().find(|of| of == id).map(embedded),
        }
    }

    /// All models, by pipeline and place.
    pub fn listings(&self) -> impl Iterator<Item = Listing> + '_ {
        let listed = self.registry().into_iter().flat_map(|registry| {
            let entries = registry.entries().iter();
            entries.map(|entry| stored(registry, entry))
        });
        let family = self.registry().is_none().then(family::ids);
        listed.chain(family.into_iter().flatten().map(embedded))
    }

    /// The machine types of all pipelines.
    pub fn machine_types(&self) -> impl Iterator<Item = MachineType> + '_ {
        let pipelines = self
            .registry()
            .into_iter()
            .flat_map(ModelRegistry::pipelines);
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

fn stored(registry: &ModelRegistry, entry: &ModelEntry) -> Listing {
    Listing {
        id: ModelId::of(registry, entry),
        trainer: entry.trainer().to_owned(),
        node_type: entry.node_type(),
        features: entry.features().map(str::to_owned).collect(),
        mae: entry.mae(),
        weights: entry.has_weights(),
    }
}

fn embedded(id: ModelId) -> Listing {
    Listing {
        id,
        trainer: FAMILY.to_owned(),
        node_type: None,
        features: vec![FeatureGroup::BpfOnly.features()[0].to_owned()],
        mae: None,
        weights: true,
    }
}
