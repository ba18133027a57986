//! What each process used since it was first seen, and for how long one that ended keeps an account of its own.
//!
//! Accounts take *differences* only. What a process is charged with is also charged to its container, pod and virtual
//! machine ([`Groups`]); what of one that ended was never shown goes to the entry of its name ([`Ended`]).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use crate::fit;
use crate::host::Host;
use crate::units::Joules;
use crate::usage::{Counters, Process, ProcessKey, ProcessUsage};
use crate::workload::{PodTable, Workload, classify, named_by_libvirt};

use super::account::{Account, Prices, Share};
use super::ended::Ended;
use super::export::Exported;
use super::groups::{Charged, Groups};
use super::rank::size;
use super::snapshot::{
    ContainerSnapshot, EndedSnapshot, Moves, PodSnapshot, ProcessSnapshot, VmSnapshot,
};

/// How long ended workloads are kept, and how many ended processes have an entry of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) retention: Duration,
    pub(super) ended_processes: usize,
    /// Energy in the first domain below which an ended process has no entry of its own.
    pub(super) least: Joules,
}

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

/// The accounts of all workloads: each process's, those of its groups, and those of ended ones together.
pub(super) struct Accounts {
    host: Host,
    keep: Keep,
    domains: usize,
    /// Who the pods and their containers are.
    names: Arc<PodTable>,
    processes: HashMap<ProcessKey, ProcessAccount>,
    groups: Groups,
    ended: Ended,
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
            groups: Groups::new(domains),
            ended: Ended::new(domains),
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
        self.groups.begin(sequence);
        self.ended.begin(sequence, self.shown_to_all);
    }

    /// Takes on another pod table, and the names in it for what is known already. What it does not name keeps its names.
    pub(super) fn rename(&mut self, names: Arc<PodTable>) {
        for mine in self.processes.values_mut() {
            if let Some(named) = names.name(&mine.workload) {
                mine.workload = Arc::new(named);
            }
        }
        self.groups.rename(&names);
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
        let charged = Charged {
            delta: &usage.delta,
            share,
            prices,
            living,
            now,
        };
        self.groups.charge(&mine.workload, &charged);
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
        self.groups.charge(&named(&self.names, workload), &charged);
    }

    /// Closes the books of one sample: rests what did nothing, keeps the largest ended processes, folds the others, drops
    /// what ended longer than the retention ago.
    pub(super) fn close(&mut self, prices: &Prices, now: Duration) {
        let sequence = self.sequence;
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
        self.fold_ended(now);
        self.groups.close(prices, now, retention);
        self.ended.close(prices, now, retention);
        fit::table(&mut self.processes);
    }

    fn fold_ended(&mut self, now: Duration) {
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
    }

    fn fold(&mut self, mine: &ProcessAccount, now: Duration) {
        let expired = mine
            .ended
            .is_some_and(|e| now.saturating_sub(e) > self.keep.retention);
        let shown_all = mine.unshown.sequence <= self.shown_to_all;
        if shown_all || (expired && mine.unshown.counters == Counters::default()) {
            return;
        }
        let container = mine.workload.container.as_ref();
        let comm = &mine.process.comm;
        let (container, comm) = self.ended.take(container, comm, &mine.unshown, now);
        if mine.first < self.sequence {
            let moved = (mine.process.key, container, comm);
            self.moves.processes.push(moved);
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
                usage: mine.account.usage(mine.ended.is_none()),
            })
            .collect()
    }

    pub(super) fn containers(&self) -> Vec<ContainerSnapshot> {
        self.groups.containers()
    }

    pub(super) fn pods(&self) -> Vec<PodSnapshot> {
        self.groups.pods()
    }

    pub(super) fn vms(&self) -> Vec<VmSnapshot> {
        self.groups.vms()
    }

    pub(super) fn ended(&self) -> Vec<EndedSnapshot> {
        self.ended.snapshot()
    }
}

/// What a process belongs to, with the names that are known of it.
fn whose(host: &Host, names: &PodTable, process: &Process) -> Arc<Workload> {
    Arc::new(named(names, named_by_libvirt(classify(process), host)))
}

/// The workload with the names that are known of it.
fn named(names: &PodTable, workload: Workload) -> Workload {
    names.name(&workload).unwrap_or(workload)
}
