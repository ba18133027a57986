//! What a block of code, a process, a cgroup or a command used.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kepler_core::Error;
use kepler_core::monitor as core;
use kepler_core::monitor::{Scope, Window};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::errors::{run, to_py};
use crate::provenance::Provenance;
use crate::record::{plain, record};

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
    /// A block that is to begin.
    pub(crate) fn new(meter: core::EnergyMeter, scope: Scope) -> Self {
        Self {
            meter,
            scope,
            state: Mutex::new(State::New),
            returncode: None,
        }
    }

    /// A command that has ended.
    pub(crate) fn of_command(
        meter: core::EnergyMeter,
        used: core::Measurement,
        returncode: Option<i32>,
    ) -> Self {
        Self {
            meter,
            scope: Scope::Process,
            state: Mutex::new(State::Ended(Arc::new(used))),
            returncode,
        }
    }

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
