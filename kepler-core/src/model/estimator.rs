//! The formulas: a closed family, each from scaled inputs to watts.

use serde::{Deserialize, Serialize};

use super::columns::{BLOCK, Columns};
use super::curve::{Curve, Table};
use super::knn::NearestNeighbors;
use super::median_forest::{MedianForest, MedianPlan};
use super::svr::SupportVectors;
use super::tree::Trees;
use super::tree_plan::TreePlan;
use crate::error::{Error, Result};

/// A formula from inputs to watts. Inputs are counted from 0: first the scaled features, then the derived inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Estimator {
    /// The same value everywhere.
    Constant {
        /// Watts.
        value: f64,
    },
    /// `intercept + Σ weight z`.
    Linear {
        /// Watts at zero.
        intercept: f64,
        /// One a input.
        weights: Vec<f64>,
    },
    /// Degree 2: `intercept + Σ weight p`, where `p` is 1, each input, then each product `z_i z_j` for `i <= j` by rows.
    Polynomial {
        /// Watts at zero, besides the first weight.
        intercept: f64,
        /// `1 + n + n (n + 1) / 2` of them.
        weights: Vec<f64>,
    },
    /// A curve over one input.
    Curve(Curve),
    /// A piecewise linear table over one input.
    Table(Table),
    /// The mean target of the nearest training rows.
    NearestNeighbors(NearestNeighbors),
    /// A support vector machine with a Gaussian kernel.
    SupportVectors(SupportVectors),
    /// A forest or boosted trees.
    Trees(Trees),
    /// A forest whose leaves keep their training rows.
    MedianForest(MedianForest),
    /// The weighted sum of others.
    Blend {
        /// The parts.
        parts: Vec<BlendPart>,
    },
    /// Another estimator times one input: watts a core times cores.
    Times {
        /// The input.
        input: usize,
        /// The other estimator.
        of: Box<Self>,
    },
    /// `exp` of another estimator, which was trained on the logarithm of power.
    Exp {
        /// The other estimator.
        of: Box<Self>,
    },
    /// Another estimator, held between two bounds.
    Clamped {
        /// The lower bound in watts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low: Option<f64>,
        /// The upper bound in watts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        high: Option<f64>,
        /// The other estimator.
        of: Box<Self>,
    },
}

/// One part of an [`Estimator::Blend`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlendPart {
    /// Its weight.
    pub weight: f64,
    /// The part.
    pub estimator: Estimator,
}

/// Estimators inside estimators, at most.
const DEPTH_LIMIT: usize = 8;

impl Estimator {
    /// The kind in files, such as `nearest-neighbors`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Constant { .. } => "constant",
            Self::Linear { .. } => "linear",
            Self::Polynomial { .. } => "polynomial",
            Self::Curve(curve) => curve.shape.as_str(),
            Self::Table(_) => "table",
            Self::NearestNeighbors(_) => "nearest-neighbors",
            Self::SupportVectors(_) => "support-vectors",
            Self::Trees(_) => "trees",
            Self::MedianForest(_) => "median-forest",
            Self::Blend { .. } => "blend",
            Self::Times { of, .. } | Self::Exp { of } | Self::Clamped { of, .. } => of.kind(),
        }
    }

    /// How many numbers were fitted: what "simpler" means when two models are as good.
    pub fn size(&self) -> usize {
        match self {
            Self::Constant { .. } => 1,
            Self::Linear { weights, .. } | Self::Polynomial { weights, .. } => 1 + weights.len(),
            Self::Curve(curve) => curve.weights.len(),
            Self::Table(table) => table.x.len() + table.y.len(),
            Self::NearestNeighbors(knn) => knn.rows.len() + knn.targets.len(),
            Self::SupportVectors(svr) => svr.vectors.len() + svr.weights.len(),
            Self::Trees(trees) => trees.value.len(),
            Self::MedianForest(forest) => forest.trees.value.len() + forest.rows.len(),
            Self::Blend { parts } => parts.iter().map(|p| 1 + p.estimator.size()).sum(),
            Self::Times { of, .. } | Self::Exp { of } | Self::Clamped { of, .. } => of.size(),
        }
    }

    /// Checks it against a number of inputs and prepares it for fast use.
    pub(super) fn plan(&self, inputs: usize) -> Result<Plan> {
        self.plan_within(inputs, DEPTH_LIMIT)
    }

    fn plan_within(&self, inputs: usize, depth: usize) -> Result<Plan> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| Error::invalid("estimator", "estimators are nested too deeply"))?;
        let inner = |of: &Self| of.plan_within(inputs, depth).map(Box::new);
        let finite = |values: &[f64]| {
            if values.iter().all(|v| v.is_finite()) {
                Ok(())
            } else {
                Err(Error::invalid(
                    self.kind(),
                    "a parameter is not a finite number",
                ))
            }
        };
        Ok(match self {
            Self::Constant { value } => {
                finite(&[*value])?;
                Plan::Constant(*value)
            }
            Self::Linear { intercept, weights } => {
                finite(&[*intercept])?;
                finite(weights)?;
                expect_length("linear weights", weights.len(), inputs)?;
                Plan::Linear(*intercept, weights.clone())
            }
            Self::Polynomial { intercept, weights } => {
                finite(&[*intercept])?;
                finite(weights)?;
                let terms = 1 + inputs + inputs * (inputs + 1) / 2;
                expect_length("polynomial weights", weights.len(), terms)?;
                Plan::Polynomial(*intercept, weights.clone())
            }
            Self::Curve(curve) => {
                finite(&curve.weights)?;
                curve.check(inputs)?;
                Plan::Curve(curve.clone())
            }
            Self::Table(table) => {
                finite(&table.x)?;
                finite(&table.y)?;
                table.check(inputs)?;
                Plan::Table(table.clone())
            }
            Self::NearestNeighbors(knn) => {
                finite(&knn.rows)?;
                finite(&knn.targets)?;
                Plan::NearestNeighbors(Box::new(knn.plan(inputs)?))
            }
            Self::SupportVectors(svr) => {
                finite(&[svr.gamma, svr.intercept])?;
                finite(&svr.vectors)?;
                finite(&svr.weights)?;
                svr.check(inputs)?;
                Plan::SupportVectors(svr.clone())
            }
            Self::Trees(trees) => {
                finite(&[trees.base])?;
                finite(&trees.value)?;
                Plan::Trees(Box::new(trees.plan(inputs)?))
            }
            Self::MedianForest(forest) => {
                finite(&forest.targets)?;
                Plan::MedianForest(Box::new(forest.plan(inputs)?))
            }
            Self::Blend { parts } => {
                let plan = |p: &BlendPart| {
                    finite(&[p.weight])?;
                    Ok((p.weight, p.estimator.plan_within(inputs, depth)?))
                };
                Plan::Blend(parts.iter().map(plan).collect::<Result<_>>()?)
            }
            Self::Times { input, of } => {
                expect_input(*input, inputs)?;
                Plan::Times(*input, inner(of)?)
            }
            Self::Exp { of } => Plan::Exp(inner(of)?),
            Self::Clamped { low, high, of } => {
                let (low, high) = (low.unwrap_or(f64::MIN), high.unwrap_or(f64::MAX));
                if low > high || low.is_nan() || high.is_nan() {
                    return Err(Error::invalid("clamped", "the bounds are crossed"));
                }
                Plan::Clamped(low, high, inner(of)?)
            }
        })
    }
}

