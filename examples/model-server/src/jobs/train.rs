//! `train`: models from measured power.

use std::path::PathBuf;
use std::process::ExitCode;

use kepler_core::model::PowerModel;
use kepler_core::model::train::{TrainOptions, Trainer, train};
use kepler_core::{Host, MachineSpec};

use super::pipeline::Pipeline;
use super::rows::{Rows, Table};
use super::told::{tell, watch};

/// What `train` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Train {
    #[command(flatten)]
    rows: Rows,
    /// Trainers, under the names of the public database; all of them if none is given
    #[arg(long, value_name = "TRAINER", value_delimiter = ',')]
    trainers: Vec<Trainer>,
    /// The pipeline to write: a new folder, or a zip if the name ends so
    #[arg(long, value_name = "PATH")]
    into: PathBuf,
    /// The machine that was measured, as JSON (processor, cores, chips, memory, frequency); else this machine
    #[arg(long, value_name = "FILE")]
    machine: Option<PathBuf>,
    /// The machine's number in the pipeline
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    node_type: u32,
    /// Folds for the errors that models are told with
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    folds: usize,
    /// Seed of whatever is random
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
}

/// Trains each trainer on each table. Exit code 1 where none could be fitted.
pub(crate) fn run(train: &Train) -> Result<ExitCode, String> {
    let tables = train.rows.tables()?;
    let machine = train.machine()?;
    let origin = train.rows.origin();
    let name = train.into.file_stem().unwrap_or_default().to_string_lossy();
    let mut pipeline = Pipeline::new(&name, &origin, train.node_type, &machine);
    let trainers = match &train.trainers[..] {
        [] => Trainer::ALL,
        some => some,
    };
    let (mut fitted, mut failed) = (0, 0);
    for table in &tables {
        for trainer in trainers {
            let file = format!("{trainer}_{}", train.node_type);
            let source = train.rows.source;
            let place = format!("{source}/{}/{}/{file}", table.output_type, table.group);
            match train.one(*trainer, table, &file, &machine, &origin) {
                Ok((model, text)) => {
                    fitted += 1;
                    say(&place, &model);
                    pipeline.add(&place, text);
                }
                Err(error) => {
                    failed += 1;
                    tell(&format!("{place}: {error}"));
                }
            }
        }
    }
    if fitted == 0 {
        return Err("no trainer could be fitted to the rows".to_owned());
    }
    pipeline.write(&train.into)?;
    tell(&format!(
        "{fitted} models in {}, {failed} failed",
        train.into.display()
    ));
    Ok(ExitCode::SUCCESS)
}

impl Train {
    fn one(
        &self,
        trainer: Trainer,
        table: &Table,
        name: &str,
        machine: &MachineSpec,
        origin: &str,
    ) -> Result<(PowerModel, String), String> {
        let mut options = TrainOptions::default();
        options.name = name.to_owned();
        options.output_type = table.output_type;
        options.energy_source = Some(self.rows.source);
        options.machine = machine.clone();
        options.data = origin.to_owned();
        options.seed = self.seed;
        options.folds = self.folds;
        let watch = &mut watch(&format!("{trainer} on {}", table.group));
        let model = train(trainer, &table.data, &options, watch).map_err(|e| e.to_string())?;
        let text = model.file().to_json().map_err(|e| e.to_string())?;
        Ok((model, text))
    }

    fn machine(&self) -> Result<MachineSpec, String> {
        let host = Host::default();
        let fail = |e: kepler_core::Error| e.to_string();
        let Some(path) = &self.machine else {
            return MachineSpec::discover(&host).map_err(fail);
        };
        let text = host.text(path).map_err(fail)?;
        let record = serde_json::from_str::<kepler_core::model::SpecRecord>(&text);
        let record = record.map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(record.machine())
    }
}

/// A model's errors, one line.
#[expect(clippy::print_stdout, reason = "what the command is for")]
fn say(place: &str, model: &PowerModel) {
    let parts = &model.file().components;
    let part = |(component, part): (
        &kepler_core::model::Component,
        &kepler_core::model::ComponentModel,
    )| {
        let error = part.errors.first();
        error.map(|e| format!("{component} {:.2} W on {}", e.mae, e.split))
    };
    let errors: Vec<String> = parts.iter().filter_map(part).collect();
    println!("{place}: mean error of {}", errors.join(", "));
}
