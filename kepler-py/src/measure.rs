//! What a block of code, a process, a cgroup or a command used.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use kepler_core::Error;
use kepler_core::monitor as core;
use kepler_core::monitor::{Scope, Window};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};

use crate::errors::{run, to_py};
use crate::log;
use crate::options::{self, Roots, whole};
use crate::provenance::Provenance;
use crate::record::{plain, record};
use crate::sources::Note;

record! {
    /// What one domain used during a block.
    MeasuredZone {
        /// Active energy of the block.
        joules: f64,
        /// All the machine used in the domain, idle included.
        node_joules: f64,
        /// Where the figures come from.
        provenance: Py<Provenance>,
    }
}

/// Measures blocks of code, processes, cgroups and commands. Blocks may overlap and nest, on any thread.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct EnergyMeter(pub(crate) core::EnergyMeter);

#[pymethods]
impl EnergyMeter {
    /// Opens the meters of this machine, or the power model where it has none.
    ///
    /// Parameters
    /// ----------
    /// root, proc, sys
    ///     Folders that stand for ``/``, ``/proc`` and ``/sys``, in containers and tests.
    /// fake
    ///     A scripted meter of constant power, for tests and demonstrations.
    /// rapl
    ///     The ways to RAPL to try, in order, the first that works is used: ``"rapl-powercap"``, ``"rapl-perf"``,
    ///     ``"rapl-msr"``.
    /// hwmon
    ///     Whether to look for power and energy sensors of the platform.
    #[new]
    #[pyo3(signature = (*, root=None, proc=None, sys=None, fake=false, rapl=vec!["rapl-powercap".to_owned()], hwmon=true),
        text_signature = "(*, root=None, proc=None, sys=None, fake=False, rapl=('rapl-powercap',), hwmon=True)")]
    fn new(
        py: Python<'_>,
        root: Option<PathBuf>,
        proc: Option<PathBuf>,
        sys: Option<PathBuf>,
        fake: bool,
        rapl: Vec<String>,
        hwmon: bool,
    ) -> PyResult<Self> {
        let roots = Roots { root, proc, sys };
        let meter = run(py, || options::energy(roots, fake, &rapl, hwmon)?.meter())?;
        log::opened(py, meter.notes())?;
        Ok(Self(meter))
    }

    /// Every meter that was tried: which are read, and why others are not.
    #[getter]
    fn notes(&self, py: Python<'_>) -> PyResult<Vec<Py<Note>>> {
        self.0
            .notes()
            .iter()
            .map(|note| Note::new(py, note))
            .collect()
    }

    /// A block to be measured: ``with meter.measure() as m``.
    ///
    /// Parameters
    /// ----------
    /// scope
    ///     ``"process"`` charges the block with the CPU time of all threads of this process and of its children that
    ///     ended meanwhile; ``"thread"`` with that of the calling thread alone.
    /// pid, cgroup
    ///     Another process, or everything in a cgroup by its path, in place of this process.
    #[pyo3(signature = (scope="process", *, pid=None, cgroup=None))]
    fn measure(
        &self,
        scope: &str,
        pid: Option<&Bound<'_, PyInt>>,
        cgroup: Option<String>,
    ) -> PyResult<Measurement> {
        let pid = pid.map(|pid| whole("pid", pid)).transpose()?;
        let scope = match (scope, pid, cgroup) {
            ("process", None, None) => Scope::Process,
            ("thread", None, None) => Scope::Thread,
            ("process", Some(pid), None) => Scope::Pid(pid),
            ("process", None, Some(path)) => Scope::Cgroup(path),
            _ => {
                return Err(to_py(Error::InvalidInput {
                    what: "scope".to_owned(),
                    why: format!(
                        "{scope} is not process or thread, or it is given together with a pid or cgroup"
                    ),
                }));
            }
        };
        Ok(Measurement {
            meter: self.0.clone(),
            scope,
            state: Mutex::new(State::New),
            returncode: None,
        })
    }

    /// Runs a command to its end and tells what it and its children used.
    ///
    /// An exception of a signal handler, such as KeyboardInterrupt, stops the command: by an interrupt, or by SIGTERM for any
    /// other exception, and by SIGKILL where it stays for five seconds.
    ///
    /// Parameters
    /// ----------
    /// command
    ///     The program and its arguments. Input and output are this process's own.
    /// cwd
    ///     The folder to run it in.
    #[pyo3(signature = (command: "Any", *, cwd=None))]
    fn measure_command(
        &self,
        py: Python<'_>,
        command: &Bound<'_, PyAny>,
        cwd: Option<PathBuf>,
    ) -> PyResult<Measurement> {
        let mut command = program(command)?;
        if let Some(cwd) = cwd {
            command.current_dir(cwd);
        }
        let mut raised = None;
        let stop = || {
            Python::attach(|py| {
                let error = py.check_signals().err()?;
                let interrupt = error.is_instance_of::<PyKeyboardInterrupt>(py);
                raised = Some(error);
                Some(if interrupt { SIGINT } else { SIGTERM })
            })
        };
        let (status, measurement) = run(py, || self.0.measure_command_until(&mut command, stop))?;
        if let Some(error) = raised {
            return Err(error);
        }
        Ok(Measurement {
            meter: self.0.clone(),
            scope: Scope::Process,
            state: Mutex::new(State::Ended(Arc::new(measurement))),
            returncode: status
                .code()
                .or_else(|| status.signal().map(|signal| -signal)),
        })
    }

    fn __repr__(&self) -> String {
        format!("EnergyMeter(energy={})", self.0.energy().join("+"))
    }
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// A command from its program and arguments.
fn program(words: &Bound<'_, PyAny>) -> PyResult<Command> {
    if words.is_instance_of::<PyString>() || words.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(
            "command: give the program and its arguments apart, as in [\"ls\", \"-l\"]; shlex.split() parts a line",
        ));
    }
    let word = |(place, word): (usize, PyResult<Bound<'_, PyAny>>)| {
        let word = word?;
        let path: PyResult<PathBuf> = word.extract();
        path.map_err(|_other| {
            let kind = word.get_type();
            PyTypeError::new_err(format!(
                "command[{place}]: expected a str or path, not {kind}"
            ))
        })
    };
    let words = words.try_iter()?.enumerate().map(word);
    let words = words.collect::<PyResult<Vec<PathBuf>>>()?;
    let [program, arguments @ ..] = words.as_slice() else {
        return Err(to_py(Error::InvalidInput {
            what: "command".to_owned(),
            why: "it is empty".to_owned(),
        }));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// What a block used. Asked for inside of the block, the figures are those so far.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct Measurement {
    meter: core::EnergyMeter,
    scope: Scope,
    state: Mutex<State>,
    returncode: Option<i32>,
}

