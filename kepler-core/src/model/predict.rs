//! From rows of features to watts.

use std::collections::BTreeMap;

use ndarray::ArrayView2;

use super::columns::{BLOCK, Columns};
use super::interval::Interval;
use super::names::Component;
use super::{ComponentModel, PowerModel};
use crate::error::{Error, Result};

/// What a model predicts for many rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Watts a row, by component. Never negative.
    pub watts: BTreeMap<Component, Vec<f64>>,
    /// For each row, whether all its features lie in the range of the training data.
    pub in_range: Vec<bool>,
}

/// What a model predicts for one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Watts by component. Never negative.
    pub watts: BTreeMap<Component, f64>,
    /// Whether all features lie in the range of the training data.
    pub in_range: bool,
}

/// Which column of a caller's rows is which feature of a model.
#[derive(Clone, Debug)]
pub struct Binding<'a> {
    model: &'a PowerModel,
    columns: Vec<usize>,
    width: usize,
}

/// Blocks of at most this many inputs live on the stack.
const STACK_INPUTS: usize = 16;

impl PowerModel {
    /// Watts for rows of shape (rows, features), columns in the order of [`PowerModel::features`].
    ///
    /// Allocates only what it returns. Negative figures become 0.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for another number of columns, and for a value that is NaN or infinite.
    pub fn predict(&self, rows: ArrayView2<'_, f64>) -> Result<Predictions> {
        self.expect_width(rows.ncols())?;
        self.predict_columns(rows, |feature| feature)
    }

    /// Watts for one row, in the order of [`PowerModel::features`].
    ///
    /// # Errors
    /// As [`PowerModel::predict`].
    pub fn predict_one(&self, row: &[f64]) -> Result<Prediction> {
        self.expect_width(row.len())?;
        self.predict_row(|feature| row[feature])
    }

    /// Watts for one row with an interval for each component; `None` where nothing is known of the model's error.
    ///
    /// # Errors
    /// As [`PowerModel::predict`].
    pub fn predict_with_interval(
        &self,
        row: &[f64],
    ) -> Result<BTreeMap<Component, (f64, Option<Interval>)>> {
        let prediction = self.predict_one(row)?;
        let with_interval = |(component, watts): (Component, f64)| {
            let part = &self.file().components[&component];
            (component, (watts, part.interval(watts)))
        };
        Ok(prediction.watts.into_iter().map(with_interval).collect())
    }

