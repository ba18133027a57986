//! Curves over one input by the Levenberg-Marquardt method.

use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::{DMatrix, DVector, Dyn, Owned};
use std::f64::consts::E;

use crate::model::{Curve, CurveShape};

/// The curve of least squared error from the start that the shape is known to work from; `None` where the method finds no
/// finite answer.
pub(super) fn fit(shape: CurveShape, input: usize, x: &[f64], y: &[f64]) -> Option<Curve> {
    let problem = Problem {
        shape,
        x,
        y,
        weights: start(shape, y)?,
    };
    // SciPy's tolerances. Evaluations are counted per parameter: a search that has not ended by then goes nowhere.
    let method = LevenbergMarquardt::new()
        .with_tol(1.49012e-8)
        .with_patience(250);
    let (problem, _report) = method.minimize(problem);
    let weights: Vec<f64> = problem.weights.iter().copied().collect();
    let error: f64 = problem.residuals()?.iter().map(|r| r * r).sum();
    let finite = weights.iter().chain([&error]).all(|w| w.is_finite());
    finite.then_some(Curve {
        shape,
        input,
        weights,
    })
}

fn shape_len(shape: CurveShape) -> usize {
    match shape {
        CurveShape::Exponential | CurveShape::Logarithmic => 3,
        CurveShape::Logistic => 4,
    }
}

/// Where the search starts: the range of power as the height, its least as the base.
fn start(shape: CurveShape, y: &[f64]) -> Option<DVector<f64>> {
    let first = *y.first()?;
    let low = y.iter().copied().fold(f64::INFINITY, f64::min);
    let high = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = high - low;
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let deviation = (y.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / y.len() as f64).sqrt();
    if deviation <= 0.0 {
        return None;
    }
    Some(DVector::from_vec(match shape {
        CurveShape::Exponential => vec![(range / E).floor(), 1.0, low - first],
        CurveShape::Logarithmic => vec![range, 1.0, low],
        CurveShape::Logistic => vec![range, 0.5, (range / deviation).floor(), low],
    }))
}

struct Problem<'a> {
    shape: CurveShape,
    x: &'a [f64],
    y: &'a [f64],
    weights: DVector<f64>,
}

impl LeastSquaresProblem<f64, Dyn, Dyn> for Problem<'_> {
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, Dyn>;
    type ParameterStorage = Owned<f64, Dyn>;

    fn set_params(&mut self, weights: &DVector<f64>) {
        self.weights.copy_from(weights);
    }

    fn params(&self) -> DVector<f64> {
        self.weights.clone()
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        let w = &self.weights;
        let value = |x: f64| match self.shape {
            CurveShape::Exponential => w[0] * (w[1] * x).exp() + w[2],
            CurveShape::Logarithmic => w[0] * inside(w[1] * x).ln_1p() + w[2],
            CurveShape::Logistic => w[0] / (1.0 + (-w[2] * (x - w[1])).exp()) + w[3],
        };
        let residuals = self.x.iter().zip(self.y).map(|(x, y)| value(*x) - y);
        // A step too far is told as very bad rather than as impossible: then a shorter one is tried.
        let residuals = residuals.map(|r| {
            if r.is_finite() {
                r.clamp(-FAR, FAR)
            } else {
                FAR
            }
        });
        Some(DVector::from_iterator(self.x.len(), residuals))
    }

    fn jacobian(&self) -> Option<DMatrix<f64>> {
        let w = &self.weights;
        let slopes = |x: f64| match self.shape {
            CurveShape::Exponential => {
                let e = (w[1] * x).exp();
                [e, w[0] * x * e, 1.0, 0.0]
            }
            CurveShape::Logarithmic => {
                let z = inside(w[1] * x);
                [z.ln_1p(), w[0] * x / (z + 1.0), 1.0, 0.0]
            }
            CurveShape::Logistic => {
                let s = 1.0 / (1.0 + (-w[2] * (x - w[1])).exp());
                let slope = w[0] * s * (1.0 - s);
                [s, -slope * w[2], slope * (x - w[1]), 1.0]
            }
        };
        let columns = shape_len(self.shape);
        let rows = self
            .x
            .iter()
            .flat_map(|x| slopes(*x).into_iter().take(columns));
        let jacobian = DMatrix::from_row_iterator(self.x.len(), columns, rows);
        jacobian.iter().all(|v| v.is_finite()).then_some(jacobian)
    }
}

/// What the logarithm of one more than it can be taken of.
fn inside(z: f64) -> f64 {
    z.max(-1.0 + 1e-9)
}

/// A residual in watts beyond any machine's.
const FAR: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    /// Each curve is found again from its own points, where the start is not the answer.
    #[test]
    fn curves_are_found_again() {
        let x: Vec<f64> = (0..50).map(|i| f64::from(i) / 49.0).collect();
        let exponential = |x: f64| 30.0 * (1.4 * x).exp() + 20.0;
        let logarithmic = |x: f64| 60.0 * (5.0 * x + 1.0).ln() + 40.0;
        let logistic = |x: f64| 100.0 / (1.0 + (-6.0 * (x - 0.4)).exp()) + 50.0;
        let check = |shape, f: &dyn Fn(f64) -> f64, wanted: &[f64]| {
            let y: Vec<f64> = x.iter().map(|x| f(*x)).collect();
            let curve = fit(shape, 0, &x, &y).unwrap();
            for (found, wanted) in curve.weights.iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-4 * wanted, "{curve:?}");
            }
        };
        check(CurveShape::Exponential, &exponential, &[30.0, 1.4, 20.0]);
        check(CurveShape::Logarithmic, &logarithmic, &[60.0, 5.0, 40.0]);
        check(CurveShape::Logistic, &logistic, &[100.0, 0.4, 6.0, 50.0]);
    }

    #[test]
    fn power_that_never_changes_has_no_curve() {
        assert_eq!(fit(CurveShape::Logistic, 0, &[0.0, 1.0], &[5.0, 5.0]), None);
    }
}
