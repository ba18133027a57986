//! The shape of trees.

use crate::error::{Error, Result};

/// How splits are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splits {
    /// The best of all thresholds.
    Best,
    /// One random threshold a feature, then the best feature ("extremely randomised", Geurts 2006).
    Random,
}

/// The shape of trees.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeShape {
    /// How splits are found.
    pub splits: Splits,
    /// Splits between root and leaf, at most.
    pub max_depth: usize,
    /// Rows in a leaf, at least.
    pub min_leaf: usize,
    /// The share of features tried at a node, in (0, 1]; at least one is.
    pub feature_share: f64,
    /// Added to a node's weight when its value is computed: above 0 pulls leaves towards 0.
    pub shrink: f64,
    /// By feature: 1 where power may only rise with it, -1 where it may only fall, else 0. Empty for no constraint.
    pub monotone: Vec<i8>,
}

impl Default for TreeShape {
    fn default() -> Self {
        Self {
            splits: Splits::Best,
            max_depth: usize::MAX,
            min_leaf: 1,
            feature_share: 1.0,
            shrink: 0.0,
            monotone: Vec::new(),
        }
    }
}

impl TreeShape {
    pub(super) fn check(&self, features: usize) -> Result<()> {
        if !self.monotone.is_empty() && self.monotone.len() != features {
            return Err(Error::invalid(
                "monotone",
                format!("{} signs for {features} features", self.monotone.len()),
            ));
        }
        let sensible = self.feature_share > 0.0 && self.feature_share <= 1.0 && self.shrink >= 0.0;
        if !sensible {
            return Err(Error::invalid(
                "tree shape",
                "feature_share must be in (0, 1] and shrink not negative",
            ));
        }
        Ok(())
    }

    pub(super) fn sign(&self, feature: usize) -> i8 {
        self.monotone.get(feature).copied().unwrap_or(0)
    }
}
