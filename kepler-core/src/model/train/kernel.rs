//! Regression with a kernel: a Gaussian process whose mean is a closed formula, a quadratic plus a bump at each row.

use crate::error::{Error, Result};
use crate::model::{BlendPart, Estimator, SupportVectors};

/// A Gaussian process with the covariance `bump exp(-|a - b|² / 2) + linear a·b + quadratic (a·b)² + 1`.
///
/// Inputs must be scaled to where a step of 1 matters. Solved exactly, without anything random: `n` rows take `n³ / 3` steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct KernelRegression {
    /// Variance of what is only alike nearby.
    pub(super) bump: f64,
    /// Variance of the slope in each input.
    pub(super) linear: f64,
    /// Variance of the products of two inputs.
    pub(super) quadratic: f64,
}

impl KernelRegression {
    /// Fits rows of inputs to targets, each with its own noise variance.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the rows contradict each other so much that the equations have no stable solution.
    pub(super) fn fit(
        &self,
        rows: &[Vec<f64>],
        targets: &[f64],
        noise: &[f64],
    ) -> Result<Estimator> {
        let mean = targets.iter().sum::<f64>() / crate::units::count_to_f64(targets.len() as u64);
        let centred: Vec<f64> = targets.iter().map(|t| t - mean).collect();
        let mut triangle: Vec<Vec<f64>> = rows
            .iter()
            .enumerate()
            .map(|(i, row)| {
                rows[..=i]
                    .iter()
                    .map(|other| self.covariance(row, other))
                    .collect()
            })
            .collect();
        for (row, noise) in triangle.iter_mut().zip(noise) {
            if let Some(diagonal) = row.last_mut() {
                *diagonal += noise;
            }
        }
        factor(&mut triangle)?;
        let weights = solve(&triangle, centred);
        Ok(self.estimator(rows, &weights, mean))
    }

    fn covariance(&self, a: &[f64], b: &[f64]) -> f64 {
        let product = dot(a, b);
        let distance: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        self.bump * (-0.5 * distance).exp()
            + self.linear * product
            + self.quadratic * product * product
            + 1.0
    }

    /// The mean of the process: the polynomial parts of all rows collapse into one polynomial.
    fn estimator(&self, rows: &[Vec<f64>], weights: &[f64], mean: f64) -> Estimator {
        let inputs = rows.first().map_or(0, Vec::len);
        let sum = |value: &dyn Fn(&[f64]) -> f64| -> f64 {
            rows.iter()
                .zip(weights)
                .map(|(row, weight)| weight * value(row))
                .sum()
        };
        let mut polynomial = vec![0.0];
        polynomial.extend((0..inputs).map(|i| self.linear * sum(&|row| row[i])));
        for i in 0..inputs {
            for j in i..inputs {
                let times = if i == j { 1.0 } else { 2.0 };
                polynomial.push(times * self.quadratic * sum(&|row| row[i] * row[j]));
            }
        }
        let parts = [
            Estimator::Polynomial {
                intercept: rounded(mean + weights.iter().sum::<f64>()),
                weights: polynomial.into_iter().map(rounded).collect(),
            },
            Estimator::SupportVectors(SupportVectors {
                gamma: 0.5,
                intercept: 0.0,
                weights: weights.iter().map(|w| rounded(self.bump * w)).collect(),
                vectors: rows.iter().flatten().copied().collect(),
            }),
        ];
        Estimator::Blend {
            parts: parts
                .into_iter()
                .map(|estimator| BlendPart {
                    weight: 1.0,
                    estimator,
                })
                .collect(),
        }
    }
}

/// Seven significant digits: what a file needs, and the same on machines whose `exp` differs in the last bit.
pub(super) fn rounded(x: f64) -> f64 {
    format!("{x:.6e}").parse().unwrap_or(x)
}

/// Cholesky's factor of a symmetric matrix, in place of its lower triangle.
fn factor(triangle: &mut [Vec<f64>]) -> Result<()> {
    for i in 0..triangle.len() {
        let (above, rest) = triangle.split_at_mut(i);
        let row = &mut rest[0];
        for (j, other) in above.iter().enumerate() {
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let left = row[i] - dot(&row[..i], &row[..i]);
        if left <= 0.0 || !left.is_finite() {
            return Err(Error::invalid("rows", "too much alike for their noise"));
        }
        row[i] = left.sqrt();
    }
    Ok(())
}

/// Solves `L Lᵀ x = y`.
fn solve(triangle: &[Vec<f64>], mut x: Vec<f64>) -> Vec<f64> {
    for (i, row) in triangle.iter().enumerate() {
        x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
    }
    for (i, row) in triangle.iter().enumerate().rev() {
        x[i] /= row[i];
        let known = x[i];
        for (x, factor) in x[..i].iter_mut().zip(row) {
            *x -= known * factor;
        }
    }
    x
}

/// A sum in eight lanes: always the same order, and the compiler may use vectors for it.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a
        .remainder()
        .iter()
        .zip(b.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a.zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Component, FeatureSpec, ModelFile, OutputType, PowerModel};

    #[test]
    fn noiseless_rows_are_met_and_the_gap_between_them_is_smooth() {
        let rows: Vec<Vec<f64>> = (0..9).map(|i| vec![f64::from(i) / 2.0, 1.0]).collect();
        let truth = |x: f64| 3.0 + x.sin() + 0.5 * x;
        let targets: Vec<f64> = rows.iter().map(|r| truth(r[0])).collect();
        let kernel = KernelRegression {
            bump: 1.0,
            linear: 1.0,
            quadratic: 0.1,
        };
        let estimator = kernel.fit(&rows, &targets, &[1e-8; 9]).unwrap();
        let features = ["x", "one"].map(FeatureSpec::raw).to_vec();
        let mut file = ModelFile::new("sine", OutputType::AbsPower, features);
        file.components.insert(Component::Package, estimator.into());
        let model = PowerModel::new(file).unwrap();
        for x in [0.0, 0.25, 1.0, 2.6, 4.0] {
            let watts = model.predict_one(&[x, 1.0]).unwrap().watts[&Component::Package];
            assert!(
                (watts - truth(x)).abs() < 0.01,
                "{x}: {watts}, not {}",
                truth(x)
            );
        }
    }

    #[test]
    fn rows_that_contradict_each_other_are_an_error() {
        let kernel = KernelRegression {
            bump: 1.0,
            linear: 1.0,
            quadratic: 1.0,
        };
        let rows = vec![vec![1.0]; 3];
        assert!(kernel.fit(&rows, &[1.0, 2.0, 3.0], &[-1.0; 3]).is_err());
    }
}
