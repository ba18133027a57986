//! Forests and boosted trees, as flat arrays.

use serde::{Deserialize, Serialize};

use super::estimator::{expect_input, expect_length};
use super::tree_plan::TreePlan;
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
        // Each node has one parent or is a root, so that no walk goes round and no tree is larger than its nodes.
        let mut reached = vec![false; nodes];
        let mut reach = |node: u32, from: usize| match reached.get_mut(node as usize) {
            Some(reached) if !*reached && (node as usize) >= from => {
                *reached = true;
                Ok(())
            }
            _ => Err(Error::invalid(
                "trees",
                format!("node {node} cannot follow node {from}"),
            )),
        };
        for root in &self.roots {
            reach(*root, 0)?;
        }
        for (node, (&left, &right)) in self.left.iter().zip(&self.right).enumerate() {
            if left == 0 && right == 0 {
                continue;
            }
            expect_input(self.feature[node].into(), inputs)?;
            if !self.threshold[node].is_finite() {
                return Err(Error::invalid(
                    "trees",
                    format!("the threshold of node {node} is no number"),
                ));
            }
            reach(left, node + 1)?;
            reach(right, node + 1)?;
        }
        Ok(TreePlan::new(self, inputs))
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
pub(super) fn single(value: f64) -> f32 {
    value as f32
}
