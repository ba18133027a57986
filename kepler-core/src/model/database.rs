//! One model of the public database: a folder or zip with metadata, a scaler and a file a component.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::card::{HeldOut, Split, Training};
use super::curve::CurveShape;
use super::feature::FeatureSpec;
use super::format::{ComponentModel, ModelFile};
use super::names::{Component, EnergySourceName, OutputType};
use super::scikit::{self, Scale};
use super::spec::SpecRecord;
use super::xgboost;
use crate::error::{Error, Result};

/// The class of a model whose file is of the library's own format.
pub(super) const OWN_CLASS: &str = "kepler-model";

/// A model's `metadata.json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) model_name: String,
    pub(super) model_file: String,
    pub(super) features: Vec<String>,
    pub(super) output_type: OutputType,
    #[serde(default)]
    pub(super) mae: Option<f64>,
    #[serde(default)]
    pub(super) machine_spec: Option<SpecRecord>,
    /// Among others `<component>_mae` and `<component>_mape`.
    #[serde(flatten)]
    pub(super) others: BTreeMap<String, Value>,
}

/// What a component's entry in the model file says.
#[derive(Deserialize)]
struct Part {
    model_file: String,
    features: Vec<String>,
    #[serde(default)]
    fe_files: Vec<String>,
}

impl Metadata {
    pub(super) fn parse(bytes: &[u8], place: &str) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::malformed(place, "a model's metadata", e.to_string()))
    }

    /// The published error of a component.
    pub(super) fn error(&self, component: Component) -> Option<HeldOut> {
        let number = |key: &str| self.others.get(&format!("{component}_{key}"))?.as_f64();
        Some(HeldOut {
            split: Split::ShuffledPart,
            rows: None,
            mae: number("mae")?,
            // -1 stands for no positive power in the rows.
            mape: number("mape").filter(|m| *m >= 0.0),
        })
    }
}

/// Reads a model through `read(name)`.
pub(super) fn model(
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>>,
    place: &str,
) -> Result<ModelFile> {
    let metadata = Metadata::parse(&read("metadata.json")?, place)?;
    if metadata.others.get("model_class").and_then(Value::as_str) == Some(OWN_CLASS) {
        return ModelFile::from_json(&read(&metadata.model_file)?, place);
    }
    let parts: BTreeMap<Component, Part> = serde_json::from_slice(&read(&metadata.model_file)?)
        .map_err(|e| Error::malformed(place, "a file a component", e.to_string()))?;
    let mut scales: Option<Vec<Scale>> = None;
    let mut components = BTreeMap::new();
    for (component, part) in &parts {
        let within = |error| at(place, *component, error);
        if part.features != metadata.features {
            return Err(within(Error::malformed(
                "features",
                "those of the model",
                part.features.join(", "),
            )));
        }
        let mut squared = false;
        for step in &part.fe_files {
            let bytes = read(step)?;
            if step.starts_with("poly") {
                squared = scikit::is_square_step(&bytes).map_err(within)?;
                if !squared {
                    return Err(within(Error::malformed(
                        step,
                        "all products of degree 2",
                        "another step",
                    )));
                }
            } else if scales.is_none() {
                scales = Some(scikit::scaler(&bytes).map_err(within)?);
            }
        }
        let bytes = read(&part.model_file)?;
        let estimator = if part.model_file.ends_with(".json") {
            xgboost::estimator(&bytes, &part.model_file)
        } else {
            scikit::estimator(&bytes, squared)
        };
        components.insert(
            *component,
            ComponentModel {
                estimator: estimator.map_err(within)?,
                errors: metadata.error(*component).into_iter().collect(),
                residuals: None,
            },
        );
    }
    let scales = scales.unwrap_or_else(|| vec![Scale::NONE; metadata.features.len()]);
    if scales.len() != metadata.features.len() {
        return Err(Error::malformed(
            place,
            "one scale a feature",
            scales.len().to_string(),
        ));
    }
    let features = metadata
        .features
        .iter()
        .zip(scales)
        .map(|(name, scale)| FeatureSpec {
            offset: scale.offset,
            scale: scale.scale,
            min: scale.range.map(|(min, _)| min),
            max: scale.range.map(|(_, max)| max),
            ..FeatureSpec::raw(name)
        });
    let mut file = ModelFile::new(
        &metadata.model_name,
        metadata.output_type,
        features.collect(),
    );
    file.energy_source = Some(if components.contains_key(&Component::Platform) {
        EnergySourceName::Acpi
    } else {
        EnergySourceName::RaplSysfs
    });
    file.components = components;
    file.machine = metadata
        .machine_spec
        .as_ref()
        .map(SpecRecord::machine)
        .unwrap_or_default();
    file.node_type = Trainer::node_type(&metadata.model_name);
    file.training = Training {
        trainer: Trainer::name(&metadata.model_name).to_owned(),
        data: "Kepler model database".to_owned(),
        ..Training::default()
    };
    Ok(file)
}

/// Adds the model and component to an error's place.
fn at(place: &str, component: Component, error: Error) -> Error {
    match error {
        Error::Malformed {
            place: inner,
            want,
            found,
        } => Error::Malformed {
            place: format!("{place}: {component}: {inner}"),
            want,
            found,
        },
        Error::Unsupported { what, why, hint } => Error::Unsupported {
            what: format!("{place}: {component}: {what}"),
            why,
            hint,
        },
        other => other,
    }
}

/// What a model's name says: `<trainer>_<node type>`.
pub(super) struct Trainer;

impl Trainer {
    /// The part before the first underscore.
    pub(super) fn name(model: &str) -> &str {
        model.split('_').next().unwrap_or(model)
    }

    /// The number after the last underscore.
    pub(super) fn node_type(model: &str) -> Option<u32> {
        model.rsplit_once('_')?.1.parse().ok()
    }

    /// The curve that a trainer fits.
    pub(super) fn curve(model: &str) -> Option<CurveShape> {
        match Self::name(model) {
            "ExponentialRegressionTrainer" => Some(CurveShape::Exponential),
            "LogarithmicRegressionTrainer" => Some(CurveShape::Logarithmic),
            "LogisticRegressionTrainer" => Some(CurveShape::Logistic),
            _ => None,
        }
    }
}
