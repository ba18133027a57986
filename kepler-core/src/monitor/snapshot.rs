//! Plain data: all that one sample knows. Nothing here reads, and nothing here changes after it was made.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::attribution::{IdleShare, IdleSplit, Residual, Split};
use crate::energy::{Domain, PowerPart, Zone};
use crate::note::Note;
use crate::provenance::Provenance;
use crate::units::{Joules, Watts};
use crate::usage::{CounterSet, Counters, NodeUsage, Process, ProcessKey, UsageStats};
use crate::workload::{Container, Pod, VirtualMachine, Workload};

use super::models::ModelFetches;

/// The name of an entry of workloads that have none of their own.
pub(super) const OTHER: &str = "(other)";

/// One zone since the monitor started.
#[derive(Clone, Debug, Serialize)]
pub struct ZoneSnapshot {
    /// Which zone.
    pub zone: Arc<Zone>,
    /// Energy since the monitor started; never falls.
    pub energy: Split<Joules>,
    /// Mean power over the last interval; `None` when the zone could not be read in it.
    pub power: Option<Split<Watts>>,
    /// Where the figures come from.
    pub provenance: Arc<Provenance>,
    /// Intervals in which the meter could not be read.
    pub failures: u64,
    /// Steps of the counter that were not believed.
    pub refused: u64,
    /// Intervals in which the counter may have wrapped more than once.
    pub ambiguous: u64,
}

/// All zones of one domain (packages of all sockets, say) since the monitor started.
#[derive(Clone, Debug, Serialize)]
pub struct DomainSnapshot {
    /// Which domain.
    pub domain: Domain,
    /// Energy since the monitor started; never falls.
    pub energy: Split<Joules>,
    /// Mean power over the last interval; `None` on the first sample and when a zone of it could not be read.
    pub power: Option<Split<Watts>>,
    /// What of `energy.active` no process was charged with: `active = processes + residual`.
    pub residual: Residual,
    /// What of `energy.idle` no process carries.
    pub idle_residual: Joules,
    /// The residual of the last interval alone.
    pub residual_delta: Residual,
    /// Energy of the last interval alone.
    pub delta: Split<Joules>,
    /// Where the figures come from.
    pub provenance: Arc<Provenance>,
}

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSnapshot {
    /// Every zone, apart.
    pub zones: Vec<ZoneSnapshot>,
    /// Zones put together by domain, in the order of [`Domain`]. Domains overlap: they are never added up.
    pub domains: Vec<DomainSnapshot>,
    /// What the power of zones is made of, where a meter tells: the power supplies of a machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PowerPart>,
    /// Busy share of the CPU time in the last interval, 0 to 1.
    pub busy_ratio: Option<f64>,
    /// Busy CPU time since the monitor started.
    pub busy: Duration,
    /// What the machine did in the last interval.
    #[serde(skip)]
    pub usage: NodeUsage,
    /// Events of the whole machine since the monitor started.
    pub counters: Counters,
    /// Busy time of the last interval that no task, interrupt or lost record accounts for, as a share of busy time; below
    /// 0 where the tasks explain more than was busy (their shares are then scaled to add up).
    pub unexplained_ratio: Option<f64>,
}

/// Energy of one workload in one domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WorkloadEnergy {
    /// Active energy since it was first seen; never falls.
    pub joules: Joules,
    /// Its share of the machine's idle energy since it was first seen: each living process carries the same, or by its share
    /// of the busy time where [`Snapshot::idle_share`] says so.
    pub idle: Joules,
    /// Mean active power over the last interval: 0 W after it ended; `None` on the first sample and when the domain could
    /// not be read.
    pub watts: Option<Watts>,
    /// Its share of the mean idle power over the last interval, as `watts`.
    pub idle_watts: Option<Watts>,
}

/// Whether a workload lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It lives.
    Running,
    /// It ended; its totals are final.
    Terminated,
}

impl State {
    /// The name as the metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Terminated => "terminated",
        }
    }
}

/// What one workload used since it was first seen.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadUsage {
    /// Whether it lives.
    pub state: State,
    /// CPU time and events since it was first seen.
    pub counters: Counters,
    /// Energy by domain, in the order of [`NodeSnapshot::domains`].
    pub energy: Box<[WorkloadEnergy]>,
}

/// One process.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessSnapshot {
    /// Who it is.
    pub process: Arc<Process>,
    /// What it belongs to.
    pub workload: Arc<Workload>,
    /// What it used.
    #[serde(flatten)]
    pub usage: WorkloadUsage,
}

/// One container: its processes, those that ended included.
#[derive(Clone, Debug, Serialize)]
pub struct ContainerSnapshot {
    /// Which container.
    pub container: Arc<Container>,
    /// The pod it belongs to.
    pub pod: Option<Arc<Pod>>,
    /// What it used.
    #[serde(flatten)]
    pub usage: WorkloadUsage,
}

/// One pod: its containers, those that were restarted or ended included, and its processes outside of them.
#[derive(Clone, Debug, Serialize)]
pub struct PodSnapshot {
    /// Which pod; its names are absent where no pod table told them.
    pub pod: Arc<Pod>,
    /// What it used.
    #[serde(flatten)]
    pub usage: WorkloadUsage,
}

