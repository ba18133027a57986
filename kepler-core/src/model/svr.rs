//! Support vector regression with a Gaussian kernel.

use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::estimator::expect_length;
use crate::error::Result;

/// `intercept + Σ weight exp(-gamma |vector - z|²)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportVectors {
    /// The kernel's sharpness.
    pub gamma: f64,
    /// Watts far from every vector.
    pub intercept: f64,
    /// One a vector.
    pub weights: Vec<f64>,
    /// The vectors one after the other, each with one number an input.
    pub vectors: Vec<f64>,
}

impl SupportVectors {
    pub(super) fn check(&self, inputs: usize) -> Result<()> {
        expect_length(
            "support vectors' numbers",
            self.vectors.len(),
            self.weights.len() * inputs,
        )
    }

    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        let inputs = z.count();
        let mut distance = [0.0; super::columns::BLOCK];
        let distance = &mut distance[..z.rows()];
        out.fill(0.0);
        for (k, weight) in self.weights.iter().enumerate() {
            distance.fill(0.0);
            for (i, v) in self.vectors[k * inputs..][..inputs].iter().enumerate() {
                for (d, z) in distance.iter_mut().zip(z.column(i)) {
                    *d += (v - z) * (v - z);
                }
            }
            for (o, d) in out.iter_mut().zip(&*distance) {
                *o += weight * (-self.gamma * d).exp();
            }
        }
        out.iter_mut().for_each(|o| *o += self.intercept);
    }
}
