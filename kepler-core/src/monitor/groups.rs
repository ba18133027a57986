//! What containers, pods and virtual machines used: the sum of what their processes did while they were in them.
//!
//! So a total never falls when a process ends, and a process that moves takes no history along.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::usage::Counters;
use crate::workload::{Container, Pod, PodTable, VirtualMachine, Workload};

use super::account::{Account, Prices, Share};
use super::snapshot::{ContainerSnapshot, PodSnapshot, VmSnapshot, WorkloadUsage};

/// The accounts of all that processes belong to.
pub(super) struct Groups {
    containers: Level<(Arc<Container>, Option<Arc<Pod>>)>,
    pods: Level<Arc<Pod>>,
    vms: Level<Arc<VirtualMachine>>,
    /// The sample under way.
    sequence: u64,
}

/// What a group is charged with.
pub(super) struct Charged<'a> {
    pub(super) delta: &'a Counters,
    pub(super) share: Share,
    pub(super) prices: &'a Prices,
    pub(super) living: bool,
    pub(super) now: Duration,
}

/// The groups of one kind, by their ids.
struct Level<T> {
    domains: usize,
    groups: HashMap<Arc<str>, Group<T>>,
}

struct Group<T> {
    what: T,
    account: Account,
    /// The last sample that saw a living process of it.
    alive: u64,
    /// When it last did anything or had a process.
    touched: Duration,
}

impl Groups {
    pub(super) fn new(domains: usize) -> Self {
        Self {
            containers: Level::new(domains),
            pods: Level::new(domains),
            vms: Level::new(domains),
            sequence: 0,
        }
    }

    /// Starts the books of one sample.
    pub(super) fn begin(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Takes on the names in this table. What it does not name keeps its names.
    pub(super) fn rename(&mut self, names: &PodTable) {
        for group in self.containers.groups.values_mut() {
            let (container, pod) = &group.what;
            let known = Workload {
                container: Some(Arc::clone(container)),
                pod: pod.clone(),
                ..Workload::default()
            };
            if let Some(Workload {
                container: Some(container),
                pod,
                ..
            }) = names.name(&known)
            {
                group.what = (container, pod);
            }
        }
        for (uid, group) in &mut self.pods.groups {
            if let Some(entry) = names.pod(uid) {
                group.what = Arc::clone(&entry.pod);
            }
        }
    }

    /// Charges what `workload` names.
    pub(super) fn charge(&mut self, workload: &Workload, charged: &Charged<'_>) {
        let sequence = self.sequence;
        if let Some(container) = &workload.container {
            let what = || (Arc::clone(container), workload.pod.clone());
            let groups = &mut self.containers;
            groups.charge(&container.id, what, sequence, charged);
        }
        if let Some(pod) = &workload.pod {
            let what = || Arc::clone(pod);
            self.pods.charge(&pod.uid, what, sequence, charged);
        }
        if let Some(vm) = &workload.vm {
            let what = || Arc::clone(vm);
            self.vms.charge(&vm.id, what, sequence, charged);
        }
    }

    /// Closes the books of one sample: rests what did nothing, and drops what does not live and did nothing for `retention`.
    pub(super) fn close(&mut self, prices: &Prices, now: Duration, retention: Duration) {
        let sequence = self.sequence;
        let old = |touched: Duration| now.saturating_sub(touched) > retention;
        self.containers.close(sequence, prices, old);
        self.pods.close(sequence, prices, old);
        self.vms.close(sequence, prices, old);
    }

    pub(super) fn containers(&self) -> Vec<ContainerSnapshot> {
        self.containers
            .usages(self.sequence)
            .map(|((container, pod), usage)| ContainerSnapshot {
                container: container.clone(),
                pod: pod.clone(),
                usage,
            })
            .collect()
    }

    pub(super) fn pods(&self) -> Vec<PodSnapshot> {
        self.pods
            .usages(self.sequence)
            .map(|(pod, usage)| PodSnapshot {
                pod: pod.clone(),
                usage,
            })
            .collect()
    }

    pub(super) fn vms(&self) -> Vec<VmSnapshot> {
        self.vms
            .usages(self.sequence)
            .map(|(vm, usage)| VmSnapshot {
                vm: vm.clone(),
                usage,
            })
            .collect()
    }
}

impl<T> Level<T> {
    fn new(domains: usize) -> Self {
        Self {
            domains,
            groups: HashMap::new(),
        }
    }

    fn charge(
        &mut self,
        id: &Arc<str>,
        what: impl FnOnce() -> T,
        sequence: u64,
        charged: &Charged<'_>,
    ) {
        let Charged {
            delta,
            share,
            prices,
            living,
            now,
        } = *charged;
        if !self.groups.contains_key(id) {
            let group = Group {
                what: what(),
                account: Account::new(self.domains),
                alive: sequence.saturating_sub(1),
                touched: Duration::ZERO,
            };
            self.groups.insert(id.clone(), group);
        }
        let group = self
            .groups
            .get_mut(id)
            .expect("inserted above when it was missing");
        group.account.charge(sequence, delta, share, prices, living);
        group.touched = now;
        if living {
            group.alive = sequence;
        }
    }

    fn close(&mut self, sequence: u64, prices: &Prices, old: impl Fn(Duration) -> bool) {
        self.groups.retain(|_, group| {
            if group.account.sequence != sequence {
                group.account.rest(prices);
            }
            group.alive == sequence || !old(group.touched)
        });
    }

    fn usages(&self, sequence: u64) -> impl Iterator<Item = (&T, WorkloadUsage)> {
        self.groups.values().map(move |group| {
            let living = group.alive == sequence;
            (&group.what, group.account.usage(living))
        })
    }
}
