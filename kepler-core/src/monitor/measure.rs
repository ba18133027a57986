//! What a block of code, a process, a cgroup or a command used.

use std::fmt;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::energy::Domain;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::note::Note;
use crate::provenance::Provenance;
use crate::units::{Joules, Watts};
use crate::usage::group_cpu_time;

use super::book::{Book, Clock};

/// Measures blocks of code and commands. Cheap to clone: clones share the meters.
///
/// Blocks may overlap and nest, on any thread; each has its own clocks.
#[derive(Clone)]
pub struct EnergyMeter {
    book: Arc<Mutex<Book>>,
    /// The book's, apart from its lock: nobody's time waits until a meter was read.
    clock: Clock,
    host: Host,
    cpus: u32,
    process: u32,
    notes: Arc<[Note]>,
}

/// Whose CPU time a block is charged with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The calling thread alone. The block must end on the thread that began it.
    Thread,
    /// This process: all its threads, and its children that ended and were waited for in the block.
    #[default]
    Process,
    /// Another process, its ended threads included.
    Pid(u32),
    /// Everything in a cgroup, by its path below the hierarchy's root, such as `/system.slice/nginx.service`.
    Cgroup(String),
}

/// A block that has begun. Dropping it costs nothing.
#[derive(Debug)]
pub struct Window {
    scope: Scope,
    start: Duration,
    cpu: Duration,
    thread: std::thread::ThreadId,
    energy: Look,
}

/// What the meters showed at one time.
#[derive(Clone, Debug)]
struct Look {
    at: Duration,
    /// Total energy of each domain.
    totals: Vec<Joules>,
}

/// What one domain used during a block.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredDomain {
    /// Which domain.
    pub domain: Domain,
    /// Active energy of the block: its share of the machine's busy CPU time.
    pub joules: Joules,
    /// All the machine used in the domain, idle included.
    pub node_joules: Joules,
    /// Where the figures come from.
    pub provenance: Arc<Provenance>,
}

/// What a block used.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// Active energy of the block in [`Measurement::counted`] domains; `None` where nothing could be read.
    pub joules: Option<Joules>,
    /// The lowest and highest energy that fit the readings; only for a block shorter than the meter's step allows.
    pub interval: Option<(Joules, Joules)>,
    /// All the machine used in the same domains, idle included.
    pub node_joules: Option<Joules>,
    /// Wall time of the block.
    pub duration: Duration,
    /// CPU time of the block.
    pub cpu_time: Duration,
    /// Each domain apart. Domains overlap: they are not to be added up.
    pub zones: Vec<MeasuredDomain>,
}

/// Below this a block is shorter than what a meter's step resolves well.
const SHORT: Duration = Duration::from_millis(50);
/// Meters step by about a millisecond; the modeled one by the tick of `/proc/stat`.
const METER_STEP: Duration = Duration::from_millis(1);
const MODEL_STEP: Duration = Duration::from_millis(10);

impl EnergyMeter {
    pub(super) fn new(book: Book, host: Host, cpus: u32, notes: Vec<Note>) -> Self {
        Self {
            clock: book.clock().clone(),
            book: Arc::new(Mutex::new(book)),
            host,
            cpus: cpus.max(1),
            process: std::process::id(),
            notes: notes.into(),
        }
    }

    /// Every meter that was tried: which are read, and why others are not. Empty where the caller gave the sources.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Names of the energy sources in use, such as `rapl-powercap`, or `modeled`.
    pub fn energy(&self) -> Vec<String> {
        self.with_book(|book| book.names())
    }

    /// Looks at the shared totals.
    pub(super) fn with_book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a block.
    ///
    /// # Errors
    /// [`Error::Forked`] in a child of the process that opened the meter; when the process or cgroup cannot be read.
    pub fn begin(&self, scope: Scope) -> Result<Window> {
        self.same_process()?;
        let energy = self.read();
        // The clocks last: what reading the meters cost is not the block's.
        let cpu = self.cpu_time(&scope)?;
        let start = self.now();
        Ok(Window {
            scope,
            start,
            cpu,
            thread: std::thread::current().id(),
            energy,
        })
    }

