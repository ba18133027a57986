//! What everything on a machine uses, sample by sample.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use kepler_core::Error;
use kepler_core::monitor as core;
use kepler_core::workload::PodTable;
use pyo3::prelude::*;

use crate::errors::{run, to_py};
use crate::log;
use crate::measure::EnergyMeter;
use crate::options::{self, Roots};
use crate::snapshot::Snapshot;
use crate::sources::Sources;

/// Watches one machine: each sample tells what everything on it used since the sample before.
///
/// Works without privileges and without a meter; `sources` says what is used and why. Several monitors can watch at once.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct Monitor {
    inner: Mutex<core::Monitor>,
    names: core::PodNames,
    meter: core::EnergyMeter,
    sources: Arc<core::Sources>,
    process: u32,
}

#[pymethods]
impl Monitor {
    /// Opens the best sources that work here.
    ///
    /// Parameters
    /// ----------
    /// usage
    ///     Where CPU time comes from: ``"ebpf"`` (exact), ``"procfs"`` (needs no privilege), or ``"auto"``.
    /// counters
    ///     Counts wanted beyond CPU time, such as ``"page_cache_hits"``. Their kernel hooks attach only then.
    /// retention
    ///     Seconds that ended workloads keep their totals.
    /// ended_limit
    ///     How many ended processes keep an entry of their own, the largest first.
    /// root, proc, sys
    ///     Folders that stand for ``/``, ``/proc`` and ``/sys``, in containers and tests.
    /// fake
    ///     A scripted meter of constant power, for tests and demonstrations.
    /// rapl
    ///     The ways to RAPL to try, in order, the first that works is used: ``"rapl-powercap"``, ``"rapl-perf"``,
    ///     ``"rapl-msr"``.
    /// hwmon
    ///     Whether to look for power and energy sensors of the platform.
    /// idle
    ///     How energy is split into active and idle: by the busy share of the CPU time (``"usage-ratio"``), or by the power
    ///     without work that is fitted to power and load (``"fitted"``).
    /// idle_share
    ///     How idle energy is handed to workloads: ``"none"``, ``"equal"`` to each, or by ``"usage"``.
    #[new]
    #[pyo3(signature = (
        *, usage="auto", counters=vec![], retention=600.0, ended_limit=500,
        root=None, proc=None, sys=None, fake=false, rapl=vec!["rapl-powercap".to_owned()], hwmon=true,
        idle="usage-ratio", idle_share="none",
    ), text_signature = "(*, usage='auto', counters=(), retention=600.0, ended_limit=500, root=None, proc=None, sys=None, \
        fake=False, rapl=('rapl-powercap',), hwmon=True, idle='usage-ratio', idle_share='none')")]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        usage: &str,
        counters: Vec<String>,
        retention: f64,
        ended_limit: i64,
        root: Option<PathBuf>,
        proc: Option<PathBuf>,
        sys: Option<PathBuf>,
        fake: bool,
        rapl: Vec<String>,
        hwmon: bool,
        idle: &str,
        idle_share: &str,
    ) -> PyResult<Self> {
        let roots = Roots { root, proc, sys };
        let ended_limit = usize::try_from(ended_limit).map_err(|_negative| {
            to_py(Error::InvalidInput {
                what: "ended_limit".to_owned(),
                why: format!("{ended_limit} is negative"),
            })
        })?;
        let monitor = run(py, || {
            options::energy(roots, fake, &rapl, hwmon)?
                .usage(options::usage(usage)?)
                .counters(options::counters(&counters)?)
                .retention(options::seconds("retention", retention)?)
                .ended_limit(ended_limit)
                .idle(idle.parse()?)
                .idle_share(idle_share.parse()?)
                .build()
        })?;
        log::opened(py, &monitor.sources().notes)?;
        Ok(Self {
            names: monitor.pod_names(),
            meter: monitor.meter().clone(),
            sources: monitor.sources().clone(),
            inner: Mutex::new(monitor),
            process: std::process::id(),
        })
    }

    /// Takes a sample. The first one is the baseline: nothing is booked from before it.
    fn sample(&self, py: Python<'_>) -> PyResult<Snapshot> {
        // A thread of the parent may have held the lock at the fork; in the child it would never be free.
        if std::process::id() != self.process {
            return Err(to_py(Error::Forked("monitor")));
        }
        let snapshot = run(py, || {
            self.inner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .sample()
        })?;
        log::sampled(py, &snapshot)?;
        Ok(Snapshot::from(snapshot))
    }

    /// Which sources are in use, and why not others.
    #[getter]
    fn sources(&self, py: Python<'_>) -> PyResult<Py<Sources>> {
        Sources::new(py, &self.sources)
    }

    /// Tells who the pods on this machine are: the next sample names them and their containers.
    ///
    /// Parameters
    /// ----------
    /// pod_list
    ///     A pod list, JSON as bytes: what the kubelet answers at ``/pods``, or the API server at ``/api/v1/pods``.
    ///
    /// Returns
    /// -------
    /// How many pods it names.
    fn name_pods(&self, py: Python<'_>, pod_list: &[u8]) -> PyResult<usize> {
        let table = run(py, || PodTable::parse(pod_list))?;
        let pods = table.len();
        self.names.set("pod list", table);
        Ok(pods)
    }

    /// Measures blocks of code and commands with this monitor's meters, apart from its samples.
    #[getter]
    fn meter(&self) -> EnergyMeter {
        EnergyMeter(self.meter.clone())
    }

    fn __repr__(&self) -> String {
        format!(
            "Monitor(energy={}, usage={})",
            self.sources.energy.join("+"),
            self.sources.usage
        )
    }
}