    /// Binds this model's features to the columns of rows by name.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a feature that is not among `names`, and for a name that the model does not know.
    pub fn bind<S: AsRef<str>>(&self, names: &[S]) -> Result<Binding<'_>> {
        if let Some(unknown) = names
            .iter()
            .find(|n| !self.features().any(|f| f == n.as_ref()))
        {
            return Err(self.no_feature(unknown.as_ref(), "this model's features are"));
        }
        self.bind_among(names)
    }

    /// Binds this model's features to columns by name; other columns are left alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a feature that is not among `names`; [`Error::InvalidInput`] for one that is twice.
    pub fn bind_among<S: AsRef<str>>(&self, names: &[S]) -> Result<Binding<'_>> {
        let place = |feature: &str| {
            let mut places = (0..names.len()).filter(|i| names[*i].as_ref() == feature);
            let first = places
                .next()
                .ok_or_else(|| self.no_feature(feature, "this model needs"))?;
            if places.next().is_some() {
                return Err(Error::invalid(feature, "this feature is given twice"));
            }
            Ok(first)
        };
        Ok(Binding {
            model: self,
            columns: self.features().map(place).collect::<Result<_>>()?,
            width: names.len(),
        })
    }

    fn no_feature(&self, name: &str, hint: &str) -> Error {
        let features: Vec<&str> = self.features().collect();
        Error::NotFound {
            what: "feature",
            name: name.to_owned(),
            hint: format!("{hint} {}", features.join(", ")),
        }
    }

    fn expect_width(&self, width: usize) -> Result<()> {
        let wants = self.file().features.len();
        if width == wants {
            return Ok(());
        }
        Err(Error::invalid(
            "rows",
            format!(
                "{width} columns, where the model {} wants {wants}",
                self.name()
            ),
        ))
    }

    fn predict_columns(
        &self,
        rows: ArrayView2<'_, f64>,
        column: impl Fn(usize) -> usize,
    ) -> Result<Predictions> {
        let count = rows.nrows();
        let mut watts: BTreeMap<Component, Vec<f64>> =
            self.plans().map(|(c, _)| (c, vec![0.0; count])).collect();
        let mut in_range = vec![true; count];
        self.with_scratch(|scratch| {
            for start in (0..count).step_by(BLOCK) {
                let n = BLOCK.min(count - start);
                self.scale(
                    scratch,
                    &mut in_range[start..start + n],
                    start,
                    |row, feature| rows[(row, column(feature))],
                )?;
                let columns = Columns::new(scratch, n, self.inputs());
                for ((_, plan), out) in self.plans().zip(watts.values_mut()) {
                    let out = &mut out[start..start + n];
                    plan.eval(&columns, out);
                    clamp(out);
                }
            }
            Ok(())
        })?;
        Ok(Predictions { watts, in_range })
    }

    fn predict_row(&self, value: impl Fn(usize) -> f64) -> Result<Prediction> {
        let mut in_range = [true];
        let mut watts = BTreeMap::new();
        self.with_scratch(|scratch| {
            self.scale(scratch, &mut in_range, 0, |_, feature| value(feature))?;
            let columns = Columns::new(scratch, 1, self.inputs());
            for (component, plan) in self.plans() {
                let mut out = [0.0];
                plan.eval(&columns, &mut out);
                clamp(&mut out);
                watts.insert(component, out[0]);
            }
            Ok(())
        })?;
        Ok(Prediction {
            watts,
            in_range: in_range[0],
        })
    }

    /// Fills the scratch columns from `value(row, feature)`: checked, scaled, then derived.
    fn scale(
        &self,
        scratch: &mut [f64],
        in_range: &mut [bool],
        start: usize,
        value: impl Fn(usize, usize) -> f64,
    ) -> Result<()> {
        let rows = in_range.len();
        let file = self.file();
        for (feature, spec) in file.features.iter().enumerate() {
            let column = &mut scratch[feature * BLOCK..][..rows];
            for (row, z) in column.iter_mut().enumerate() {
                *z = value(start + row, feature);
            }
            // x * 0 is NaN for NaN and infinities alone, and sums keep it: one check a column.
            if column.iter().map(|x| x * 0.0).sum::<f64>().is_nan() {
                let row = column.iter().position(|x| !x.is_finite()).unwrap_or(0);
                let why = format!(
                    "{} in row {} is not a finite number",
                    column[row],
                    start + row
                );
                return Err(Error::invalid(&spec.name, why));
            }
            let (min, max) = (spec.min.unwrap_or(f64::MIN), spec.max.unwrap_or(f64::MAX));
            for (z, inside) in column.iter_mut().zip(in_range.iter_mut()) {
                *inside &= (*z >= min) & (*z <= max);
                *z = (*z - spec.offset) / spec.scale;
            }
        }
        for (i, derived) in file.derived.iter().enumerate() {
            derived.fill(scratch, file.features.len() + i, rows);
        }
        Ok(())
    }

    fn with_scratch<T>(&self, work: impl FnOnce(&mut [f64]) -> T) -> T {
        if self.inputs() <= STACK_INPUTS {
            work(&mut [0.0; STACK_INPUTS * BLOCK])
        } else {
            work(&mut vec![0.0; self.inputs() * BLOCK])
        }
    }
}

impl Binding<'_> {
    /// The model.
    pub fn model(&self) -> &PowerModel {
        self.model
    }

    /// Watts for rows of shape (rows, names), columns in the order of the bound names.
    ///
    /// # Errors
    /// As [`PowerModel::predict`].
    pub fn predict(&self, rows: ArrayView2<'_, f64>) -> Result<Predictions> {
        self.expect_width(rows.ncols())?;
        self.model
            .predict_columns(rows, |feature| self.columns[feature])
    }

    /// Watts for one row, in the order of the bound names.
    ///
    /// # Errors
    /// As [`PowerModel::predict`].
    pub fn predict_one(&self, row: &[f64]) -> Result<Prediction> {
        self.expect_width(row.len())?;
        self.model.predict_row(|feature| row[self.columns[feature]])
    }

    fn expect_width(&self, width: usize) -> Result<()> {
        if width == self.width {
            return Ok(());
        }
        Err(Error::invalid(
            "rows",
            format!("{width} columns, where {} names were bound", self.width),
        ))
    }
}

impl ComponentModel {
    /// The interval around a prediction of this component, from its residuals, else from its mean error.
    pub fn interval(&self, predicted: f64) -> Option<Interval> {
        match (&self.residuals, self.errors.first()) {
            (Some(residuals), _) => Some(residuals.around(predicted)),
            (None, Some(error)) => Some(Interval::from_mae(predicted, error.mae)),
            (None, None) => None,
        }
    }
}

/// Negative power does not exist; NaN stays visible.
fn clamp(out: &mut [f64]) {
    for watts in out {
        if *watts < 0.0 {
            *watts = 0.0;
        }
    }
}
