//! Forests whose leaves keep their rows: the median of all that share a leaf with a row (Meinshausen 2006, "Quantile
//! regression forests").

use serde::{Deserialize, Serialize};

use super::columns::{BLOCK, Columns};
use super::estimator::expect_length;
use super::tree::Trees;
use super::tree_plan::TreePlan;
use crate::error::{Error, Result};
use crate::units::{count_to_f64, f64_to_count};

/// The median power of the training rows that stand in the same leaves as a row, each leaf counting the same.
///
/// Against the mean of each leaf's own median it is steadier: a few hundred rows vote instead of a handful.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MedianForest {
    /// At most 256 of them, with base 0. A leaf's value is how many rows it keeps.
    pub trees: Trees,
    /// The power of the training rows in watts, rising.
    pub targets: Vec<f64>,
    /// The rows of the leaves as places in `targets`, rising in each leaf; leaves in the order of their nodes.
    pub rows: Vec<u32>,
}

/// Trees, at most: the leaves that a block of rows reaches are kept on the stack.
const TREES: usize = 256;

impl MedianForest {
    pub(super) fn plan(&self, inputs: usize) -> Result<MedianPlan> {
        let invalid = |why: String| Err(Error::invalid("median forest", why));
        let count = self.trees.roots.len();
        if count == 0 || count > TREES || self.trees.base != 0.0 || self.trees.single {
            return invalid(format!("{count} trees: 1 to {TREES} with base 0 are known"));
        }
        if self.targets.is_empty() || !self.targets.is_sorted() {
            return invalid("the targets do not rise".to_owned());
        }
        let mut trees = self.trees.clone();
        let mut leaves = Vec::new();
        let mut start = 0;
        for (node, left) in self.trees.left.iter().enumerate() {
            let (Some(size), 0) = (self.trees.value.get(node), *left) else {
                continue;
            };
            let number = count_to_f64(leaves.len() as u64);
            let kept = (start + 1..=self.rows.len())
                .find(|end| count_to_f64((end - start) as u64) >= *size)
                .map(|end| &self.rows[start..end]);
            let Some(kept) = kept.filter(|k| count_to_f64(k.len() as u64) <= *size) else {
                return invalid(format!("leaf {node} keeps {size} rows"));
            };
            let inside = kept
                .last()
                .is_some_and(|p| (*p as usize) < self.targets.len());
            if !inside || !kept.is_sorted() {
                return invalid(format!("the rows of leaf {node} do not rise"));
            }
            leaves.push(start);
            start += kept.len();
            trees.value[node] = number;
        }
        expect_length("rows of leaves", self.rows.len(), start)?;
        leaves.push(start);
        Ok(MedianPlan {
            trees: trees.plan(inputs)?,
            count,
            targets: self.targets.clone(),
            rows: self.rows.clone(),
            leaves,
        })
    }
}

/// A checked forest. Its trees' values are the numbers of their leaves.
#[derive(Clone, Debug)]
pub(super) struct MedianPlan {
    trees: TreePlan,
    count: usize,
    targets: Vec<f64>,
    rows: Vec<u32>,
    /// Where each leaf's rows begin, and where the last one's end.
    leaves: Vec<usize>,
}

impl MedianPlan {
    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        match out {
            // One row alone must not pay for the places of a whole block.
            [_] => self.eval_rows::<1>(z, out),
            _ => self.eval_rows::<BLOCK>(z, out),
        }
    }

    fn eval_rows<const ROWS: usize>(&self, z: &Columns<'_>, out: &mut [f64]) {
        let mut reached = [[0.0; TREES]; ROWS];
        let mut done = [0; ROWS];
        self.trees.leaves(z, |row, leaf| {
            reached[row][done[row]] = leaf;
            done[row] += 1;
        });
        for (out, reached) in out.iter_mut().zip(&reached) {
            *out = self.median(&reached[..self.count]);
        }
    }

    /// The lowest target that at least half of the votes do not exceed. Every leaf has one vote, shared by its rows.
    fn median(&self, reached: &[f64]) -> f64 {
        let half = 0.5 * count_to_f64(reached.len() as u64);
        // Found by halving: which votes go to a place is only counted at a dozen places.
        let (mut low, mut high) = (0, self.targets.len() - 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            let votes = reached.iter().map(|leaf| {
                let rows = self.rows_of(*leaf);
                let below = rows.partition_point(|place| *place as usize <= middle);
                count_to_f64(below as u64) / count_to_f64(rows.len() as u64)
            });
            // The sum of shares is exact to rounding: a vote of one half must not be lost to it.
            if votes.sum::<f64>() >= half * (1.0 - 1e-12) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        self.targets[low]
    }

    fn rows_of(&self, leaf: f64) -> &[u32] {
        let leaf = usize::try_from(f64_to_count(leaf)).unwrap_or(usize::MAX);
        &self.rows[self.leaves[leaf]..self.leaves[leaf + 1]]
    }
}
