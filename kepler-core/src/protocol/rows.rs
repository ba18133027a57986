//! Rows of features in, watts with intervals out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use super::choice::ModelId;
use super::given::{Rows, few};
use super::query::told;
use super::refusal::Refusal;
use crate::model::{
    Basis, Component, EnergySourceName, Filter, ModelRequest, OutputType, SelectionPolicy,
    SpecRecord,
};

/// Rows whose power is asked for, and of which model or of a model for what.
///
/// ```
/// use kepler_core::protocol::{Catalog, EstimateQuery};
///
/// let body = br#"{"source": "acpi", "features": ["bpf_cpu_time_ms"], "rows": [[0], [4000]],
///                 "machine_spec": {"cores": 8}}"#;
/// let query = EstimateQuery::parse(body)?;
/// let estimate = Catalog::embedded().estimate(&query)?;
/// let watts = &estimate.components[&kepler_core::model::Component::Platform].watts;
/// assert!(watts[0] > 0.0 && watts[1] > watts[0]);
/// # Ok::<(), kepler_core::protocol::Refusal>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstimateQuery {
    /// Where the model lies; otherwise one is chosen by the fields below.
    #[serde(default)]
    pub model: Option<String>,
    /// The meter whose power is wanted; RAPL when it is not told.
    #[serde(default)]
    pub source: Option<String>,
    /// Whole node or above idle; a node's when it is not told.
    #[serde(default)]
    pub output_type: Option<OutputType>,
    /// The names of the columns.
    #[serde(deserialize_with = "few")]
    pub features: Vec<String>,
    /// The rows, a value a feature.
    rows: Rows,
    /// The machine.
    #[serde(default)]
    pub machine_spec: Option<SpecRecord>,
    /// Its number in the pipeline.
    #[serde(default)]
    pub node_type: Option<i64>,
    /// The trainer's name or a part of it.
    #[serde(default)]
    pub trainer_name: String,
    /// What else the model must fulfil.
    #[serde(default)]
    pub filter: String,
}

/// Watts of rows.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// The model that they are of.
    pub model: ModelId,
    /// Watts by part of the machine.
    pub components: BTreeMap<Component, Watts>,
    /// For each row, whether all its features lie in the range of the training data.
    pub in_range: Vec<bool>,
}

/// Watts of one part of the machine, a value a row.
#[derive(Clone, Debug, Serialize)]
pub struct Watts {
    /// What the model says.
    pub watts: Vec<f64>,
    /// The lower ends of the intervals; absent where nothing is known of the model's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<Vec<f64>>,
    /// The upper ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<Vec<f64>>,
    /// The share of true values that intervals hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// What the intervals rest on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// The mean absolute error in watts on rows not seen in training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
}

impl EstimateQuery {
    /// Reads a request.
    ///
    /// # Errors
    /// A [`Refusal`] that says where the text is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|e| Refusal::bad(format!("the body: {e}")))
    }

    /// The same question of other rows, whose values lie one row behind the other, in the order of the features.
    ///
    /// ```
    /// use kepler_core::protocol::{Catalog, EstimateQuery};
    ///
    /// let query = EstimateQuery::parse(br#"{"source": "acpi", "features": [], "rows": []}"#)?;
    /// let query = query.with_rows(vec!["bpf_cpu_time_ms".to_owned()], vec![0.0, 4000.0])?;
    /// assert_eq!(Catalog::embedded().estimate(&query)?.in_range.len(), 2);
    /// # Ok::<(), kepler_core::protocol::Refusal>(())
    /// ```
    /// # Errors
    /// A [`Refusal`] where the last row lacks values, or there are no features.
    pub fn with_rows(self, features: Vec<String>, values: Vec<f64>) -> Result<Self, Refusal> {
        let rows = Rows::of(values, features.len())
            .ok_or_else(|| Refusal::bad("expected a value a row for each of some features"))?;
        Ok(Self {
            features,
            rows,
            ..self
        })
    }

    fn request(&self) -> Result<ModelRequest, Refusal> {
        let source = match &self.source {
            Some(name) => EnergySourceName::of_request(name)?,
            None => EnergySourceName::RaplSysfs,
        };
        let output_type = self.output_type.unwrap_or(OutputType::AbsPower);
        let mut request = ModelRequest::new(source, output_type, &self.features);
        request.machine.clone_from(&self.machine_spec);
        request.node_type = self.node_type.and_then(told);
        request.trainer.clone_from(&self.trainer_name);
        request.filter = self.filter.parse::<Filter>()?;
        Ok(request)
    }
}

impl Catalog {
    /// Watts of rows, with intervals.
    ///
    /// # Errors
    /// A [`Refusal`]: 400 for rows that do not fit or when no model suits, 404 when the named model is not there, 500
    /// when it cannot be read.
    pub fn estimate(&self, query: &EstimateQuery) -> Result<Estimate, Refusal> {
        let rows = query.rows.matrix(query.features.len(), &[])?;
        let (id, model) = match &query.model {
            Some(name) => {
                let id: ModelId = name.parse()?;
                let found = self.model_at(&id).map_err(|e| Refusal::broken(&e))?;
                let model = found.ok_or_else(|| Refusal::missing(name))?;
                (id, model)
            }
            None => {
                let choice = self.choose(&query.request()?, SelectionPolicy::Best)?;
                let choice = choice.ok_or_else(|| {
                    Refusal::bad(
                        "no model predicts this from these features; GET /models lists all",
                    )
                })?;
                let model = self.model(&choice).map_err(|e| Refusal::broken(&e))?;
                (choice.id, model)
            }
        };
        let predicted = model.bind_among(&query.features)?.predict(rows.view())?;
        let components = predicted.watts.into_iter().map(|(component, watts)| {
            let part = &model.file().components[&component];
            let intervals: Option<Vec<_>> = watts.iter().map(|w| part.interval(*w)).collect();
            let first = part.interval(0.0).filter(|_| intervals.is_some());
            let ends = |end: fn(&crate::model::Interval) -> f64| {
                Some(intervals.as_ref()?.iter().map(end).collect())
            };
            let figures = Watts {
                low: ends(|i| i.low),
                high: ends(|i| i.high),
                level: first.map(|i| i.level),
                basis: first.map(|i| i.basis),
                mae: part.errors.first().map(|e| e.mae),
                watts,
            };
            (component, figures)
        });
        Ok(Estimate {
            model: id,
            components: components.collect(),
            in_range: predicted.in_range,
        })
    }
}
