//! `eval`: how far off models are, on rows that they have not seen.

use std::path::PathBuf;
use std::process::ExitCode;

use kepler_core::model::train::{TrainOptions, Trainer, Validation, leaderboard};
use kepler_core::model::{PowerModel, Split};

use super::rows::{Rows, Table};
use super::told::watch;

/// What `eval` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Eval {
    #[command(flatten)]
    rows: Rows,
    /// A model to judge on all rows, which it must not have been trained on; may be given again
    #[arg(long, value_name = "PATH")]
    model: Vec<PathBuf>,
    /// Trainers to judge on rows held out of their training; all of them if neither these nor models are given
    #[arg(long, value_name = "TRAINER", value_delimiter = ',')]
    trainers: Vec<Trainer>,
    /// How rows are held out: shuffled-folds, blocked-folds (of a time series) or machine-out
    #[arg(long, value_name = "SPLIT", default_value = "shuffled-folds", value_parser = split)]
    split: Split,
    /// How many folds
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    folds: usize,
    /// Seed of whatever is random
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
}

/// Prints the tables.
pub(crate) fn run(eval: &Eval) -> Result<ExitCode, String> {
    let tables = eval.rows.tables()?;
    let mut judged = 0;
    for path in &eval.model {
        let model = PowerModel::load(path).map_err(|e| e.to_string())?;
        let fits = |table: &&Table| {
            let has = |name: &str| table.data.features.iter().any(|f| f == name);
            table.output_type == model.file().output_type && model.features().all(has)
        };
        if let Some(table) = tables.iter().find(fits) {
            judged += 1;
            stored(&model, table)?;
        }
    }
    if eval.model.is_empty() || !eval.trainers.is_empty() {
        for table in &tables {
            judged += 1;
            eval.trained(table)?;
        }
    }
    if judged == 0 {
        return Err("no model has its features in the rows".to_owned());
    }
    Ok(ExitCode::SUCCESS)
}

impl Eval {
    fn trained(&self, table: &Table) -> Result<(), String> {
        let trainers = match &self.trainers[..] {
            [] => Trainer::ALL,
            some => some,
        };
        let mut options = TrainOptions::default();
        options.folds = self.folds;
        options.seed = self.seed;
        let watch = &mut watch(table.group.as_str());
        let board = leaderboard(trainers, &table.data, self.split, &options, watch);
        let board = board.map_err(|e| e.to_string())?;
        say(&format!(
            "{} {} {}, {} rows: {board}",
            self.rows.source,
            table.output_type,
            table.group,
            table.data.len()
        ));
        Ok(())
    }
}

fn stored(model: &PowerModel, table: &Table) -> Result<(), String> {
    let validation = Validation::of_model(model, &table.data).map_err(|e| e.to_string())?;
    let mut text = format!(
        "{} on {} {}, {} rows:",
        model.name(),
        table.output_type,
        table.group,
        table.data.len()
    );
    for component in model.components() {
        let Some(error) = validation.error(component, &table.data) else {
            continue;
        };
        text += &format!(" {component} {:.2} W", error.mae);
        if let Some(mape) = error.mape {
            text += &format!(" ({mape:.1} %)");
        }
    }
    say(&text);
    Ok(())
}

fn split(text: &str) -> Result<Split, String> {
    let split = serde_json::from_value(text.into());
    split.map_err(|_| "expected shuffled-folds, blocked-folds or machine-out".to_owned())
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn say(text: &str) {
    println!("{text}");
}
