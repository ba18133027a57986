//! Forests and boosted trees, as flat arrays.

use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::estimator::{expect_input, expect_length};
use crate::error::{Error, Result};

/// The sum of many trees' leaves. Nodes of all trees stand one after the other; `left` and `right` are node numbers, and
/// both are 0 at a leaf (no tree has its root there as a child).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trees {
    /// The sum before any tree.
    pub base: f64,
    /// Whether leaves are added in single precision, one tree after the other, as XGBoost does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub single: bool,
    /// Each tree's first node.
    pub roots: Vec<u32>,
    /// The input that a node looks at.
    pub feature: Vec<u16>,
    /// A row goes left when its input, rounded to single precision, is at most this.
    pub threshold: Vec<f32>,
    /// The child to the left; always a later node. 0 at a leaf.
    pub left: Vec<u32>,
    /// The child to the right; always a later node. 0 at a leaf.
    pub right: Vec<u32>,
    /// What a leaf adds, in watts, with the learning rate or the share of its tree in it. Not used at other nodes.
    pub value: Vec<f64>,
}

impl Trees {
    /// Adds a leaf and returns its number.
    pub fn push_leaf(&mut self, value: f64) -> u32 {
        self.push(0, 0.0, value)
    }

    /// Adds a node whose children are to be set by [`Trees::set_children`], and returns its number.
    pub fn push_split(&mut self, feature: u16, threshold: f32) -> u32 {
        self.push(feature, threshold, 0.0)
    }

    /// Says where a split's rows go.
    pub fn set_children(&mut self, node: u32, left: u32, right: u32) {
        self.left[node as usize] = left;
        self.right[node as usize] = right;
    }

    fn push(&mut self, feature: u16, threshold: f32, value: f64) -> u32 {
        let node = u32::try_from(self.value.len()).unwrap_or(u32::MAX);
        self.feature.push(feature);
        self.threshold.push(threshold);
        self.left.push(0);
        self.right.push(0);
        self.value.push(value);
        node
    }

    pub(super) fn plan(&self, inputs: usize) -> Result<TreePlan> {
        let nodes = self.value.len();
        for (what, has) in [
            ("tree features", self.feature.len()),
            ("tree thresholds", self.threshold.len()),
            ("left children", self.left.len()),
            ("right children", self.right.len()),
        ] {
            expect_length(what, has, nodes)?;
        }
        for (node, (&left, &right)) in self.left.iter().zip(&self.right).enumerate() {
            if left == 0 && right == 0 {
                continue;
            }
            expect_input(self.feature[node].into(), inputs)?;
            // A child is a later node, so no walk goes round.
            let later = |child: u32| child as usize > node && (child as usize) < nodes;
            if !later(left) || !later(right) || self.threshold[node].is_nan() {
                return Err(Error::invalid(
                    "trees",
                    format!("node {node} has no such children"),
                ));
            }
        }
        if self.roots.iter().any(|r| *r as usize >= nodes) {
            return Err(Error::invalid("trees", "a root does not exist"));
        }
        Ok(TreePlan {
            trees: self.clone(),
        })
    }
}

/// Checked trees.
#[derive(Clone, Debug)]
pub(super) struct TreePlan {
    trees: Trees,
}

impl TreePlan {
    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        let trees = &self.trees;
        for (row, out) in out.iter_mut().enumerate() {
            let mut sum_single = single(trees.base);
            let mut sum = trees.base;
            for root in &trees.roots {
                let mut node = *root as usize;
                while trees.left[node] != 0 {
                    let z = single(z.column(trees.feature[node].into())[row]);
                    let next = if z <= trees.threshold[node] {
                        &trees.left
                    } else {
                        &trees.right
                    };
                    node = next[node] as usize;
                }
                sum += trees.value[node];
                sum_single += single(trees.value[node]);
            }
            *out = if trees.single { sum_single.into() } else { sum };
        }
    }
}

/// The single-precision threshold that says of every single-precision number what `number <= threshold` says.
pub(super) fn at_most(threshold: f64) -> f32 {
    let rounded = single(threshold);
    if f64::from(rounded) > threshold {
        rounded.next_down()
    } else {
        rounded
    }
}

/// The threshold that says by `<=` what `number < threshold` says.
pub(super) fn below(threshold: f32) -> f32 {
    threshold.next_down()
}

/// Rounds to single precision, as the original rounds the inputs of its trees.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is the purpose; too large becomes infinite"
)]
fn single(value: f64) -> f32 {
    value as f32
}
