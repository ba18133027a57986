//! Curves over one input.

use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::estimator::{expect_input, expect_length};
use super::names::names;
use crate::error::{Error, Result};

/// A curve over one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// The formula.
    pub shape: CurveShape,
    /// The input.
    pub input: usize,
    /// The formula's parameters in its order.
    pub weights: Vec<f64>,
}

/// The formula of a [`Curve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CurveShape {
    /// `a exp(b z) + c`; weights `[a, b, c]`.
    Exponential,
    /// `a ln(b z + 1) + c`; weights `[a, b, c]`.
    Logarithmic,
    /// `a / (1 + exp(-k (z - m))) + c`; weights `[a, m, k, c]`.
    Logistic,
}

names!("curve", CurveShape {
    Exponential => "exponential",
    Logarithmic => "logarithmic",
    Logistic => "logistic",
});

impl CurveShape {
    fn weights(self) -> usize {
        match self {
            Self::Exponential | Self::Logarithmic => 3,
            Self::Logistic => 4,
        }
    }
}

impl Curve {
    pub(super) fn check(&self, inputs: usize) -> Result<()> {
        expect_input(self.input, inputs)?;
        expect_length("curve weights", self.weights.len(), self.shape.weights())
    }

    /// The same curve over `z / ratio`: its input is `ratio` times as large.
    pub(super) fn stretched(mut self, ratio: f64) -> Self {
        match (self.shape, self.weights.as_mut_slice()) {
            (CurveShape::Exponential | CurveShape::Logarithmic, [_, b, _]) => *b *= ratio,
            (CurveShape::Logistic, [_, m, k, _]) if ratio.is_normal() => {
                *m /= ratio;
                *k *= ratio;
            }
            _ => {}
        }
        self
    }

    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        let rows = out.iter_mut().zip(z.column(self.input));
        match (self.shape, self.weights.as_slice()) {
            (CurveShape::Exponential, &[a, b, c]) => {
                rows.for_each(|(o, z)| *o = a * (b * z).exp() + c);
            }
            (CurveShape::Logarithmic, &[a, b, c]) => {
                rows.for_each(|(o, z)| *o = a * (b * z + 1.0).ln() + c);
            }
            (CurveShape::Logistic, &[a, m, k, c]) => {
                rows.for_each(|(o, z)| *o = a / (1.0 + (-k * (z - m)).exp()) + c);
            }
            _ => out.fill(f64::NAN),
        }
    }
}

/// A piecewise linear table over one input; flat beyond its ends. Rising `y` makes it monotone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The input.
    pub input: usize,
    /// Places on the input, strictly rising.
    pub x: Vec<f64>,
    /// Watts there.
    pub y: Vec<f64>,
}

impl Table {
    pub(super) fn check(&self, inputs: usize) -> Result<()> {
        expect_input(self.input, inputs)?;
        expect_length("table values", self.y.len(), self.x.len())?;
        if self.x.is_empty() || !self.x.is_sorted_by(|a, b| a < b) {
            return Err(Error::invalid(
                "table",
                "its places must rise, and there must be one",
            ));
        }
        Ok(())
    }

    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        for (o, z) in out.iter_mut().zip(z.column(self.input)) {
            *o = self.at(*z);
        }
    }

    fn at(&self, z: f64) -> f64 {
        let after = self.x.partition_point(|x| *x <= z);
        if after == 0 {
            return self.y[0];
        }
        let before = after - 1;
        let Some(x1) = self.x.get(after) else {
            return self.y[before];
        };
        let (x0, y0, y1) = (self.x[before], self.y[before], self.y[after]);
        y0 + (y1 - y0) * ((z - x0) / (x1 - x0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_straight_between_and_flat_beyond() {
        let table = Table {
            input: 0,
            x: vec![0.0, 1.0, 3.0],
            y: vec![10.0, 20.0, 24.0],
        };
        for (z, watts) in [
            (-5.0, 10.0),
            (0.0, 10.0),
            (0.5, 15.0),
            (1.0, 20.0),
            (2.0, 22.0),
            (9.0, 24.0),
        ] {
            assert!((table.at(z) - watts).abs() < 1e-12, "{z}");
        }
    }
}
