//! What is posted to `/model`.

use std::collections::BTreeSet;

use super::python::Json;
use super::refusal::Refusal;
use crate::model::{EnergySourceName, FeatureGroup, Filter, ModelRequest, OutputType, SpecRecord};

/// How requests are read where the older server had slips.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Names that are not known are refused; otherwise they are left alone.
    pub strict: bool,
    /// `node_type` 0 is taken at its word even with a machine: the Go exporter sends 0 and means that it does not know.
    pub compat_node_type: bool,
}

/// A request for a model, as it is posted to `/model`.
///
/// ```
/// use kepler_core::protocol::{Catalog, ModelAnswer, ModelQuery, Rules};
///
/// let body = br#"{"metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "output_type": "AbsPower",
///                 "source": "acpi", "weight": true, "machine_spec": {"cores": 8}}"#;
/// let query = ModelQuery::parse(body, Rules::default())?;
/// let (_, answer) = Catalog::embedded().answer(&query)?;
/// let ModelAnswer::Weights(text) = answer else { panic!("weights were asked for") };
/// assert!(text.contains("Bias_Weight"));
/// # Ok::<(), kepler_core::protocol::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelQuery {
    pub(super) request: ModelRequest,
    /// The request itself did not say which machine type it is of.
    pub(super) open: bool,
    body: Json,
}

const FIELDS: [&str; 10] = [
    "metrics",
    "output_type",
    "source",
    "node_type",
    "weight",
    "trainer_name",
    "filter",
    "pipeline_name",
    "machine_spec",
    "loose_node_type",
];

impl ModelQuery {
    /// Reads a request, with the older server's conversions.
    ///
    /// # Errors
    /// A [`Refusal`] of status 400 that names the field.
    pub fn parse(body: &[u8], rules: Rules) -> Result<Self, Refusal> {
        let body: Json = serde_json::from_slice(body)
            .map_err(|e| Refusal::bad(format!("the body is no JSON: {e}")))?;
        let Json::Dict(fields) = &body else {
            return Err(Refusal::bad("the body is no JSON object"));
        };
        if rules.strict {
            let unknown: BTreeSet<&str> = fields
                .iter()
                .map(|(name, _)| name.as_str())
                .filter(|name| !FIELDS.contains(name))
                .collect();
            if !unknown.is_empty() {
                let names = Vec::from_iter(unknown).join(", ");
                return Err(Refusal::bad(format!("not known: {names}")));
            }
        }
        let field = |name: &str| {
            let mut last = fields.iter().rev().filter(|(field, _)| field == name);
            last.next().map(|(_, value)| value)
        };
        let output_type: OutputType = match field("output_type") {
            Some(Json::Text(name)) => name.parse()?,
            _ => return Err(wrong("output_type", "AbsPower or DynPower")),
        };
        let metrics = metrics(field("metrics"))?;
        let mut request = ModelRequest::new(source(field("source"))?, output_type, &metrics);
        request.weights = field("weight").is_some_and(Json::is_true);
        request.loose = field("loose_node_type").is_none_or(Json::is_true);
        request.trainer = text("trainer_name", field("trainer_name"))?.to_owned();
        request.filter = text("filter", field("filter"))?.parse::<Filter>()?;
        request.machine = match field("machine_spec") {
            None | Some(Json::Null) => None,
            Some(Json::Dict(items)) => Some(machine(items)),
            Some(_) => return Err(wrong("machine_spec", "an object")),
        };
        request.node_type = node_type(field("node_type"))?;
        let told = match &request.machine {
            Some(machine) => machine.has_values()?,
            None => false,
        };
        if told && request.node_type == Some(0) && !rules.compat_node_type {
            request.node_type = None;
        }
        Ok(Self {
            open: request.node_type.is_none(),
            request,
            body,
        })
    }

    /// What is asked for.
    pub fn request(&self) -> &ModelRequest {
        &self.request
    }

    /// The older server's words for a request that no model suits.
    pub(super) fn unmet(&self) -> Refusal {
        Refusal::known(format!("cannot find model for {} at the moment", self.body))
    }
}

fn wrong(field: &str, want: &str) -> Refusal {
    Refusal::bad(format!("{field}: expected {want}"))
}

/// The features that are told, of those that a group has; others decide nothing.
fn metrics(given: Option<&Json>) -> Result<Vec<&'static str>, Refusal> {
    let groups = FeatureGroup::WITH_FEATURES;
    let mut known: Vec<&str> = groups.iter().flat_map(|g| g.features()).copied().collect();
    known.sort_unstable();
    known.dedup();
    let names: BTreeSet<&str> = match given {
        Some(Json::List(items)) => {
            let texts = items.iter().filter_map(|item| match item {
                Json::Text(text) => Some(text.as_str()),
                _ => None,
            });
            texts.collect()
        }
        Some(Json::Dict(items)) => items.iter().map(|(name, _)| name.as_str()).collect(),
        Some(Json::Text(text)) => known.iter().copied().filter(|f| text.contains(f)).collect(),
        _ => return Err(wrong("metrics", "a list of names")),
    };
    known.retain(|name| names.contains(name));
    Ok(known)
}

fn source(given: Option<&Json>) -> Result<EnergySourceName, Refusal> {
    match given {
        None | Some(Json::Null) => Ok(EnergySourceName::RaplSysfs),
        Some(Json::Text(name)) => Ok(EnergySourceName::of_request(name)?),
        Some(_) => Err(wrong("source", "a name or null")),
    }
}

fn text<'a>(name: &str, given: Option<&'a Json>) -> Result<&'a str, Refusal> {
    match given {
        None => Ok(""),
        Some(Json::Text(text)) => Ok(text),
        Some(_) => Err(wrong(name, "text")),
    }
}

/// `None` for -1 and for what Python takes for false, 0 excepted.
fn node_type(given: Option<&Json>) -> Result<Option<u32>, Refusal> {
    let Some(given) = given else { return Ok(None) };
    let zero = matches!(given, Json::Number(_) | Json::Bool(_));
    if !zero && !given.is_true() {
        return Ok(None);
    }
    let number = given.to_int();
    let number = number.ok_or_else(|| wrong("node_type", "a whole number"))?;
    Ok(told(number))
}

/// A number of a machine type; numbers that no index can have are those of a machine that nobody measured.
pub(super) fn told(number: i64) -> Option<u32> {
    (number != -1).then(|| u32::try_from(number).unwrap_or(u32::MAX))
}

fn machine(items: &[(String, Json)]) -> SpecRecord {
    let mut record = SpecRecord::default();
    for (name, value) in items {
        let place = match name.as_str() {
            "processor" => &mut record.processor,
            "cores" => &mut record.cores,
            "chips" => &mut record.chips,
            "memory" => &mut record.memory,
            "frequency" => &mut record.frequency,
            _ => continue,
        };
        *place = value.clone().into();
    }
    record
}
