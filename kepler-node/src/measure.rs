//! What a block of code, a process, a cgroup or a command used.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use kepler_core::monitor as core;
use kepler_core::monitor::{Scope, Window};
use napi::Env;
use napi::bindgen_prelude::{AsyncTask, Object};
use napi_derive::napi;

use crate::errors::{Result, Work, promise, promise_apart, to_js};
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

/// Whose CPU time a block is charged with.
#[napi(object)]
#[derive(Default)]
pub struct ScopeOptions {
    /// `process`, the default: all threads of this process, and its children that ended in the block. `thread`: the thread
    /// of this event loop alone.
    #[napi(ts_type = "'process' | 'thread'")]
    pub scope: Option<String>,
    /// Another process.
    pub pid: Option<u32>,
    /// Everything in a cgroup, by its path.
    pub cgroup: Option<String>,
}

/// Measures blocks of code, processes, cgroups and commands. Blocks may overlap and nest.
///
/// The meters are opened when something is first measured: off the event loop by `measure` and `measureCommand`.
#[napi]
pub struct EnergyMeter(pub(crate) Later<core::EnergyMeter>);

#[napi]
impl EnergyMeter {
    /// The meters of this machine, or the power model where it has none. Options that make no sense are refused here.
    #[napi(constructor)]
    pub fn new(options: Option<MeterOptions>) -> Result<Self> {
        let options = options.unwrap_or_default();
        options.builder().map_err(to_js)?;
        Ok(Self(Later::new(move || options.builder()?.meter())))
    }

    /// Opens the meters off the event loop; nothing where they are open.
    #[napi(js_name = "_open", skip_typescript)]
    pub fn open(&self) -> Option<AsyncTask<Work<()>>> {
        let meter = self.0.clone();
        (!meter.is_open()).then(|| promise(move || meter.get().map(|_| ())))
    }

    /// Every meter that was tried: which are read, and why others are not.
    #[napi(getter)]
    pub fn notes(&self) -> Result<Vec<Note>> {
        let meter = self.0.get().map_err(to_js)?;
        Ok(meter.notes().iter().map(Note::from).collect())
    }

    /// Begins a block; `end()` of what it returns tells what was used since.
    #[napi]
    pub fn begin(&self, options: Option<ScopeOptions>) -> Result<Block> {
        let scope = options.unwrap_or_default().scope()?;
        let meter = self.0.get().map_err(to_js)?.clone();
        let window = meter.begin(scope).map_err(to_js)?;
        Ok(Block { meter, window })
    }

    /// Runs a command to its end and tells what it and its children used. Input and output are this process's own.
    #[napi(ts_return_type = "Promise<Measurement>")]
    pub fn measure_command<'e>(
        &self,
        env: &'e Env,
        command: Vec<String>,
    ) -> napi::Result<Object<'e>> {
        let meter = self.0.clone();
        promise_apart(env, "kepler-command", move || run(meter.get()?, &command))
    }

    /// As `measureCommand`, while the event loop waits.
    #[napi]
    pub fn measure_command_sync(&self, command: Vec<String>) -> Result<Measurement> {
        let meter = self.0.get().map_err(to_js)?;
        run(meter, &command).map_err(to_js)
    }
}

/// A block of code that is being measured.
#[napi]
pub struct Block {
    meter: core::EnergyMeter,
    window: Window,
}

#[napi]
impl Block {
    /// What was used since the block began. May be asked again.
    #[napi]
    pub fn end(&self) -> Result<Measurement> {
        self.meter
            .end(&self.window)
            .map(|used| Measurement::from(&used))
            .map_err(to_js)
    }
}

fn run(meter: &core::EnergyMeter, command: &[String]) -> kepler_core::Result<Measurement> {
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
    let (status, used) = meter.measure_command(&mut command)?;
    Ok(Measurement {
        returncode: status
            .code()
            .or_else(|| status.signal().map(|signal| -signal)),
        ..Measurement::from(&used)
    })
}

impl ScopeOptions {
    fn scope(self) -> Result<Scope> {
        match (
            self.scope.as_deref().unwrap_or("process"),
            self.pid,
            self.cgroup,
        ) {
            ("process", None, None) => Ok(Scope::Process),
            ("thread", None, None) => Ok(Scope::Thread),
            ("process", Some(pid), None) => Ok(Scope::Pid(pid)),
            ("process", None, Some(path)) => Ok(Scope::Cgroup(path)),
            (scope, ..) => Err(to_js(invalid(
                "scope",
                format!(
                    "{scope} is not process or thread, or it is given together with a pid or cgroup"
                ),
            ))),
        }
    }
}

impl From<&core::Measurement> for Measurement {
    fn from(from: &core::Measurement) -> Self {
        let zone = |zone: &core::MeasuredDomain| MeasuredZone {
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
