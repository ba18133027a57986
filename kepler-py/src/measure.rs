//! Meters, and what they measure: blocks of code, processes, cgroups and commands.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use kepler_core::Error;
use kepler_core::monitor as core;
use kepler_core::monitor::Scope;
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};

use crate::errors::{run, to_py};
use crate::log;
use crate::measurement::Measurement;
use crate::options::{self, Roots, whole};
use crate::sources::Note;

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
        Ok(Measurement::new(self.0.clone(), scope))
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
        let returncode = status
            .code()
            .or_else(|| status.signal().map(|signal| -signal));
        Ok(Measurement::of_command(
            self.0.clone(),
            measurement,
            returncode,
        ))
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
