//! Forests: the mean of many trees grown apart.

use ndarray::ArrayView2;

use super::grow::grow;
use super::leaf::Loss;
use super::progress::Watch;
use super::rng::Rng;
use super::shape::{Splits, TreeShape};
use super::tree_rows::{Aim, TreeRows, checked_weights, draw};
use crate::error::{Error, Result};
use crate::model::{MedianForest, Trees};

/// A forest: extremely randomised trees by default.
///
/// ```
/// use kepler_core::model::train::{Forest, Watch};
/// use ndarray::array;
///
/// let rows = array![[0.0], [1.0], [2.0], [3.0]];
/// let trees = Forest::default().fit(rows.view(), &[10.0, 20.0, 30.0, 40.0], None, &mut Watch::none())?;
/// assert_eq!(trees.roots.len(), 100);
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    /// How many trees.
    pub trees: usize,
    /// Their shape.
    pub shape: TreeShape,
    /// What leaves answer with.
    pub loss: Loss,
    /// The share of rows, drawn without replacement, that a tree sees; in (0, 1].
    pub row_share: f64,
    /// The seed.
    pub seed: u64,
}

impl Default for Forest {
    fn default() -> Self {
        Self {
            trees: 100,
            shape: TreeShape {
                splits: Splits::Random,
                ..TreeShape::default()
            },
            loss: Loss::Squared,
            row_share: 1.0,
            seed: 0,
        }
    }
}

impl Forest {
    /// Grows the forest on rows of shape (rows, features), with the power of each row in watts and, where rows do not count
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
        let aim = Aim {
            target,
            weight: &weight,
        };
        let mut scratch = Vec::new();
        let mut leaf = |rows: &[u32]| self.loss.answer(rows, aim, &mut scratch);
        let mut trees = self.grow(rows, aim, &mut leaf, watch)?;
        for value in &mut trees.value {
            *value /= self.trees as f64;
        }
        Ok(trees)
    }

    /// Grows a forest that keeps the rows of its leaves and answers with the median of all that a row meets there, whatever
    /// [`Forest::loss`] is.
    ///
    /// # Errors
    /// As [`Forest::fit`]; [`Error::InvalidInput`] for a monotone constraint, which a median over trees would not keep.
    pub fn fit_medians(
        &self,
        rows: ArrayView2<'_, f64>,
        target: &[f64],
        watch: &mut Watch<'_>,
    ) -> Result<MedianForest> {
        if !self.shape.monotone.is_empty() {
            let why = "a forest of medians has no monotone constraint";
            return Err(Error::invalid("forest", why));
        }
        let weight = checked_weights(rows, target, None)?;
        let aim = Aim {
            target,
            weight: &weight,
        };
        let mut order: Vec<usize> = (0..target.len()).collect();
        order.sort_by(|a, b| target[*a].total_cmp(&target[*b]));
        let mut place = vec![0; target.len()];
        for (number, row) in (0u32..).zip(&order) {
            place[*row] = number;
        }
        let mut kept = Vec::new();
        let mut leaf = |rows: &[u32]| {
            let start = kept.len();
            kept.extend(rows.iter().map(|row| place[*row as usize]));
            kept[start..].sort_unstable();
            rows.len() as f64
        };
        let trees = self.grow(rows, aim, &mut leaf, watch)?;
        Ok(MedianForest {
            trees,
            targets: order.into_iter().map(|row| target[row]).collect(),
            rows: kept,
        })
    }

    fn grow(
        &self,
        rows: ArrayView2<'_, f64>,
        aim: Aim<'_>,
        leaf: &mut dyn FnMut(&[u32]) -> f64,
        watch: &mut Watch<'_>,
    ) -> Result<Trees> {
        self.shape.check(rows.ncols())?;
        if self.trees == 0 || !(self.row_share > 0.0 && self.row_share <= 1.0) {
            return Err(Error::invalid(
                "forest",
                "trees must be above 0 and row_share in (0, 1]",
            ));
        }
        let data = TreeRows::new(rows, self.shape.splits)?;
        let mut trees = Trees::default();
        for number in 0..self.trees {
            watch.report("forest", number as f64 / self.trees as f64)?;
            let mut rng = Rng::new(self.seed, number as u64);
            let sample = draw(data.len(), self.row_share, &mut rng);
            grow(&mut trees, &data, aim, sample, &self.shape, &mut rng, leaf);
        }
        Ok(trees)
    }
}
