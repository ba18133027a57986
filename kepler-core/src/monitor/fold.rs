//! Snapshots with a bounded number of workloads: those that used most, and the others together.
//!
//! What a workload uses while it has no entry of its own is booked to the others for good, and is left out of its entry
//! when it gets one. So every entry only grows, also over a time in which it is not shown, and the growths of all entries
//! are the growth of all workloads, whichever have one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use crate::units::{Joules, Watts};
use crate::usage::{Counters, ProcessKey};
use crate::workload::{Container, Pod, Runtime, VirtualMachine};

use super::snapshot::{
    ContainerSnapshot, EndedSnapshot, PodSnapshot, Snapshot, State, VmSnapshot, WorkloadEnergy,
    WorkloadUsage,
};

/// The name of the entry of all workloads without one.
const OTHER: &str = "(other)";

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
    processes: Book<Id>,
    containers: Book<Arc<str>>,
    pods: Book<Arc<str>>,
    vms: Book<Arc<str>>,
}

/// A process, or ended ones together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Id {
    Process(ProcessKey),
    Ended(Option<Arc<str>>, Arc<str>),
}

/// The workloads of one level.
#[derive(Debug)]
struct Book<K> {
    known: HashMap<K, Known>,
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
    turn: u64,
}

#[derive(Clone, Debug, Default)]
struct Sum {
    counters: Counters,
    energy: Vec<(Joules, Joules)>,
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
        let limit = self.limit;
        // The monitor gave it away and nobody else has it yet, so nothing is copied.
        let mine = Arc::make_mut(&mut snapshot);
        let living = mine
            .processes
            .iter_mut()
            .map(|p| (Id::Process(p.process.key), &mut p.usage));
        let ended = mine.ended.iter_mut().map(|e| {
            let container = e.container.as_ref().map(|c| c.id.clone());
            (Id::Ended(container, e.comm.clone()), &mut e.usage)
        });
        let (kept, other) = self.processes.turn(living.chain(ended), limit);
        let mut place = 0..;
        let mut keep = || place.next().is_some_and(|place| kept[place]);
        mine.processes.retain(|_| keep());
        mine.ended.retain(|_| keep());
        mine.ended.extend(other.map(|usage| EndedSnapshot {
            container: None,
            comm: OTHER.into(),
            count: 0,
            usage,
        }));

        let all = mine.containers.iter_mut();
        let all = all.map(|c| (c.container.id.clone(), &mut c.usage));
        let (kept, other) = self.containers.turn(all, limit);
        let mut kept = kept.into_iter();
        mine.containers.retain(|_| kept.next().unwrap_or(true));
        mine.containers.extend(other.map(|usage| ContainerSnapshot {
            container: Arc::new(Container {
                id: OTHER.into(),
                runtime: Runtime::Kubernetes,
                pod_uid: None,
                name: Some(OTHER.into()),
            }),
            pod: None,
            usage,
        }));

        let all = mine.pods.iter_mut();
        let all = all.map(|p| (p.pod.uid.clone(), &mut p.usage));
        let (kept, other) = self.pods.turn(all, limit);
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

        let all = mine.vms.iter_mut().map(|v| (v.vm.id.clone(), &mut v.usage));
        let (kept, other) = self.vms.turn(all, limit);
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
        snapshot
    }
}

impl<K: Eq + Hash> Book<K> {
    /// Which of the workloads keep an entry, in their order, and the entry of the others.
    fn turn<'a>(
        &mut self,
        workloads: impl Iterator<Item = (K, &'a mut WorkloadUsage)>,
        limit: usize,
    ) -> (Vec<bool>, Option<WorkloadUsage>) {
        self.turn += 1;
        let workloads: Vec<_> = workloads.collect();
        let mut kept = vec![true; workloads.len()];
        if workloads.len() > limit {
            let mut order: Vec<usize> = (0..workloads.len()).collect();
            let size = |i: usize| workloads[i].1.size();
            order.select_nth_unstable_by(limit, |a, b| size(*b).total_cmp(&size(*a)));
            order[limit..].iter().for_each(|i| kept[*i] = false);
        }
        if let Some(other) = &mut self.other {
            for energy in &mut other.energy {
                (energy.watts, energy.idle_watts) = (None, None);
            }
        }
        for ((key, usage), kept) in workloads.into_iter().zip(&kept) {
            let known = match self.known.entry(key) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Known::default()),
            };
            known.turn = self.turn;
            let seen = std::mem::replace(&mut known.seen, Sum::of(usage));
            // From the first workload on, so that its growth can be seen.
            let other = self.other.get_or_insert_with(|| nothing(usage));
            if *kept {
                known.hidden.take_from(usage);
            } else {
                let grown = known.seen.since(&seen);
                known.hidden.add(&grown);
                book(other, &grown, usage);
            }
        }
        let turn = self.turn;
        self.known.retain(|_, known| known.turn == turn);
        (kept, self.other.clone())
    }
}

fn nothing(like: &WorkloadUsage) -> WorkloadUsage {
    WorkloadUsage {
        state: State::Running,
        counters: Counters::default(),
        energy: vec![WorkloadEnergy::default(); like.energy.len()].into(),
    }
}

/// Books what a workload used to the others.
fn book(other: &mut WorkloadUsage, grown: &Sum, usage: &WorkloadUsage) {
    other.counters.add(&grown.counters);
    for ((mine, (joules, idle)), theirs) in other
        .energy
        .iter_mut()
        .zip(&grown.energy)
        .zip(&usage.energy)
    {
        mine.joules += *joules;
        mine.idle += *idle;
        for (mine, theirs) in [
            (&mut mine.watts, theirs.watts),
            (&mut mine.idle_watts, theirs.idle_watts),
        ] {
            if let Some(watts) = theirs {
                *mine = Some(mine.unwrap_or(Watts::ZERO) + watts);
            }
        }
    }
}

impl Sum {
    fn of(usage: &WorkloadUsage) -> Self {
        Self {
            counters: usage.counters,
            energy: usage.energy.iter().map(|e| (e.joules, e.idle)).collect(),
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        let grown = self.energy.iter().enumerate().map(|(d, (joules, idle))| {
            let (before, idle_before) = earlier.energy.get(d).copied().unwrap_or_default();
            let risen = |now: Joules, before: Joules| Joules((now.0 - before.0).max(0.0));
            (risen(*joules, before), risen(*idle, idle_before))
        });
        Self {
            counters: self.counters.since(&earlier.counters),
            energy: grown.collect(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        self.energy.resize(other.energy.len(), Default::default());
        for (mine, theirs) in self.energy.iter_mut().zip(&other.energy) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
    }

    fn take_from(&self, usage: &mut WorkloadUsage) {
        usage.counters = usage.counters.since(&self.counters);
        for (mine, hidden) in usage.energy.iter_mut().zip(&self.energy) {
            mine.joules = Joules((mine.joules.0 - hidden.0.0).max(0.0));
            mine.idle = Joules((mine.idle.0 - hidden.1.0).max(0.0));
        }
    }
}

impl<K> Default for Book<K> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            other: None,
            turn: 0,
        }
    }
}
