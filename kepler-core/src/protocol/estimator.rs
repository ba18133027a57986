//! The conversation of the older estimator on its unix socket: one JSON object in, one out, a connection each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::catalog::Catalog;
use super::choice::{Chosen, ModelId};
use super::given::{Rows, few};
use super::refusal::Refusal;
use crate::host::MachineSpec;
use crate::model::{
    Component, EnergySourceName, Filter, ModelRequest, OutputType, SelectionPolicy, SpecRecord,
};

/// What the exporter asks.
#[derive(Deserialize)]
struct Question<'a> {
    #[serde(deserialize_with = "few")]
    metrics: Vec<String>,
    values: Rows,
    output_type: String,
    #[serde(default)]
    source: Option<String>,
    #[serde(default, deserialize_with = "few")]
    system_features: Vec<String>,
    #[serde(default, deserialize_with = "few", borrow)]
    system_values: Vec<&'a RawValue>,
    #[serde(default)]
    trainer_name: String,
    #[serde(default)]
    filter: String,
}

/// What it is answered; of many rows this is long, so it is written without a copy of it in between.
#[derive(Serialize)]
struct Told {
    powers: BTreeMap<Component, Vec<f64>>,
    msg: &'static str,
    core_ratio: f64,
}

/// Finds the end of a request in a stream: where its outermost brace closes.
///
/// ```
/// use kepler_core::protocol::estimator::RequestEnd;
///
/// let mut end = RequestEnd::default();
/// assert_eq!(end.find(br#"{"a": "}"#), None);
/// assert_eq!(end.find(br#"\"}", "b": {}} "#), Some(14));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestEnd {
    depth: usize,
    quoted: bool,
    escaped: bool,
}

impl RequestEnd {
    /// Takes the next bytes; the number of them that belong to the request when it ends among them.
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (place, byte) in bytes.iter().enumerate() {
            if self.quoted {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.quoted = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(place + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// An estimator's reply, and the model that it is of.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The JSON to send.
    pub text: String,
    /// The model.
    pub model: Option<ModelId>,
    /// Whether the request was met.
    pub met: bool,
}

impl Reply {
    /// A reply that only tells what is wrong.
    pub fn refusal(why: &str) -> Self {
        Self {
            text: json!({ "powers": {}, "msg": why }).to_string(),
            model: None,
            met: false,
        }
    }
}

impl Catalog {
    /// Answers one request of the estimator's socket for this machine. A request that cannot be met is answered too, with
    /// what is wrong in `msg`.
    pub fn reply(&self, machine: &MachineSpec, request: &[u8]) -> Reply {
        self.powers(machine, request)
            .unwrap_or_else(|refusal| Reply::refusal(&refusal.reason))
    }

    fn powers(&self, machine: &MachineSpec, request: &[u8]) -> Result<Reply, Refusal> {
        let question: Question<'_> = serde_json::from_slice(request)
            .map_err(|e| Refusal::bad(format!("the request: {e}")))?;
        let source = match &question.source {
            Some(name) => EnergySourceName::of_request(name)?,
            None => EnergySourceName::RaplSysfs,
        };
        let output_type: OutputType = question.output_type.parse()?;
        let width = question.metrics.len();
        // What describes the system is the same in every row; text among it is no feature of any model.
        let system = question.system_features.iter().zip(&question.system_values);
        let (system, same): (Vec<String>, Vec<f64>) = system
            .filter_map(|(name, value)| Some((name.clone(), number(value)?)))
            .filter(|(name, _)| !question.metrics.contains(name))
            .unzip();
        let rows = question.values.matrix(width, &same)?;
        let names = [question.metrics, system].concat();
        let mut wanted = ModelRequest::new(source, output_type, &names);
        wanted.machine = Some(SpecRecord::from(machine));
        wanted.trainer = question.trainer_name;
        wanted.filter = question.filter.parse::<Filter>()?;
        let choice = self.choose(&wanted, SelectionPolicy::Compatible)?;
        let mut choice = choice.ok_or_else(|| {
            Refusal::bad(format!(
                "no model of {source} {output_type} for these metrics"
            ))
        })?;
        if let Chosen::Embedded(model) = &mut choice.model {
            // A request cannot say that a machine is a guest; here it is known.
            **model = self.family.model(machine);
        }
        let model = self.model(&choice).map_err(|e| Refusal::broken(&e))?;
        let powers = model.bind_among(&names)?.predict(rows.view())?.watts;
        let cores = (machine.cores, model.file().machine.cores);
        let core_ratio = match cores {
            (Some(own), Some(models)) if models > 0 => f64::from(own) / f64::from(models),
            _ => 1.0,
        };
        let told = Told {
            powers,
            msg: "",
            core_ratio,
        };
        Ok(Reply {
            text: serde_json::to_string(&told)
                .map_err(|e| Refusal::bad(format!("the reply: {e}")))?,
            model: Some(choice.id),
            met: true,
        })
    }
}

/// A number, also one that is told as text.
fn number(value: &RawValue) -> Option<f64> {
    let text: Result<String, _> = serde_json::from_str(value.get());
    let number: f64 = match &text {
        Ok(text) => text.trim().parse().ok()?,
        Err(_) => serde_json::from_str(value.get()).ok()?,
    };
    number.is_finite().then_some(number)
}
