//! Power models: from what a machine does to the watts it draws.
//!
//! A [`PowerModel`] is plain data ([`ModelFile`]) that was checked. Its features have names; rows are bound to them by name.

mod archive;
mod best;
mod card;
mod columns;
mod compatible;
mod curve;
mod database;
pub mod embedded;
mod entry;
mod estimator;
mod feature;
mod filter;
mod format;
mod interval;
mod knn;
mod load;
mod median_forest;
mod names;
mod node_index;
mod package;
mod pickle;
mod pickle_array;
mod pickle_machine;
mod predict;
mod registry;
mod scikit;
mod select;
mod share;
mod similarity;
mod spec;
mod svr;
#[cfg(feature = "train")]
pub mod train;
mod tree;
mod tree_plan;
mod weights;
mod xgboost;

use std::sync::Arc;

use crate::error::{Error, Result};
use estimator::Plan;

pub use card::{HeldOut, Split, Training};
pub use columns::Derived;
pub use curve::{Curve, CurveShape, Table};
pub use entry::ModelEntry;
pub use estimator::{BlendPart, Estimator};
pub(crate) use feature::{CPU_FULL, CPU_TIME};
pub use feature::{FeatureGroup, FeatureSpec, unit};
pub use filter::Filter;
pub use format::{ComponentModel, Format, ModelFile};
pub use interval::{Basis, Interval, ResidualStep, Residuals};
pub use knn::NearestNeighbors;
pub use median_forest::MedianForest;
pub use names::{Component, EnergySourceName, OutputType};
pub use node_index::{NodeIndex, NodeType};
pub use predict::{Binding, Prediction, Predictions};
pub use registry::ModelRegistry;
pub use select::{ModelRequest, Selection, SelectionPolicy};
pub use share::GuestShare;
pub use similarity::Match;
pub use spec::SpecRecord;
pub use svr::SupportVectors;
pub use tree::Trees;

/// A checked power model, ready to predict. Cheap to clone.
///
/// ```
/// use kepler_core::model::{Component, Estimator, FeatureSpec, ModelFile, OutputType, PowerModel};
///
/// let mut file = ModelFile::new("mine", OutputType::AbsPower, vec![FeatureSpec::raw("bpf_cpu_time_ms")]);
/// let line = Estimator::Linear { intercept: 50.0, weights: vec![0.02] };
/// file.components.insert(Component::Package, line.into());
/// let model = PowerModel::new(file)?;
/// let prediction = model.predict_one(&[1000.0])?;
/// assert_eq!(prediction.watts[&Component::Package], 70.0);
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PowerModel(Arc<Checked>);

#[derive(Debug)]
struct Checked {
    file: ModelFile,
    plans: Vec<(Component, Plan)>,
}

impl PowerModel {
    /// Checks a model and prepares it for prediction.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for lengths that do not fit, inputs that do not exist, and numbers that are not finite.
    pub fn new(file: ModelFile) -> Result<Self> {
        for feature in &file.features {
            let bounds = [feature.min, feature.max];
            if !feature.scale.is_normal()
                || !feature.offset.is_finite()
                || bounds.iter().flatten().any(|v| !v.is_finite())
            {
                return Err(Error::invalid(
                    &feature.name,
                    "its scale or range makes no sense",
                ));
            }
            if file
                .features
                .iter()
                .filter(|f| f.name == feature.name)
                .count()
                > 1
            {
                return Err(Error::invalid(
                    &feature.name,
                    "this feature is in the model twice",
                ));
            }
        }
        for (i, derived) in file.derived.iter().enumerate() {
            derived.check(file.features.len() + i)?;
        }
        let inputs = file.features.len() + file.derived.len();
        let plan = |(component, part): (&Component, &ComponentModel)| {
            Ok((*component, part.estimator.plan(inputs)?))
        };
        let mut plans: Vec<_> = file.components.iter().map(plan).collect::<Result<_>>()?;
        if let Some(((_, Plan::NearestNeighbors(first)), others)) = plans.split_first_mut() {
            for (_, other) in others {
                if let Plan::NearestNeighbors(other) = other {
                    other.share(first);
                }
            }
        }
        Ok(Self(Arc::new(Checked { file, plans })))
    }

    /// Reads a `kepler-model/1` file from memory.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the place, and as [`PowerModel::new`].
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        Self::new(ModelFile::from_json(bytes, "model")?)
    }

    /// The model as plain data.
    pub fn file(&self) -> &ModelFile {
        &self.0.file
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.0.file.name
    }

    /// The features' names, in column order.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        self.0.file.features.iter().map(|f| f.name.as_str())
    }

    /// The parts of the machine whose power this model predicts.
    pub fn components(&self) -> impl Iterator<Item = Component> + '_ {
        self.0.plans.iter().map(|(component, _)| *component)
    }

    fn plans(&self) -> impl Iterator<Item = (Component, &Plan)> {
        self.0
            .plans
            .iter()
            .map(|(component, plan)| (*component, plan))
    }

    /// Features and derived inputs.
    fn inputs(&self) -> usize {
        self.0.file.features.len() + self.0.file.derived.len()
    }
}

impl PartialEq for PowerModel {
    fn eq(&self, other: &Self) -> bool {
        self.file() == other.file()
    }
}

impl ModelFile {
    /// A model without components yet.
    pub fn new(name: &str, output_type: OutputType, features: Vec<FeatureSpec>) -> Self {
        Self {
            format: Format::V1,
            name: name.to_owned(),
            energy_source: None,
            output_type,
            features,
            derived: Vec::new(),
            components: Default::default(),
            machine: Default::default(),
            node_type: None,
            training: Training::default(),
        }
    }
}
