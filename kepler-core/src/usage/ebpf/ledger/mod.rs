//! The accounting, without the kernel: records in, usage out.
//!
//! An iterator pass is not atomic, an exit record comes late, and a full ring keeps some back. What is booked here is a
//! lower bound at each moment that becomes exact as the rest arrives; nothing is booked twice.

mod overflow;
mod who;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::fit;
use crate::units::duration_ns;
use crate::usage::identity::Identity;
use crate::usage::{Counters, ProcessKey, ProcessUsage, UnnamedUsage, Usage, UsageStats};

use super::record::{self, Events, Exit, LEADER, Task, Total};
use overflow::{Bucket, Overflow};
use who::Who;

/// Answers what the records leave open: names that lie elsewhere.
pub(super) trait Names {
    /// Executable and command line of a living process, by its pid in the reader's namespace.
    fn identity(&mut self, pid: u32) -> Identity;
    /// The path of a cgroup; `pid` is a living process in it, where there is one.
    fn cgroup(&mut self, id: u64, pid: Option<u32>) -> Option<Arc<str>>;
}

/// What is known of every process, from pass to pass.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    groups: Groups,
    overflow: Overflow,
    /// Whether records of processes that no pass ever saw are of another namespace.
    foreign: bool,
    /// Number of the pass in progress.
    pass: u64,
    /// When the pass in progress, the last complete one and the first complete one began.
    now_ns: u64,
    last_ns: Option<u64>,
    first_ns: Option<u64>,
    cpus: u64,
    stats: UsageStats,
}

type Groups = HashMap<ProcessKey, Group, BuildHasherDefault<KeyHasher>>;

/// One process: its threads, living and dead.
#[derive(Debug, Default)]
struct Group {
    who: Who,
    /// The pass that last saw it, and what that pass saw.
    pass: u64,
    living: Counters,
    dead_cpu_ns: u64,
    dead_switches: u64,
    /// Its final totals.
    last: Option<Counters>,
    /// The highest totals believed; `None` before the first pass that saw it ends.
    seen: Option<Counters>,
    /// When its totals were last as high as `seen`.
    as_of_ns: u64,
    /// Since when it is gone without its record.
    gone_ns: Option<u64>,
    /// Its last seen total was booked: whatever comes now has no name.
    booked: bool,
}

/// A process starts when its start time is taken, and shows a little later.
const START_SLACK_NS: u64 = 10_000_000;
/// A running task's time is as of the last tick, and a pass takes a while to come to a task.
const RISE_SLACK_NS: u64 = 100_000_000;
/// An exit record comes some 17 ms after the process went, on a busy machine up to a second. One that somebody keeps (an open
/// perf event does) comes whenever they let go, and its time then goes to its cgroup.
const PENDING_NS: u64 = 5_000_000_000;
/// How long a process whose record never came is remembered, so that it is not charged again if it does.
const BOOKED_NS: u64 = 600_000_000_000;

impl Ledger {
    /// An empty ledger. `foreign`: exit records also come from outside the namespace that passes see.
    pub(super) fn new(foreign: bool) -> Self {
        Self {
            foreign,
            ..Self::default()
        }
    }

    /// Starts a pass. Call [`Ledger::overflow`] next, then [`Ledger::task`], [`Ledger::exit`] and [`Ledger::finish`].
    pub(super) fn begin(&mut self, now: Duration, cpus: u32) {
        self.pass += 1;
        self.now_ns = duration_ns(now);
        self.cpus = self.cpus.max(u64::from(cpus)).max(1);
        self.stats.tasks = 0;
    }

    /// The cumulative overflow of a cgroup or of the machine. Must be read before the pass: what it holds is then gone
    /// from the pass.
    pub(super) fn overflow(&mut self, bucket: Bucket, total: &Total) {
        self.overflow.grown(bucket, total);
    }

