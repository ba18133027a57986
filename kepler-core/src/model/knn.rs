//! Nearest neighbours.

use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::estimator::expect_length;
use crate::error::{Error, Result};

/// The mean target of the `neighbors` nearest stored rows, by Euclidean distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearestNeighbors {
    /// How many rows are averaged.
    pub neighbors: usize,
    /// The stored rows one after the other, each with one number an input.
    pub rows: Vec<f64>,
    /// The power of each stored row in watts.
    pub targets: Vec<f64>,
}

impl NearestNeighbors {
    pub(super) fn plan(&self, inputs: usize) -> Result<KnnPlan> {
        expect_length(
            "stored numbers",
            self.rows.len(),
            self.targets.len() * inputs,
        )?;
        if self.neighbors == 0 || self.neighbors > self.targets.len() {
            return Err(Error::invalid(
                "neighbors",
                format!("{} of {} stored rows", self.neighbors, self.targets.len()),
            ));
        }
        Ok(KnnPlan { knn: self.clone() })
    }
}

/// Checked stored rows.
#[derive(Clone, Debug)]
pub(super) struct KnnPlan {
    knn: NearestNeighbors,
}

impl KnnPlan {
    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        let knn = &self.knn;
        let inputs = z.count();
        for (row, out) in out.iter_mut().enumerate() {
            let mut near: Vec<(f64, usize)> = (0..knn.targets.len())
                .map(|k| {
                    let stored = &knn.rows[k * inputs..][..inputs];
                    let d = stored
                        .iter()
                        .enumerate()
                        .map(|(i, v)| (v - z.column(i)[row]).powi(2))
                        .sum();
                    (d, k)
                })
                .collect();
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
            let sum: f64 = near[..knn.neighbors]
                .iter()
                .map(|(_, k)| knn.targets[*k])
                .sum();
            *out = sum / knn.neighbors as f64;
        }
    }
}
