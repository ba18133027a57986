//! What each workload used since it was first seen: processes, containers, virtual machines, and ended processes together.
//!
//! Accounts take *differences* only. A container's total is the sum of what its processes did while they were in it, so it
//! never falls when one ends, and a process that moves takes no history along.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use crate::fit;
use crate::host::Host;
use crate::units::Joules;
use crate::usage::{Counters, Process, ProcessKey, ProcessUsage};
use crate::workload::{
    Container, Pod, PodTable, VirtualMachine, Workload, classify, named_by_libvirt,
};

use super::account::{Account, Prices, Share};
use super::export::Exported;
use super::rank::size;
use super::snapshot::{
    ContainerSnapshot, EndedSnapshot, Moves, OTHER, PodSnapshot, ProcessSnapshot, State, VmSnapshot,
};

/// How long ended workloads are kept, and how many ended processes have an entry of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) retention: Duration,
    pub(super) ended_processes: usize,
    /// Energy in the first domain below which an ended process has no entry of its own.
    pub(super) least: Joules,
}

/// Names of ended processes that are told apart; later ones go to one entry a container. Bounds what a hostile process can
/// fill by renaming itself.
const ENDED_NAMES: usize = 2000;

/// Ended processes of which a reader has yet to see the last may be so many times as many as are kept.
const WAITING: usize = 4;

struct ProcessAccount {
    process: Arc<Process>,
    workload: Arc<Workload>,
    account: Account,
    /// What no exported snapshot has shown.
    unshown: Account,
    /// The first sample that saw it.
    first: u64,
    /// The newest exported sample when somebody had looked at it first, and not all; 0 for none.
    looked: u64,
    /// When it was last told of.
    seen: Duration,
    ended: Option<Duration>,
}

struct GroupAccount<T> {
    what: T,
    account: Account,
    /// The last sample that saw a living process of it.
    alive: u64,
    /// When it last did anything or had a process.
    touched: Duration,
}

struct EndedAccount {
    container: Option<Arc<Container>>,
    comm: Arc<str>,
    count: u64,
    shown: Account,
    /// Waits until a snapshot showed this entry at 0, so that its growth can be seen.
    waiting: Account,
    waiting_count: u64,
    first: u64,
    touched: Duration,
}

type Groups<T> = HashMap<Arc<str>, GroupAccount<T>>;

/// The accounts of all workloads.
pub(super) struct Accounts {
    host: Host,
    keep: Keep,
    domains: usize,
    /// Who the pods and their containers are.
    names: Arc<PodTable>,
    processes: HashMap<ProcessKey, ProcessAccount>,
    containers: Groups<(Arc<Container>, Option<Arc<Pod>>)>,
    pods: Groups<Arc<Pod>>,
    vms: Groups<Arc<VirtualMachine>>,
    ended: HashMap<(Option<Arc<str>>, Arc<str>), EndedAccount>,
    /// Of the sample under way, with the newest sample that anybody was shown; 0 when nothing exports.
    moves: Moves,
    /// The newest sample that all who read were shown.
    shown_to_all: u64,
    sequence: u64,
}

impl Accounts {
    pub(super) fn new(host: Host, keep: Keep, domains: usize) -> Self {
        Self {
            host,
            keep,
            domains,
            processes: HashMap::new(),
            names: Arc::default(),
            containers: HashMap::new(),
            pods: HashMap::new(),
            vms: HashMap::new(),
            ended: HashMap::new(),
            moves: Moves::default(),
            shown_to_all: 0,
            sequence: 0,
        }
    }

    /// Starts the books of one sample.
    pub(super) fn begin(&mut self, sequence: u64, exported: Exported) {
        self.moves.exported = exported.newest.min(self.sequence);
        self.shown_to_all = exported.to_all.min(self.sequence);
        self.moves.shown.clear();
        self.moves.processes.clear();
        self.sequence = sequence;
    }

