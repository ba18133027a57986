//! What trees are grown on: rows by column, samples of them, and what they are grown to.

use ndarray::ArrayView2;

use super::rng::Rng;
use super::shape::Splits;
use crate::error::{Error, Result};
use crate::model::Trees;
use crate::model::tree::single;

/// Training rows by column, in the single precision that trees compare in.
#[derive(Debug)]
pub(super) struct TreeRows {
    columns: Vec<Vec<f32>>,
    /// For each column, all rows by rising value. Only made for [`Splits::Best`].
    sorted: Vec<Vec<u32>>,
    rows: usize,
}

impl TreeRows {
    pub(super) fn new(rows: ArrayView2<'_, f64>, splits: Splits) -> Result<Self> {
        let count = u32::try_from(rows.nrows()).map_err(|_too_many| Error::TooLarge {
            what: "training rows".to_owned(),
            size: rows.nrows() as u64,
            limit: u32::MAX.into(),
        })?;
        let columns: Vec<Vec<f32>> = rows
            .columns()
            .into_iter()
            .map(|column| column.iter().map(|v| single(*v)).collect())
            .collect();
        let sort = |column: &Vec<f32>| {
            let mut order: Vec<u32> = (0..count).collect();
            order.sort_by(|a, b| column[*a as usize].total_cmp(&column[*b as usize]));
            order
        };
        let sorted = match splits {
            Splits::Best => columns.iter().map(sort).collect(),
            Splits::Random => Vec::new(),
        };
        Ok(Self {
            columns,
            sorted,
            rows: rows.nrows(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn features(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn column(&self, feature: usize) -> &[f32] {
        &self.columns[feature]
    }

    /// The rows of a sample by rising value of each feature; nothing where splits are random.
    pub(super) fn orders(&self, sample: &[u32]) -> Vec<Vec<u32>> {
        let mut inside = vec![false; self.rows];
        sample.iter().for_each(|r| inside[*r as usize] = true);
        let kept = |order: &Vec<u32>| {
            let kept = order.iter().copied().filter(|r| inside[*r as usize]);
            kept.collect()
        };
        self.sorted.iter().map(kept).collect()
    }

    /// The leaf of a row in the tree that starts at `root`.
    pub(super) fn leaf(&self, trees: &Trees, root: u32, row: usize) -> usize {
        let mut node = root as usize;
        while trees.left[node] != 0 {
            let value = self.columns[usize::from(trees.feature[node])][row];
            let next = if value <= trees.threshold[node] {
                trees.left[node]
            } else {
                trees.right[node]
            };
            node = next as usize;
        }
        node
    }
}

/// What a tree is grown to: rows with targets (or downhill gradients) and weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim<'a> {
    pub(super) target: &'a [f64],
    pub(super) weight: &'a [f64],
}

/// Row numbers of a random share of the rows, without repetition.
pub(super) fn draw(rows: usize, share: f64, rng: &mut Rng) -> Vec<u32> {
    let mut all: Vec<u32> = (0..rows).filter_map(|r| u32::try_from(r).ok()).collect();
    if share < 1.0 {
        let count = share_of(rows, share);
        rng.choose_front(&mut all, count);
        all.truncate(count);
    }
    all
}

/// A share in (0, 1] of some things, at least one of them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and the count"
)]
pub(super) fn share_of(count: usize, share: f64) -> usize {
    ((count as f64 * share).round() as usize).clamp(1, count.max(1))
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
