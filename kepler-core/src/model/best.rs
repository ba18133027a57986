//! The library's own choice: the nearest machine first, then the model that is expected to be least wrong.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::entry::ModelEntry;
use super::feature::FeatureGroup;
use super::names::{EnergySourceName, OutputType};
use super::node_index::NodeIndex;
use super::registry::ModelRegistry;
use super::select::{ModelRequest, Selection};
use crate::error::Result;
use crate::host::MachineSpec;
use crate::units::count_to_f64;

/// A published error counts as much as what is usual when it was measured on this many rows.
const USUAL_ROWS: f64 = 10.0;

/// Models whose expected errors differ by less than this share are equally good; the simplest is taken.
const TIE: f64 = 0.02;

/// Rows a published error was measured on, for each machine of the type: 10 % of the 11 load levels of a SPECpower run,
/// and of the 130 samples or so of a run with RAPL.
const TEST_ROWS_PLATFORM: f64 = 1.1;
const TEST_ROWS_RAPL: f64 = 13.0;

impl ModelRegistry {
    pub(super) fn select_best(&self, request: &ModelRequest) -> Result<Option<Selection<'_>>> {
        let mut candidates: Vec<&ModelEntry> = Vec::new();
        for entry in self.entries() {
            if request.admits(entry)
                && entry.features().all(|f| request.has_metric(f))
                && main_error(entry).is_some()
            {
                candidates.push(entry);
            }
        }
        let distances = self.distances(&candidates, request);
        let nearest = distances.iter().copied().min_by(f64::total_cmp);
        let Some(nearest) = nearest else {
            return Ok(None);
        };
        if !request.loose && request.node_type.is_some() && nearest > 0.0 {
            return Ok(None);
        }
        let usual = self.usual();
        let of_nearest = candidates
            .iter()
            .zip(&distances)
            .filter(|(_, d)| **d <= nearest);
        let weighed: Vec<(&ModelEntry, f64)> = of_nearest
            .map(|(e, _)| (*e, usual.weighed(e, self.nodes(e))))
            .collect();
        let lowest = weighed.iter().map(|(_, mae)| *mae).min_by(f64::total_cmp);
        let tied = weighed
            .iter()
            .filter(|(_, mae)| lowest.is_some_and(|l| *mae <= l * (1.0 + TIE)));
        let simplest = tied.min_by(|a, b| simpler(a.0, b.0).then(a.1.total_cmp(&b.1)));
        Ok(simplest.map(|(entry, mae)| Selection {
            entry,
            uncertainty: 0.0,
            looseness: nearest,
            mae: *mae,
        }))
    }

    /// How far each candidate's machine is from the wanted one, 0 to 1.
    fn distances(&self, candidates: &[&ModelEntry], request: &ModelRequest) -> Vec<f64> {
        let mut known: BTreeMap<(usize, Option<u32>), f64> = BTreeMap::new();
        let mut distance = |entry: &&ModelEntry| {
            let key = (entry.pipeline_number(), entry.node_type());
            *known
                .entry(key)
                .or_insert_with(|| self.distance(entry, request))
        };
        candidates.iter().map(&mut distance).collect()
    }

    fn distance(&self, entry: &ModelEntry, request: &ModelRequest) -> f64 {
        let nodes = self.nodes(entry);
        if request.node_type.is_some() && entry.node_type() == request.node_type {
            return 0.0;
        }
        let Some(own) = entry.node_type().and_then(|n| nodes.get(n)) else {
            return 1.0;
        };
        let own = own.attributes().machine();
        let by_number = request
            .node_type
            .and_then(|n| nodes.get(n))
            .map(|n| n.attributes().machine());
        let wanted = by_number.or_else(|| request.machine.as_ref().map(|m| m.machine()));
        let unlike = match wanted {
            Some(wanted) if wanted != MachineSpec::default() => unlike(&wanted, &own),
            _ => unlike(&usual_machine(nodes), &own),
        };
        // A twin of the machine type that was asked for is not it.
        if request.node_type.is_some() {
            unlike.max(f64::EPSILON)
        } else {
            unlike
        }
    }
}

