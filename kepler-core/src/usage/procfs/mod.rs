//! What processes did, from `/proc` alone: no privilege, any kernel.

mod cgroup;
mod children;
mod stat;

use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::fit;
use crate::host::Host;
use crate::note::Note;
use crate::units::{CLOCK_TICK_NS, duration_ns};

use super::identity::Identity;
use super::node::NodeReader;
use super::view;
use super::{
    Counter, CounterSet, Counters, Process, ProcessKey, ProcessUsage, UnnamedUsage, Usage,
    UsageSource, UsageStats,
};
use cgroup::parse_cgroup;
use children::Children;
use stat::{Stat, parse_stat};

/// Usage from `/proc/PID/stat`: CPU time to 10 ms, by process.
///
/// What a process used between the last sample and its end, and what processes used that lived only between two samples, is
/// known once their parent waited for them: as [`Usage::unnamed`] of the parent's cgroup.
///
/// The cgroup is read again after an `exec` and, while the process uses CPU time, after 1, 2, 4 and then each 8 samples. An
/// `exec` is known by a new name, or by a new stack address where that may be seen.
#[derive(Debug)]
pub struct Procfs {
    host: Host,
    node: NodeReader,
    known: HashMap<u32, Known>,
    children: Children,
    /// Paths in use, with the ids of their groups.
    cgroups: HashMap<Arc<str>, u64>,
    sampled: Option<Duration>,
    pass: u64,
    stats: UsageStats,
    hidden: bool,
    /// Whether it is that of a pid namespace below the initial one.
    partial: bool,
    // Kept between samples, so that the steady state allocates nothing a process.
    pids: Vec<u32>,
    path: PathBuf,
    digits: String,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Known {
    process: Arc<Process>,
    start_ticks: u64,
    cpu_ticks: u64,
    children_ticks: u64,
    parent: u32,
    stack: u64,
    seen: u64,
    /// The pass at or after which the cgroup is read again, and how long to wait after that.
    look_at: u64,
    patience: u64,
}

/// `/proc/PID/stat` is some 350 bytes; 52 numbers of 20 digits and a name of 64 bytes would still fit.
const STAT_SIZE: usize = 2048;

/// The longest wait between two looks at the cgroup of a process that works, in samples.
const MOST_PATIENCE: u64 = 8;

/// A process is read some time after its sample began, so its rise may exceed the interval by as much.
const SLACK_NS: u64 = 250_000_000;

impl Procfs {
    /// Opens the source.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when there are no processes in `/proc` (not mounted, or all hidden), and as
    /// [`NodeReader::open`].
    pub fn open(host: &Host) -> Result<Self> {
        let node = NodeReader::open(host)?;
        let mut pids = Vec::new();
        host.numbered(host.proc(""), &mut pids)?;
        if pids.is_empty() {
            return Err(Error::Unsupported {
                what: "CPU time of processes".into(),
                why: format!("{} lists none", host.proc("").display()),
                hint: "mount procfs there, with hidepid=0".into(),
            });
        }
        // Each pid namespace has a process 1; with `hidepid` it is not listed, or listed and not readable.
        let hidden = host.prefix(host.proc("1/stat"), 1).is_err();
        let partial = !hidden && host.is_live() && !view::proc_shows_all(host);
        Ok(Self {
            host: host.clone(),
            node,
            known: HashMap::new(),
            children: Children::default(),
            cgroups: HashMap::new(),
            sampled: None,
            pass: 0,
            stats: UsageStats::default(),
            hidden,
            partial,
            pids,
            path: host.proc(""),
            digits: String::new(),
            bytes: vec![0; STAT_SIZE],
        })
    }

    /// Reads one process and books what it did.
    fn visit(&mut self, pid: u32, since: Option<Duration>, most_ns: u64, usage: &mut Usage) {
        self.digits.clear();
        let _infallible = write!(self.digits, "{pid}");
        self.path.push(&self.digits);
        self.path.push("stat");
        let mut bytes = std::mem::take(&mut self.bytes);
        let read = self.host.read_into(&self.path, &mut bytes);
        self.path.pop();
        self.path.pop();
        let found = match &read {
            Ok(size) => parse_stat(&bytes[..*size]),
            Err(error) => {
                // It ended between the listing and now, or it lives and cannot be read, which costs only its own figures.
                if error.kind() != ErrorKind::NotFound
                    && let Some(known) = self.known.get_mut(&pid)
                {
                    known.seen = self.pass;
                    usage.processes.push(unchanged(known, false));
                }
                None
            }
        };
        if let Some(stat) = found {
            self.stats.tasks += 1;
            self.book(pid, &stat, since, most_ns, usage);
        }
        self.bytes = bytes;
    }