/// One virtual machine.
#[derive(Clone, Debug, Serialize)]
pub struct VmSnapshot {
    /// Which machine.
    pub vm: Arc<VirtualMachine>,
    /// What it used.
    #[serde(flatten)]
    pub usage: WorkloadUsage,
}

/// Ended processes that have no entry of their own, together by container and name.
///
/// Holds what no snapshot marked as exported has shown of them (all of it, for a process that was born and died between
/// two), so that the sum of the growths of all series is what was used. Exists from the first sample on, and never falls.
#[derive(Clone, Debug, Serialize)]
pub struct EndedSnapshot {
    /// The container they ran in.
    pub container: Option<Arc<Container>>,
    /// Their name.
    pub comm: Arc<str>,
    /// How many.
    pub count: u64,
    /// What they used.
    #[serde(flatten)]
    pub usage: WorkloadUsage,
}

/// What a workload is told apart by among those of its level.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    Process(ProcessKey),
    /// Ended processes of one name in one container.
    Ended(Option<Arc<str>>, Arc<str>),
    /// A container, pod or virtual machine.
    Group(Arc<str>),
}

/// What passed in one sample from entries of processes to those of ended ones together, so that [`Fold`](super::Fold) tells
/// nothing twice.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// The newest sample that had been marked as exported; 0 when none had.
    pub(super) exported: u64,
    /// Processes all of whose earlier use an exported snapshot has shown, so that it no longer passes on with them.
    pub(super) shown: Vec<ProcessKey>,
    /// Processes that earlier samples had, and the container and name of the entry they went to.
    pub(super) processes: Vec<(ProcessKey, Option<Arc<str>>, Arc<str>)>,
    /// Workloads, of any level, that are there and have no entry of their own now.
    pub(crate) folded: Vec<Id>,
}

/// Which sources are in use and why not others.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sources {
    /// Names of the energy sources in use.
    pub energy: Vec<String>,
    /// Name of the usage source in use.
    pub usage: String,
    /// Every part that was tried: what works, what does not, why, and what would change it.
    pub notes: Vec<Note>,
}

/// What taking a sample cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct SampleCost {
    /// Wall time of the sample.
    pub wall: Duration,
    /// CPU time of the sample.
    pub cpu: Duration,
}

/// All that one sample knows.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Counts the samples of one monitor from 1.
    pub sequence: u64,
    /// When it was taken.
    pub time: SystemTime,
    /// When it was taken, since boot.
    pub since_boot: Duration,
    /// The real time since the sample before; `None` on the first.
    pub interval: Option<Duration>,
    /// The machine.
    pub node: NodeSnapshot,
    /// Processes that live, and the largest of those that ended within the retention.
    pub processes: Vec<ProcessSnapshot>,
    /// Containers that live, and those that ended within the retention.
    pub containers: Vec<ContainerSnapshot>,
    /// Pods that live, and those that ended within the retention.
    pub pods: Vec<PodSnapshot>,
    /// Virtual machines that live, and those that ended within the retention.
    pub vms: Vec<VmSnapshot>,
    /// Ended processes without an entry of their own.
    pub ended: Vec<EndedSnapshot>,
    /// Which processes went to `ended` in this sample.
    #[serde(skip)]
    pub moves: Moves,
    /// Which counters are collected; the others are absent, not 0.
    #[serde(skip)]
    pub collected: CounterSet,
    /// How energy is split into active and idle.
    pub idle_split: IdleSplit,
    /// How idle energy is handed to workloads.
    pub idle_share: IdleShare,
    /// Which sources are in use.
    pub sources: Arc<Sources>,
    /// How fetching power models went; `None` where nobody fetches any.
    #[serde(skip)]
    pub model_fetches: Option<ModelFetches>,
    /// What collecting usage took, since the monitor started.
    pub stats: UsageStats,
    /// What the sample cost.
    pub cost: SampleCost,
}

impl Snapshot {
    /// What could not be had in the last interval, a line each; empty when all was.
    pub fn complaints(&self) -> Vec<String> {
        let missing = |zone: &&ZoneSnapshot| self.interval.is_some() && zone.power.is_none();
        let zones = self.node.zones.iter().filter(missing);
        zones
            .map(|zone| {
                format!(
                    "{} at {}: not read in the last interval; since the start {} readings failed and {} were not believed",
                    zone.zone.name, zone.zone.path, zone.failures, zone.refused
                )
            })
            .collect()
    }

    /// Ids of the containers that run in a pod and whose names nobody told yet: a newer pod list may.
    pub fn unnamed_containers(&self) -> impl Iterator<Item = &Arc<str>> {
        let running = self.containers.iter().filter(|c| {
            c.usage.state == State::Running && c.pod.is_some() && c.container.name.is_none()
        });
        running.map(|c| &c.container.id)
    }
}

/// For people: what is in use, then every part with why it is not.
impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let energy = if self.energy.is_empty() {
            "none".to_owned()
        } else {
            self.energy.join(", ")
        };
        write!(f, "energy: {energy}\nusage: {}", self.usage)?;
        self.notes
            .iter()
            .try_for_each(|note| write!(f, "\n  {note}"))
    }
}