/// How unlike two machines are, 0 to 1, over the attributes that both tell. Sizes count by their ratio: a machine of half
/// or twice the cores is half as like.
fn unlike(wanted: &MachineSpec, own: &MachineSpec) -> f64 {
    let mut sum = 0.0;
    let mut weights = 0.0;
    let mut add = |weight: f64, unlike: Option<f64>| {
        if let Some(unlike) = unlike {
            sum += weight * unlike;
            weights += weight;
        }
    };
    let processors = wanted.processor.as_deref().zip(own.processor.as_deref());
    add(0.45, processors.map(|(a, b)| unlike_processors(a, b)));
    let sizes = |a: Option<u32>, b: Option<u32>| {
        let (a, b) = (f64::from(a?), f64::from(b?));
        Some(((a / b).log2().abs() / 2.0).min(1.0))
    };
    add(0.3, sizes(wanted.cores, own.cores));
    add(0.1, sizes(wanted.chips, own.chips));
    add(0.05, sizes(wanted.memory, own.memory));
    add(0.1, sizes(wanted.frequency, own.frequency));
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// Processor names are paths of words (`intel_xeon_platinum_8259cl`): the more of them agree from the start, the more
/// alike, and of the last word the more characters.
fn unlike_processors(a: &str, b: &str) -> f64 {
    if a == b {
        return 0.0;
    }
    let (words_a, words_b): (Vec<&str>, Vec<&str>) =
        (a.split('_').collect(), b.split('_').collect());
    let common = words_a
        .iter()
        .zip(&words_b)
        .take_while(|(x, y)| x == y)
        .count();
    let rest = match (words_a.get(common), words_b.get(common)) {
        (Some(x), Some(y)) => {
            let same = x.chars().zip(y.chars()).take_while(|(x, y)| x == y).count();
            count_to_f64(same as u64) / count_to_f64(x.len().max(y.len()) as u64)
        }
        _ => 0.0,
    };
    let words = words_a.len().max(words_b.len());
    1.0 - (count_to_f64(common as u64) + 0.9 * rest) / count_to_f64(words as u64)
}

/// The middle machine of an index, for requests that say nothing of theirs.
fn usual_machine(nodes: &NodeIndex) -> MachineSpec {
    let middle = |attribute: fn(&MachineSpec) -> Option<u32>| {
        let machines = nodes.nodes().iter().flat_map(|n| {
            std::iter::repeat_n(attribute(&n.attributes().machine()), n.members().max(1))
        });
        let mut values: Vec<u32> = machines.flatten().collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    };
    MachineSpec {
        cores: middle(|m| m.cores),
        chips: middle(|m| m.chips),
        memory: middle(|m| m.memory),
        frequency: middle(|m| m.frequency),
        ..MachineSpec::default()
    }
}

/// The published error of the part of the machine that models of this source are for.
fn main_error(entry: &ModelEntry) -> Option<f64> {
    entry
        .error(entry.source().main_component())
        .map(|e| e.mae)
        .or(entry.mae())
}

/// What errors usually are: of a machine type over all trainers, and of a trainer against that.
#[derive(Debug)]
pub(super) struct Usual {
    machines: BTreeMap<(Task, usize, Option<u32>), f64>,
    trainers: BTreeMap<(Task, String), f64>,
}

/// What errors are comparable in.
type Task = (EnergySourceName, OutputType, FeatureGroup);

impl Usual {
    pub(super) fn of(entries: &[ModelEntry]) -> Self {
        let mut machines: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        for entry in entries {
            if let Some(mae) = main_error(entry) {
                machines.entry(machine(entry)).or_default().push(mae);
            }
        }
        let machines: BTreeMap<_, f64> = machines
            .into_iter()
            .map(|(key, errors)| (key, median(errors)))
            .collect();
        let mut trainers: BTreeMap<_, Vec<f64>> = BTreeMap::new();
        for entry in entries {
            let usual = machines.get(&machine(entry)).copied().unwrap_or(0.0);
            if let (Some(mae), true) = (main_error(entry), usual > 0.0) {
                trainers
                    .entry(trainer(entry))
                    .or_default()
                    .push(mae / usual);
            }
        }
        Self {
            machines,
            trainers: trainers
                .into_iter()
                .map(|(key, ratios)| (key, median(ratios)))
                .collect(),
        }
    }

    /// An entry's error, drawn to what is usual of its machine and trainer by how few rows it was measured on.
    fn weighed(&self, entry: &ModelEntry, nodes: &NodeIndex) -> f64 {
        let published = main_error(entry).unwrap_or(f64::INFINITY);
        let machine = self
            .machines
            .get(&machine(entry))
            .copied()
            .unwrap_or(published);
        let usual = machine * self.trainers.get(&trainer(entry)).copied().unwrap_or(1.0);
        let told = entry
            .error(entry.source().main_component())
            .and_then(|e| e.rows);
        let rows = told.map(count_to_f64).unwrap_or_else(|| {
            let members = entry
                .node_type()
                .and_then(|n| nodes.get(n))
                .map_or(1, |n| n.members());
            let each = match entry.source().components().len() {
                1 => TEST_ROWS_PLATFORM,
                _ => TEST_ROWS_RAPL,
            };
            each * count_to_f64(members.max(1) as u64)
        });
        (published * rows + usual * USUAL_ROWS) / (rows + USUAL_ROWS)
    }
}

fn task(entry: &ModelEntry) -> Task {
    (entry.source(), entry.output_type(), entry.group())
}

fn machine(entry: &ModelEntry) -> (Task, usize, Option<u32>) {
    (task(entry), entry.pipeline_number(), entry.node_type())
}

fn trainer(entry: &ModelEntry) -> (Task, String) {
    (task(entry), entry.trainer().to_owned())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Fewer parameters first, then fewer features.
fn simpler(a: &ModelEntry, b: &ModelEntry) -> Ordering {
    let rank = |e: &ModelEntry| match e.trainer() {
        "LinearRegressionTrainer" | "SGDRegressorTrainer" => 0,
        "LogarithmicRegressionTrainer" | "ExponentialRegressionTrainer" => 1,
        "LogisticRegressionTrainer" => 2,
        "PolynomialRegressionTrainer" => 3,
        "SVRRegressorTrainer" => 4,
        "KNeighborsRegressorTrainer" => 5,
        "GradientBoostingRegressorTrainer" => 6,
        _ => 7,
    };
    rank(a)
        .cmp(&rank(b))
        .then(a.features().count().cmp(&b.features().count()))
}
