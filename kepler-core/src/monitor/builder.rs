//! What a monitor watches and with what.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::attribution::{IdleShare, IdleSplit, Residual, Shares};
use crate::energy::{self, Domain, EnergySource, Meters, Scripted};
use crate::error::Result;
use crate::host::{Host, MachineSpec};
use crate::modeled::Modeled;
use crate::note::Note;
use crate::units::{Joules, Watts};
#[cfg(feature = "nvml")]
use crate::usage::GpuReader;
use crate::usage::{
    Counter, CounterSet, Counters, NodeReader, NodeUsage, Procfs, Usage, UsageSource,
};

use super::accounts::{Accounts, Keep};
use super::book::{Book, Clock, Meter, ModeledMeter};
use super::measure::EnergyMeter;
use super::models::Models;
use super::names::PodNames;
use super::snapshot::Sources;
use super::zones::Zones;
use super::{IdlePolicy, Monitor};

/// Where usage comes from.
#[derive(Default)]
pub enum UsageChoice {
    /// eBPF where the kernel allows it, else `/proc`.
    #[default]
    Auto,
    /// eBPF or an error.
    Ebpf,
    /// `/proc`, which needs no privilege.
    Procfs,
    /// A source of the caller's, such as a scripted one.
    Source(Box<dyn UsageSource>),
}

/// Options of a [`Monitor`]. Every option has a default that works on any machine.
pub struct MonitorBuilder {
    host: Host,
    usage: UsageChoice,
    counters: CounterSet,
    energy: Option<Vec<Box<dyn EnergySource>>>,
    meters: Meters,
    retention: Duration,
    ended_limit: usize,
    ended_least: Joules,
    clock: Clock,
    extra: Vec<Box<dyn EnergySource>>,
    idle: IdlePolicy,
    gpu: GpuChoice,
    for_models: CounterSet,
    #[cfg(feature = "nvml")]
    gpus: Option<GpuReader>,
}

/// Which graphics processors are metered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GpuChoice {
    /// Those that the driver of this machine tells of, in a build with the feature `nvml`.
    #[default]
    Auto,
    /// None.
    Off,
    /// Those that the NVML library at this path tells of.
    Library(PathBuf),
}

const RETENTION: Duration = Duration::from_secs(600);
const ENDED_LIMIT: usize = 500;

impl Default for MonitorBuilder {
    fn default() -> Self {
        Self {
            host: Host::default(),
            usage: UsageChoice::Auto,
            counters: CounterSet::EMPTY.with(Counter::CpuTime),
            energy: None,
            meters: Meters::default(),
            retention: RETENTION,
            ended_limit: ENDED_LIMIT,
            ended_least: Joules::ZERO,
            clock: Arc::new(Host::since_boot),
            extra: Vec::new(),
            idle: IdlePolicy::default(),
            gpu: GpuChoice::Auto,
            for_models: CounterSet::EMPTY,
            #[cfg(feature = "nvml")]
            gpus: None,
        }
    }
}

impl MonitorBuilder {
    /// The machine: roots other than `/proc` and `/sys`, for containers and tests.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// Where usage comes from; by default eBPF where the kernel allows it, else `/proc`.
    #[must_use]
    pub fn usage(mut self, usage: UsageChoice) -> Self {
        self.usage = usage;
        self
    }

    /// Counters wanted beyond CPU time. Their kernel hooks attach only then; one that cannot be had is told in
    /// [`Monitor::sources`].
    #[must_use]
    pub fn counters(mut self, counters: CounterSet) -> Self {
        self.counters = self.counters.union(counters);
        self
    }

    /// Counters wanted where energy is modeled, so that models of more than CPU time can be given
    /// ([`Monitor::models`]). Where it is measured their hooks cost nothing.
    #[must_use]
    pub fn counters_for_models(mut self, counters: CounterSet) -> Self {
        self.for_models = self.for_models.union(counters);
        self
    }

    /// Energy sources of the caller's instead of those of the host; each domain is read from the first that has it.
    #[must_use]
    pub fn energy(mut self, sources: Vec<Box<dyn EnergySource>>) -> Self {
        self.energy = Some(sources);
        self
    }

    /// Another energy source before those of the host or of [`energy`](Self::energy): a management controller, or a meter that a
    /// host shares with its guest. Its domains are read from it.
    #[must_use]
    pub fn with_energy(mut self, source: Box<dyn EnergySource>) -> Self {
        self.extra.push(source);
        self
    }

