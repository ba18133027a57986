//! Sources in, snapshots out: what every process, container and virtual machine of a machine used.

mod accounts;
mod book;
mod builder;
mod child;
mod doctor;
mod fold;
mod measure;
mod rank;
mod snapshot;
mod zones;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::attribution::{Residual, Shares};
use crate::energy::Domain;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::usage::{Counters, Usage, UsageSource};
use crate::workload::classify_cgroup;

use accounts::{Accounts, Prices};
use zones::{DomainDelta, Zones};

pub use builder::{MonitorBuilder, UsageChoice};
pub use doctor::{Diagnosis, doctor};
pub use fold::Fold;
pub use measure::{EnergyMeter, MeasuredDomain, Measurement, Scope, Window};
pub use rank::{Ranked, WorkloadKind};
pub use snapshot::{
    ContainerSnapshot, DomainSnapshot, EndedSnapshot, NodeSnapshot, ProcessSnapshot, SampleCost,
    Snapshot, Sources, State, VmSnapshot, WorkloadEnergy, WorkloadUsage, ZoneSnapshot,
};

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
    busy: Duration,
    counters: Counters,
    sequence: u64,
    last: Option<Duration>,
    sources: Arc<Sources>,
    exported: Arc<AtomicU64>,
    process: u32,
}

/// Tells a monitor which of its snapshots were shown to somebody who watches growth, as a Prometheus scrape does.
///
/// A series that is first seen at its final value has grown by nothing, so what a process used that was born and died
/// between two exported snapshots goes to [`Snapshot::ended`], where its growth is seen. Without a mark, ended processes
/// simply keep an entry of their own for the retention.
#[derive(Clone, Debug)]
pub struct ExportMark(Arc<AtomicU64>);

impl ExportMark {
    /// `snapshot` was shown.
    pub fn exported(&self, snapshot: &Snapshot) {
        self.0.fetch_max(snapshot.sequence, Ordering::Relaxed);
    }
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
        ExportMark(self.exported.clone())
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
        let now = self.meter.with_book(|book| book.now());
        self.usage_source.sample(now, &mut self.usage)?;
        // Right behind the usage, so that both speak of the same interval.
        let (zones, busy_ratio) = (&mut self.zones, self.usage.node.busy_ratio());
        self.meter.with_book(|book| {
            book.read();
            zones.advance(book, busy_ratio);
        });
        self.sequence += 1;
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

    fn attribute(&mut self, now: Duration, deltas: &[DomainDelta]) {
        self.shares.by_cpu_time(&self.usage);
        self.busy += Duration::from_nanos(self.usage.node.busy_ns);
        self.counters.add(&self.usage.node.counters);
        for (sum, delta) in self.residuals.iter_mut().zip(deltas) {
            sum.add(&self.shares.residual(delta.energy.active));
        }
        self.accounts
            .begin(self.sequence, self.exported.load(Ordering::Relaxed));
        let living = self.usage.processes.iter().filter(|p| !p.ended).count();
        let prices = Prices::new(deltas.to_vec(), living);
        for (process, share) in self.usage.processes.iter().zip(&self.shares.processes) {
            self.accounts.charge(process, *share, &prices, now);
        }
        for (unnamed, share) in self.usage.unnamed.iter().zip(&self.shares.unnamed) {
            if let Some(container) = unnamed
                .cgroup
                .as_deref()
                .and_then(|path| classify_cgroup(path).container)
            {
                self.accounts
                    .charge_container(&container, &unnamed.delta, *share, &prices, now);
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
                residual_delta: self.shares.residual(deltas[d].energy.active),
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
                busy_ratio: self.usage.node.busy_ratio(),
                busy: self.busy,
                usage: self.usage.node.clone(),
                counters: self.counters,
                unexplained_ratio: self.shares.unexplained_ratio,
            },
            processes: self.accounts.processes(),
            containers: self.accounts.containers(),
            vms: self.accounts.vms(),
            ended: self.accounts.ended(),
            collected: self.usage.collected,
            sources: self.sources.clone(),
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
