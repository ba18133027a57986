//! Where a figure comes from and how sure it is.

use std::sync::Arc;

use serde::Serialize;

use crate::units::Watts;

/// Whether a figure was read from a meter or computed by a power model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Read from a hardware meter.
    Measured,
    /// Computed by a power model from what the machine did.
    Modeled,
}

/// Where a figure comes from and how sure it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    /// Meter or model.
    pub origin: Origin,
    /// The energy source: `rapl-powercap`, `rapl-perf`, `rapl-msr`, `hwmon`, `modeled`, `fake`, ...
    pub source: Arc<str>,
    /// The model's name, for modeled figures.
    pub model: Option<Arc<str>>,
    /// The model's mean absolute error in watts at this machine's size, where it was measured.
    pub mae: Option<Watts>,
    /// Whether the model's inputs lie in the range that it was trained on.
    pub in_range: Option<bool>,
    /// What else a reader must know, such as the scaling of a model to a guest's share; may be empty.
    pub note: Arc<str>,
}

impl Provenance {
    /// A figure read from a meter.
    pub fn measured(source: &str) -> Self {
        Self {
            origin: Origin::Measured,
            source: source.into(),
            model: None,
            mae: None,
            in_range: None,
            note: "".into(),
        }
    }
}