    /// A scripted meter of constant power, for tests and demonstrations: package 20 W, core 12 W, dram 4 W.
    #[must_use]
    pub fn fake(self) -> Self {
        let watts = [
            (Domain::Package, 20.0),
            (Domain::Core, 12.0),
            (Domain::Dram, 4.0),
        ];
        let meter = Scripted::constant(&watts.map(|(domain, watts)| (domain, Watts(watts))));
        self.energy(vec![Box::new(meter)])
    }

    /// Which of the host's meters to look for: powercap and sensors by default.
    #[must_use]
    pub fn meters(mut self, meters: Meters) -> Self {
        self.meters = meters;
        self
    }

    /// How long ended workloads keep their totals; 10 minutes by default.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How many ended processes keep an entry of their own, the largest first; 500 by default. The others are told
    /// together, by container and name.
    #[must_use]
    pub fn ended_limit(mut self, processes: usize) -> Self {
        self.ended_limit = processes;
        self
    }

    /// Energy in the first domain below which an ended process has no entry of its own, and is told together with others
    /// of its container and name; 0 by default.
    #[must_use]
    pub fn ended_least(mut self, energy: Joules) -> Self {
        self.ended_least = energy;
        self
    }

    /// What tells the time since boot; the kernel by default. For tests that let a day pass in a minute.
    #[must_use]
    pub fn clock(mut self, since_boot: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(since_boot);
        self
    }

    /// How energy is split into active and idle; by the busy share of the CPU time by default.
    #[must_use]
    pub fn idle(mut self, split: IdleSplit) -> Self {
        self.idle.split = split;
        self
    }

    /// How idle energy is handed to workloads; not at all by default: it is shown apart.
    #[must_use]
    pub fn idle_share(mut self, share: IdleShare) -> Self {
        self.idle.share = share;
        self
    }

    /// Which graphics processors are metered; those of this machine's driver by default.
    #[must_use]
    pub fn gpu(mut self, choice: GpuChoice) -> Self {
        self.gpu = choice;
        self
    }

    /// What each graphics processor draws idle; by default the least that it drew while nobody used it.
    #[must_use]
    pub fn gpu_idle(mut self, idle: Watts) -> Self {
        self.idle.gpu = Some(idle);
        self
    }

    /// Opens the sources.
    ///
    /// # Errors
    /// When the usage source that was asked for does not work here, or `/proc` cannot be read. A machine without any meter
    /// is no error: its energy is modeled.
    pub fn build(mut self) -> Result<Monitor> {
        let meter = self.open_meter()?;
        let mut notes = meter.notes().to_vec();
        let models = match meter.with_book(|book| book.has_model()) {
            true => Some(Models::new(MachineSpec::discover(&self.host)?)),
            false => None,
        };
        if models.is_some() {
            self.counters = self.counters.union(self.for_models);
        }
        let usage_source = open_usage(&self.host, self.usage, self.counters, &mut notes)?;
        let (domains, energy) = meter.with_book(|book| (book.domains().to_vec(), book.names()));
        let sources = Sources {
            energy,
            usage: usage_source.name().to_owned(),
            notes,
        };
        let keep = Keep {
            retention: self.retention,
            ended_processes: self.ended_limit,
            least: self.ended_least,
        };
        Ok(Monitor {
            usage_source,
            usage: Usage::default(),
            zones: Zones::default(),
            meter,
            shares: Shares::default(),
            accounts: Accounts::new(self.host, keep, domains.len()),
            residuals: vec![Residual::default(); domains.len()],
            idle_residuals: vec![Joules::ZERO; domains.len()],
            idle: self.idle,
            #[cfg(feature = "nvml")]
            gpus: self.gpus,
            domains,
            busy: Duration::ZERO,
            counters: Counters::default(),
            sequence: 0,
            last: None,
            sources: Arc::new(sources),
            names: PodNames::default(),
            models,
            model_fetches: None,
            exported: super::ExportMark::default(),
            process: std::process::id(),
        })
    }

    /// Opens the energy sources alone, to measure blocks of code and commands. Costs nothing until it is asked.
    ///
    /// # Errors
    /// When `/proc/stat` cannot be read.
    pub fn meter(mut self) -> Result<EnergyMeter> {
        self.open_meter()
    }

    fn open_meter(&mut self) -> Result<EnergyMeter> {
        let mut notes = Vec::new();
        let meters = self.open_meters(&mut notes)?;
        let mut node = NodeUsage::default();
        NodeReader::open(&self.host)?.read((self.clock)(), &mut node)?;
        let mut book = Book::new(meters, Arc::clone(&self.clock));
        book.read();
        Ok(EnergyMeter::new(book, self.host.clone(), node.cpus, notes))
    }

