//! What a block of code, a process, a cgroup or a command used.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kepler_core::monitor as core;
use kepler_core::monitor::{MeasuredDomain, Scope, Window};
use kepler_core::{Error, Joules};
use napi::Env;
use napi::bindgen_prelude::{AsyncTask, External, Object};
use napi_derive::napi;

use crate::errors::{Result, Work, promise_apart, to_js};
use crate::later::Later;
use crate::options::{MeterOptions, invalid};
use crate::provenance::Provenance;
use crate::snapshot::Note;

/// What one domain used during a block.
#[napi(object, object_from_js = false)]
pub struct MeasuredZone {
    /// Active energy of the block.
    pub joules: f64,
    /// All the machine used in the domain, idle included.
    pub node_joules: f64,
    /// Where the figures come from.
    pub provenance: Provenance,
}

/// What a block used.
#[napi(object, object_from_js = false)]
pub struct Measurement {
    /// Active energy of the block in joules: package and memory where they are known, else the platform. Absent where
    /// nothing could be read.
    pub joules: Option<f64>,
    /// The lowest and highest joules that fit the readings, for a block too short for the meter's step.
    #[napi(ts_type = "[number, number]")]
    pub interval: Option<Vec<f64>>,
    /// All the machine used meanwhile in joules, idle included.
    pub node_joules: Option<f64>,
    /// Mean active power of the block.
    pub watts: Option<f64>,
    /// Wall time of the block.
    pub seconds: f64,
    /// CPU time of the block.
    pub cpu_seconds: f64,
    /// Each domain apart. Domains overlap: they are not to be added up.
    pub zones: BTreeMap<&'static str, MeasuredZone>,
    /// Where `joules` comes from; absent where nothing could be read.
    pub provenance: Option<Provenance>,
    /// The exit status of a measured command, or minus the signal that ended it; absent for a block of code.
    pub returncode: Option<i32>,
}

/// Measures blocks of code, processes, cgroups and commands. Blocks may overlap and nest.
///
/// The meters are opened by `open`, or when something is first measured.
#[napi]
pub struct EnergyMeter {
    meter: Later<core::EnergyMeter>,
    last: Mutex<Last>,
}

/// The last block whose zones or their provenance were others than those of the block before, and how many there were.
#[derive(Default)]
struct Last {
    number: u32,
    used: Option<core::Measurement>,
}

#[napi]
impl EnergyMeter {
    /// The meters of this machine, or the power model where it has none. Options that make no sense are refused here.
    #[napi(constructor)]
    pub fn new(options: Option<MeterOptions>) -> Result<Self> {
        let options = options.unwrap_or_default();
        options.builder().map_err(to_js)?;
        Ok(Self::from(Later::new(move || options.builder()?.meter())))
    }

    /// Opens the meters off the event loop; nothing where they are open.
    #[napi(js_name = "_open", skip_typescript)]
    pub fn open(&self) -> Option<AsyncTask<Work<()>>> {
        self.meter.open()
    }

    /// As `_open`, while the event loop waits.
    #[napi(js_name = "_openSync", skip_typescript)]
    pub fn open_sync(&self) -> Result<()> {
        self.meter.get().map(drop).map_err(to_js)
    }

    /// Names of the sources in use; absent while nothing is opened.
    #[napi(getter, js_name = "_energy", skip_typescript)]
    pub fn energy(&self) -> Option<Vec<String>> {
        self.meter.opened().map(core::EnergyMeter::energy)
    }

    /// Every meter that was tried: which are read, and why others are not. Known once they are open.
    #[napi(getter)]
    pub fn notes(&self) -> Result<Vec<Note>> {
        let meter = self.meter.ready("meter").map_err(to_js)?;
        Ok(meter.notes().iter().map(Note::from).collect())
    }

    /// Begins a block, charged with the CPU time of this process or thread, of another process, or of a cgroup.
    #[napi(js_name = "_begin", skip_typescript)]
    pub fn begin(
        &self,
        scope: Option<String>,
        pid: Option<u32>,
        cgroup: Option<String>,
    ) -> Result<External<Window>> {
        let scope = scope_of(scope.as_deref().unwrap_or("process"), pid, cgroup);
        let begin = |scope| self.meter.ready("meter")?.begin(scope);
        scope.and_then(begin).map(External::new).map_err(to_js)
    }

    /// What was used since the block began: a number that is another one when `_record` is, and the figures of a record.
    #[napi(js_name = "_end", skip_typescript)]
    pub fn end(&self, window: &External<Window>) -> Result<Vec<f64>> {
        let meter = self.meter.ready("meter").map_err(to_js)?;
        let used = meter.end(window).map_err(to_js)?;
        let figures = figures(&used);
        let mut last = self.last();
        if last.used.as_ref().is_none_or(|last| !alike(last, &used)) {
            last.number = last.number.wrapping_add(1);
            last.used = Some(used);
        }
        Ok(std::iter::once(last.number.into()).chain(figures).collect())
    }

    /// A record of the zones and provenance of the block that `_end` told of last.
    #[napi(js_name = "_record", skip_typescript)]
    pub fn record(&self) -> Option<Measurement> {
        self.last().used.as_ref().map(Measurement::from)
    }

