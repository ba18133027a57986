//! The library's own model file, `kepler-model/1`: one JSON object a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::card::{HeldOut, Training};
use super::columns::Derived;
use super::estimator::Estimator;
use super::feature::FeatureSpec;
use super::interval::Residuals;
use super::names::{Component, EnergySourceName, OutputType};
use crate::error::{Error, Result};
use crate::host::MachineSpec;

/// Everything a model is, as plain data: what is written to and read from a `kepler-model/1` file.
///
/// [`super::PowerModel::new`] checks it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// The format's name and version.
    pub format: Format,
    /// The model's name.
    pub name: String,
    /// The meter that the training power came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_source: Option<EnergySourceName>,
    /// Whole node or above idle.
    pub output_type: OutputType,
    /// The inputs, in column order.
    pub features: Vec<FeatureSpec>,
    /// Inputs computed from others, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<Derived>,
    /// One formula a part of the machine.
    pub components: BTreeMap<Component, ComponentModel>,
    /// The machine that the model is of.
    #[serde(default)]
    pub machine: MachineSpec,
    /// That machine's number in its pipeline's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<u32>,
    /// Where the model comes from.
    #[serde(default)]
    pub training: Training,
}

/// The formula of one part of the machine, and how well it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentModel {
    /// The formula.
    pub estimator: Estimator,
    /// Errors on rows not seen in training; the first is the one that models are chosen by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<HeldOut>,
    /// What intervals are made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residuals: Option<Residuals>,
}

/// The versions of the own format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The first version.
    #[default]
    #[serde(rename = "kepler-model/1")]
    V1,
}

impl ModelFile {
    /// Reads the JSON of a model file. The result is not checked yet.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line and column.
    pub fn from_json(bytes: &[u8], place: &str) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::malformed(place, "a kepler-model/1 file", e.to_string()))
    }

    /// The JSON of this model file; reading it gives the same model, to the last bit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for numbers that JSON does not know (NaN, infinities).
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::invalid("model", e.to_string()))
    }
}

impl From<Estimator> for ComponentModel {
    fn from(estimator: Estimator) -> Self {
        Self {
            estimator,
            errors: Vec::new(),
            residuals: None,
        }
    }
}
