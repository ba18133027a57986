//! What is asked of a model server or an estimator, and what is made of the answer: the other side of [`super::ModelQuery`].

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::host::MachineSpec;
use crate::model::embedded::FAMILY;
use crate::model::{
    CPU_TIME, Component, EnergySourceName, Estimator, FeatureSpec, ModelFile, OutputType,
    PowerModel, SpecRecord, Table, Training,
};

/// A model of a whole node's power that is wanted for a machine.
///
/// ```
/// use kepler_core::MachineSpec;
/// use kepler_core::model::EnergySourceName;
/// use kepler_core::protocol::{Catalog, ModelQuery, Rules, Want};
///
/// let machine = MachineSpec { cores: Some(8), ..MachineSpec::default() };
/// let want = Want::new(EnergySourceName::Acpi, &machine, &["bpf_cpu_time_ms"]);
/// let query = ModelQuery::parse(want.request().as_bytes(), Rules::default())?;
/// let (_, answer) = Catalog::embedded().answer(&query)?;
/// // Of the embedded family nothing need be sent to whoever has it.
/// let kepler_core::protocol::ModelAnswer::Zip { bytes, .. } = answer else { panic!() };
/// assert!(want.read(&bytes)?.is_none());
/// # Ok::<(), kepler_core::protocol::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct Want {
    /// The meter whose power it should predict.
    pub source: EnergySourceName,
    /// The trainer's name or a part of it; empty for any.
    pub trainer: String,
    /// What else it must fulfil, such as `mae:5`.
    pub filter: String,
    machine: MachineSpec,
    features: Vec<String>,
}

impl Want {
    /// The meters whose power is wanted: the components' and the whole platform's.
    pub const SOURCES: [EnergySourceName; 2] =
        [EnergySourceName::RaplSysfs, EnergySourceName::Acpi];

    /// A model of this meter's power, for a machine of which these features are known.
    pub fn new<S: AsRef<str>>(
        source: EnergySourceName,
        machine: &MachineSpec,
        features: &[S],
    ) -> Self {
        Self {
            source,
            trainer: String::new(),
            filter: String::new(),
            machine: machine.clone(),
            features: features.iter().map(|f| f.as_ref().to_owned()).collect(),
        }
    }

    /// What is posted to a model server's `/model`.
    ///
    /// Of a guest only the processor is told: its CPUs and memory are a part of a host's, and the host's model is wanted,
    /// to be cut to that part.
    pub fn request(&self) -> String {
        let machine = match self.machine.guest {
            true => MachineSpec {
                processor: self.machine.processor.clone(),
                ..MachineSpec::default()
            },
            false => self.machine.clone(),
        };
        json!({
            "metrics": self.features,
            "output_type": OutputType::AbsPower,
            "source": self.source,
            "node_type": -1,
            "weight": false,
            "trainer_name": self.trainer,
            "filter": self.filter,
            "machine_spec": SpecRecord::from(&machine),
        })
        .to_string()
    }

    /// Reads the model that was answered, in any form that [`PowerModel::load`] knows. `None` for one of the embedded family:
    /// whoever asks has it, and knows more of its machine than was told.
    ///
    /// # Errors
    /// As [`PowerModel::load`]; [`Error::Unsupported`] for a model of another meter's power.
    pub fn read(&self, answer: &[u8]) -> Result<Option<PowerModel>> {
        let model = PowerModel::from_bytes(answer)?;
        if model.file().training.trainer == FAMILY {
            return Ok(None);
        }
        match model.file().energy_source {
            Some(source) if source == self.source => Ok(Some(model)),
            Some(source) => Err(Error::Unsupported {
                what: "the model that was answered".to_owned(),
                why: format!("it predicts power of {source}, not of {}", self.source),
                hint: String::new(),
            }),
            // The database's own files do not say.
            None => {
                let mut file = model.file().clone();
                file.energy_source = Some(self.source);
                if file.name.is_empty() {
                    file.name = format!("{} model", self.source);
                }
                PowerModel::new(file).map(Some)
            }
        }
    }

    /// What an estimator is asked to learn its model: power at loads from rest to full, nothing else being counted. Its CPUs
    /// are `stretch` times this machine's.
    pub fn question(&self, stretch: f64) -> String {
        let place = self.features.iter().position(|f| f == CPU_TIME);
        let full = FeatureSpec::cpu_time(self.machine.cores).scale;
        let row = |load: f64| {
            let mut row = vec![0.0; self.features.len()];
            if let Some(cell) = place.and_then(|place| row.get_mut(place)) {
                *cell = load * full * stretch;
            }
            row
        };
        json!({
            "metrics": self.features,
            "values": loads().map(row).collect::<Vec<_>>(),
            "output_type": OutputType::AbsPower,
            "source": self.source,
            "system_features": [],
            "system_values": [],
            "trainer_name": self.trainer,
            "filter": self.filter,
        })
        .to_string()
    }

    /// The model that an estimator's reply to [`Want::question`] with this `stretch` shows: a line through its points.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a reply that is none; [`Error::NotFound`] with its words where it has no model.
    pub fn learn(&self, reply: &[u8], stretch: f64) -> Result<Learnt> {
        let malformed = |what: String| Error::malformed("the estimator's reply", "powers", what);
        let reply: Reply = serde_json::from_slice(reply).map_err(|e| malformed(e.to_string()))?;
        // Where it failed, the older estimator writes an empty list.
        let powers = match &reply.powers {
            Value::Object(powers) if !powers.is_empty() => powers,
            _ => {
                return Err(Error::NotFound {
                    what: "estimator's model",
                    name: self.source.to_string(),
                    hint: reply.msg.trim().chars().take(TOLD).collect(),
                });
            }
        };
        let mut file = ModelFile::new(
            "estimator",
            OutputType::AbsPower,
            vec![FeatureSpec::cpu_time(self.machine.cores)],
        );
        file.energy_source = Some(self.source);
        file.machine = self.machine.clone();
        file.training = Training {
            trainer: "estimator".to_owned(),
            data: "answers of an estimator at loads from rest to full".to_owned(),
            ..Training::default()
        };
        for (name, watts) in powers {
            let Ok(component) = name.parse::<Component>() else {
                continue;
            };
            let table = Table {
                input: 0,
                x: loads().collect(),
                y: numbers(watts, stretch).ok_or_else(|| malformed(watts.to_string()))?,
            };
            let part = Estimator::Table(table).into();
            file.components.insert(component, part);
        }
        Ok(Learnt {
            model: PowerModel::new(file)?,
            core_ratio: reply
                .core_ratio
                .filter(|ratio| ratio.is_finite() && *ratio > 0.0),
        })
    }
}

/// What an estimator told.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// Its model.
    pub model: PowerModel,
    /// CPUs of this machine to those of the machine that its model is of, where it told.
    pub core_ratio: Option<f64>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    powers: Value,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    core_ratio: Option<f64>,
}

/// Characters of an estimator's words that are told.
const TOLD: usize = 200;
/// Loads at which an estimator is asked, beside 0.
const STEPS: u8 = 20;

fn loads() -> impl Iterator<Item = f64> {
    (0..=STEPS).map(|step| f64::from(step) / f64::from(STEPS))
}

/// A number for each load, of a machine `stretch` times this one's size.
fn numbers(watts: &Value, stretch: f64) -> Option<Vec<f64>> {
    let watts = watts.as_array()?.iter();
    let watts: Vec<f64> = watts
        .map(|w| Some(w.as_f64()?.max(0.0) / stretch))
        .collect::<Option<_>>()?;
    (watts.len() == loads().count()).then_some(watts)
}
