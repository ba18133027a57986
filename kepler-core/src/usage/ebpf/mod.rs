//! What tasks did, told by the kernel: exact scheduler run time of every task, dead or alive, by eBPF.
//!
//! A task iterator reads what the scheduler counts anyway, so nothing runs while nobody looks; one tracepoint at the end of
//! each process brings its final totals. Hooks on hotter paths are attached only when a counter that needs them is wanted.

mod hierarchy;
mod hooks;
mod kernel;
mod ledger;
mod names;
mod pmu;
mod record;

use std::fmt;
use std::time::Duration;

use crate::error::Result;
use crate::host::Host;

use super::{CounterSet, Counters, NodeReader, Note, Usage, UsageSource};

use kernel::Kernel;
use ledger::Ledger;
use names::HostNames;

pub use hierarchy::Hierarchy;

/// How an [`Ebpf`] source is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Counters to collect besides CPU time and context switches, which cost nothing. Each attaches its hooks.
    pub counters: CounterSet,
    /// Bytes of the ring that holds exit records between two samples, rounded up to a power of two of at least a page. A
    /// record takes 72 bytes, 128 with events; what finds no room keeps its time and its cgroup, and loses its name.
    pub ring_bytes: u32,
    /// The hierarchy that names containers; `None` chooses `cpu`, `memory` or `pids` of version 1 where one is mounted, else
    /// the unified one.
    pub hierarchy: Option<Hierarchy>,
    /// Count software events in place of hardware ones, for tests and benches on machines without a PMU: nanoseconds of CPU
    /// clock as cycles, of task clock as instructions, page faults as cache misses.
    pub stand_ins: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            counters: CounterSet::EMPTY,
            ring_bytes: 512 << 10,
            hierarchy: None,
            stand_ins: false,
        }
    }
}

/// The eBPF source.
///
/// CPU time is the scheduler's own `sum_exec_runtime`, in nanoseconds. Needs `CAP_BPF` and `CAP_PERFMON`, a kernel with BTF
/// (`/sys/kernel/btf/vmlinux`), and no more.
pub struct Ebpf {
    kernel: Kernel,
    ledger: Ledger,
    names: HostNames,
    node: NodeReader,
    /// The machine's events up to the last sample.
    events: Option<Counters>,
    notes: Vec<Note>,
}

impl Ebpf {
    /// Loads the programs into the running kernel and attaches what is wanted.
    ///
    /// # Errors
    /// [`Error::Kernel`](crate::Error::Kernel) when the kernel refuses the task iterator or the exit hook, with what would
    /// change it; [`Error::Unsupported`](crate::Error::Unsupported) when `host` is not this machine or its kernel has no BTF.
    pub fn open(host: &Host, options: &Options) -> Result<Self> {
        let tree = hierarchy::Tree::choose(host, options.hierarchy);
        let mut notes = Vec::new();
        let kernel = Kernel::open(host, options, &tree, &mut notes)?;
        let source = Self {
            ledger: Ledger::new(kernel.is_nested()),
            kernel,
            names: HostNames::new(host, tree),
            node: NodeReader::open(host)?,
            events: None,
            notes,
        };
        kernel::give_back_memory();
        Ok(source)
    }

    /// Which counters are collected.
    pub fn collected(&self) -> CounterSet {
        self.kernel.collected()
    }
}

impl fmt::Debug for Ebpf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ebpf")
            .field("processes", &self.ledger.len())
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

impl UsageSource for Ebpf {
    fn name(&self) -> &'static str {
        "ebpf"
    }

    fn sample(&mut self, now: Duration, usage: &mut Usage) -> Result<()> {
        let cpus = self.node.look(now)?;
        let events = self.kernel.node()?;
        self.names.begin(now);
        self.ledger.begin(now, cpus);
        self.kernel.overflow(&mut self.ledger)?;
        self.kernel.pass(&mut self.ledger)?;
        // Nothing fails from here on, so that all that is told covers one interval.
        self.kernel.drain(&mut self.ledger, &mut self.names);
        self.node.book(&mut usage.node);
        if let Some(before) = self.events.replace(events) {
            usage.node.counters.add(&events.since(&before));
        }
        self.ledger.finish(&mut self.names, usage);
        usage.stats.counters_running = self.kernel.running_ratio();
        usage.collected = self.collected();
        Ok(())
    }

    fn notes(&self) -> Vec<Note> {
        self.notes.clone()
    }
}
