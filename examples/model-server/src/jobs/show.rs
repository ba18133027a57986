//! `show`: what models are.

use std::path::PathBuf;
use std::process::ExitCode;

use kepler_core::model::{
    EnergySourceName, FeatureGroup, ModelEntry, ModelRegistry, OutputType, PowerModel,
};

use super::told::tell;

/// What `show` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Show {
    /// A model, or a pipeline of models: a file, folder or zip
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Of a pipeline, the card of the one model at this place instead of the list
    #[arg(long, value_name = "PLACE")]
    model: Option<String>,
    /// Only models of this meter
    #[arg(long, value_name = "SOURCE")]
    source: Option<EnergySourceName>,
    /// Only models of this kind of power
    #[arg(long, value_name = "TYPE")]
    output_type: Option<OutputType>,
    /// Only models of this group of features
    #[arg(long, value_name = "GROUP")]
    group: Option<FeatureGroup>,
}

/// Prints a card or a list.
pub(crate) fn run(show: &Show) -> Result<ExitCode, String> {
    let fail = |e: kepler_core::Error| e.to_string();
    let registry = match ModelRegistry::open(&show.path) {
        Ok(registry) => registry,
        // Not a pipeline: a model, or nothing at all, which the model's reader tells best.
        Err(_) => {
            say(&PowerModel::load(&show.path).map_err(fail)?.to_string());
            return Ok(ExitCode::SUCCESS);
        }
    };
    if let Some(place) = &show.model {
        let wanted = |e: &&ModelEntry| {
            e.path().trim_end_matches(".zip").trim_end_matches(".json") == place
                || e.path() == place
        };
        let entry = registry.entries().iter().find(wanted);
        let entry =
            entry.ok_or_else(|| format!("no model at {place}; see the list without --model"))?;
        say(&registry.model(entry).map_err(fail)?.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = |e: &&ModelEntry| {
        show.source.is_none_or(|s| s == e.source())
            && show.output_type.is_none_or(|t| t == e.output_type())
            && show.group.is_none_or(|g| g == e.group())
    };
    let mut text = String::new();
    for entry in registry.entries().iter().filter(wanted) {
        text += entry.path();
        if let Some(mae) = entry.mae() {
            text += &format!("  off by {mae:.2} W");
        }
        text += &format!("  {}\n", entry.features().collect::<Vec<_>>().join(","));
    }
    say(&text);
    for (file, error) in registry.skipped() {
        tell(&format!("{file}: {error}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints, and ends quietly where nobody reads on (`show X | head`).
fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
