//! The workloads of a page: each apart, or together where the labels that tell them apart are left out.

use std::collections::HashMap;
use std::sync::Arc;

use super::family::Level;
use super::labels::{Fields, Highest, Labels, Modes, ProcessLabels, Row};
use super::merge::Merger;
use crate::monitor::{Id, Snapshot, WorkloadUsage};

/// The rows of each level.
#[derive(Debug, Default)]
pub(super) struct Rows {
    processes: Vec<Row>,
    containers: Vec<Row>,
    vms: Vec<Row>,
    pods: Vec<Row>,
}

/// What is kept from page to page of the workloads on them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    processes: ProcessLabels,
    highest: Highest,
    mergers: HashMap<(&'static str, bool), Merger>,
}

impl Rows {
    pub(super) fn of(&self, level: Level) -> &[Row] {
        match level {
            Level::Process => &self.processes,
            Level::Container => &self.containers,
            Level::Vm => &self.vms,
            Level::Pod => &self.pods,
            Level::Node => &[],
        }
    }
}

impl Kept {
    /// Begins a page.
    pub(super) fn turn(&mut self) {
        self.highest.turn();
    }

    /// Ends a page: what was not on it is forgotten.
    pub(super) fn forget(&mut self) {
        self.highest.forget();
    }

    /// Forgets what was shown together.
    pub(super) fn part(&mut self) {
        self.mergers.clear();
    }

    /// A row for each workload of the levels `shown`.
    pub(super) fn apart(
        &mut self,
        snapshot: &Snapshot,
        shown: impl Fn(Level) -> bool,
        other: impl Fn(&WorkloadUsage) -> Modes,
    ) -> Rows {
        let mut rows = Rows::default();
        let (highest, now) = (&mut self.highest, snapshot.since_boot);
        if shown(Level::Process) {
            rows.processes = self
                .processes
                .rows(&snapshot.processes, now, |p| other(&p.usage));
            let first = snapshot.processes.len();
            let ended = snapshot.ended.iter().enumerate();
            rows.processes.extend(ended.map(|(i, e)| {
                let labels = Fields::ended(e).join();
                Row {
                    index: first + i,
                    other: highest.raise(labels.newer(), other(&e.usage)),
                    // Exported from 0 on, so that nothing of it is lost.
                    ended: true,
                    labels: Arc::new(labels),
                    together: None,
                }
            }));
        }
        let mut plain = |index, fields: Fields<'_>, usage: &WorkloadUsage| {
            let labels = fields.join();
            Row {
                index,
                other: highest.raise(labels.newer(), other(usage)),
                ended: highest.ended(labels.newer(), usage.state, now),
                labels: Arc::new(labels),
                together: None,
            }
        };
        if shown(Level::Container) {
            let all = snapshot.containers.iter().enumerate();
            let all = all.map(|(i, c)| plain(i, Fields::container(c), &c.usage));
            rows.containers = all.collect();
        }
        if shown(Level::Vm) {
            let all = snapshot.vms.iter().enumerate();
            rows.vms = all
                .map(|(i, v)| plain(i, Fields::vm(&v.vm), &v.usage))
                .collect();
        }
        if shown(Level::Pod) {
            // One without a name would come back under another one as soon as its name is learnt.
            let all = snapshot.pods.iter().enumerate();
            let named = all.filter(|(_, p)| p.pod.name.is_some());
            rows.pods = named
                .map(|(i, p)| plain(i, Fields::pod(&p.pod), &p.usage))
                .collect();
        }
        rows
    }

    /// A row for each set of labels that workloads of the levels `shown` have in one generation, with no others than `allowed`.
    ///
    /// They are shown as running as long as there are any: a state is of one workload.
    pub(super) fn together(
        &mut self,
        snapshot: &Snapshot,
        shown: impl Fn(Level) -> bool,
        other: impl Fn(&WorkloadUsage) -> Modes,
        allowed: &[&str],
        newer: bool,
    ) -> Rows {
        let highest = &mut self.highest;
        let mut merged = |level: Level| {
            if !shown(level) {
                return Vec::new();
            }
            let merger = self.mergers.entry((level.as_str(), newer)).or_default();
            merger.turn();
            each(snapshot, level, |id, fields, usage| {
                merger.add(id, &fields.chosen(newer, allowed), usage);
            });
            for id in &snapshot.moves.folded {
                merger.keep(id);
            }
            let all = merger.end().map(|(labels, usage)| {
                let key = format!("{} {newer} {labels}", level.as_str());
                Row {
                    index: 0,
                    other: highest.raise(&key, other(usage)),
                    ended: false,
                    labels: Arc::new(Labels::alone(labels)),
                    together: Some(usage.clone()),
                }
            });
            all.collect()
        };
        Rows {
            processes: merged(Level::Process),
            containers: merged(Level::Container),
            vms: merged(Level::Vm),
            pods: merged(Level::Pod),
        }
    }
}

/// Each workload of a level that is exported, by what tells it apart.
fn each(snapshot: &Snapshot, level: Level, mut take: impl FnMut(Id, &Fields<'_>, &WorkloadUsage)) {
    match level {
        Level::Node => {}
        Level::Process => {
            for p in &snapshot.processes {
                let pid = p.process.key.pid.to_string();
                let fields = Fields::process(&pid, &p.process, &p.workload);
                take(Id::Process(p.process.key), &fields, &p.usage);
            }
            for e in &snapshot.ended {
                let container = e.container.as_ref().map(|c| c.id.clone());
                let id = Id::Ended(container, e.comm.clone());
                take(id, &Fields::ended(e), &e.usage);
            }
        }
        Level::Container => {
            let all = &snapshot.containers;
            all.iter().for_each(|c| {
                take(
                    Id::Group(c.container.id.clone()),
                    &Fields::container(c),
                    &c.usage,
                )
            });
        }
        Level::Vm => {
            let all = &snapshot.vms;
            all.iter()
                .for_each(|v| take(Id::Group(v.vm.id.clone()), &Fields::vm(&v.vm), &v.usage));
        }
        Level::Pod => {
            let named = snapshot.pods.iter().filter(|p| p.pod.name.is_some());
            named.for_each(|p| take(Id::Group(p.pod.uid.clone()), &Fields::pod(&p.pod), &p.usage));
        }
    }
}
