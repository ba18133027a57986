//! Straight lines and planes: penalised, non-negative, and of degree 2.

use linfa_linalg::qr::LeastSquaresQrInto;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::error::{Error, Result};
use crate::model::Estimator;

/// The plane that scikit-learn's `SGDRegressor` walks towards: least mean squared error with a small quadratic penalty on
/// the weights. It stops on the way, as far off as its seed and its falling steps leave it; this is where it would arrive.
pub(super) fn ridge(z: ArrayView2<'_, f64>, target: &[f64]) -> Result<Estimator> {
    const PENALTY: f64 = 1e-4;
    let (centred, means, target, mean) = centred(z, target);
    let (rows, columns) = centred.dim();
    // A row more for each weight, which wants it to be 0: least squares of all rows are those with the penalty. So there
    // is always one answer, and its condition is known, however alike two inputs are.
    let mut all = Array2::zeros((rows + columns, columns));
    all.slice_mut(s![..rows, ..]).assign(&centred);
    let each = (PENALTY * rows as f64).sqrt();
    all.slice_mut(s![rows.., ..]).diag_mut().fill(each);
    let mut wanted = Array2::zeros((rows + columns, 1));
    wanted.slice_mut(s![..rows, 0]).assign(&target);
    let weights = all
        .least_squares_into(wanted)
        .map_err(|e| Error::invalid("plane", e.to_string()))?;
    let weights = weights.column(0);
    Ok(Estimator::Linear {
        intercept: mean - weights.dot(&means),
        weights: weights.to_vec(),
    })
}

/// The plane with least squared error whose weights are not negative.
pub(super) fn non_negative(z: ArrayView2<'_, f64>, target: &[f64]) -> Estimator {
    let (centred, means, target, mean) = centred(z, target);
    let (weights, _residual) = nnls::nnls(centred.view(), target.view());
    Estimator::Linear {
        intercept: mean - weights.dot(&means),
        weights: weights.to_vec(),
    }
}

/// Degree 2 with least squared error. Of many equally good answers (a feature that never changes), the smallest.
pub(super) fn polynomial(z: ArrayView2<'_, f64>, target: &[f64]) -> Result<Estimator> {
    let terms = products(z);
    let (centred, means, target, mean) = centred(terms.view(), target);
    let (rows, columns) = centred.dim();
    let a = nalgebra::DMatrix::from_row_iterator(rows, columns, centred.iter().copied());
    let b = nalgebra::DVector::from_iterator(rows, target.iter().copied());
    let svd = nalgebra::linalg::SVD::try_new(a, true, true, f64::EPSILON, 10_000);
    let failed = |why: &str| Error::invalid("polynomial", format!("least squares failed: {why}"));
    let svd = svd.ok_or_else(|| failed("no singular values"))?;
    // The cut-off of LAPACK's gelsd as SciPy calls it: machine precision, relative to the largest.
    let cut = f64::EPSILON * svd.singular_values.max();
    let weights = svd.solve(&b, cut).map_err(failed)?;
    let weights = Array1::from_iter(weights.iter().copied());
    Ok(Estimator::Polynomial {
        intercept: mean - weights.dot(&means),
        // The first is the weight of the constant term, which the intercept stands for.
        weights: [0.0].into_iter().chain(weights).collect(),
    })
}

/// Each input, then each product of two, by rows.
fn products(z: ArrayView2<'_, f64>) -> Array2<f64> {
    let n = z.ncols();
    let mut terms: Vec<Array1<f64>> = z.columns().into_iter().map(|c| c.to_owned()).collect();
    for i in 0..n {
        for j in i..n {
            terms.push(&z.column(i) * &z.column(j));
        }
    }
    let mut all = Array2::zeros((z.nrows(), terms.len()));
    for (mut column, term) in all.columns_mut().into_iter().zip(terms) {
        column.assign(&term);
    }
    all
}

