//! Sources in, snapshots out: what every process, container and virtual machine of a machine used.

mod account;
mod accounts;
mod book;
mod builder;
mod child;
mod doctor;
mod ended;
mod export;
mod fold;
mod groups;
mod measure;
mod models;
mod names;
mod rank;
mod snapshot;
mod sum;
mod zones;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::attribution::{IdleShare, IdleSplit, Residual, Shares};
use crate::energy::Domain;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::note::Note;
use crate::units::{Joules, Watts};
#[cfg(feature = "nvml")]
use crate::usage::GpuReader;
use crate::usage::{Counters, Usage, UsageSource};
use crate::workload::classify_cgroup;

use account::{Prices, Share};
use accounts::Accounts;
use zones::{DomainDelta, Judge, Zones};

pub use builder::{GpuChoice, MonitorBuilder, UsageChoice};
pub use doctor::{Diagnosis, doctor, doctor_with};
pub use export::ExportMark;
pub use fold::Fold;
pub use measure::{EnergyMeter, MeasuredDomain, Measurement, Scope, Window};
pub use models::{ModelFetches, Models};
pub use names::PodNames;
pub use rank::{Ranked, WorkloadKind};
#[cfg(feature = "metrics")]
pub(crate) use snapshot::Id;
pub use snapshot::{
    ContainerSnapshot, DomainSnapshot, EndedSnapshot, Moves, NodeSnapshot, PodSnapshot,
    ProcessSnapshot, SampleCost, Snapshot, Sources, State, VmSnapshot, WorkloadEnergy,
    WorkloadUsage, ZoneSnapshot,
};
#[cfg(feature = "metrics")]
pub(crate) use sum::Sum;

/// Watches one machine: each [`Monitor::sample`] tells what everything on it used since the sample before.
///
/// Several monitors can watch at once, each with its own totals. A monitor has no thread: it works when it is asked.
///
/// ```
/// use kepler_core::monitor::Monitor;
///
/// let mut monitor = Monitor::builder().fake().build()?;
/// monitor.sample()?; // the baseline
/// std::thread::sleep(std::time::Duration::from_millis(20));
/// let snapshot = monitor.sample()?;
/// for domain in &snapshot.node.domains {
///     let watts = domain.power.expect("the scripted meter never fails").total;
///     println!("{}: {watts} by {}", domain.domain, domain.provenance.source);
/// }
/// # Ok::<(), kepler_core::Error>(())
/// ```
pub struct Monitor {
    usage_source: Box<dyn UsageSource>,
    usage: Usage,
    zones: Zones,
    meter: EnergyMeter,
    shares: Shares,
    accounts: Accounts,
    domains: Vec<Domain>,
    residuals: Vec<Residual>,
    idle_residuals: Vec<Joules>,
    idle: IdlePolicy,
    #[cfg(feature = "nvml")]
    gpus: Option<GpuReader>,
    busy: Duration,
    counters: Counters,
    sequence: u64,
    last: Option<Duration>,
    sources: Arc<Sources>,
    names: PodNames,
    models: Option<Models>,
    model_fetches: Option<ModelFetches>,
    exported: ExportMark,
    process: u32,
}

/// What is done with idle energy.
#[derive(Clone, Copy, Debug, Default)]
struct IdlePolicy {
    split: IdleSplit,
    share: IdleShare,
    /// What a graphics processor draws idle.
    gpu: Option<Watts>,
}

impl Monitor {
    /// A builder with the defaults: this machine, the best sources that work here, 10 minutes of retention.
    pub fn builder() -> MonitorBuilder {
        MonitorBuilder::default()
    }

    /// Which sources are in use, and why not others.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// The domains that are metered or modeled here, in the order of every list of energies in a snapshot.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Measures blocks of code, processes, cgroups and commands with this monitor's meters, apart from its samples.
    pub fn meter(&self) -> &EnergyMeter {
        &self.meter
    }

    /// A handle that tells this monitor which snapshots were shown.
    pub fn export_mark(&self) -> ExportMark {
        self.exported.clone()
    }

    /// A handle that tells this monitor who the pods on its node are.
    pub fn pod_names(&self) -> PodNames {
        self.names.clone()
    }

    /// A handle that gives this monitor power models in place of the embedded one; `None` where energy is measured.
    pub fn models(&self) -> Option<Models> {
        self.models.clone()
    }

    /// Takes a sample. The first one is the baseline: nothing is booked from before it.
    ///
    /// # Errors
    /// [`Error::Forked`] in a child of the process that built the monitor; otherwise only when no task of the machine can be
    /// read at all. A meter that cannot be read is told in the snapshot.
    pub fn sample(&mut self) -> Result<Arc<Snapshot>> {
        if std::process::id() != self.process {
            return Err(Error::Forked("monitor"));
        }
        let (wall, cpu) = (Instant::now(), Host::thread_cpu_time());
        let now = self.meter.now();
        self.usage_source.sample(now, &mut self.usage)?;
        self.learn_models();
        // Right behind the usage, so that both speak of the same interval.
        #[cfg(feature = "nvml")]
        if let Some(gpus) = &mut self.gpus {
            gpus.read(&mut self.usage.gpus);
        }
        let judge = Judge {
            busy_ratio: self.usage.node.busy_ratio(),
            idle: self.idle.split,
            gpus: &self.usage.gpus,
            gpu_idle: self.idle.gpu,
        };
        let zones = &mut self.zones;
        let news = self.meter.with_book(|book| {
            book.read();
            zones.advance(book, &judge);
            book.news()
        });
        news.into_iter().for_each(|note| self.note(note));
        self.sequence += 1;
        self.learn_names();
        let deltas = self.zones.deltas();
        self.attribute(now, &deltas);
        let mut snapshot = self.snapshot(now, &deltas);
        snapshot.cost = SampleCost {
            wall: wall.elapsed(),
            cpu: Host::thread_cpu_time().saturating_sub(cpu),
        };
        self.last = Some(now);
        Ok(Arc::new(snapshot))
    }

