//! Label text of workloads, made once per workload and kept while it is seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::ends::End;
use super::text::label;
use crate::fit;
use crate::monitor::{ContainerSnapshot, EndedSnapshot, ProcessSnapshot, State, WorkloadUsage};
use crate::usage::{Process, ProcessKey};
use crate::workload::{Container, Pod, VirtualMachine, Workload};

/// Active and idle energy, in this order: the modes `dynamic` and `idle`.
pub(super) type Modes = [f64; 2];

/// The labels of a workload in both generations of names, which overlap: one text, two ranges of it.
#[derive(Debug)]
pub(super) struct Labels {
    text: Box<str>,
    newer_from: usize,
    older_to: usize,
}

impl Labels {
    pub(super) fn newer(&self) -> &str {
        &self.text[self.newer_from..]
    }

    pub(super) fn older(&self) -> &str {
        &self.text[..self.older_to]
    }

    /// Those of one generation that were chosen already.
    pub(super) fn alone(text: &str) -> Self {
        Self {
            text: text.into(),
            newer_from: 0,
            older_to: text.len(),
        }
    }
}

/// A workload's labels: those of the older generation alone, of both, and of the newer one alone.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    older: Vec<(&'static str, &'a str)>,
    both: Vec<(&'static str, &'a str)>,
    newer: Vec<(&'static str, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Of a process; `pid` is its own as text.
    pub(super) fn process(pid: &'a str, process: &'a Process, workload: &'a Workload) -> Self {
        let container = workload.container.as_deref();
        let vm = workload.vm.as_ref().map_or("", |v| &v.id);
        let exe = process.exe.as_deref().unwrap_or_default();
        Self::of_process(pid, &process.comm, exe, container, vm)
    }

    /// Ended processes together: those of one name in one container have no pid.
    pub(super) fn ended(ended: &'a EndedSnapshot) -> Self {
        Self::of_process("", &ended.comm, "", ended.container.as_deref(), "")
    }

    fn of_process(
        pid: &'a str,
        comm: &'a str,
        exe: &'a str,
        container: Option<&'a Container>,
        vm: &'a str,
    ) -> Self {
        let container = container.map_or("", |c| &c.id);
        let kind = match container {
            "" if vm.is_empty() => "regular",
            "" => "vm",
            _ => "container",
        };
        Self {
            older: vec![("command", comm)],
            both: vec![("pid", pid), ("container_id", container), ("vm_id", vm)],
            newer: vec![("comm", comm), ("exe", exe), ("type", kind)],
        }
    }

    pub(super) fn container(snapshot: &'a ContainerSnapshot) -> Self {
        let container = &snapshot.container;
        let name = container.name.as_deref().unwrap_or_default();
        let pod_uid = container.pod_uid.as_deref().unwrap_or_default();
        let pod = snapshot.pod.as_deref();
        let pod_name = pod.and_then(|pod| pod.name.as_deref()).unwrap_or_default();
        let namespace = pod.and_then(|pod| pod.namespace.as_deref());
        Self {
            older: vec![
                ("pod_name", pod_name),
                ("container_namespace", namespace.unwrap_or_default()),
            ],
            both: vec![("container_id", &container.id), ("container_name", name)],
            newer: vec![("runtime", container.runtime.as_str()), ("pod_id", pod_uid)],
        }
    }

    pub(super) fn pod(pod: &'a Pod) -> Self {
        Self {
            older: Vec::new(),
            both: vec![("pod_id", &pod.uid)],
            newer: vec![
                ("pod_name", pod.name.as_deref().unwrap_or_default()),
                (
                    "pod_namespace",
                    pod.namespace.as_deref().unwrap_or_default(),
                ),
            ],
        }
    }

    pub(super) fn vm(vm: &'a VirtualMachine) -> Self {
        Self {
            older: Vec::new(),
            both: vec![("vm_id", &vm.id)],
            newer: vec![("vm_name", &vm.name), ("hypervisor", vm.hypervisor)],
        }
    }

    pub(super) fn join(&self) -> Labels {
        let mut text = String::with_capacity(160);
        let mut add = |labels: &[(&str, &str)]| {
            for (name, value) in labels {
                label(&mut text, name, value);
            }
            text.len()
        };
        let older_alone = add(&self.older);
        let older_to = add(&self.both);
        add(&self.newer);
        Labels {
            text: text.into(),
            // The comma after the older ones is theirs.
            newer_from: if older_alone == 0 { 0 } else { older_alone + 1 },
            older_to,
        }
    }

    /// The text of those of one generation that are allowed.
    pub(super) fn chosen(&self, newer: bool, allowed: &[&str]) -> String {
        let (first, second) = if newer {
            (&self.both, &self.newer)
        } else {
            (&self.older, &self.both)
        };
        let mut text = String::new();
        for (name, value) in first.iter().chain(second) {
            if allowed.contains(name) {
                label(&mut text, name, value);
            }
        }
        text
    }
}

