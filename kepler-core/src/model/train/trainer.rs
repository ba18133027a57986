//! The trainers: a closed family, each from scaled inputs to an [`Estimator`].

use ndarray::{Array2, ArrayView2};

use super::boost::Boosting;
use super::data::TrainingData;
use super::progress::Watch;
use super::shape::TreeShape;
use super::{curve_fit, ensemble, linear, svr_fit};
use crate::error::{Error, Result};
use crate::model::names::names;
use crate::model::{Component, CurveShape, Derived, Estimator, FeatureSpec, NearestNeighbors};

/// A way of fitting a model. The first ten are those of the public model database, under its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trainer {
    /// A plane with a small penalty on its weights, which stochastic gradient descent walks towards: solved exactly.
    Sgd,
    /// A plane whose weights are not negative.
    Linear,
    /// Degree 2 by least squares.
    Polynomial,
    /// `a ln(b z + 1) + c` over the group's main feature.
    Logarithmic,
    /// `a exp(b z) + c` over the group's main feature.
    Exponential,
    /// An S-shaped curve over the group's main feature.
    Logistic,
    /// The mean of the six nearest rows.
    NearestNeighbors,
    /// A support vector machine with a Gaussian kernel.
    SupportVectors,
    /// 100 boosted trees of depth 3.
    GradientBoosting,
    /// 100 boosted trees of depth 6 with shrunken leaves, as XGBoost grows by default.
    Xgboost,
    /// Several forests, or a smoother where there is one feature, for the least absolute error: this library's own.
    Ensemble,
}

names!("trainer", Trainer {
    Sgd => "SGDRegressorTrainer",
    Linear => "LinearRegressionTrainer",
    Polynomial => "PolynomialRegressionTrainer",
    Logarithmic => "LogarithmicRegressionTrainer",
    Exponential => "ExponentialRegressionTrainer",
    Logistic => "LogisticRegressionTrainer",
    NearestNeighbors => "KNeighborsRegressorTrainer",
    SupportVectors => "SVRRegressorTrainer",
    GradientBoosting => "GradientBoostingRegressorTrainer",
    Xgboost => "XgboostFitTrainer",
    Ensemble => "EnsembleTrainer",
});

/// The inputs of a model: features as they are scaled, and what is derived from them.
pub(super) struct Inputs {
    pub(super) features: Vec<FeatureSpec>,
    pub(super) derived: Vec<Derived>,
    pub(super) z: Array2<f64>,
}

impl Trainer {
    /// Scales and derives the inputs. What is learnt here is learnt from the given rows alone.
    pub(super) fn inputs(self, data: &TrainingData) -> Inputs {
        let columns = data.features.iter().zip(data.rows.columns());
        let spec = |(name, column): (&String, ndarray::ArrayView1<'_, f64>)| {
            let (low, high) = column
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
                    (l.min(*v), h.max(*v))
                });
            let most = low.abs().max(high.abs());
            // Trees compare, so they need no scale; the ensemble's logarithms are of the values themselves.
            let scaled = self != Self::Ensemble && most.is_normal();
            FeatureSpec {
                scale: if scaled { most } else { 1.0 },
                min: Some(low),
                max: Some(high),
                ..FeatureSpec::raw(name)
            }
        };
        let features: Vec<FeatureSpec> = columns.map(spec).collect();
        let derived = match self {
            Self::Ensemble => ensemble::derived(&data.features, data.rows.view()),
            _ => Vec::new(),
        };
        let z = super::fit::inputs(&features, &derived, data.rows.view());
        Inputs {
            features,
            derived,
            z,
        }
    }

    /// Fits one part of the machine.
    pub(super) fn fit(
        self,
        inputs: &Inputs,
        component: Component,
        target: &[f64],
        seed: u64,
        watch: &mut Watch<'_>,
    ) -> Result<Estimator> {
        let first = target.first().copied().unwrap_or(0.0);
        let constant = target
            .iter()
            .all(|t| (t - first).abs() <= 1e-12 * first.abs());
        if constant {
            return Ok(Estimator::Constant { value: first });
        }
        let z = inputs.z.view();
        let curve = |shape| {
            let input = main_feature(&inputs.features, component, z, target);
            let x = z.column(input).to_vec();
            let curve = curve_fit::fit(shape, input, &x, target);
            curve.map(Estimator::Curve).ok_or_else(|| {
                let why = format!("no finite curve over {}", inputs.features[input].name);
                Error::invalid(format!("{self} of {component}"), why)
            })
        };
        watch.report("", 0.0)?;
        Ok(match self {
            Self::Sgd => linear::ridge(z, target)?,
            Self::Linear => linear::non_negative(z, target),
            Self::Polynomial => linear::polynomial(z, target)?,
            Self::Logarithmic => curve(CurveShape::Logarithmic)?,
            Self::Exponential => curve(CurveShape::Exponential)?,
            Self::Logistic => curve(CurveShape::Logistic)?,
            Self::NearestNeighbors => Estimator::NearestNeighbors(NearestNeighbors {
                neighbors: 6.min(target.len()),
                leaf: None,
                rows: z.iter().copied().collect(),
                targets: target.to_vec(),
            }),
            Self::SupportVectors => Estimator::SupportVectors(svr_fit::fit(z, target, watch)?),
            Self::GradientBoosting => {
                let boosting = Boosting {
                    seed,
                    ..Boosting::default()
                };
                Estimator::Trees(boosting.fit(z, target, None, watch)?)
            }
            Self::Xgboost => {
                let shape = TreeShape {
                    max_depth: 6,
                    shrink: 1.0,
                    ..TreeShape::default()
                };
                let boosting = Boosting {
                    seed,
                    shape,
                    ..Boosting::default()
                };
                Estimator::Trees(boosting.fit(z, target, None, watch)?)
            }
            Self::Ensemble => ensemble::fit(z, inputs.features.len(), target, seed, watch)?,
        })
    }
}

/// The input that curves go over: instructions, else CPU time; for memory, cache misses, else page cache hits; where a table
/// has none of these, or where they never change, the input that goes along with power best.
fn main_feature(
    features: &[FeatureSpec],
    component: Component,
    z: ArrayView2<'_, f64>,
    target: &[f64],
) -> usize {
    let wanted: &[&str] = match component {
        Component::Dram => &["cache_miss", "bpf_page_cache_hit"],
        _ => &["cpu_instructions", "bpf_cpu_time_ms", "bpf_cpu_time_us"],
    };
    let changes = |i: &usize| {
        z.column(*i)
            .iter()
            .any(|v| v.to_bits() != z[(0, *i)].to_bits())
    };
    let named = wanted
        .iter()
        .filter_map(|name| features.iter().position(|f| f.name == *name));
    let together = |i: &usize| correlation(z.column(*i).iter().copied(), target).abs();
    named.into_iter().find(changes).unwrap_or_else(|| {
        let all = 0..features.len();
        all.max_by(|a, b| together(a).total_cmp(&together(b)))
            .unwrap_or(0)
    })
}

/// Pearson's correlation; 0 where one side never changes.
pub(super) fn correlation(x: impl Iterator<Item = f64> + Clone, y: &[f64]) -> f64 {
    let n = y.len() as f64;
    let (mx, my) = (x.clone().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.zip(y) {
        let (dx, dy) = (x - mx, y - my);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    let spread = (xx * yy).sqrt();
    if spread > 0.0 { xy / spread } else { 0.0 }
}
