//! Intervals around predictions, from residuals on rows that the model had not seen (conformal).

use serde::{Deserialize, Serialize};

use super::card::Split;

/// Residual quantiles of one component, by predicted level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residuals {
    /// The share of true values that intervals are made to hold, such as 0.9.
    pub level: f64,
    /// How the residuals' rows were held out.
    pub split: Split,
    /// Whether quantiles are shares of the predicted power rather than watts.
    pub relative: bool,
    /// One step or more, by rising `from`.
    pub steps: Vec<ResidualStep>,
    /// The share of true values that intervals really held on other held-out rows, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// The mean width of those intervals in watts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_width: Option<f64>,
}

/// The quantiles of `measured - predicted` for predictions from a level on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualStep {
    /// The lowest predicted power in watts that the step is for.
    pub from: f64,
    /// The low quantile, usually negative: watts, or a share when relative.
    pub low: f64,
    /// The high quantile, in the same unit.
    pub high: f64,
}

/// A range that holds the true power with the stated chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end in watts, never below 0.
    pub low: f64,
    /// The upper end in watts.
    pub high: f64,
    /// The chance, such as 0.9.
    pub level: f64,
    /// What it rests on.
    pub basis: Basis,
}

/// What an [`Interval`] rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Residuals on rows that the model had not seen.
    Residuals,
    /// The mean absolute error alone, with residuals taken as Laplace distributed.
    MeanError,
    /// The share of an unknown host that a guest may use.
    UnknownHost,
}

impl Residuals {
    /// The interval around a prediction in watts.
    pub fn around(&self, predicted: f64) -> Interval {
        let after = self.steps.partition_point(|s| s.from <= predicted);
        let step = self.steps.get(after.saturating_sub(1));
        let unit = if self.relative { predicted } else { 1.0 };
        let (low, high) = step.map_or((0.0, 0.0), |s| (s.low * unit, s.high * unit));
        Interval {
            low: (predicted + low).max(0.0),
            high: (predicted + high).max(0.0),
            level: self.level,
            basis: Basis::Residuals,
        }
    }
}

impl Interval {
    /// The 90 % interval that a mean absolute error tells.
    pub(super) fn from_mae(predicted: f64, mae: f64) -> Self {
        // A Laplace distribution of mean |e| = m has P(|e| > q) = exp(-q / m): q = m ln 10 for 10 %.
        let half = mae * std::f64::consts::LN_10;
        Self {
            low: (predicted - half).max(0.0),
            high: predicted + half,
            level: 0.9,
            basis: Basis::MeanError,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_of_the_predicted_level_holds() {
        let step = |from, low, high| ResidualStep { from, low, high };
        let residuals = Residuals {
            level: 0.9,
            split: Split::BlockedFolds,
            relative: false,
            steps: vec![step(0.0, -5.0, 3.0), step(100.0, -20.0, 10.0)],
            coverage: None,
            mean_width: None,
        };
        let ends = |watts| {
            let i = residuals.around(watts);
            (i.low, i.high)
        };
        assert_eq!(ends(50.0), (45.0, 53.0));
        assert_eq!(ends(100.0), (80.0, 110.0));
        assert_eq!(ends(2.0), (0.0, 5.0));
    }
}
