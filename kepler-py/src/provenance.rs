//! Where a figure comes from.

use crate::record::record;
use pyo3::prelude::*;

record! {
    /// Where a figure comes from and how sure it is.
    Provenance {
        /// `measured` or `modeled`.
        origin: &'static str,
        /// The energy source, such as `rapl-powercap`, `hwmon` or `modeled`.
        source: String,
        /// The model's name, for modeled figures.
        model: Option<String>,
        /// The model's mean absolute error in watts at this machine's size, where it was measured.
        mae_watts: Option<f64>,
        /// Whether the model's inputs lie in the range that it was trained on.
        in_range: Option<bool>,
        /// What else a reader must know; may be empty.
        note: String,
    }
}

impl Provenance {
    pub(crate) fn new(py: Python<'_>, from: &kepler_core::Provenance) -> PyResult<Py<Self>> {
        let origin = match from.origin {
            kepler_core::Origin::Measured => "measured",
            kepler_core::Origin::Modeled => "modeled",
        };
        Py::new(
            py,
            Self {
                origin,
                source: from.source.to_string(),
                model: from.model.as_deref().map(str::to_owned),
                mae_watts: from.mae.map(|watts| watts.0),
                in_range: from.in_range,
                note: from.note.to_string(),
            },
        )
    }
}