    /// How many records found no room so far, and how many lost even their cgroup.
    pub(super) fn dropped(&mut self, records: u64, lost: u64) {
        self.stats.exit_records_dropped = records;
        self.stats.exit_records_lost = lost;
    }

    /// One task of the pass.
    pub(super) fn task(&mut self, task: &Task, events: Option<&Events>) {
        self.stats.tasks += 1;
        let key = ProcessKey {
            pid: task.tgid,
            start_ns: task.start_ns,
        };
        let group = self.groups.entry(key).or_default();
        if group.pass != self.pass {
            group.pass = self.pass;
            group.living = Counters::default();
            group.dead_cpu_ns = u64::MAX;
            group.dead_switches = u64::MAX;
        }
        let none = Events::default();
        group.living.add(&record::counters(
            task.cpu_ns,
            task.switches,
            events.unwrap_or(&none),
        ));
        group.dead_cpu_ns = group.dead_cpu_ns.min(task.dead_cpu_ns);
        group.dead_switches = group.dead_switches.min(task.dead_switches);
        if task.flags & LEADER != 0 {
            group.who.lives(task);
        }
    }

    /// The final record of a process.
    pub(super) fn exit(&mut self, exit: &Exit) {
        self.stats.exit_records += 1;
        let key = exit.key();
        if !self.groups.contains_key(&key) && (self.foreign || !self.born_here(key)) {
            return;
        }
        let group = self.groups.entry(key).or_default();
        group.who.ended(exit);
        group.last = Some(exit.counters());
    }

    /// Ends a complete pass: books what rose, and fills all of `usage` but the node's figures and `collected`.
    pub(super) fn finish(&mut self, names: &mut impl Names, usage: &mut Usage) {
        usage.processes.clear();
        usage.unnamed.clear();
        usage.lost = Counters::default();
        usage.pending = 0;
        usage.refused_ns = 0;
        let first = self.first_ns.is_none();
        let mut groups = std::mem::take(&mut self.groups);
        groups.retain(|key, group| self.settle(*key, group, names, usage));
        if first {
            self.overflow.forget();
        } else if self.overflow.is_open() {
            self.settle_overflow(&groups, names, usage);
        }
        fit::table(&mut groups);
        fit::list(&mut usage.processes);
        self.groups = groups;
        self.first_ns.get_or_insert(self.now_ns);
        self.last_ns = Some(self.now_ns);
        usage.stats = self.stats;
    }

    /// Processes that are remembered.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Books one process; whether it is to be remembered.
    fn settle(
        &mut self,
        key: ProcessKey,
        group: &mut Group,
        names: &mut impl Names,
        usage: &mut Usage,
    ) -> bool {
        if let Some(last) = group.last {
            self.settle_last(key, group, last, names, usage);
            return false;
        }
        if group.pass == self.pass {
            if !group.who.is_known() {
                return true;
            }
            (group.gone_ns, group.booked) = (None, false);
            let delta = self.rise(key, group, group.total(), usage);
            let process = group.who.named(key, false, names);
            usage.processes.push(ProcessUsage {
                process,
                delta,
                ended: false,
            });
            return true;
        }
        self.settle_gone(group, usage)
    }

    /// The record came: what it holds above what was booked is charged, and the process is over.
    fn settle_last(
        &mut self,
        key: ProcessKey,
        group: &mut Group,
        last: Counters,
        names: &mut impl Names,
        usage: &mut Usage,
    ) {
        let delta = self.rise(key, group, last, usage);
        if group.booked {
            add_unnamed(usage, group.who.cgroup(), names, delta);
            return;
        }
        let process = group.who.named(key, true, names);
        usage.processes.push(ProcessUsage {
            process,
            delta,
            ended: true,
        });
    }

