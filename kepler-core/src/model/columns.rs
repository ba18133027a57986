//! A block of rows turned into columns: what estimators read, so that the compiler can work on several rows at once.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::estimator::expect_input;
use super::knn::Found;
use crate::error::Result;

/// Rows in a block.
pub(super) const BLOCK: usize = 64;

/// Scaled inputs of up to [`BLOCK`] rows, one column an input.
pub(super) struct Columns<'a> {
    values: &'a [f64],
    rows: usize,
    count: usize,
    found: RefCell<Found>,
}

impl<'a> Columns<'a> {
    /// Columns of `rows` values each, at every [`BLOCK`]th place of `values`.
    pub(super) fn new(values: &'a [f64], rows: usize, count: usize) -> Self {
        debug_assert!(rows <= BLOCK && values.len() >= count * BLOCK);
        Self {
            values,
            rows,
            count,
            found: RefCell::default(),
        }
    }

    /// The neighbours of these rows, once an estimator has searched them.
    pub(super) fn found(&self) -> &RefCell<Found> {
        &self.found
    }

    pub(super) fn column(&self, input: usize) -> &'a [f64] {
        &self.values[input * BLOCK..][..self.rows]
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// An input computed from earlier ones: features first, then derived inputs in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Derived {
    /// The product of two inputs.
    Product {
        /// One input.
        a: usize,
        /// The other.
        b: usize,
    },
    /// One input over another; 0 where that is 0.
    Ratio {
        /// The input above the line.
        a: usize,
        /// The input below the line.
        b: usize,
    },
    /// `ln(1 + z)`; 0 below 0.
    Log {
        /// The input.
        a: usize,
    },
    /// The square root; 0 below 0.
    Root {
        /// The input.
        a: usize,
    },
}

impl Derived {
    /// Checks that it uses only inputs before its own place.
    pub(super) fn check(&self, before: usize) -> Result<()> {
        match *self {
            Self::Product { a, b } | Self::Ratio { a, b } => {
                expect_input(a, before)?;
                expect_input(b, before)
            }
            Self::Log { a } | Self::Root { a } => expect_input(a, before),
        }
    }

    /// Fills its column, which starts at `place`, from the columns before.
    pub(super) fn fill(&self, values: &mut [f64], place: usize, rows: usize) {
        let (before, own) = values.split_at_mut(place * BLOCK);
        let column = |input: usize| &before[input * BLOCK..][..rows];
        let own = &mut own[..rows];
        let pairs = |a, b| column(a).iter().zip(column(b));
        match *self {
            Self::Product { a, b } => {
                for (o, (a, b)) in own.iter_mut().zip(pairs(a, b)) {
                    *o = a * b;
                }
            }
            Self::Ratio { a, b } => {
                for (o, (a, b)) in own.iter_mut().zip(pairs(a, b)) {
                    *o = if b.abs() > 0.0 { a / b } else { 0.0 };
                }
            }
            Self::Log { a } => {
                for (o, a) in own.iter_mut().zip(column(a)) {
                    *o = a.max(0.0).ln_1p();
                }
            }
            Self::Root { a } => {
                for (o, a) in own.iter_mut().zip(column(a)) {
                    *o = a.max(0.0).sqrt();
                }
            }
        }
    }
}