    /// What the block has used since it began. It may be asked again later.
    ///
    /// # Errors
    /// As [`EnergyMeter::begin`]; [`Error::InvalidInput`] for a thread's block on another thread.
    pub fn end(&self, window: &Window) -> Result<Measurement> {
        if window.scope == Scope::Thread && std::thread::current().id() != window.thread {
            return Err(Error::invalid(
                "the end of a thread's block",
                "it ends on the thread that began it; use the process scope for work that moves",
            ));
        }
        let cpu = self.cpu_time(&window.scope)?.saturating_sub(window.cpu);
        let duration = self.now().saturating_sub(window.start);
        self.same_process()?;
        let now = self.read();
        Ok(self.measurement(&window.energy, &now, duration, cpu))
    }

    /// Runs `block` on this thread and tells what the process used meanwhile.
    ///
    /// ```
    /// use kepler_core::monitor::{Monitor, Scope};
    ///
    /// let meter = Monitor::builder().fake().meter()?;
    /// let (sum, used) = meter.measure(Scope::Thread, || (0..1000_u64).sum::<u64>())?;
    /// assert_eq!(sum, 499_500);
    /// assert!(used.joules.is_some());
    /// # Ok::<(), kepler_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`EnergyMeter::begin`] and [`EnergyMeter::end`].
    pub fn measure<T>(&self, scope: Scope, block: impl FnOnce() -> T) -> Result<(T, Measurement)> {
        let window = self.begin(scope)?;
        let value = block();
        Ok((value, self.end(&window)?))
    }

    /// Runs a command to its end and tells what it and its children used, by their own resource usage.
    ///
    /// # Errors
    /// As [`EnergyMeter::begin`]; [`Error::Kernel`] with the program when it cannot be started, or with its folder when that is
    /// none.
    pub fn measure_command(&self, command: &mut Command) -> Result<(ExitStatus, Measurement)> {
        self.run(command, None)
    }

    /// As [`EnergyMeter::measure_command`], stopped before its end when `stop` names a signal, such as 2 for an interrupt.
    ///
    /// `stop` is asked some times a second, and whenever a signal arrives at the calling thread. The command has a moment to end
    /// by itself, as by the interrupt that a terminal sends to it too, is then sent the signal, and killed where it stays for
    /// five seconds, or when `stop` names one again.
    ///
    /// # Errors
    /// As [`EnergyMeter::measure_command`].
    pub fn measure_command_until(
        &self,
        command: &mut Command,
        mut stop: impl FnMut() -> Option<i32>,
    ) -> Result<(ExitStatus, Measurement)> {
        self.run(command, Some(&mut stop))
    }

    fn run(
        &self,
        command: &mut Command,
        stop: Option<&mut dyn FnMut() -> Option<i32>>,
    ) -> Result<(ExitStatus, Measurement)> {
        self.same_process()?;
        let before = self.read();
        let start = self.now();
        let child = command.spawn().map_err(|source| failed(command, source))?;
        if let Some(stop) = stop {
            super::child::until_ended(&child, stop);
        }
        let (status, cpu) = super::child::wait(&child).map_err(|source| failed(command, source))?;
        let duration = self.now().saturating_sub(start);
        let now = self.read();
        Ok((status, self.measurement(&before, &now, duration, cpu)))
    }

    /// The time since boot.
    pub(super) fn now(&self) -> Duration {
        (self.clock)()
    }

    fn same_process(&self) -> Result<()> {
        if std::process::id() == self.process {
            Ok(())
        } else {
            Err(Error::Forked("meter"))
        }
    }

    fn read(&self) -> Look {
        self.with_book(|book| {
            let at = self.now();
            book.read();
            let mut totals = vec![Joules::ZERO; book.domains().len()];
            for zone in book.zones() {
                totals[zone.domain] += zone.joules;
            }
            Look { at, totals }
        })
    }

    fn cpu_time(&self, scope: &Scope) -> Result<Duration> {
        match scope {
            Scope::Thread => Ok(Host::thread_cpu_time()),
            Scope::Process => Ok(Host::process_cpu_time() + Host::children_cpu_time()),
            Scope::Pid(pid) => group_cpu_time(&self.host, *pid),
            Scope::Cgroup(path) => crate::usage::cgroup_cpu_time(&self.host, path),
        }
    }

