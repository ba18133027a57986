//! Snapshots with a bounded number of workloads: those that used most, and the others together.
//!
//! What a workload uses while it has no entry of its own is booked to the others for good, and is left out of its entry
//! when it gets one. So every entry only grows, also over a time in which it is not shown, and the growths of all entries
//! are the growth of all workloads, whichever have one. What a process used and no exported snapshot has shown goes to the
//! entry of ended ones of its name when it ends; what of that was booked to the others is left out there as well. Of snapshots
//! that are marked as exported only those count as shown.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::fit;
use crate::workload::{Container, Pod, Runtime, VirtualMachine};

use super::snapshot::{
    ContainerSnapshot, EndedSnapshot, Id, OTHER, PodSnapshot, Snapshot, State, VmSnapshot,
    WorkloadUsage,
};
use super::sum::Sum;

/// Keeps the largest workloads of each level apart and folds the others into one entry, `(other)`.
///
/// ```
/// use kepler_core::monitor::{Fold, Monitor};
///
/// let mut monitor = Monitor::builder().fake().build()?;
/// let mut fold = Fold::to(5);
/// let snapshot = fold.apply(monitor.sample()?);
/// assert!(snapshot.processes.len() + snapshot.ended.len() <= 6);
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Fold {
    limit: usize,
    processes: Book,
    containers: Book,
    pods: Book,
    vms: Book,
}

/// The workloads of one level.
#[derive(Debug, Default)]
struct Book {
    known: HashMap<Id, Known>,
    /// What was booked to the others so far.
    other: Option<WorkloadUsage>,
    turn: u64,
}

#[derive(Debug, Default)]
struct Known {
    /// What it had used when it was last looked at.
    seen: Sum,
    /// What of that was booked to the others.
    hidden: Sum,
    /// What it used in an entry of its own and no exported snapshot has shown.
    open: Sum,
    /// The sample that last changed it.
    changed: u64,
    /// What was booked to the others of what passes on to another entry when it ends.
    late: Sum,
    /// What was booked to the others already of what is yet to come: of processes that went to this entry.
    ahead: Sum,
    turn: u64,
}

impl Fold {
    /// Entries for `limit` workloads of each level, and one more for the others.
    pub fn to(limit: usize) -> Self {
        Self {
            limit,
            processes: Book::default(),
            containers: Book::default(),
            pods: Book::default(),
            vms: Book::default(),
        }
    }

    /// The snapshot with the others folded. Snapshots are to come in the order they were taken.
    pub fn apply(&mut self, mut snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        // Copied only where somebody else has it too.
        let mine = Arc::make_mut(&mut snapshot);
        let at = At {
            sequence: mine.sequence,
            exported: mine.moves.exported,
            limit: self.limit,
        };
        for process in mine.moves.shown.drain(..) {
            self.processes.keep_back(&Id::Process(process));
        }
        let moved = std::mem::take(&mut mine.moves.processes);
        for (process, container, comm) in moved {
            let (from, to) = (Id::Process(process), Id::Ended(container, comm));
            self.processes.pass_on(&from, to);
        }
        let mut folded = Vec::new();
        let living = mine
            .processes
            .iter_mut()
            .map(|p| (Id::Process(p.process.key), &mut p.usage));
        let ended = mine.ended.iter_mut().map(|e| {
            let container = e.container.as_ref().map(|c| c.id.clone());
            (Id::Ended(container, e.comm.clone()), &mut e.usage)
        });
        // That of names that are not told apart would have the labels of the others.
        let own = |id: &Id| *id != Id::Ended(None, OTHER.into());
        let (kept, other) = self
            .processes
            .turn(living.chain(ended), own, at, &mut folded);
        let unnamed = mine.ended.iter();
        let unnamed = unnamed.filter(|e| e.container.is_none() && &*e.comm == OTHER);
        let count = unnamed.map(|e| e.count).sum();
        let mut place = 0..;
        let mut keep = || place.next().is_some_and(|place| kept[place]);
        mine.processes.retain(|_| keep());
        mine.ended.retain(|_| keep());
        mine.ended.extend(other.map(|usage| EndedSnapshot {
            container: None,
            comm: OTHER.into(),
            count,
            usage,
        }));

        let all = mine.containers.iter_mut();
        let all = all.map(|c| (Id::Group(c.container.id.clone()), &mut c.usage));
        let (kept, other) = self.containers.turn(all, |_| true, at, &mut folded);
        let mut kept = kept.into_iter();
        mine.containers.retain(|_| kept.next().unwrap_or(true));
        mine.containers.extend(other.map(|usage| ContainerSnapshot {
            container: Arc::new(Container {
                id: OTHER.into(),
                runtime: Runtime::Unknown,
                pod_uid: None,
                name: Some(OTHER.into()),
            }),
            pod: None,
            usage,
        }));

        let all = mine.pods.iter_mut();
        let all = all.map(|p| (Id::Group(p.pod.uid.clone()), &mut p.usage));
        let (kept, other) = self.pods.turn(all, |_| true, at, &mut folded);
        let mut kept = kept.into_iter();
        mine.pods.retain(|_| kept.next().unwrap_or(true));
        mine.pods.extend(other.map(|usage| PodSnapshot {
            pod: Arc::new(Pod {
                uid: OTHER.into(),
                name: Some(OTHER.into()),
                namespace: None,
            }),
            usage,
        }));

        let all = mine
            .vms
            .iter_mut()
            .map(|v| (Id::Group(v.vm.id.clone()), &mut v.usage));
        let (kept, other) = self.vms.turn(all, |_| true, at, &mut folded);
        let mut kept = kept.into_iter();
        mine.vms.retain(|_| kept.next().unwrap_or(true));
        mine.vms.extend(other.map(|usage| VmSnapshot {
            vm: Arc::new(VirtualMachine {
                id: OTHER.into(),
                name: OTHER.into(),
                hypervisor: "",
            }),
            usage,
        }));
        mine.moves.folded = folded;
        snapshot
    }
}