    /// The process is gone, its record is not here yet.
    fn settle_gone(&mut self, group: &mut Group, usage: &mut Usage) -> bool {
        let gone_ns = *group.gone_ns.get_or_insert(self.now_ns);
        let waited = self.now_ns.saturating_sub(gone_ns);
        // Seen by a pass that did not end, or by one in which its leader was missing: nothing was ever booked.
        let (Some(process), Some(seen)) = (group.who.process(), &group.seen) else {
            return waited < PENDING_NS;
        };
        let cgroup = group.who.cgroup();
        if group.booked {
            if waited >= BOOKED_NS {
                self.overflow.gone_for_good(cgroup, seen);
            }
            return waited < BOOKED_NS;
        }
        group.booked = waited >= PENDING_NS;
        if !group.booked {
            usage.pending += 1;
        } else if !self.overflow.may_hold(cgroup) {
            self.stats.pending_expired += 1;
        }
        usage.processes.push(ProcessUsage {
            process: process.clone(),
            delta: Counters::default(),
            ended: group.booked,
        });
        true
    }

    /// What `total` adds to what was booked for this process. Books it.
    fn rise(
        &mut self,
        key: ProcessKey,
        group: &mut Group,
        total: Counters,
        usage: &mut Usage,
    ) -> Counters {
        let before = group.seen.unwrap_or_default();
        let since_ns = if group.seen.is_some() {
            group.as_of_ns
        } else {
            key.start_ns
        };
        let baseline = group.seen.is_none() && !self.born_since_last(key, group.last.is_some());
        let mut delta = total.since(&before);
        // Totals hold: a pass that missed a thread that just ended shows less than there was.
        let mut seen = before;
        seen.add(&delta);
        group.seen = Some(seen);
        if total.cpu_ns >= before.cpu_ns {
            group.as_of_ns = self.now_ns;
        }
        if baseline || self.first_ns.is_none() {
            return Counters::default();
        }
        let elapsed = self.now_ns.saturating_sub(since_ns);
        if delta.cpu_ns > (elapsed + RISE_SLACK_NS).saturating_mul(self.cpus) {
            self.stats.refused += 1;
            usage.refused_ns += delta.cpu_ns;
            delta.cpu_ns = 0;
        }
        delta
    }

    /// Whether all that a process did that is seen for the first time belongs to this ledger.
    fn born_since_last(&self, key: ProcessKey, ended: bool) -> bool {
        if ended {
            return self.born_here(key);
        }
        self.last_ns
            .is_some_and(|last| key.start_ns + START_SLACK_NS >= last)
    }

    /// A process that no pass saw ended before it could be visited: it is ours if it began after the first pass did.
    fn born_here(&self, key: ProcessKey) -> bool {
        self.first_ns
            .is_some_and(|first| key.start_ns + START_SLACK_NS >= first)
    }

    /// Books what overflowed, without what was booked before of those that are gone.
    fn settle_overflow(&mut self, groups: &Groups, names: &mut impl Names, usage: &mut Usage) {
        self.overflow.nobody_gone();
        for group in groups.values().filter(|group| group.gone_ns.is_some()) {
            if let Some(seen) = &group.seen {
                self.overflow.gone(group.who.cgroup(), seen);
            }
        }
        for (bucket, delta) in self.overflow.release() {
            match bucket {
                Some(id) => add_unnamed(usage, id, names, delta),
                None => usage.lost.add(&delta),
            }
        }
    }
}

fn add_unnamed(usage: &mut Usage, cgroup_id: u64, names: &mut impl Names, delta: Counters) {
    usage.unnamed.push(UnnamedUsage {
        cgroup: names.cgroup(cgroup_id, None),
        cgroup_id,
        delta,
    });
}

impl Group {
    /// A lower bound: a thread that died in the pass, after the leader was seen, is in neither sum.
    fn total(&self) -> Counters {
        let mut total = self.living;
        total.cpu_ns = total.cpu_ns.saturating_add(self.dead_cpu_ns);
        total.context_switches = total.context_switches.saturating_add(self.dead_switches);
        total
    }
}

/// Pids and start times are no one's to choose, so two multiplications do.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(29) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod trace;
