//! The older model server's choice, step by step, with what it does oddly: substrings of names decide on machine types
//! and trainers, and errors of a few test rows are taken at their word.

use super::database::Trainer;
use super::entry::ModelEntry;
use super::feature::FeatureGroup;
use super::node_index::NodeIndex;
use super::registry::ModelRegistry;
use super::select::{ModelRequest, Selection};
use super::similarity::Match;
use crate::error::Result;

/// The trainers whose models are also there as weights.
const WEIGHT_TRAINERS: [&str; 4] = [
    "SGDRegressorTrainer",
    "LogarithmicRegressionTrainer",
    "LogisticRegressionTrainer",
    "ExponentialRegressionTrainer",
];

impl ModelRegistry {
    /// The best model of each feature group that the metrics cover, and of those the one with the lowest error.
    pub(super) fn select_compatible(
        &self,
        request: &ModelRequest,
    ) -> Result<Option<Selection<'_>>> {
        let Some(pipeline) = self.pipeline_of(request.source) else {
            return Ok(None);
        };
        let Some((_, nodes)) = self.pipelines().nth(pipeline) else {
            return Ok(None);
        };
        let found = match (request.node_type, &request.machine) {
            (Some(node_type), _) => Some(told(node_type)),
            (None, Some(machine)) if machine.has_values()? => nodes.find(machine, true)?,
            _ => None,
        };
        let node_type = found.map(|f| f.node_type);
        let groups = match request.group {
            Some(group) => vec![group],
            None => FeatureGroup::covered_by(|name| request.has_metric(name)),
        };
        let mut best: Option<(&ModelEntry, f64)> = None;
        for group in groups {
            let folder = (pipeline, request.source, request.output_type, group);
            let entries = self.folder(&folder);
            let candidate = best_of_group(entries.collect(), request, node_type, nodes)?;
            let Some((entry, mae)) = candidate else {
                continue;
            };
            if let (Some(wanted), Some((previous, _))) = (node_type, best)
                && previous.node_type() == Some(wanted)
                && entry.node_type() != Some(wanted)
            {
                continue;
            }
            if best.is_none_or(|(_, lowest)| mae < lowest) {
                best = Some((entry, mae));
            }
        }
        let found = found.unwrap_or(told(0));
        Ok(best.map(|(entry, mae)| Selection {
            entry,
            uncertainty: found.uncertainty,
            looseness: found.looseness,
            mae,
        }))
    }
}

/// A machine type that the request names: nothing was guessed.
fn told(node_type: u32) -> Match {
    Match {
        node_type,
        uncertainty: 0.0,
        looseness: 0.0,
    }
}

fn best_of_group<'a>(
    mut entries: Vec<&'a ModelEntry>,
    request: &ModelRequest,
    node_type: Option<u32>,
    nodes: &NodeIndex,
) -> Result<Option<(&'a ModelEntry, f64)>> {
    // Names lie apart from entries: thousands of them are only looked at where they matter.
    if !request.trainer.is_empty() {
        entries.retain(|e| e.name().contains(&request.trainer));
    }
    if let Some(node_type) = node_type {
        let part = format!("_{node_type}");
        let named: Vec<_> = entries
            .iter()
            .copied()
            .filter(|e| e.name().contains(&part))
            .collect();
        if !named.is_empty() {
            entries = named;
        } else if !request.loose {
            return Ok(None);
        }
    }
    if request.weights {
        entries.retain(|e| WEIGHT_TRAINERS.contains(&Trainer::name(e.name())));
    }
    let mut candidates = Vec::new();
    for entry in &entries {
        let fits = match (node_type, &request.machine) {
            (Some(wanted), _) => entry.node_type() == Some(wanted),
            (None, None) => true,
            (None, Some(machine)) => match entry.node_type().and_then(|n| nodes.get(n)) {
                Some(node) => node.attributes().covers(machine)?,
                None => false,
            },
        };
        if fits {
            candidates.push(*entry);
        }
    }
    if candidates.is_empty() {
        candidates = with_most_cores(&entries, nodes);
    }
    let with_error = candidates
        .into_iter()
        .filter(|e| (!request.weights || e.has_weights()) && request.filter.admits(e));
    let with_error = with_error.filter_map(|e| Some((e, e.mae()?)));
    // The first of equally good ones.
    Ok(with_error.reduce(|best, other| if other.1 < best.1 { other } else { best }))
}

/// The models of the machine types with the most cores; all of them where cores are not known.
fn with_most_cores<'a>(entries: &[&'a ModelEntry], nodes: &NodeIndex) -> Vec<&'a ModelEntry> {
    let cores = |e: &ModelEntry| {
        let node = e.node_type().and_then(|n| nodes.get(n))?;
        node.attributes().machine().cores
    };
    let most = entries.iter().filter_map(|e| cores(e)).max();
    entries
        .iter()
        .copied()
        .filter(|e| most.is_none() || cores(e) == most)
        .collect()
}