    fn book(
        &mut self,
        pid: u32,
        stat: &Stat<'_>,
        since: Option<Duration>,
        most_ns: u64,
        usage: &mut Usage,
    ) {
        if let Some(known) = self.known.get(&pid)
            && known.start_ticks != stat.start_ticks
        {
            self.children.gone(known.parent, known.all_ticks());
            usage.processes.push(unchanged(known, true));
            self.known.remove(&pid);
        }
        let (ticks, children_ticks) = match self.known.get_mut(&pid) {
            Some(known) => known.grow(stat),
            None => {
                let new = self.meet(pid, stat);
                self.known.insert(pid, new);
                // The start time is cut to a tick.
                let start = stat
                    .start_ticks
                    .saturating_add(1)
                    .saturating_mul(CLOCK_TICK_NS);
                match since {
                    Some(since) if start > duration_ns(since) => {
                        (stat.cpu_ticks, stat.children_ticks)
                    }
                    _ => (0, 0),
                }
            }
        };
        let cpu_ns = believed(ticks, most_ns, usage, &mut self.stats);
        self.refresh(pid, stat, ticks > 0);
        if let Some(known) = self.known.get_mut(&pid) {
            known.seen = self.pass;
            let cgroup = known.process.cgroup.as_ref();
            self.children.collect(pid, cgroup, children_ticks);
            let mut use_of = unchanged(known, false);
            use_of.delta.cpu_ns = cpu_ns;
            usage.processes.push(use_of);
        }
    }

    /// Marks as ended who was not seen in this pass, and books what was not seen of those that ended.
    fn bury(&mut self, most_ns: u64, usage: &mut Usage) {
        let pass = self.pass;
        self.known.retain(|_, known| {
            if known.seen != pass {
                self.children.gone(known.parent, known.all_ticks());
                usage.processes.push(unchanged(known, true));
            }
            known.seen == pass
        });
        fit::table(&mut self.known);
        let (stats, hidden, ids) = (&mut self.stats, self.hidden, &self.cgroups);
        self.children.settle(|cgroup, ticks| {
            // A child that was hidden may have lived for years.
            if hidden {
                return;
            }
            let cpu_ns = believed(ticks, most_ns, usage, stats);
            let delta = Counters {
                cpu_ns,
                ..Counters::default()
            };
            match usage.unnamed.iter_mut().find(|one| one.cgroup == cgroup) {
                Some(one) => one.delta.add(&delta),
                None => usage.unnamed.push(UnnamedUsage {
                    cgroup_id: cgroup
                        .as_ref()
                        .and_then(|path| ids.get(path).copied())
                        .unwrap_or(0),
                    cgroup,
                    delta,
                }),
            }
        });
    }

    /// Who a process is that was not seen before.
    fn meet(&mut self, pid: u32, stat: &Stat<'_>) -> Known {
        let identity = self.identity(pid, stat);
        let (cgroup, cgroup_id) = self.cgroup(pid).unzip();
        Known {
            process: Arc::new(Process {
                key: ProcessKey {
                    pid,
                    start_ns: stat.start_ticks.saturating_mul(CLOCK_TICK_NS),
                },
                comm: stat.comm.as_ref().into(),
                exe: identity.exe,
                command: identity.command,
                cgroup,
                cgroup_id: cgroup_id.unwrap_or(0),
                kernel: stat.kernel,
            }),
            start_ticks: stat.start_ticks,
            cpu_ticks: stat.cpu_ticks,
            children_ticks: stat.children_ticks,
            parent: stat.parent,
            stack: stat.stack,
            seen: self.pass,
            look_at: self.pass + 1,
            patience: 1,
        }
    }

    /// Reads again what may have changed about a known process.
    fn refresh(&mut self, pid: u32, stat: &Stat<'_>, active: bool) {
        let Some(known) = self.known.get(&pid) else {
            return;
        };
        let renamed = *known.process.comm != *stat.comm;
        // A zombie has no stack any more: what is known of it stays.
        let executed = stat.stack > 1 && known.stack != stat.stack;
        let due = active && self.pass >= known.look_at;
        if !(renamed || executed || due) {
            return;
        }
        let old = known.process.clone();
        let mut process = (*old).clone();
        if renamed || executed {
            let identity = self.identity(pid, stat);
            (process.exe, process.command) = (identity.exe, identity.command);
            process.comm = if renamed {
                stat.comm.as_ref().into()
            } else {
                process.comm
            };
        }
        if let Some((cgroup, id)) = self.cgroup(pid) {
            (process.cgroup, process.cgroup_id) = (Some(cgroup), id);
        }
        if let Some(known) = self.known.get_mut(&pid) {
            if executed {
                known.stack = stat.stack;
            }
            if process.cgroup != old.cgroup {
                known.patience = 1;
            }
            known.look_at = self.pass + known.patience;
            known.patience = (known.patience * 2).min(MOST_PATIENCE);
            if process != *old {
                known.process = Arc::new(process);
            }
        }
    }

