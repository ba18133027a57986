//! Weights as JSON: what a model server answers, and what lies beside a model's zip in the database.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::curve::{Curve, CurveShape};
use super::database::Trainer;
use super::estimator::Estimator;
use super::feature::{FeatureGroup, FeatureSpec};
use super::format::{ComponentModel, ModelFile};
use super::names::{Component, OutputType};
use super::spec::SpecRecord;
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct ComponentWeights {
    #[serde(rename = "All_Weights")]
    all: Weights,
}

#[derive(Deserialize)]
struct Weights {
    #[serde(rename = "Bias_Weight", default)]
    bias: Option<f64>,
    #[serde(rename = "Categorical_Variables", default)]
    categorical: BTreeMap<String, Value>,
    #[serde(rename = "Numerical_Variables", default)]
    numerical: BTreeMap<String, Numerical>,
    #[serde(rename = "CurveFit_Weights", default)]
    curve: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct Numerical {
    scale: f64,
    #[serde(default)]
    weight: Option<f64>,
}

/// Reads weights. `name` is the model's name where the text has none of its own; curves are told by it.
pub(super) fn model(bytes: &[u8], name: &str, place: &str) -> Result<ModelFile> {
    let malformed = |e: serde_json::Error| Error::malformed(place, "weights", e.to_string());
    let mut text: BTreeMap<String, Value> = serde_json::from_slice(bytes).map_err(malformed)?;
    let name = match text.remove("model_name") {
        Some(Value::String(own)) => own,
        _ => name.to_owned(),
    };
    let machine = match text.remove("machine_spec") {
        Some(value) => serde_json::from_value::<SpecRecord>(value).map_err(malformed)?,
        None => SpecRecord::default(),
    };
    text.remove("mae");
    let mut components = BTreeMap::new();
    for (key, value) in text {
        let component: Component = key
            .parse()
            .map_err(|_name| Error::malformed(place, "a component", key))?;
        let weights: ComponentWeights = serde_json::from_value(value).map_err(malformed)?;
        components.insert(component, weights.all);
    }
    let first = components.values().next();
    let first = first.ok_or_else(|| Error::malformed(place, "weights of a component", "none"))?;
    let features: Vec<FeatureSpec> = first
        .numerical
        .iter()
        .map(|(name, n)| feature(name, n.scale))
        .collect();
    // The text does not say; the four trainers with weights were used for both. AbsPower is what nodes ask for.
    let mut file = ModelFile::new(&name, OutputType::AbsPower, features);
    file.machine = machine.machine();
    file.node_type = Trainer::node_type(&name);
    file.training.trainer = Trainer::name(&name).to_owned();
    for (component, weights) in &components {
        let estimator = estimator(*component, weights, &file, place)?;
        file.components
            .insert(*component, ComponentModel::from(estimator));
    }
    Ok(file)
}

/// A scale of 0 means that the feature counts nothing.
fn feature(name: &str, scale: f64) -> FeatureSpec {
    let known = scale.is_normal();
    FeatureSpec {
        scale: if known { scale } else { 1.0 },
        min: Some(0.0),
        max: Some(if known { scale } else { 0.0 }),
        ..FeatureSpec::raw(name)
    }
}

fn estimator(
    component: Component,
    weights: &Weights,
    file: &ModelFile,
    place: &str,
) -> Result<Estimator> {
    if let Some(name) = weights.categorical.keys().next() {
        return Err(Error::Unsupported {
            what: format!("{place}: {component}"),
            why: format!("its feature {name} has categories, not numbers"),
            hint: String::new(),
        });
    }
    if weights.numerical.len() != file.features.len() {
        return Err(Error::malformed(
            place,
            "the same features for each component",
            component.as_str(),
        ));
    }
    let mut linear = Vec::with_capacity(file.features.len());
    for (spec, (name, numerical)) in file.features.iter().zip(&weights.numerical) {
        if *name != spec.name {
            return Err(Error::malformed(
                place,
                "the same features for each component",
                name,
            ));
        }
        // Components may have scales of their own: the weight takes up the difference.
        let ratio = if numerical.scale.is_normal() {
            spec.scale / numerical.scale
        } else {
            0.0
        };
        linear.push((ratio, numerical.weight));
    }
    let Some(curve) = &weights.curve else {
        return Ok(Estimator::Linear {
            intercept: weights.bias.unwrap_or(0.0),
            weights: linear
                .iter()
                .map(|(ratio, weight)| weight.unwrap_or(0.0) * ratio)
                .collect(),
        });
    };
    let input = main_input(component, &file.features);
    let shape = Trainer::curve(&file.name)
        .or((curve.len() == 4).then_some(CurveShape::Logistic))
        .ok_or_else(|| {
            Error::malformed(place, "a curve's trainer in the model's name", &file.name)
        })?;
    let curve = Curve {
        shape,
        input,
        weights: curve.clone(),
    };
    let ratio = linear.get(input).map_or(1.0, |(ratio, _)| *ratio);
    Ok(Estimator::Curve(curve.stretched(ratio)))
}

/// The place of the feature that a curve is drawn against.
fn main_input(component: Component, features: &[FeatureSpec]) -> usize {
    let names: Vec<&str> = features.iter().map(|f| f.name.as_str()).collect();
    let main = FeatureGroup::of(&names).main_feature(component);
    main.and_then(|main| names.iter().position(|n| *n == main))
        .unwrap_or(0)
}

/// Weights of a model whose formulas they can tell: linear ones and curves.
pub(super) fn to_json(file: &ModelFile) -> Option<Value> {
    if !file.derived.is_empty() {
        return None;
    }
    let mut components = Map::new();
    for (component, part) in &file.components {
        let scale = |spec: &FeatureSpec| json!({ "scale": spec.scale });
        let mut numerical: Map<String, Value> = Map::new();
        for spec in &file.features {
            numerical.insert(spec.name.clone(), scale(spec));
        }
        let mut all = json!({ "Categorical_Variables": {} });
        match &part.estimator {
            Estimator::Linear { intercept, weights } => {
                let mut bias = *intercept;
                for (spec, weight) in file.features.iter().zip(weights) {
                    numerical[&spec.name]["weight"] = (*weight).into();
                    bias -= weight * spec.offset / spec.scale;
                }
                all["Bias_Weight"] = bias.into();
            }
            // Readers of weights tell the feature of a curve by the group; it must be the same one.
            Estimator::Curve(curve)
                if file.features.iter().all(|f| f.offset.abs() <= 0.0)
                    && curve.input == main_input(*component, &file.features) =>
            {
                all["CurveFit_Weights"] = json!(curve.weights);
            }
            _ => return None,
        }
        all["Numerical_Variables"] = numerical.into();
        components.insert(component.to_string(), json!({ "All_Weights": all }));
    }
    Some(components.into())
}
