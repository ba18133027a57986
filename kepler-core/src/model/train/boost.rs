//! Boosting: each tree is grown to what the trees before it left unexplained.

use ndarray::ArrayView2;

use super::forest::{Loss, draw, mean};
use super::grow::{Aim, TreeRows, TreeShape, grow, weighted_median};
use super::progress::Watch;
use super::rng::Rng;
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
        let base = match self.loss {
            Loss::Squared => mean(
                &everyone,
                Aim {
                    target,
                    weight: &weight,
                },
            ),
            Loss::Absolute => {
                weighted_median(&everyone, |r| target[r as usize], &weight, &mut scratch)
            }
        };
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
        let root = match self.loss {
            Loss::Squared => {
                let aim = Aim {
                    target: left,
                    weight,
                };
                let shrink = self.shape.shrink;
                let mut leaf = |rows: &[u32]| {
                    let sum: f64 = rows.iter().map(|r| weight[*r as usize]).sum();
                    mean(rows, aim) * sum / (sum + shrink)
                };
                grow(trees, data, aim, sample, &self.shape, rng, &mut leaf)
            }
            Loss::Absolute => {
                // Downhill of |e| is its sign; splits follow it, leaves then answer with the median of what is left.
                let signs: Vec<f64> = left.iter().map(|e| sign(*e)).collect();
                let aim = Aim {
                    target: &signs,
                    weight,
                };
                let mut leaf =
                    |rows: &[u32]| weighted_median(rows, |r| left[r as usize], weight, scratch);
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

/// Checks the lengths and numbers of training rows, and gives every row a weight.
pub(super) fn checked_weights(
    rows: ArrayView2<'_, f64>,
    target: &[f64],
    weight: Option<&[f64]>,
) -> Result<Vec<f64>> {
    let lengths = [target.len(), weight.map_or(target.len(), <[f64]>::len)];
    if rows.nrows() == 0 || rows.ncols() == 0 || lengths.iter().any(|n| *n != rows.nrows()) {
        return Err(Error::invalid(
            "training rows",
            format!(
                "{} rows of {} features with {} targets and {} weights",
                rows.nrows(),
                rows.ncols(),
                lengths[0],
                lengths[1]
            ),
        ));
    }
    let weight = weight.map_or_else(|| vec![1.0; target.len()], <[f64]>::to_vec);
    let finite = rows.iter().chain(target).all(|v| v.is_finite());
    let positive = weight.iter().all(|w| *w > 0.0 && w.is_finite());
    if !finite || !positive {
        return Err(Error::invalid(
            "training rows",
            "values must be finite numbers and weights above 0",
        ));
    }
    Ok(weight)
}