    /// With `E` the domain's energy, `busy` the machine's busy CPU time and `given` all CPU time it had between the two looks
    /// at the meters, the block's active energy is `E x busy / given` (active) times `cpu / busy` (its share): `E x cpu / given`. Busy cancels, so the block
    /// does not depend on the coarse clock that tells it.
    fn measurement(
        &self,
        before: &Look,
        now: &Look,
        duration: Duration,
        cpu: Duration,
    ) -> Measurement {
        let given = now.at.saturating_sub(before.at).as_secs_f64() * f64::from(self.cpus);
        let share = if given > 0.0 {
            (cpu.as_secs_f64() / given).min(1.0)
        } else {
            0.0
        };
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let zones: Vec<MeasuredDomain> = book
            .domains()
            .iter()
            .enumerate()
            .filter_map(|(d, domain)| {
                let zone = book.zones().iter().find(|z| z.domain == d)?;
                let node_joules = Joules((now.totals.get(d)?.0 - before.totals.get(d)?.0).max(0.0));
                Some(MeasuredDomain {
                    domain: *domain,
                    joules: node_joules * share,
                    node_joules,
                    provenance: zone.provenance.clone(),
                })
            })
            .collect();
        let step = if book.is_modeled() {
            MODEL_STEP
        } else {
            METER_STEP
        };
        let sum = |pick: fn(&MeasuredDomain) -> Joules| -> Option<Joules> {
            let counted = Measurement::counted(&zones);
            (!counted.is_empty()).then(|| counted.iter().map(|z| pick(z)).sum())
        };
        let joules = sum(|z| z.joules);
        let node_joules = sum(|z| z.node_joules);
        let short = duration < SHORT;
        let interval = joules
            .filter(|_| short)
            .map(|joules| widened(joules, duration, step));
        Measurement {
            joules,
            interval,
            node_joules,
            duration,
            cpu_time: cpu,
            zones,
        }
    }
}

fn failed(command: &Command, source: std::io::Error) -> Error {
    let folder = command.get_current_dir().filter(|folder| !folder.is_dir());
    let hint = folder.map(|folder| format!("there is no folder {} to run it in", folder.display()));
    Error::Kernel {
        call: format!("running {}", command.get_program().display()),
        source,
        hint: hint.unwrap_or_default(),
    }
}

/// What a step of the meter more or less at either end of the block makes of its energy.
fn widened(joules: Joules, duration: Duration, step: Duration) -> (Joules, Joules) {
    let error = if duration.is_zero() {
        1.0
    } else {
        step.as_secs_f64() / duration.as_secs_f64()
    };
    (joules * (1.0 - error).max(0.0), joules * (1.0 + error))
}

impl Measurement {
    /// The domains that make up [`Measurement::joules`]: package and dram, which lie beside each other, where there is a
    /// package; else psys, else platform alone. Devices (gpu) come on top.
    pub fn counted(zones: &[MeasuredDomain]) -> Vec<&MeasuredDomain> {
        let has = |domain| zones.iter().any(|z| z.domain == domain);
        let host: &[Domain] = if has(Domain::Package) {
            &[Domain::Package, Domain::Dram]
        } else if has(Domain::Psys) {
            &[Domain::Psys]
        } else {
            &[Domain::Platform]
        };
        zones
            .iter()
            .filter(|z| host.contains(&z.domain) || z.domain == Domain::Gpu)
            .collect()
    }

    /// Mean active power of the block; `None` where nothing could be read or no time passed.
    pub fn watts(&self) -> Option<Watts> {
        self.joules? / self.duration
    }

    /// Where [`Measurement::joules`] comes from.
    pub fn provenance(&self) -> Option<&Arc<Provenance>> {
        Self::counted(&self.zones).first().map(|z| &z.provenance)
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.joules, self.watts()) {
            (Some(joules), Some(watts)) => write!(f, "{joules} ({watts})")?,
            _ => write!(f, "no energy figure")?,
        }
        write!(
            f,
            " in {:.3?}, {:.3?} of CPU time",
            self.duration, self.cpu_time
        )?;
        if let Some(provenance) = self.provenance() {
            write!(f, ", {}", provenance.source)?;
            if let Some(model) = &provenance.model {
                write!(f, " {model}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for EnergyMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnergyMeter")
            .field("cpus", &self.cpus)
            .finish_non_exhaustive()
    }
}