/// A checked estimator, ready to predict. All its indices are known to be in bounds of the columns it is given.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    Constant(f64),
    Linear(f64, Vec<f64>),
    Polynomial(f64, Vec<f64>),
    Curve(Curve),
    Table(Table),
    NearestNeighbors(Box<super::knn::KnnPlan>),
    SupportVectors(SupportVectors),
    Trees(Box<TreePlan>),
    MedianForest(Box<MedianPlan>),
    Blend(Vec<(f64, Self)>),
    Times(usize, Box<Self>),
    Exp(Box<Self>),
    Clamped(f64, f64, Box<Self>),
}

impl Plan {
    /// Predicts the rows of a block into `out`, one value a row.
    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        match self {
            Self::Constant(value) => out.fill(*value),
            Self::Linear(intercept, weights) => linear(*intercept, weights, z, out),
            Self::Polynomial(intercept, weights) => polynomial(*intercept, weights, z, out),
            Self::Curve(curve) => curve.eval(z, out),
            Self::Table(table) => table.eval(z, out),
            Self::NearestNeighbors(knn) => knn.eval(z, out),
            Self::SupportVectors(svr) => svr.eval(z, out),
            Self::Trees(trees) => trees.eval(z, out),
            Self::MedianForest(forest) => forest.eval(z, out),
            Self::Blend(parts) => {
                out.fill(0.0);
                let mut part_out = [0.0; BLOCK];
                for (weight, part) in parts {
                    let part_out = &mut part_out[..out.len()];
                    part.eval(z, part_out);
                    for (o, p) in out.iter_mut().zip(part_out) {
                        *o += weight * *p;
                    }
                }
            }
            Self::Times(input, of) => {
                of.eval(z, out);
                for (o, z) in out.iter_mut().zip(z.column(*input)) {
                    *o *= z;
                }
            }
            Self::Exp(of) => {
                of.eval(z, out);
                out.iter_mut().for_each(|o| *o = o.exp());
            }
            Self::Clamped(low, high, of) => {
                of.eval(z, out);
                out.iter_mut().for_each(|o| *o = o.clamp(*low, *high));
            }
        }
    }
}

fn linear(intercept: f64, weights: &[f64], z: &Columns<'_>, out: &mut [f64]) {
    out.fill(0.0);
    for (i, weight) in weights.iter().enumerate() {
        for (o, z) in out.iter_mut().zip(z.column(i)) {
            *o += weight * z;
        }
    }
    out.iter_mut().for_each(|o| *o += intercept);
}

fn polynomial(intercept: f64, weights: &[f64], z: &Columns<'_>, out: &mut [f64]) {
    let inputs = z.count();
    out.fill(weights[0]);
    let mut products = weights[1 + inputs..].iter();
    for i in 0..inputs {
        let first = z.column(i);
        for (o, a) in out.iter_mut().zip(first) {
            *o += weights[1 + i] * a;
        }
        for j in i..inputs {
            let weight = products.next().copied().unwrap_or_default();
            for ((o, a), b) in out.iter_mut().zip(first).zip(z.column(j)) {
                *o += weight * (a * b);
            }
        }
    }
    out.iter_mut().for_each(|o| *o += intercept);
}

pub(super) fn expect_length(what: &str, has: usize, wants: usize) -> Result<()> {
    if has == wants {
        return Ok(());
    }
    Err(Error::invalid(
        what,
        format!("{has} of them, where {wants} belong"),
    ))
}

pub(super) fn expect_input(input: usize, inputs: usize) -> Result<()> {
    if input < inputs {
        return Ok(());
    }
    Err(Error::invalid(
        "estimator",
        format!("input {input} of {inputs} does not exist"),
    ))
}