/// One workload on a page.
#[derive(Debug)]
pub(super) struct Row {
    /// Its place in the snapshot.
    pub(super) index: usize,
    pub(super) labels: Arc<Labels>,
    /// Energy of the component `other`.
    pub(super) other: Modes,
    /// Whether it is shown as terminated.
    pub(super) ended: bool,
    /// What several workloads used, where it is of several.
    pub(super) together: Option<WorkloadUsage>,
}

/// The processes of the last page, by pid.
#[derive(Debug, Default)]
pub(super) struct ProcessLabels {
    pages: u64,
    known: HashMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    process: Arc<Process>,
    workload: Arc<Workload>,
    labels: Arc<Labels>,
    other: Modes,
    end: End,
    page: u64,
    row: usize,
}

impl ProcessLabels {
    /// A row for each process. Of several with one pid (reused while the earlier one is still shown) only the one that
    /// started last has one: their series would bear the same labels, and a counter that starts anew is understood.
    pub(super) fn rows(
        &mut self,
        processes: &[ProcessSnapshot],
        now: Duration,
        other: impl Fn(&ProcessSnapshot) -> Modes,
    ) -> Vec<Row> {
        self.pages += 1;
        let mut rows: Vec<Row> = Vec::with_capacity(processes.len());
        for (index, snapshot) in processes.iter().enumerate() {
            let key = snapshot.process.key;
            let known = match self.known.get_mut(&key.pid) {
                Some(known) if known.page == self.pages => {
                    if known.process.key.start_ns > key.start_ns {
                        continue;
                    }
                    known.take(snapshot);
                    known
                }
                Some(known) => {
                    known.take(snapshot);
                    known.page = self.pages;
                    known.row = rows.len();
                    known
                }
                None => self.known.entry(key.pid).or_insert(Known::new(
                    snapshot,
                    self.pages,
                    rows.len(),
                )),
            };
            raise(&mut known.other, other(snapshot));
            let row = Row {
                index,
                labels: Arc::clone(&known.labels),
                other: known.other,
                ended: known.end.shown(snapshot.usage.state, now),
                together: None,
            };
            match rows.get_mut(known.row) {
                Some(earlier) => *earlier = row,
                None => rows.push(row),
            }
        }
        self.known.retain(|_, known| known.page == self.pages);
        fit::table(&mut self.known);
        rows
    }
}

impl Known {
    fn new(snapshot: &ProcessSnapshot, page: u64, row: usize) -> Self {
        let pid = snapshot.process.key.pid.to_string();
        Self {
            process: Arc::clone(&snapshot.process),
            workload: Arc::clone(&snapshot.workload),
            labels: Arc::new(Fields::process(&pid, &snapshot.process, &snapshot.workload).join()),
            other: [0.0; 2],
            end: End::default(),
            page,
            row,
        }
    }

    /// Takes on the process as it is now: a new one with the same pid, or one that called `exec` or moved.
    fn take(&mut self, snapshot: &ProcessSnapshot) {
        let same = |key: ProcessKey| key == snapshot.process.key;
        if Arc::ptr_eq(&self.process, &snapshot.process)
            && Arc::ptr_eq(&self.workload, &snapshot.workload)
        {
            return;
        }
        let (other, end) = if same(self.process.key) {
            (self.other, self.end)
        } else {
            ([0.0; 2], End::default())
        };
        *self = Self {
            other,
            end,
            ..Self::new(snapshot, self.page, self.row)
        };
    }
}

/// What is kept from page to page of workloads that are no processes, by their labels: the highest energy of the component
/// `other`, and their end.
#[derive(Debug, Default)]
pub(super) struct Highest {
    pages: u64,
    known: HashMap<Box<str>, (Modes, End, u64)>,
}

impl Highest {
    /// Begins a page.
    pub(super) fn turn(&mut self) {
        self.pages += 1;
    }

    /// The highest so far.
    pub(super) fn raise(&mut self, labels: &str, now: Modes) -> Modes {
        if now.iter().all(|joules| *joules <= 0.0) && !self.known.contains_key(labels) {
            return now;
        }
        let (kept, _, page) = self.known.entry(labels.into()).or_default();
        *page = self.pages;
        raise(kept, now);
        *kept
    }

    /// Whether it is shown as terminated.
    pub(super) fn ended(&mut self, labels: &str, state: State, now: Duration) -> bool {
        if state == State::Running && !self.known.contains_key(labels) {
            return false;
        }
        let (_, end, page) = self.known.entry(labels.into()).or_default();
        *page = self.pages;
        end.shown(state, now)
    }

    /// Ends a page: what was not on it is forgotten.
    pub(super) fn forget(&mut self) {
        let pages = self.pages;
        self.known.retain(|_, (_, _, page)| *page == pages);
    }
}

/// Keeps the higher of two counts of a mode: a difference of two counters may fall, a counter may not.
pub(super) fn raise(kept: &mut Modes, now: Modes) {
    for (kept, now) in kept.iter_mut().zip(now) {
        *kept = kept.max(now);
    }
}