    /// Runs a command to its end and tells what it and its children used. Input and output are this process's own.
    #[napi(
        ts_args_type = "command: string[], options?: CommandOptions",
        ts_return_type = "Promise<Measurement>"
    )]
    pub fn measure_command<'e>(
        &self,
        env: &'e Env,
        command: Vec<String>,
        going: Option<&External<Arc<AtomicBool>>>,
    ) -> napi::Result<Object<'e>> {
        let meter = self.meter.clone();
        let stop = going.map(|going| Arc::clone(going));
        promise_apart(env, "kepler-command", move || {
            run(meter.get()?, &command, stop.as_deref())
        })
    }

    /// As `measureCommand`, while the event loop waits.
    #[napi]
    pub fn measure_command_sync(&self, command: Vec<String>) -> Result<Measurement> {
        let meter = self.meter.get().map_err(to_js)?;
        run(meter, &command, None).map_err(to_js)
    }
}

impl EnergyMeter {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Later<core::EnergyMeter>> for EnergyMeter {
    fn from(meter: Later<core::EnergyMeter>) -> Self {
        let last = Mutex::default();
        Self { meter, last }
    }
}

/// Joules, the ends of their interval, joules of the node, watts, seconds and seconds of CPU time; then joules and joules of the
/// node of each zone by its name. What is absent is NaN.
fn figures(used: &core::Measurement) -> Vec<f64> {
    let joules = |figure: Option<Joules>| figure.map_or(f64::NAN, |joules| joules.0);
    let mut figures = vec![
        joules(used.joules),
        joules(used.interval.map(|(low, _)| low)),
        joules(used.interval.map(|(_, high)| high)),
        joules(used.node_joules),
        used.watts().map_or(f64::NAN, |watts| watts.0),
        used.duration.as_secs_f64(),
        used.cpu_time.as_secs_f64(),
    ];
    let mut zones: Vec<&MeasuredDomain> = used.zones.iter().collect();
    zones.sort_unstable_by_key(|zone| zone.domain.as_str());
    figures.extend(
        zones
            .iter()
            .flat_map(|zone| [zone.joules.0, zone.node_joules.0]),
    );
    figures
}

/// Whether two blocks have the same zones, and of each the same provenance.
fn alike(a: &core::Measurement, b: &core::Measurement) -> bool {
    let same = |(a, b): (&MeasuredDomain, &MeasuredDomain)| {
        let known = Arc::ptr_eq(&a.provenance, &b.provenance);
        a.domain == b.domain && (known || a.provenance == b.provenance)
    };
    a.zones.len() == b.zones.len() && a.zones.iter().zip(&b.zones).all(same)
}

fn run(
    meter: &core::EnergyMeter,
    command: &[String],
    stop: Option<&AtomicBool>,
) -> kepler_core::Result<Measurement> {
    let [program, arguments @ ..] = command else {
        return Err(invalid("command", "it is empty"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    // Node marks its own standard streams as closed at exec; copies of them are not.
    let copy = |stream: BorrowedFd<'_>| {
        stream
            .try_clone_to_owned()
            .map_or_else(|_| Stdio::null(), Stdio::from)
    };
    command.stdin(copy(std::io::stdin().as_fd()));
    command.stdout(copy(std::io::stdout().as_fd()));
    command.stderr(copy(std::io::stderr().as_fd()));
    // Once: what is told to stop again is killed.
    let told = |stop: &AtomicBool| stop.swap(false, Ordering::Relaxed);
    let (status, used) = match stop {
        None => meter.measure_command(&mut command)?,
        Some(stop) if told(stop) => return Err(Error::Cancelled("the command was not started")),
        Some(stop) => {
            meter.measure_command_until(&mut command, || told(stop).then_some(SIGTERM))?
        }
    };
    Ok(Measurement {
        returncode: status
            .code()
            .or_else(|| status.signal().map(|signal| -signal)),
        ..Measurement::from(&used)
    })
}

const SIGTERM: i32 = 15;

fn scope_of(scope: &str, pid: Option<u32>, cgroup: Option<String>) -> kepler_core::Result<Scope> {
    match (scope, pid, cgroup) {
        ("process", None, None) => Ok(Scope::Process),
        ("thread", None, None) => Ok(Scope::Thread),
        ("process", Some(pid), None) => Ok(Scope::Pid(pid)),
        ("process", None, Some(path)) => Ok(Scope::Cgroup(path)),
        (scope, ..) => Err(invalid(
            "scope",
            format!(
                "{scope} is not process or thread, or it is given together with a pid or cgroup"
            ),
        )),
    }
}

impl From<&core::Measurement> for Measurement {
    fn from(from: &core::Measurement) -> Self {
        let zone = |zone: &MeasuredDomain| MeasuredZone {
            joules: zone.joules.0,
            node_joules: zone.node_joules.0,
            provenance: Provenance::from(&*zone.provenance),
        };
        Self {
            joules: from.joules.map(|joules| joules.0),
            interval: from.interval.map(|(low, high)| vec![low.0, high.0]),
            node_joules: from.node_joules.map(|joules| joules.0),
            watts: from.watts().map(|watts| watts.0),
            seconds: from.duration.as_secs_f64(),
            cpu_seconds: from.cpu_time.as_secs_f64(),
            zones: from
                .zones
                .iter()
                .map(|z| (z.domain.as_str(), zone(z)))
                .collect(),
            provenance: from.provenance().map(|from| Provenance::from(&**from)),
            returncode: None,
        }
    }
}