enum State {
    New,
    Begun(Window),
    Ended(Arc<core::Measurement>),
    /// The block has ended, and what it used could not be told.
    Failed(PyErr),
}

#[pymethods]
impl Measurement {
    /// Active energy of the block in joules: package and memory where they are known, else the platform. None where
    /// nothing could be read.
    #[getter]
    fn joules(&self) -> PyResult<Option<f64>> {
        Ok(self.figures()?.joules.map(|joules| joules.0))
    }

    /// The lowest and highest joules that fit the readings, for a block too short for the meter's step; else None.
    #[getter]
    fn interval(&self) -> PyResult<Option<(f64, f64)>> {
        Ok(self.figures()?.interval.map(|(low, high)| (low.0, high.0)))
    }

    /// All the machine used meanwhile in joules, idle included.
    #[getter]
    fn node_joules(&self) -> PyResult<Option<f64>> {
        Ok(self.figures()?.node_joules.map(|joules| joules.0))
    }

    /// Mean active power of the block.
    #[getter]
    fn watts(&self) -> PyResult<Option<f64>> {
        Ok(self.figures()?.watts().map(|watts| watts.0))
    }

    /// Wall time of the block.
    #[getter]
    fn seconds(&self) -> PyResult<f64> {
        Ok(self.figures()?.duration.as_secs_f64())
    }

    /// CPU time of the block.
    #[getter]
    fn cpu_seconds(&self) -> PyResult<f64> {
        Ok(self.figures()?.cpu_time.as_secs_f64())
    }

