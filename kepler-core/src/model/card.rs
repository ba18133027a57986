//! What is told about a model besides its parameters: errors, training data, and the card a person reads.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::PowerModel;
use crate::error::{Error, Result};

/// An error measured on rows that the model had not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// How the unseen rows were chosen.
    pub split: Split,
    /// How many rows the error was measured on; `None` when it is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Mean absolute error in watts.
    pub mae: f64,
    /// Mean absolute error in per cent of the measured power, over rows where that is above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mape: Option<f64>,
}

/// How rows were held out of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// One random part, as in the public model database (10 %).
    ShuffledPart,
    /// Every row once, in random folds. Rewards remembering neighbours in a time series.
    ShuffledFolds,
    /// Every row once, in folds of consecutive rows.
    BlockedFolds,
    /// Every machine once, with all its rows.
    MachineOut,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShuffledPart => "one random part",
            Self::ShuffledFolds => "random folds",
            Self::BlockedFolds => "folds blocked in time",
            Self::MachineOut => "whole machines",
        })
    }
}

impl FromStr for Split {
    type Err = Error;

    /// Reads the name that it has in files, such as `blocked-folds`.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "shuffled-part" => Ok(Self::ShuffledPart),
            "shuffled-folds" => Ok(Self::ShuffledFolds),
            "blocked-folds" => Ok(Self::BlockedFolds),
            "machine-out" => Ok(Self::MachineOut),
            _ => {
                let why = format!(
                    "{name} is not shuffled-part, shuffled-folds, blocked-folds or machine-out"
                );
                Err(Error::invalid("split", why))
            }
        }
    }
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// The algorithm, such as `GradientBoostingRegressorTrainer`.
    pub trainer: String,
    /// The data: what, from where.
    pub data: String,
    /// Rows in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Machines in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machines: Option<u64>,
    /// The seed of whatever was random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The model card.
impl fmt::Display for PowerModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file();
        writeln!(f, "{}", file.name)?;
        write!(f, "  predicts    {}", file.output_type)?;
        if let Some(source) = file.energy_source {
            write!(f, " as {source} measures it")?;
        }
        writeln!(f)?;
        let machine = &file.machine;
        if let Some(processor) = &machine.processor {
            write!(f, "  machine     {processor}")?;
            for (value, unit) in [
                (machine.cores, "cores"),
                (machine.chips, "chips"),
                (machine.memory, "GiB"),
                (machine.frequency, "MHz"),
            ] {
                if let Some(value) = value {
                    write!(f, ", {value} {unit}")?;
                }
            }
            writeln!(f)?;
        }
        for feature in &file.features {
            write!(f, "  feature     {}", feature.name)?;
            if !feature.unit.is_empty() {
                write!(f, " [{}]", feature.unit)?;
            }
            if let (Some(min), Some(max)) = (feature.min, feature.max) {
                write!(f, " from {min} to {max}")?;
            }
            writeln!(f)?;
        }
        for (component, part) in &file.components {
            write!(f, "  {component:<11} {}", part.estimator.kind())?;
            for error in &part.errors {
                write!(f, "; off by {:.2} W", error.mae)?;
                if let Some(mape) = error.mape {
                    write!(f, " ({mape:.1} %)")?;
                }
                write!(f, " on {}", error.split)?;
                if let Some(rows) = error.rows {
                    write!(f, " ({rows} rows)")?;
                }
            }
            writeln!(f)?;
        }
        let training = &file.training;
        if !training.trainer.is_empty() {
            writeln!(f, "  trained by  {}", training.trainer)?;
        }
        if !training.data.is_empty() {
            write!(f, "  trained on  {}", training.data)?;
            if let Some(rows) = training.rows {
                write!(f, ", {rows} rows")?;
            }
            if let Some(machines) = training.machines {
                write!(f, ", {machines} machines")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