impl Book {
    /// What a workload used so far passes on to no other.
    fn keep_back(&mut self, from: &Id) {
        if let Some(known) = self.known.get_mut(from) {
            known.late = Sum::default();
        }
    }

    /// What `from` used since is told by `to` from now on.
    fn pass_on(&mut self, from: &Id, to: Id) {
        if let Some(known) = self.known.get_mut(from) {
            let late = std::mem::take(&mut known.late);
            self.known.entry(to).or_default().ahead.add(&late);
        }
    }

    /// Which of the workloads keep an entry, in their order, and the entry of the others. `own` tells which may have one.
    fn turn<'a>(
        &mut self,
        workloads: impl Iterator<Item = (Id, &'a mut WorkloadUsage)>,
        own: impl Fn(&Id) -> bool,
        at: At,
        folded: &mut Vec<Id>,
    ) -> (Vec<bool>, Option<WorkloadUsage>) {
        self.turn += 1;
        let workloads: Vec<_> = workloads.collect();
        let mut kept: Vec<bool> = workloads.iter().map(|(key, _)| own(key)).collect();
        let mut order: Vec<usize> = (0..workloads.len()).filter(|i| kept[*i]).collect();
        if order.len() > at.limit {
            let size = |i: usize| workloads[i].1.size();
            order.select_nth_unstable_by(at.limit, |a, b| size(*b).total_cmp(&size(*a)));
            order[at.limit..].iter().for_each(|i| kept[*i] = false);
        }
        if let Some(other) = &mut self.other {
            Sum::still(other);
        }
        for ((key, usage), kept) in workloads.into_iter().zip(&kept) {
            if !kept {
                folded.push(key.clone());
            }
            let known = match self.known.entry(key) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Known::default()),
            };
            known.turn = self.turn;
            known.grow(usage, at);
            // From the first workload on, so that its growth can be seen.
            let other = self.other.get_or_insert_with(|| Sum::nothing(usage));
            if *kept {
                known.hidden.take_from(usage);
            } else {
                known.hide().book(other, usage);
            }
        }
        let turn = self.turn;
        self.known.retain(|_, known| known.turn == turn);
        fit::table(&mut self.known);
        (kept, self.other.clone())
    }
}

/// A turn.
#[derive(Clone, Copy)]
struct At {
    sequence: u64,
    exported: u64,
    limit: usize,
}

impl At {
    /// Whether an exported snapshot has shown a sample.
    fn has_shown(self, sequence: u64) -> bool {
        self.exported > 0 && sequence <= self.exported
    }
}

impl Known {
    /// Looks at what it used since it was last looked at, less what is booked to the others already.
    fn grow(&mut self, usage: &WorkloadUsage, at: At) {
        let seen = std::mem::replace(&mut self.seen, Sum::of(usage));
        let grown = self.seen.since(&seen);
        // Without a mark, somebody looks at every snapshot.
        if at.exported == 0 || at.has_shown(self.changed) {
            self.open = Sum::default();
        }
        if usage.state == State::Running || !grown.is_nothing() {
            self.changed = at.sequence;
        }
        if self.ahead.is_nothing() {
            self.open.add(&grown);
            return;
        }
        let fresh = grown.since(&self.ahead);
        self.hidden.add(&grown.since(&fresh));
        self.ahead = self.ahead.since(&grown);
        self.open.add(&fresh);
    }

    /// What is to be booked to the others, now that it has no entry.
    fn hide(&mut self) -> Sum {
        let open = std::mem::take(&mut self.open);
        self.hidden.add(&open);
        self.late.add(&open);
        open
    }
}
