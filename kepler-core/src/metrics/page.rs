//! One scrape: the chosen families of one snapshot, written piece by piece.

use std::sync::Arc;

use super::family::{Component, Family, Group, Level, NodeSeries, Series};
use super::identity::{Identity, Own};
use super::labels::{Modes, Row, raise};
use super::node::{MODES, Parts, View, modes, node_other, source};
use super::rows::{Kept, Rows};
use super::selection::Selection;
use super::text::{Format, Value, header, label};
use crate::attribution::IdleShare;
use crate::host::Host;
use crate::monitor::{Snapshot, State, WorkloadEnergy, WorkloadUsage};

/// What is exported, and what is kept from page to page to make the next one cheap.
#[derive(Debug)]
pub struct Exposition {
    chosen: Arc<Chosen>,
    host: Host,
    kept: Kept,
    node_other: Modes,
}

#[derive(Debug)]
struct Chosen {
    families: Vec<&'static Family>,
    labels: Option<Vec<&'static str>>,
    identity: Identity,
}

impl Exposition {
    /// An exposition of the families chosen, with the machine's name and processors as `host` tells them.
    pub fn new(selection: &Selection, host: Host) -> Self {
        Self {
            chosen: Arc::new(Chosen {
                families: selection.families().collect(),
                labels: selection.labels.clone(),
                identity: Identity::read(&host),
            }),
            host,
            kept: Kept::default(),
            node_other: [0.0; 2],
        }
    }

    /// The same with another name of the node than the host's own.
    #[must_use]
    pub fn with_node_name(mut self, name: impl Into<String>) -> Self {
        if let Some(chosen) = Arc::get_mut(&mut self.chosen) {
            chosen.identity.node_name = name.into();
        }
        self
    }

    /// The node's name in the labels.
    pub fn node_name(&self) -> &str {
        &self.chosen.identity.node_name
    }

    /// Exports other families from the next page on, under another name of the node. What counters need from page to page
    /// stays.
    pub fn choose(&mut self, selection: &Selection, node_name: Option<&str>) {
        let mut identity = Identity::read(&self.host);
        if let Some(name) = node_name {
            name.clone_into(&mut identity.node_name);
        }
        if self.chosen.labels != selection.labels {
            self.kept.part();
        }
        self.chosen = Arc::new(Chosen {
            families: selection.families().collect(),
            labels: selection.labels.clone(),
            identity,
        });
    }

    /// The page of a snapshot. Counters hold from page to page if the snapshots come in the order they were taken.
    pub fn page(&mut self, snapshot: &Arc<Snapshot>, format: Format) -> Page {
        let parts = Parts::of(snapshot);
        let other = |usage: &WorkloadUsage| parts.other(|place| modes(&usage.energy, place));
        raise(&mut self.node_other, node_other(snapshot));
        let shown = |level| self.chosen.families.iter().any(|f| f.level == level);
        let kept = &mut self.kept;
        kept.turn();
        let (rows, older) = match &self.chosen.labels {
            None => (kept.apart(snapshot, shown, other), None),
            Some(allowed) => {
                let families = &self.chosen.families;
                let mut of = |newer: bool| {
                    let mine = |f: &&Family| (f.group == Group::Cpu) == newer;
                    let shown = |level| {
                        families
                            .iter()
                            .filter(|f| mine(f))
                            .any(|f| f.level == level)
                    };
                    kept.together(snapshot, shown, other, allowed, newer)
                };
                (of(true), Some(of(false)))
            }
        };
        kept.forget();
        Page {
            snapshot: Arc::clone(snapshot),
            chosen: Arc::clone(&self.chosen),
            own: Own::read(&self.host),
            node_other: self.node_other,
            parts,
            rows,
            older,
            format,
            family: 0,
            row: 0,
            suffixes: Vec::new(),
            headed: false,
        }
    }
}

/// One scrape under way.
#[derive(Debug)]
pub struct Page {
    snapshot: Arc<Snapshot>,
    chosen: Arc<Chosen>,
    own: Own,
    node_other: Modes,
    parts: Parts,
    rows: Rows,
    /// Those of the older generation, where they are not the same.
    older: Option<Rows>,
    format: Format,
    /// Where it stands: the family, and the workload within it.
    family: usize,
    row: usize,
    /// What follows a workload's own labels in the family under way.
    suffixes: Vec<String>,
    /// Whether the family under way has its header.
    headed: bool,
}