    fn learn_names(&mut self) {
        let news = self.names.news();
        if let Some(table) = news.table {
            self.accounts.rename(table);
        }
        news.note.into_iter().for_each(|note| self.note(note));
    }

    /// Models get what the machine did, and new ones take over.
    fn learn_models(&mut self) {
        let Some(models) = &self.models else {
            return;
        };
        let news = models.news(self.usage.collected);
        self.meter.with_book(|book| {
            book.tell(&self.usage.node);
            news.given.into_iter().for_each(|model| book.give(model));
        });
        self.model_fetches = news.fetches;
        news.note.into_iter().for_each(|note| self.note(note));
    }

    /// What is said of a part is what was said of it last.
    fn note(&mut self, note: Note) {
        let mut sources = (*self.sources).clone();
        sources.notes.retain(|known| known.part != note.part);
        sources.notes.push(note);
        self.sources = Arc::new(sources);
    }

    fn attribute(&mut self, now: Duration, deltas: &[DomainDelta]) {
        self.shares.by_cpu_time(&self.usage);
        let zones = &self.zones;
        self.shares
            .by_gpu(&self.usage, |index| zones.gpu_active(index));
        let gpu = self.domains.iter().position(|d| *d == Domain::Gpu);
        self.busy += Duration::from_nanos(self.usage.node.busy_ns);
        self.counters.add(&self.usage.node.counters);
        for (place, (sum, delta)) in self.residuals.iter_mut().zip(deltas).enumerate() {
            sum.add(&self.shares.of(gpu == Some(place), delta.energy.active));
        }
        self.accounts.begin(self.sequence, self.exported.state(now));
        let living = self.usage.processes.iter().filter(|p| !p.ended).count();
        let prices = Prices::new(deltas.to_vec(), gpu, self.idle.share, living);
        let mut carried = 0.0;
        for (place, process) in self.usage.processes.iter().enumerate() {
            let share = Share {
                cpu: self.shares.processes[place],
                gpu: self.shares.gpu.get(place).copied().unwrap_or(0.0),
            };
            carried += prices.idle(share, !process.ended);
            self.accounts.charge(process, share, &prices, now);
        }
        for (sum, delta) in self.idle_residuals.iter_mut().zip(deltas) {
            *sum += delta.energy.idle * (1.0 - carried).max(0.0);
        }
        for (unnamed, share) in self.usage.unnamed.iter().zip(&self.shares.unnamed) {
            if let Some(path) = unnamed.cgroup.as_deref() {
                let workload = classify_cgroup(path);
                let share = Share {
                    cpu: *share,
                    gpu: 0.0,
                };
                self.accounts
                    .charge_unnamed(workload, &unnamed.delta, share, &prices, now);
            }
        }
        self.accounts.close(&prices, now);
    }

    fn snapshot(&self, now: Duration, deltas: &[DomainDelta]) -> Snapshot {
        let totals = self.zones.totals();
        let domains = self.domains.iter().enumerate().filter_map(|(d, domain)| {
            Some(DomainSnapshot {
                domain: *domain,
                energy: totals[d],
                power: deltas[d].power,
                residual: self.residuals[d],
                idle_residual: self.idle_residuals[d],
                residual_delta: (self.shares).of(*domain == Domain::Gpu, deltas[d].energy.active),
                delta: deltas[d].energy,
                provenance: self.zones.provenance(d)?,
            })
        });
        Snapshot {
            sequence: self.sequence,
            time: SystemTime::now(),
            since_boot: now,
            interval: self.last.map(|last| now.saturating_sub(last)),
            node: NodeSnapshot {
                domains: domains.collect(),
                zones: self.zones.snapshot(),
                parts: self.meter.with_book(|book| book.parts()),
                busy_ratio: self.usage.node.busy_ratio(),
                busy: self.busy,
                usage: self.usage.node.clone(),
                counters: self.counters,
                unexplained_ratio: self.shares.unexplained_ratio,
            },
            processes: self.accounts.processes(),
            containers: self.accounts.containers(),
            pods: self.accounts.pods(),
            vms: self.accounts.vms(),
            ended: self.accounts.ended(),
            moves: self.accounts.moves().clone(),
            collected: self.usage.collected,
            idle_split: self.idle.split,
            idle_share: self.idle.share,
            sources: self.sources.clone(),
            model_fetches: self.model_fetches,
            stats: self.usage.stats,
            cost: SampleCost::default(),
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("sources", &self.sources)
            .field("samples", &self.sequence)
            .finish_non_exhaustive()
    }
}