    /// Takes on another pod table, and the names in it for what is known already. What it does not name keeps its names.
    pub(super) fn rename(&mut self, names: Arc<PodTable>) {
        for mine in self.processes.values_mut() {
            if let Some(named) = names.name(&mine.workload) {
                mine.workload = Arc::new(named);
            }
        }
        for group in self.containers.values_mut() {
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
        for (uid, group) in &mut self.pods {
            if let Some(entry) = names.pod(uid) {
                group.what = Arc::clone(&entry.pod);
            }
        }
        self.names = names;
    }

    /// Charges one process and what it belongs to.
    pub(super) fn charge(
        &mut self,
        usage: &ProcessUsage,
        share: Share,
        prices: &Prices,
        now: Duration,
    ) {
        let sequence = self.sequence;
        let domains = self.domains;
        let names = &self.names;
        let mine = match self.processes.entry(usage.process.key) {
            Entry::Occupied(entry) => {
                let mine = entry.into_mut();
                if !Arc::ptr_eq(&mine.process, &usage.process) {
                    if mine.process.cgroup != usage.process.cgroup
                        || mine.process.command != usage.process.command
                        || mine.process.exe != usage.process.exe
                    {
                        mine.workload = whose(&self.host, names, &usage.process);
                    }
                    mine.process = usage.process.clone();
                }
                mine
            }
            Entry::Vacant(entry) => entry.insert(ProcessAccount {
                process: usage.process.clone(),
                workload: whose(&self.host, names, &usage.process),
                account: Account::new(domains),
                unshown: Account::new(domains),
                first: sequence,
                looked: 0,
                seen: now,
                ended: None,
            }),
        };
        let living = !usage.ended;
        mine.seen = now;
        mine.ended = usage.ended.then_some(now);
        let newest = self.moves.exported;
        if (1..=newest).contains(&mine.unshown.sequence) {
            // What some readers have looked at once only has grown for none.
            if mine.first > self.shown_to_all && (mine.looked == 0 || mine.looked == newest) {
                mine.looked = newest;
            } else {
                mine.unshown = Account::new(domains);
                self.moves.shown.push(usage.process.key);
            }
        }
        mine.account
            .charge(sequence, &usage.delta, share, prices, living);
        mine.unshown
            .charge(sequence, &usage.delta, share, prices, living);
        if !living {
            mine.account.rest(prices);
        }
        let workload = Arc::clone(&mine.workload);
        let charged = Charged {
            delta: &usage.delta,
            share,
            prices,
            living,
            now,
        };
        self.charge_groups(&workload, &charged);
    }

    /// Charges what a cgroup belongs to with what its processes did whose names were lost.
    pub(super) fn charge_unnamed(
        &mut self,
        workload: Workload,
        delta: &Counters,
        share: Share,
        prices: &Prices,
        now: Duration,
    ) {
        let charged = Charged {
            delta,
            share,
            prices,
            living: false,
            now,
        };
        self.charge_groups(&named(&self.names, workload), &charged);
    }

    fn charge_groups(&mut self, workload: &Workload, charged: &Charged<'_>) {
        let (sequence, domains) = (self.sequence, self.domains);
        if let Some(container) = &workload.container {
            let what = || (Arc::clone(container), workload.pod.clone());
            let groups = &mut self.containers;
            group(groups, &container.id, what, domains, sequence).charge(sequence, charged);
        }
        if let Some(pod) = &workload.pod {
            let groups = &mut self.pods;
            let what = || Arc::clone(pod);
            group(groups, &pod.uid, what, domains, sequence).charge(sequence, charged);
        }
        if let Some(vm) = &workload.vm {
            let groups = &mut self.vms;
            let what = || Arc::clone(vm);
            group(groups, &vm.id, what, domains, sequence).charge(sequence, charged);
        }
    }

    /// Closes the books of one sample: rests what did nothing, keeps the largest ended processes, folds the others, drops
    /// what ended longer than the retention ago.
    pub(super) fn close(&mut self, prices: &Prices, now: Duration) {
        let sequence = self.sequence;
        self.show_waiting();
        let retention = self.keep.retention;
        for mine in self.processes.values_mut() {
            if mine.account.sequence != sequence {
                mine.account.rest(prices);
                // Its source forgot it without a word of its end.
                if mine.ended.is_none() && now.saturating_sub(mine.seen) > retention {
                    mine.ended = Some(mine.seen);
                }
            }
        }
        self.fold_ended(prices, now);
        let old = |touched: Duration| now.saturating_sub(touched) > retention;
        self.containers
            .retain(|_, g| g.settle(sequence, prices) || !old(g.touched));
        self.pods
            .retain(|_, g| g.settle(sequence, prices) || !old(g.touched));
        self.vms
            .retain(|_, g| g.settle(sequence, prices) || !old(g.touched));
        self.ended.retain(|_, e| !old(e.touched));
        fit::table(&mut self.processes);
    }

    /// What waits in entries that a rendered snapshot has shown at 0 becomes visible.
    fn show_waiting(&mut self) {
        let (exported, domains) = (self.shown_to_all, self.domains);
        for entry in self.ended.values_mut() {
            if entry.waiting_count > 0 && (exported == 0 || entry.first <= exported) {
                let waiting = std::mem::replace(&mut entry.waiting, Account::new(domains));
                entry.shown.absorb(&waiting);
                entry.count += std::mem::take(&mut entry.waiting_count);
            }
        }
    }

    fn fold_ended(&mut self, prices: &Prices, now: Duration) {
        let retention = self.keep.retention;
        let exported = self.shown_to_all;
        let mut fold: Vec<ProcessKey> = Vec::new();
        // Those that may go, and those of which a reader has yet to see the last.
        let mut kept: Vec<(f64, ProcessKey)> = Vec::new();
        let mut waiting = kept.clone();
        for (key, mine) in &self.processes {
            let Some(ended) = mine.ended else { continue };
            let never_shown = exported > 0 && mine.first > exported;
            let waits = exported > 0 && mine.unshown.sequence > exported;
            let small = self.keep.least > Joules::ZERO && mine.account.first() < self.keep.least;
            if never_shown || (small && !waits) || now.saturating_sub(ended) > retention {
                fold.push(*key);
            } else {
                let size = size(&mine.account.counters, &mine.account.energy);
                let list = if waits { &mut waiting } else { &mut kept };
                list.push((size, *key));
            }
        }
        let limit = self.keep.ended_processes;
        let mut bound = |list: &mut Vec<(f64, ProcessKey)>, most: usize| {
            if list.len() > most {
                list.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                fold.extend(list.drain(most..).map(|(_, key)| key));
            }
        };
        bound(&mut waiting, limit.saturating_mul(WAITING));
        bound(&mut kept, limit.saturating_sub(waiting.len()));
        for key in fold {
            if let Some(mine) = self.processes.remove(&key) {
                self.fold(&mine, now);
            }
        }
        for entry in self.ended.values_mut() {
            entry.shown.rest(prices);
        }
    }

    fn fold(&mut self, mine: &ProcessAccount, now: Duration) {
        let expired = mine
            .ended
            .is_some_and(|e| now.saturating_sub(e) > self.keep.retention);
        let shown_all = mine.unshown.sequence <= self.shown_to_all;
        if shown_all || (expired && mine.unshown.counters == Counters::default()) {
            return;
        }
        let container = mine.workload.container.clone();
        let id = container.as_ref().map(|c| c.id.clone());
        let mut comm = mine.process.comm.clone();
        if self.ended.len() >= ENDED_NAMES && !self.ended.contains_key(&(id.clone(), comm.clone()))
        {
            comm = OTHER.into();
        }
        let (domains, first) = (self.domains, self.sequence);
        if mine.first < self.sequence {
            let moved = (mine.process.key, id.clone(), comm.clone());
            self.moves.processes.push(moved);
        }
        let entry = self
            .ended
            .entry((id, comm.clone()))
            .or_insert_with(|| EndedAccount {
                container,
                comm,
                count: 0,
                shown: Account::new(domains),
                waiting: Account::new(domains),
                waiting_count: 0,
                first,
                touched: now,
            });
        entry.touched = now;
        if self.shown_to_all == 0 || entry.first <= self.shown_to_all {
            entry.shown.absorb(&mine.unshown);
            entry.count += 1;
        } else {
            entry.waiting.absorb(&mine.unshown);
            entry.waiting_count += 1;
        }
    }

    pub(super) fn moves(&self) -> &Moves {
        &self.moves
    }

    pub(super) fn processes(&self) -> Vec<ProcessSnapshot> {
        self.processes
            .values()
            .map(|mine| ProcessSnapshot {
                process: mine.process.clone(),
                workload: mine.workload.clone(),
                usage: mine.account.usage(state(mine.ended.is_none())),
            })
            .collect()
    }

    pub(super) fn containers(&self) -> Vec<ContainerSnapshot> {
        self.containers
            .values()
            .map(|g| ContainerSnapshot {
                container: g.what.0.clone(),
                pod: g.what.1.clone(),
                usage: g.account.usage(state(g.alive == self.sequence)),
            })
            .collect()
    }

    pub(super) fn pods(&self) -> Vec<PodSnapshot> {
        self.pods
            .values()
            .map(|g| PodSnapshot {
                pod: g.what.clone(),
                usage: g.account.usage(state(g.alive == self.sequence)),
            })
            .collect()
    }

    pub(super) fn vms(&self) -> Vec<VmSnapshot> {
        self.vms
            .values()
            .map(|g| VmSnapshot {
                vm: g.what.clone(),
                usage: g.account.usage(state(g.alive == self.sequence)),
            })
            .collect()
    }

    pub(super) fn ended(&self) -> Vec<EndedSnapshot> {
        self.ended
            .values()
            .map(|e| EndedSnapshot {
                container: e.container.clone(),
                comm: e.comm.clone(),
                count: e.count,
                usage: e.shown.usage(State::Terminated),
            })
            .collect()
    }
}

/// What a group is charged with.
struct Charged<'a> {
    delta: &'a Counters,
    share: Share,
    prices: &'a Prices,
    living: bool,
    now: Duration,
}

