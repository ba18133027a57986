//! Where a figure comes from and how sure it is.

use std::fmt;
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

    /// Meter or model in a few words, such as `measured by rapl-powercap` or `modeled by kepler-default-2026`.
    pub fn by(&self) -> String {
        match (&self.model, self.origin) {
            (Some(model), _) => format!("modeled by {model}"),
            (None, Origin::Modeled) => format!("modeled by {}", self.source),
            (None, Origin::Measured) => format!("measured by {}", self.source),
        }
    }
}

/// All of it in a line.
///
/// ```
/// use kepler_core::{Provenance, Watts};
///
/// let mut provenance = Provenance::measured("hwmon");
/// assert_eq!(provenance.to_string(), "measured by hwmon");
/// provenance.model = Some("mine".into());
/// provenance.mae = Some(Watts(1.5));
/// provenance.note = "a guess".into();
/// assert_eq!(provenance.to_string(), "modeled by mine, expected error 1.50 W (a guess)");
/// ```
impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by())?;
        if let Some(mae) = self.mae {
            write!(f, ", expected error {mae}")?;
        }
        if self.in_range == Some(false) {
            f.write_str(", outside the range that the model was trained on")?;
        }
        if !self.note.is_empty() {
            write!(f, " ({})", self.note)?;
        }
        Ok(())
    }
}