/// Inputs and targets less their means.
fn centred(z: ArrayView2<'_, f64>, target: &[f64]) -> (Array2<f64>, Array1<f64>, Array1<f64>, f64) {
    let means = z
        .mean_axis(Axis(0))
        .unwrap_or_else(|| Array1::zeros(z.ncols()));
    let target = Array1::from(target.to_vec());
    let mean = target.mean().unwrap_or(0.0);
    (&z - &means, means, target - mean, mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn parts(estimator: Estimator) -> (f64, Vec<f64>) {
        match estimator {
            Estimator::Linear { intercept, weights }
            | Estimator::Polynomial { intercept, weights } => (intercept, weights),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_found_again() {
        let z = array![[0.0, 1.0], [0.5, 0.0], [1.0, 0.3], [0.2, 0.9]];
        let target: Vec<f64> = z
            .rows()
            .into_iter()
            .map(|r| 5.0 + 20.0 * r[0] + 3.0 * r[1])
            .collect();
        let (intercept, weights) = parts(non_negative(z.view(), &target));
        assert!((intercept - 5.0).abs() < 1e-9 && (weights[0] - 20.0).abs() < 1e-9);
        assert!((weights[1] - 3.0).abs() < 1e-9, "{weights:?}");
    }

    #[test]
    fn a_penalty_pulls_the_weight_of_a_plane_towards_zero() {
        // z of mean 1 and variance 2/3 beside 10 z + 3: w = 10 (2/3) / (2/3 + 1e-4).
        let z = array![[0.0], [1.0], [2.0]];
        let (intercept, weights) = parts(ridge(z.view(), &[3.0, 13.0, 23.0]).unwrap());
        let wanted = 10.0 / (1.0 + 1.5e-4);
        assert!((weights[0] - wanted).abs() < 1e-9, "{weights:?}");
        assert!((intercept - (13.0 - wanted)).abs() < 1e-9);
    }

    #[test]
    fn inputs_that_are_nearly_the_same_share_their_weight_exactly() {
        // The second differs from the first by 1e-7 in one row, the third never changes. By symmetry both take half of what
        // one alone would: w = 10 v / (2 v + 1e-4), v being the variance; coordinates moved one by one take 20,000 steps.
        let z = Array2::from_shape_fn((101, 3), |(i, j)| match j {
            0 => i as f64 / 100.0,
            1 => i as f64 / 100.0 + if i == 50 { 1e-7 } else { 0.0 },
            _ => 0.5,
        });
        let target: Vec<f64> = z.column(0).iter().map(|x| 3.0 + 10.0 * x).collect();
        let (intercept, weights) = parts(ridge(z.view(), &target).unwrap());
        let variance = (101.0 * 101.0 - 1.0) / 12.0 / 1e4;
        let half = 10.0 * variance / (2.0 * variance + 1e-4);
        assert!((weights[0] - half).abs() < 1e-6, "{weights:?} {half}");
        assert!((weights[1] - half).abs() < 1e-6 && weights[2].abs() < 1e-12);
        assert!((intercept - (8.0 - half)).abs() < 1e-6);
    }

    #[test]
    fn a_weight_that_wants_to_be_negative_is_zero() {
        let z = array![[0.0], [0.5], [1.0]];
        let (intercept, weights) = parts(non_negative(z.view(), &[30.0, 20.0, 10.0]));
        assert_eq!((intercept, weights), (20.0, vec![0.0]));
    }

    #[test]
    fn a_parabola_is_found_again_beside_a_feature_that_never_changes() {
        let z = Array2::from_shape_fn((9, 2), |(i, j)| if j == 0 { i as f64 / 8.0 } else { 0.0 });
        let target: Vec<f64> = z
            .column(0)
            .iter()
            .map(|x| 40.0 + 10.0 * x + 50.0 * x * x)
            .collect();
        // Terms: 1, x, y, x², x y, y².
        let (intercept, weights) = parts(polynomial(z.view(), &target).unwrap());
        for (found, wanted) in weights.iter().zip([0.0, 10.0, 0.0, 50.0, 0.0, 0.0]) {
            assert!((found - wanted).abs() < 1e-8, "{weights:?}");
        }
        assert!((intercept - 40.0).abs() < 1e-8);
    }
}
