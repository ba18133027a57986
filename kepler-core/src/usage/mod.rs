//! What tasks did: CPU time and events per process, from the kernel by eBPF or from `/proc`.

mod clocks;
#[cfg(feature = "ebpf")]
pub mod ebpf;
#[cfg(feature = "nvml")]
mod gpu;
mod identity;
mod node;
mod procfs;
mod scripted;
mod view;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};
pub(crate) use crate::note::Note;

pub use crate::process::{Process, ProcessKey};
pub(crate) use clocks::{cgroup_cpu_time, group_cpu_time};
#[cfg(feature = "nvml")]
pub use gpu::GpuReader;
pub use node::NodeReader;
pub(crate) use node::keeps_steal_apart;
pub use procfs::Procfs;
pub use scripted::Scripted;

/// Counts of what ran. Each is cumulative or a difference, as its holder says; see [`CounterSet`] for which are collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Time on a CPU in nanoseconds.
    pub cpu_ns: u64,
    /// Soft interrupts that sent to the network, taken while it ran.
    pub net_tx_irq: u64,
    /// Soft interrupts that received from the network, taken while it ran.
    pub net_rx_irq: u64,
    /// Soft interrupts of block devices, taken while it ran.
    pub block_irq: u64,
    /// Pages found in or put into the page cache.
    pub page_cache_hits: u64,
    /// Voluntary and involuntary context switches.
    pub context_switches: u64,
    /// CPU cycles, by hardware counter.
    pub cycles: u64,
    /// Instructions, by hardware counter.
    pub instructions: u64,
    /// Last-level cache misses, by hardware counter.
    pub cache_misses: u64,
}

/// One of the [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Counter {
    /// [`Counters::cpu_ns`].
    CpuTime,
    /// [`Counters::net_tx_irq`].
    NetTxIrq,
    /// [`Counters::net_rx_irq`].
    NetRxIrq,
    /// [`Counters::block_irq`].
    BlockIrq,
    /// [`Counters::page_cache_hits`].
    PageCacheHits,
    /// [`Counters::context_switches`].
    ContextSwitches,
    /// [`Counters::cycles`].
    Cycles,
    /// [`Counters::instructions`].
    Instructions,
    /// [`Counters::cache_misses`].
    CacheMisses,
}

impl Counter {
    /// Every counter, in the order of the fields of [`Counters`].
    pub const ALL: [Self; 9] = [
        Self::CpuTime,
        Self::NetTxIrq,
        Self::NetRxIrq,
        Self::BlockIrq,
        Self::PageCacheHits,
        Self::ContextSwitches,
        Self::Cycles,
        Self::Instructions,
        Self::CacheMisses,
    ];

    /// The name of its field in [`Counters`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CpuTime => "cpu_ns",
            Self::NetTxIrq => "net_tx_irq",
            Self::NetRxIrq => "net_rx_irq",
            Self::BlockIrq => "block_irq",
            Self::PageCacheHits => "page_cache_hits",
            Self::ContextSwitches => "context_switches",
            Self::Cycles => "cycles",
            Self::Instructions => "instructions",
            Self::CacheMisses => "cache_misses",
        }
    }
}

impl std::str::FromStr for Counter {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|counter| counter.as_str() == name);
        found.ok_or_else(|| Error::NotFound {
            what: "counter",
            name: name.to_owned(),
            hint: format!("one of {}", Self::ALL.map(Self::as_str).join(", ")),
        })
    }
}

/// Which [`Counters`] a source collects here. A counter outside the set is absent, not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterSet(u16);

impl CounterSet {
    /// No counter.
    pub const EMPTY: Self = Self(0);

    /// This set and `counter`.
    #[must_use]
    pub const fn with(self, counter: Counter) -> Self {
        Self(self.0 | 1 << counter as u16)
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `counter` is in the set.
    pub const fn contains(self, counter: Counter) -> bool {
        self.0 & (1 << counter as u16) != 0
    }
}

impl FromIterator<Counter> for CounterSet {
    fn from_iter<I: IntoIterator<Item = Counter>>(counters: I) -> Self {
        counters.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl Counters {
    /// One of the counts.
    pub fn get(&self, counter: Counter) -> u64 {
        match counter {
            Counter::CpuTime => self.cpu_ns,
            Counter::NetTxIrq => self.net_tx_irq,
            Counter::NetRxIrq => self.net_rx_irq,
            Counter::BlockIrq => self.block_irq,
            Counter::PageCacheHits => self.page_cache_hits,
            Counter::ContextSwitches => self.context_switches,
            Counter::Cycles => self.cycles,
            Counter::Instructions => self.instructions,
            Counter::CacheMisses => self.cache_misses,
        }
    }

    /// Adds `other`, count by count, saturating.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, u64::saturating_add);
    }

    /// The growth from `earlier` to this, count by count; a count that fell grew by 0.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        self.zip(earlier, u64::saturating_sub);
        self
    }

    /// CPU time in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        Duration::from_nanos(self.cpu_ns).as_secs_f64()
    }

    /// CPUs that it kept busy on average over this time; `None` where no time passed.
    pub fn cpus(&self, time: Duration) -> Option<f64> {
        (!time.is_zero()).then(|| self.cpu_seconds() / time.as_secs_f64())
    }

    /// What they would be in another time at the same rate; 0 where they were counted over no time.
    #[must_use]
    pub fn in_proportion(mut self, time: Duration, counted: Duration) -> Self {
        let (time, counted) = (time.as_nanos(), counted.as_nanos());
        self.zip(&Self::default(), |count, _| {
            let scaled = u128::from(count)
                .saturating_mul(time)
                .checked_div(counted)
                .unwrap_or(0);
            u64::try_from(scaled).unwrap_or(u64::MAX)
        });
        self
    }