impl Page {
    /// The format it is written in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The snapshot it shows.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Appends the next lines to `out`, `limit` bytes or a few series more. Returns whether there is more to come.
    pub fn write(&mut self, out: &mut Vec<u8>, limit: usize) -> bool {
        let end = out.len().saturating_add(limit);
        while let Some(&family) = self.chosen.families.get(self.family) {
            if out.len() >= end {
                return true;
            }
            if let Series::Node(series) = family.series {
                self.write_node(family, series, out);
            } else if !self.write_workloads(family, out, end) {
                return true;
            }
            self.family += 1;
            self.row = 0;
            self.headed = false;
        }
        if self.format == Format::OpenMetrics {
            out.extend_from_slice(b"# EOF\n");
        }
        false
    }

    /// All of it at once.
    pub fn into_text(mut self) -> String {
        let mut out = Vec::new();
        self.write(&mut out, usize::MAX);
        String::from_utf8(out)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }

    fn write_node(&self, family: &Family, series: NodeSeries, out: &mut Vec<u8>) {
        let view = View {
            snapshot: &self.snapshot,
            identity: &self.chosen.identity,
            own: &self.own,
            other: self.node_other,
        };
        let mut headed = false;
        let mut text = String::new();
        view.write(series, &mut |values, value| {
            if !value.is_finite() {
                return;
            }
            if !headed {
                header(out, family, self.format);
                headed = true;
            }
            text.clear();
            for (name, value) in family.labels.iter().zip(values) {
                label(&mut text, name, value);
            }
            out.extend_from_slice(family.name.as_bytes());
            if !text.is_empty() {
                out.push(b'{');
                out.extend_from_slice(text.as_bytes());
                out.push(b'}');
            }
            out.push(b' ');
            value.write(out);
        });
    }

    /// Writes rows of a family until `end`. Returns whether it is done.
    fn write_workloads(&mut self, family: &Family, out: &mut Vec<u8>, end: usize) -> bool {
        if self.row == 0 {
            self.suffixes = self.suffixes(family);
        }
        let rows = match (family.group, &self.older) {
            (Group::Cpu, _) | (_, None) => &self.rows,
            (_, Some(older)) => older,
        };
        let rows = rows.of(family.level);
        while let Some(row) = rows.get(self.row) {
            if out.len() >= end {
                return false;
            }
            let labels = match family.group {
                Group::Cpu => row.labels.newer(),
                _ => row.labels.older(),
            };
            let headed = &mut self.headed;
            let put = |suffix: usize, value: Value| {
                let Some(suffix) = self.suffixes.get(suffix).filter(|_| value.is_finite()) else {
                    return;
                };
                if !*headed {
                    header(out, family, self.format);
                    *headed = true;
                }
                // Where no label is left, the suffix begins without the comma.
                let suffix = &suffix[usize::from(labels.is_empty())..];
                for part in [family.name, "{", labels, suffix] {
                    out.extend_from_slice(part.as_bytes());
                }
                value.write(out);
            };
            let usage = match &row.together {
                Some(usage) => usage,
                None => usage(&self.snapshot, family.level, row.index),
            };
            values(family, usage, row, self.parts, &self.snapshot, put);
            self.row += 1;
        }
        true
    }

    /// What follows the workload's own labels, for each series of one workload; [`values`] counts them in the same order.
    fn suffixes(&self, family: &Family) -> Vec<String> {
        let node = [("node_name", self.chosen.identity.node_name.as_str())];
        let domains = &self.snapshot.node.domains;
        let states = [State::Running, State::Terminated].map(State::as_str);
        match family.series {
            Series::Node(_) => Vec::new(),
            Series::Joules | Series::Watts => states
                .iter()
                .flat_map(|state| domains.iter().map(move |d| (state, d.domain.as_str())))
                .map(|(state, zone)| suffix(&[("state", state), ("zone", zone), node[0]]))
                .collect(),
            // Without the state, so that the series goes on when the process ends.
            Series::Seconds if family.level == Level::Process => vec![suffix(&node)],
            Series::Seconds | Series::GpuJoules | Series::GpuWatts => states
                .map(|state| suffix(&[("state", state), node[0]]))
                .into(),
            Series::Component(component) => {
                let source = source(&self.snapshot, component);
                MODES
                    .map(|mode| suffix(&[("mode", mode), ("source", source)]))
                    .into()
            }
            Series::Count(_) | Series::Milliseconds | Series::Millijoules => {
                let source = match self.snapshot.sources.usage.as_str() {
                    "ebpf" => "bpf",
                    other => other,
                };
                vec![suffix(&[("source", source)])]
            }
        }
    }
}