    fn identity(&self, pid: u32, stat: &Stat<'_>) -> Identity {
        if stat.kernel {
            Identity::default()
        } else {
            Identity::read(&self.host, pid)
        }
    }

    /// The cgroup's path, the same `Arc` for each process in it, and its id; `None` when it cannot be read.
    fn cgroup(&mut self, pid: u32) -> Option<(Arc<str>, u64)> {
        let file = self.host.proc(format!("{pid}/cgroup"));
        let text = self.host.text(file).ok()?;
        let (folders, path) = parse_cgroup(&text)?;
        if let Some((path, id)) = self.cgroups.get_key_value(path) {
            return Some((path.clone(), *id));
        }
        let id = folders.iter().find_map(|folder| {
            let root = self.host.sys("fs/cgroup").join(folder);
            self.host
                .inode(root.join(path.trim_start_matches('/')))
                .ok()
        });
        let (path, id): (Arc<str>, _) = (path.into(), id.unwrap_or(0));
        self.cgroups.insert(path.clone(), id);
        Some((path, id))
    }
}

impl UsageSource for Procfs {
    fn name(&self) -> &'static str {
        "procfs"
    }

    fn sample(&mut self, now: Duration, usage: &mut Usage) -> Result<()> {
        usage.processes.clear();
        usage.unnamed.clear();
        (usage.lost, usage.pending, usage.refused_ns) = (Counters::default(), 0, 0);
        usage.collected = CounterSet::EMPTY.with(Counter::CpuTime);
        self.node.look(now)?;
        self.pids.clear();
        self.host.numbered(self.host.proc(""), &mut self.pids)?;
        self.node.book(&mut usage.node);
        let since = self.sampled.replace(now);
        let elapsed = duration_ns(now.saturating_sub(since.unwrap_or(now)));
        let most_ns = elapsed
            .saturating_add(SLACK_NS)
            .saturating_mul(u64::from(usage.node.cpus));
        self.pass += 1;
        self.stats.tasks = 0;
        let pids = std::mem::take(&mut self.pids);
        for pid in &pids {
            self.visit(*pid, since, most_ns, usage);
        }
        self.pids = pids;

        self.bury(most_ns, usage);
        if self.pass.is_multiple_of(64) {
            self.cgroups.retain(|path, _| Arc::strong_count(path) > 1);
        }
        usage.stats = self.stats;
        Ok(())
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes = vec![Note::on(
            "procfs",
            "CPU time to 10 ms, by process; what lived between two samples is not seen",
        )];
        if self.partial {
            notes.push(view::partial(
                "/proc shows only the processes of one pid namespace",
            ));
        }
        if self.hidden {
            notes.push(Note {
                part: "processes of other users".into(),
                active: false,
                why: format!(
                    "{} cannot be read: the mount hides them (hidepid)",
                    self.host.proc("1/stat").display()
                ),
                hint: "run as root, in the group that the mount's gid= names, or mount procfs with hidepid=0".into(),
            });
        }
        notes
    }
}

impl Known {
    /// What its CPU time and that of its children grew by.
    fn grow(&mut self, stat: &Stat<'_>) -> (u64, u64) {
        let grown = (
            stat.cpu_ticks.saturating_sub(self.cpu_ticks),
            stat.children_ticks.saturating_sub(self.children_ticks),
        );
        self.cpu_ticks = self.cpu_ticks.max(stat.cpu_ticks);
        self.children_ticks = self.children_ticks.max(stat.children_ticks);
        self.parent = stat.parent;
        grown
    }

    fn all_ticks(&self) -> u64 {
        self.cpu_ticks.saturating_add(self.children_ticks)
    }
}

/// `ticks` in nanoseconds, or 0 where that is more than the CPUs could have done.
fn believed(ticks: u64, most_ns: u64, usage: &mut Usage, stats: &mut UsageStats) -> u64 {
    let cpu_ns = ticks.saturating_mul(CLOCK_TICK_NS);
    if cpu_ns <= most_ns {
        return cpu_ns;
    }
    usage.refused_ns = usage.refused_ns.saturating_add(cpu_ns);
    stats.refused += 1;
    0
}

fn unchanged(known: &Known, ended: bool) -> ProcessUsage {
    ProcessUsage {
        process: known.process.clone(),
        delta: Counters::default(),
        ended,
    }
}