    fn zip(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        for (mine, theirs) in [
            (&mut self.cpu_ns, other.cpu_ns),
            (&mut self.net_tx_irq, other.net_tx_irq),
            (&mut self.net_rx_irq, other.net_rx_irq),
            (&mut self.block_irq, other.block_irq),
            (&mut self.page_cache_hits, other.page_cache_hits),
            (&mut self.context_switches, other.context_switches),
            (&mut self.cycles, other.cycles),
            (&mut self.instructions, other.instructions),
            (&mut self.cache_misses, other.cache_misses),
        ] {
            *mine = op(*mine, theirs);
        }
    }
}

/// What one process did since the last sample.
#[derive(Clone, Debug)]
pub struct ProcessUsage {
    /// Who it is. The same `Arc` from sample to sample until comm, executable or cgroup change.
    pub process: Arc<Process>,
    /// What it did since the last sample, dead threads included.
    pub delta: Counters,
    /// It ended, and `delta` is the last there will be.
    pub ended: bool,
}

/// What was done by processes of one cgroup whose names are not known: with eBPF because the ring of exit records was full,
/// with `/proc` because they ended between two samples.
#[derive(Clone, Debug)]
pub struct UnnamedUsage {
    /// The cgroup's path; `None` when even that is unknown.
    pub cgroup: Option<Arc<str>>,
    /// The cgroup's id in the chosen hierarchy; 0 when unknown.
    pub cgroup_id: u64,
    /// What they did since the last sample.
    pub delta: Counters,
}

/// What the whole machine did since the last sample, measured apart from the tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeUsage {
    /// Online CPUs.
    pub cpus: u32,
    /// The real time between the two samples; zero on the first.
    pub interval: Duration,
    /// CPU time that was neither idle nor waiting for I/O nor stolen, in nanoseconds over all CPUs.
    pub busy_ns: u64,
    /// Idle and I/O wait, in nanoseconds over all CPUs.
    pub idle_ns: u64,
    /// Time that a hypervisor gave to others, in nanoseconds over all CPUs.
    pub steal_ns: u64,
    /// Time in hard and soft interrupts, where the kernel keeps it apart from the tasks' own time.
    pub interrupt_ns: Option<u64>,
    /// Events of the whole machine, the idle task's included. `cpu_ns` is not used here: see `busy_ns`.
    pub counters: Counters,
}

impl NodeUsage {
    /// Busy share of the CPU time this machine was given: 1 - (idle + iowait) / (total - steal), 0 to 1. `None` when no
    /// time passed.
    pub fn busy_ratio(&self) -> Option<f64> {
        let given = self.busy_ns + self.idle_ns;
        (given > 0)
            .then(|| crate::units::count_to_f64(self.busy_ns) / crate::units::count_to_f64(given))
    }
}

/// All that one sample of a [`UsageSource`] saw. Reused from sample to sample.
#[derive(Debug, Default)]
pub struct Usage {
    /// Every process that lives, and every one that ended since the last sample.
    pub processes: Vec<ProcessUsage>,
    /// What processes did whose names were lost, by cgroup.
    pub unnamed: Vec<UnnamedUsage>,
    /// What processes did whose names and cgroups were lost.
    pub lost: Counters,
    /// Processes that are gone but whose final record has not come yet; their CPU time is still owed.
    pub pending: u64,
    /// CPU time that was not believed (a step above elapsed time x CPUs), in nanoseconds.
    pub refused_ns: u64,
    /// What the machine did.
    pub node: NodeUsage,
    /// Who used the graphics processors.
    pub gpus: Vec<GpuUsage>,
    /// Which counters are collected.
    pub collected: CounterSet,
    /// What it took.
    pub stats: UsageStats,
}

/// Who used one graphics processor in an interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuUsage {
    /// Its number, as its energy zone's.
    pub index: u32,
    /// Processes by their share of its work. The shares add up to 1, or there is none where nobody worked.
    pub processes: Vec<(u32, f64)>,
    /// Whether no process held it at all, so that it drew what it draws idle.
    pub unused: bool,
}

/// What a sample of usage took and what went wrong, cumulative since the source was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct UsageStats {
    /// Tasks (threads) looked at by the last sample.
    pub tasks: u64,
    /// Exit records received.
    pub exit_records: u64,
    /// Exit records that did not fit into the ring and went to their cgroup's total.
    pub exit_records_dropped: u64,
    /// Exit records that lost even their cgroup.
    pub exit_records_lost: u64,
    /// Processes whose final record never came; the last seen total was booked.
    pub pending_expired: u64,
    /// Steps that were not believed.
    pub refused: u64,
    /// Share of the time that hardware counters counted, 0 to 1: below 1 they had to share the processor's counters with
    /// others, and are scaled up by it. `None` when none is collected.
    pub counters_running: Option<f64>,
}

/// Something that knows what tasks did. Implemented by the eBPF source, the `/proc` source and the scripted one.
pub trait UsageSource: Send {
    /// The name, such as `ebpf` or `procfs`.
    fn name(&self) -> &'static str;

    /// Takes a sample at time `now` (since boot), replacing what `usage` held. The first one is a baseline: its deltas
    /// are zero.
    ///
    /// # Errors
    /// Only when nothing at all could be read; one unreadable process costs its own fields, nothing else.
    fn sample(&mut self, now: Duration, usage: &mut Usage) -> Result<()>;

    /// Which parts of it work here, and why others do not.
    fn notes(&self) -> Vec<Note>;
}