/// The figures of one workload in a family: each with the place of its suffix.
fn values(
    family: &Family,
    usage: &WorkloadUsage,
    row: &Row,
    parts: Parts,
    snapshot: &Snapshot,
    mut put: impl FnMut(usize, Value),
) {
    let (ended, other) = (usize::from(row.ended), row.other);
    let first = ended * snapshot.node.domains.len();
    let energy = |place| modes(&usage.energy, place);
    match family.series {
        Series::Node(_) => {}
        Series::Joules => {
            for (place, e) in cpu_energy(usage, parts) {
                put(first + place, Value::Energy(joules(e, snapshot)));
            }
        }
        Series::Watts => {
            for (place, e) in cpu_energy(usage, parts) {
                if let Some(watts) = watts(e, snapshot) {
                    put(first + place, Value::Energy(watts));
                }
            }
        }
        // Few workloads use them: those that never did have no series.
        Series::GpuJoules | Series::GpuWatts => {
            let mine = parts.gpu().and_then(|place| usage.energy.get(place));
            let Some(e) = mine.filter(|e| e.joules.0 > 0.0) else {
                return;
            };
            match family.series {
                Series::GpuJoules => put(ended, Value::Energy(joules(e, snapshot))),
                _ => {
                    if let Some(watts) = watts(e, snapshot) {
                        put(ended, Value::Energy(watts));
                    }
                }
            }
        }
        Series::Seconds if family.level == Level::Process => {
            put(0, Value::seconds(usage.counters.cpu_ns));
        }
        Series::Seconds => put(ended, Value::seconds(usage.counters.cpu_ns)),
        Series::Component(component) => {
            let modes = match component {
                Component::Other if !parts.has_other() => return,
                Component::Other => other,
                Component::Total => parts.total(other, energy),
                Component::Of(_) => match parts.place(snapshot, component) {
                    Some(place) => energy(place),
                    None => return,
                },
            };
            put(0, Value::Energy(modes[0]));
            put(1, Value::Energy(modes[1]));
        }
        Series::Count(counter) => {
            if snapshot.collected.contains(counter) {
                put(0, Value::count(usage.counters.get(counter)));
            }
        }
        // Nanoseconds are millionths of milliseconds.
        Series::Milliseconds => put(0, Value::Fixed(usage.counters.cpu_ns, 6)),
        Series::Millijoules => put(0, Value::Energy(parts.total(other, energy)[0] * 1e3)),
    }
}

/// A workload's energy by domain, but for graphics processors, which have families of their own.
fn cpu_energy(
    usage: &WorkloadUsage,
    parts: Parts,
) -> impl Iterator<Item = (usize, &WorkloadEnergy)> {
    let energy = usage.energy.iter().enumerate();
    energy.filter(move |(place, _)| parts.gpu() != Some(*place))
}

/// A workload's energy: active, and idle where it is handed to workloads.
fn joules(e: &WorkloadEnergy, snapshot: &Snapshot) -> f64 {
    match snapshot.idle_share {
        IdleShare::None => e.joules.0,
        IdleShare::Equal | IdleShare::Usage => e.joules.0 + e.idle.0,
    }
}

fn watts(e: &WorkloadEnergy, snapshot: &Snapshot) -> Option<f64> {
    let active = e.watts?.0;
    Some(match snapshot.idle_share {
        IdleShare::None => active,
        IdleShare::Equal | IdleShare::Usage => active + e.idle_watts?.0,
    })
}

fn usage(snapshot: &Snapshot, level: Level, index: usize) -> &WorkloadUsage {
    match level {
        Level::Container => &snapshot.containers[index].usage,
        Level::Vm => &snapshot.vms[index].usage,
        Level::Pod => &snapshot.pods[index].usage,
        _ => match index.checked_sub(snapshot.processes.len()) {
            None => &snapshot.processes[index].usage,
            Some(ended) => &snapshot.ended[ended].usage,
        },
    }
}

/// Labels that end a series' name, and what leads to its figure.
fn suffix(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        label(&mut text, name, value);
    }
    format!(",{text}}} ")
}
