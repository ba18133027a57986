//! Choosing a model for a machine and the features at hand.

use super::entry::ModelEntry;
use super::feature::FeatureGroup;
use super::filter::Filter;
use super::names::{EnergySourceName, OutputType};
use super::registry::ModelRegistry;
use super::spec::SpecRecord;
use crate::error::Result;

/// What a model is wanted for.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    /// The meter whose power the model should predict.
    pub source: EnergySourceName,
    /// Whole node or above idle.
    pub output_type: OutputType,
    /// The features at hand.
    pub metrics: Vec<String>,
    /// The machine type in the pipeline's index, where it is known.
    pub node_type: Option<u32>,
    /// The machine, where it is known.
    pub machine: Option<SpecRecord>,
    /// The trainer's name or a part of it; empty for any.
    pub trainer: String,
    /// What else the model must fulfil.
    pub filter: Filter,
    /// Only models that the database has as weights.
    pub weights: bool,
    /// Whether a model of another machine type will do when there is none of `node_type`.
    pub loose: bool,
    /// Only this feature group.
    pub group: Option<FeatureGroup>,
}

/// How a model is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectionPolicy {
    /// The nearest machine first, then the least error of the part of the machine that is asked for, with errors
    /// measured on few rows drawn to what is usual, and of equally good models the simplest.
    #[default]
    Best,
    /// What the older model server chooses, its slips included, except that filters work: the lowest published error
    /// over all feature groups, machine types and trainers told by parts of names.
    Compatible,
}

/// A chosen model.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The model's entry in the registry.
    pub entry: &'a ModelEntry,
    /// How arbitrary the choice of the machine type was, 0 to 1.
    pub uncertainty: f64,
    /// How unlike the machine is to the model's, 0 to 1.
    pub looseness: f64,
    /// The expected error in watts: as published, or by [`SelectionPolicy::Best`] drawn to what is usual.
    pub mae: f64,
}

impl ModelRequest {
    /// A request for a source and output type with these features, for any machine.
    pub fn new<S: AsRef<str>>(
        source: EnergySourceName,
        output_type: OutputType,
        metrics: &[S],
    ) -> Self {
        Self {
            source,
            output_type,
            metrics: metrics.iter().map(|m| m.as_ref().to_owned()).collect(),
            node_type: None,
            machine: None,
            trainer: String::new(),
            filter: Filter::default(),
            weights: false,
            loose: true,
            group: None,
        }
    }

    pub(super) fn has_metric(&self, name: &str) -> bool {
        self.metrics.iter().any(|m| m == name)
    }

    /// What is asked of the model itself, whatever the machine.
    pub(super) fn admits(&self, entry: &ModelEntry) -> bool {
        entry.source() == self.source
            && entry.output_type() == self.output_type
            && self.group.is_none_or(|group| entry.group() == group)
            && entry.name().contains(&self.trainer)
            && (!self.weights || entry.has_weights())
            && self.filter.admits(entry)
    }
}

impl ModelRegistry {
    /// Chooses a model; `None` when none fits.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] for machine attributes of the wrong kind.
    pub fn select(
        &self,
        request: &ModelRequest,
        policy: SelectionPolicy,
    ) -> Result<Option<Selection<'_>>> {
        match policy {
            SelectionPolicy::Best => self.select_best(request),
            SelectionPolicy::Compatible => self.select_compatible(request),
        }
    }
}