    /// Each domain apart. Domains overlap: they are not to be added up.
    #[getter]
    fn zones(&self, py: Python<'_>) -> PyResult<BTreeMap<&'static str, Py<MeasuredZone>>> {
        zones(py, &*self.figures()?)
    }

    /// Where `joules` comes from; None where nothing could be read.
    #[getter]
    fn provenance(&self, py: Python<'_>) -> PyResult<Option<Py<Provenance>>> {
        provenance(py, &*self.figures()?)
    }

    /// The exit status of a measured command, or minus the signal that ended it; None for a block of code.
    #[getter]
    fn returncode(&self) -> Option<i32> {
        self.returncode
    }

    /// The same figures as plain dictionaries, lists, strings and numbers, all of one reading.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<BTreeMap<&'static str, Bound<'py, PyAny>>> {
        let now = self.figures()?;
        let interval = now.interval.map(|(low, high)| (low.0, high.0));
        let figures = [
            (
                "joules",
                now.joules.map(|joules| joules.0).into_bound_py_any(py)?,
            ),
            ("interval", interval.into_bound_py_any(py)?),
            (
                "node_joules",
                now.node_joules
                    .map(|joules| joules.0)
                    .into_bound_py_any(py)?,
            ),
            (
                "watts",
                now.watts().map(|watts| watts.0).into_bound_py_any(py)?,
            ),
            ("seconds", now.duration.as_secs_f64().into_bound_py_any(py)?),
            (
                "cpu_seconds",
                now.cpu_time.as_secs_f64().into_bound_py_any(py)?,
            ),
            ("zones", zones(py, &now)?.into_bound_py_any(py)?),
            ("provenance", provenance(py, &now)?.into_bound_py_any(py)?),
            ("returncode", self.returncode.into_bound_py_any(py)?),
        ];
        figures
            .into_iter()
            .map(|(name, figure)| Ok((name, plain(figure)?)))
            .collect()
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        run(slf.py(), || {
            let mut state = this.state();
            if let State::Begun(_) = &*state {
                return Err(Error::InvalidInput {
                    what: "measurement".to_owned(),
                    why: "its block has begun already: a block inside of it is measured by its own"
                        .to_owned(),
                });
            }
            *state = State::Begun(this.meter.begin(this.scope.clone())?);
            Ok(())
        })?;
        Ok(slf.clone())
    }

    /// What the block raised goes on; what cannot be told of it then is raised by the figures.
    #[pyo3(signature = (*error: "object"))]
    fn __exit__(&self, py: Python<'_>, error: &Bound<'_, PyTuple>) -> PyResult<()> {
        let ended = run(py, || match &*self.state() {
            State::Begun(window) => self.meter.end(window).map(Some),
            _ => Ok(None),
        });
        let raises = error.get_item(0).is_ok_and(|kind| !kind.is_none());
        let (state, told) = match ended {
            Ok(None) => return Ok(()),
            Ok(Some(measurement)) => (State::Ended(Arc::new(measurement)), Ok(())),
            Err(error) => (State::Failed(error.clone_ref(py)), Err(error)),
        };
        *self.state() = state;
        if raises { Ok(()) } else { told }
    }

    /// As ``__enter__``, for ``async with``: nothing is waited for.
    #[pyo3(signature = () -> "Any")]
    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Ready> {
        Self::__enter__(slf).map(|this| Ready(Some(this.into_any().unbind())))
    }

    /// As ``__exit__``.
    #[pyo3(signature = (*error: "object") -> "Any")]
    fn __aexit__(&self, py: Python<'_>, error: &Bound<'_, PyTuple>) -> PyResult<Ready> {
        self.__exit__(py, error).map(|()| Ready(None))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        if let State::New = &*self.state() {
            return "Measurement(not begun)".to_owned();
        }
        match self.figures() {
            Ok(figures) => format!("Measurement({figures})"),
            Err(error) => format!("Measurement(no figures: {})", error.value(py)),
        }
    }
}

impl Measurement {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn figures(&self) -> PyResult<Arc<core::Measurement>> {
        match &*self.state() {
            State::Ended(measurement) => Ok(measurement.clone()),
            State::Begun(window) => self.meter.end(window).map(Arc::new).map_err(to_py),
            State::Failed(error) => Err(Python::attach(|py| error.clone_ref(py))),
            State::New => Err(to_py(Error::InvalidInput {
                what: "measurement".to_owned(),
                why: "the block has not begun: use it in a with statement".to_owned(),
            })),
        }
    }
}

fn zones(
    py: Python<'_>,
    figures: &core::Measurement,
) -> PyResult<BTreeMap<&'static str, Py<MeasuredZone>>> {
    let zone = |zone: &core::MeasuredDomain| {
        let record = MeasuredZone {
            joules: zone.joules.0,
            node_joules: zone.node_joules.0,
            provenance: Provenance::new(py, &zone.provenance)?,
        };
        Ok((zone.domain.as_str(), Py::new(py, record)?))
    };
    figures.zones.iter().map(zone).collect()
}

fn provenance(py: Python<'_>, figures: &core::Measurement) -> PyResult<Option<Py<Provenance>>> {
    let from = figures.provenance();
    from.map(|from| Provenance::new(py, from)).transpose()
}

/// An awaitable that is done already.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct Ready(Option<Py<PyAny>>);

#[pymethods]
impl Ready {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<()> {
        let value = self.0.as_ref().map(|value| value.clone_ref(py));
        Err(pyo3::exceptions::PyStopIteration::new_err((value,)))
    }
}
