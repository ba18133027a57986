//! Where a figure comes from.

use napi_derive::napi;

/// Where a figure comes from and how sure it is.
#[napi(object, object_from_js = false)]
pub struct Provenance {
    /// `measured` or `modeled`.
    #[napi(ts_type = "'measured' | 'modeled'")]
    pub origin: &'static str,
    /// The energy source, such as `rapl-powercap`, `hwmon` or `modeled`.
    pub source: String,
    /// The model's name, for modeled figures.
    pub model: Option<String>,
    /// The model's mean absolute error in watts at this machine's size, where it was measured.
    pub mae_watts: Option<f64>,
    /// Whether the model's inputs lie in the range that it was trained on.
    pub in_range: Option<bool>,
    /// What else a reader must know; may be empty.
    pub note: String,
}

impl From<&kepler_core::Provenance> for Provenance {
    fn from(from: &kepler_core::Provenance) -> Self {
        Self {
            origin: match from.origin {
                kepler_core::Origin::Measured => "measured",
                kepler_core::Origin::Modeled => "modeled",
            },
            source: from.source.to_string(),
            model: from.model.as_deref().map(str::to_owned),
            mae_watts: from.mae.map(|watts| watts.0),
            in_range: from.in_range,
            note: from.note.to_string(),
        }
    }
}
