//! Boosting: each tree is grown to what the trees before it left rest.

use ndarray::ArrayView2;

use super::grow::grow;
use super::leaf::{Loss, mean, weighted_median};
use super::progress::Watch;
use super::rng::Rng;
use super::shape::TreeShape;
use super::tree_rows::{Aim, TreeRows, checked_weights, draw};
use crate::error::{Error, Result};
use crate::model::Trees;

/// Gradient boosted trees; by default 100 trees of depth 3 with a rate of 0.1.
#[derive(Clone, Debug, PartialEq)]
pub struct Boosting {
    /// How many trees.
    pub trees: usize,
    /// The share of each tree's answer that counts.
    pub rate: f64,
    /// Their shape.
    pub shape: TreeShape,
    /// The error to make small.
    pub loss: Loss,
    /// The share of rows, drawn without replacement, that a tree sees; in (0, 1].
    pub row_share: f64,
    /// The seed.
    pub seed: u64,
}

impl Default for Boosting {
    fn default() -> Self {
        Self {
            trees: 100,
            rate: 0.1,
            shape: TreeShape {
                max_depth: 3,
                ..TreeShape::default()
            },
            loss: Loss::Squared,
            row_share: 1.0,
            seed: 0,
        }
    }
}

impl Boosting {
    /// Grows the trees on rows of shape (rows, features), with the power of each row in watts and, where rows do not count
    /// the same, their weights.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for lengths that do not fit, no rows, and settings that make no sense;
    /// [`Error::Cancelled`].
    pub fn fit(
        &self,
        rows: ArrayView2<'_, f64>,
        target: &[f64],
        weight: Option<&[f64]>,
        watch: &mut Watch<'_>,
    ) -> Result<Trees> {
        let weight = checked_weights(rows, target, weight)?;
        self.shape.check(rows.ncols())?;
        let share = self.row_share;
        if !(share > 0.0 && share <= 1.0 && self.rate > 0.0 && self.rate.is_finite()) {
            return Err(Error::invalid(
                "boosting",
                "rate must be above 0 and row_share in (0, 1]",
            ));
        }
        let data = TreeRows::new(rows, self.shape.splits)?;
        let mut scratch = Vec::new();
        let everyone = draw(data.len(), 1.0, &mut Rng::new(0, 0));
        let aim = Aim {
            target,
            weight: &weight,
        };
        let base = self.loss.answer(&everyone, aim, &mut scratch);
        let mut trees = Trees {
            base,
            ..Trees::default()
        };
        let mut left: Vec<f64> = target.iter().map(|t| t - base).collect();
        for number in 0..self.trees {
            watch.report("boosting", number as f64 / self.trees as f64)?;
            let mut rng = Rng::new(self.seed, number as u64);
            let sample = draw(data.len(), share, &mut rng);
            self.add_tree(
                &mut trees,
                &data,
                &mut left,
                &weight,
                sample,
                &mut rng,
                &mut scratch,
            );
        }
        Ok(trees)
    }

    #[expect(clippy::too_many_arguments, reason = "buffers of one loop")]
    fn add_tree(
        &self,
        trees: &mut Trees,
        data: &TreeRows,
        left: &mut [f64],
        weight: &[f64],
        sample: Vec<u32>,
        rng: &mut Rng,
        scratch: &mut Vec<(f64, f64)>,
    ) {
        let before = trees.value.len();
        let rest = Aim {
            target: left,
            weight,
        };
        let root = match self.loss {
            Loss::Squared => {
                let shrink = self.shape.shrink;
                let mut leaf = |rows: &[u32]| {
                    let sum: f64 = rows.iter().map(|r| weight[*r as usize]).sum();
                    mean(rows, rest) * sum / (sum + shrink)
                };
                grow(trees, data, rest, sample, &self.shape, rng, &mut leaf)
            }
            Loss::Absolute => {
                // Downhill of |e| is its sign; splits follow it, leaves then answer with the median of what is left.
                let signs: Vec<f64> = left.iter().map(|e| sign(*e)).collect();
                let aim = Aim {
                    target: &signs,
                    weight,
                };
                let mut leaf = |rows: &[u32]| weighted_median(rows, rest, scratch);
                grow(trees, data, aim, sample, &self.shape, rng, &mut leaf)
            }
        };
        for value in &mut trees.value[before..] {
            *value *= self.rate;
        }
        for (row, left) in left.iter_mut().enumerate() {
            *left -= trees.value[data.leaf(trees, root, row)];
        }
    }
}

fn sign(e: f64) -> f64 {
    if e > 0.0 {
        1.0
    } else if e < 0.0 {
        -1.0
    } else {
        0.0
    }
}
