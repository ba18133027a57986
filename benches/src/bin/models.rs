//! Trains the embedded default models anew and writes `kepler-core/models`: what `make models` runs.
//!
//! Needs the public tables: `training/` and `kepler-model-db/v0.7/` under `$KEPLER_SHARED/data`. With `--check` nothing is
//! written, and models that differ from the written ones end it with code 1.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for developers: it reads tables and prints errors"
)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use kepler_core::model::train::Watch;
use kepler_core::model::train::defaults::{
    Defaults, RaplMachine, WallMachine, rapl_machine, wall_machines,
};
use kepler_core::model::{ModelFile, ModelRegistry, NodeIndex};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run(env::args().any(|argument| argument == "--check")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("kepler-core/models differs from what its tables give: run `make models`");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether the written models are what was trained.
fn run(check: bool) -> Result<bool> {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kepler-core");
    let shared =
        env::var_os("KEPLER_SHARED").map_or_else(|| core.join("../../shared"), PathBuf::from);
    let data = shared.join("data");
    let mut stage = String::new();
    let mut watch = Watch::new(|progress| {
        if stage != progress.stage {
            println!("{} ...", progress.stage);
            progress.stage.clone_into(&mut stage);
        }
        ControlFlow::Continue(())
    });
    let defaults = Defaults::train(&wall_table(&data)?, &rapl_tables(&data)?, &mut watch)?;
    drop(watch);
    print!("{defaults}");
    let mut same = true;
    let platform = defaults
        .platform
        .iter()
        .map(|(percent, file)| (format!("platform-{percent:03}.json"), file));
    for (name, file) in platform.chain([("zones.json".to_owned(), &defaults.zones)]) {
        let path = core.join("models").join(name);
        let text = text(file)?;
        println!("{}: {} bytes", path.display(), text.len());
        if check {
            same &= fs::read_to_string(&path)? == text;
        } else {
            fs::write(&path, text)?;
        }
    }
    Ok(same)
}

/// A model file with a line end, as text files have.
fn text(file: &ModelFile) -> Result<String> {
    Ok(file.to_json()? + "\n")
}

fn wall_table(data: &Path) -> Result<Vec<WallMachine>> {
    let csv = fs::read_to_string(data.join("training/specpower_abs.csv"))?;
    Ok(wall_machines(&csv, &index(data, "specpower")?)?)
}

fn rapl_tables(data: &Path) -> Result<Vec<RaplMachine>> {
    let index = index(data, "ec2")?;
    let table = |node: &kepler_core::model::NodeType| {
        let name = format!("training/ec2_node{}_abs.csv", node.number());
        let csv = fs::read_to_string(data.join(name))?;
        Ok(rapl_machine(&csv, node.attributes().machine())?)
    };
    index.nodes().iter().map(table).collect()
}

/// The machine types of a pipeline of the public model database.
fn index(data: &Path, pipeline: &str) -> Result<NodeIndex> {
    let registry =
        ModelRegistry::open(data.join(format!("kepler-model-db/v0.7/{pipeline}-0.7.11.zip")))?;
    let entry = registry
        .entries()
        .first()
        .ok_or("the pipeline holds no model")?;
    Ok(registry.nodes(entry).clone())
}