    /// The meters that were given or that the host has; the power model where it has none.
    fn open_meters(&mut self, notes: &mut Vec<Note>) -> Result<Vec<Meter>> {
        let extra = std::mem::take(&mut self.extra);
        notes.extend(extra.iter().map(|source| energy::found(&**source)));
        if let Some(given) = self.energy.take() {
            let all = extra.into_iter().chain(given);
            let mut meters: Vec<Meter> = all.map(Meter::Measured).collect();
            if matches!(self.gpu, GpuChoice::Library(_)) {
                meters.extend(self.open_gpu(notes));
            }
            return Ok(meters);
        }
        let (measured, tried) = energy::open(&self.host, &self.meters);
        notes.extend(tried);
        let all = extra.into_iter().chain(measured);
        let mut meters: Vec<Meter> = all.map(Meter::Measured).collect();
        if meters.is_empty() {
            meters.push(self.modeled(notes)?);
        }
        meters.extend(self.open_gpu(notes));
        Ok(meters)
    }

    #[cfg(feature = "nvml")]
    fn open_gpu(&mut self, notes: &mut Vec<Note>) -> Option<Meter> {
        let path = match &self.gpu {
            GpuChoice::Off => return None,
            GpuChoice::Auto if !self.host.is_live() => return None,
            GpuChoice::Auto => None,
            GpuChoice::Library(path) => Some(path.as_path()),
        };
        match energy::Nvml::open(&self.host, path) {
            Ok(source) => {
                notes.push(energy::found(&source));
                self.gpus = Some(GpuReader::new(source.library()));
                Some(Meter::Measured(Box::new(source)))
            }
            Err(error) => {
                notes.push(Note::off(energy::Nvml::NAME, &error, ""));
                None
            }
        }
    }

    #[cfg(not(feature = "nvml"))]
    fn open_gpu(&mut self, _: &mut Vec<Note>) -> Option<Meter> {
        None
    }

    /// The power model that stands in for meters.
    fn modeled(&self, notes: &mut Vec<Note>) -> Result<Meter> {
        let model = Modeled::embedded(&MachineSpec::discover(&self.host)?);
        notes.push(Note::on("power model", model.model().name().to_string()));
        let node = NodeReader::open(&self.host)?;
        Ok(Meter::Modeled(Box::new(ModeledMeter::new(model, node))))
    }
}

fn open_usage(
    host: &Host,
    choice: UsageChoice,
    counters: CounterSet,
    notes: &mut Vec<Note>,
) -> Result<Box<dyn UsageSource>> {
    let ebpf = |notes: &mut Vec<Note>| -> Result<Box<dyn UsageSource>> {
        let source = open_ebpf(host, counters)?;
        notes.extend(source.notes());
        Ok(source)
    };
    let procfs = |notes: &mut Vec<Note>| -> Result<Box<dyn UsageSource>> {
        let source = Procfs::open(host)?;
        notes.extend(source.notes());
        Ok(Box::new(source))
    };
    match choice {
        UsageChoice::Source(source) => {
            notes.extend(source.notes());
            Ok(source)
        }
        UsageChoice::Ebpf => ebpf(notes),
        UsageChoice::Procfs => procfs(notes),
        UsageChoice::Auto => match ebpf(notes) {
            Ok(source) => Ok(source),
            Err(error) => {
                notes.push(Note::off("ebpf", &error, EBPF_HINT));
                procfs(notes)
            }
        },
    }
}

#[cfg(feature = "ebpf")]
pub(super) fn open_ebpf(host: &Host, counters: CounterSet) -> Result<Box<dyn UsageSource>> {
    use crate::usage::ebpf::{Ebpf, Options};
    let options = Options {
        counters,
        ..Options::default()
    };
    Ok(Box::new(Ebpf::open(host, &options)?))
}

#[cfg(not(feature = "ebpf"))]
pub(super) fn open_ebpf(_: &Host, _: CounterSet) -> Result<Box<dyn UsageSource>> {
    Err(crate::error::Error::Unsupported {
        what: "eBPF".into(),
        why: "this build leaves it out".into(),
        hint: "build with the feature `ebpf`".into(),
    })
}

/// What to change stands in the error.
pub(super) const EBPF_HINT: &str = "/proc is used instead";