impl<T> GroupAccount<T> {
    fn charge(&mut self, sequence: u64, charged: &Charged<'_>) {
        let Charged {
            delta,
            share,
            prices,
            living,
            now,
        } = *charged;
        self.account.charge(sequence, delta, share, prices, living);
        self.touched = now;
        if living {
            self.alive = sequence;
        }
    }

    /// Rests what did nothing in this sample; whether it lives.
    fn settle(&mut self, sequence: u64, prices: &Prices) -> bool {
        if self.account.sequence != sequence {
            self.account.rest(prices);
        }
        self.alive == sequence
    }
}

fn group<'a, T>(
    groups: &'a mut Groups<T>,
    id: &Arc<str>,
    what: impl FnOnce() -> T,
    domains: usize,
    sequence: u64,
) -> &'a mut GroupAccount<T> {
    if !groups.contains_key(id) {
        groups.insert(
            id.clone(),
            GroupAccount {
                what: what(),
                account: Account::new(domains),
                alive: sequence.saturating_sub(1),
                touched: Duration::ZERO,
            },
        );
    }
    groups
        .get_mut(id)
        .expect("inserted above when it was missing")
}

/// What a process belongs to, with the names that are known of it.
fn whose(host: &Host, names: &PodTable, process: &Process) -> Arc<Workload> {
    Arc::new(named(names, named_by_libvirt(classify(process), host)))
}

/// The workload with the names that are known of it.
fn named(names: &PodTable, workload: Workload) -> Workload {
    names.name(&workload).unwrap_or(workload)
}

fn state(living: bool) -> State {
    if living {
        State::Running
    } else {
        State::Terminated
    }
}
