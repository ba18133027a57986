//! One sample. Its records are made when they are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use kepler_core::monitor as core;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::node::Node;
use crate::record::plain;
use crate::sources::Sources;
use crate::workloads::{Container, Ended, Pod, Process, VirtualMachine};

/// All that one sample knows.
#[pyclass(frozen, module = "kepler")]
pub(crate) struct Snapshot {
    inner: Arc<core::Snapshot>,
    node: PyOnceLock<Py<Node>>,
    processes: PyOnceLock<Vec<Py<Process>>>,
    containers: PyOnceLock<Vec<Py<Container>>>,
    pods: PyOnceLock<Vec<Py<Pod>>>,
    vms: PyOnceLock<Vec<Py<VirtualMachine>>>,
    ended: PyOnceLock<Vec<Py<Ended>>>,
}

impl From<Arc<core::Snapshot>> for Snapshot {
    fn from(inner: Arc<core::Snapshot>) -> Self {
        Self {
            inner,
            node: PyOnceLock::new(),
            processes: PyOnceLock::new(),
            containers: PyOnceLock::new(),
            pods: PyOnceLock::new(),
            vms: PyOnceLock::new(),
            ended: PyOnceLock::new(),
        }
    }
}

#[pymethods]
impl Snapshot {
    /// Counts the samples of one monitor from 1.
    #[getter]
    fn sequence(&self) -> u64 {
        self.inner.sequence
    }

    /// When it was taken, in seconds since 1970.
    #[getter]
    fn time(&self) -> f64 {
        self.inner
            .time
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64())
    }

    /// Seconds since the sample before; None on the first.
    #[getter]
    fn interval(&self) -> Option<f64> {
        self.inner.interval.map(|interval| interval.as_secs_f64())
    }

    /// The machine.
    #[getter]
    fn node(&self, py: Python<'_>) -> PyResult<Py<Node>> {
        let node = self
            .node
            .get_or_try_init(py, || Node::new(py, &self.inner))?;
        Ok(node.clone_ref(py))
    }

    /// Processes that live, and the largest of those that ended within the retention.
    #[getter]
    fn processes(&self, py: Python<'_>) -> PyResult<Vec<Py<Process>>> {
        cached(py, &self.processes, &self.inner.processes, |p| {
            Process::new(&self.inner, p)
        })
    }

    /// Containers that live, and those that ended within the retention.
    #[getter]
    fn containers(&self, py: Python<'_>) -> PyResult<Vec<Py<Container>>> {
        cached(py, &self.containers, &self.inner.containers, |c| {
            Container::new(&self.inner, c)
        })
    }

    /// Pods that live, and those that ended within the retention.
    #[getter]
    fn pods(&self, py: Python<'_>) -> PyResult<Vec<Py<Pod>>> {
        cached(py, &self.pods, &self.inner.pods, |pod| {
            Pod::new(&self.inner, pod)
        })
    }

    /// Virtual machines that live, and those that ended within the retention.
    #[getter]
    fn vms(&self, py: Python<'_>) -> PyResult<Vec<Py<VirtualMachine>>> {
        cached(py, &self.vms, &self.inner.vms, |vm| {
            VirtualMachine::new(&self.inner, vm)
        })
    }

    /// Ended processes without an entry of their own.
    #[getter]
    fn ended(&self, py: Python<'_>) -> PyResult<Vec<Py<Ended>>> {
        cached(py, &self.ended, &self.inner.ended, |ended| {
            Ended::new(&self.inner, ended)
        })
    }

    /// How energy is split into active and idle: ``"usage-ratio"`` or ``"fitted"``.
    #[getter]
    fn idle_split(&self) -> &'static str {
        self.inner.idle_split.as_str()
    }

    /// How idle energy is handed to workloads: ``"none"``, ``"equal"`` or ``"usage"``.
    #[getter]
    fn idle_share(&self) -> &'static str {
        self.inner.idle_share.as_str()
    }

    /// Which sources are in use.
    #[getter]
    fn sources(&self, py: Python<'_>) -> PyResult<Py<Sources>> {
        Sources::new(py, &self.inner.sources)
    }

    /// What could not be had in the last interval, a line each; empty when all was.
    #[getter]
    fn complaints(&self) -> Vec<String> {
        self.inner.complaints()
    }

    /// Wall and CPU seconds that taking the sample cost.
    #[getter]
    fn cost(&self) -> BTreeMap<&'static str, f64> {
        let cost = self.inner.cost;
        BTreeMap::from([
            ("wall_seconds", cost.wall.as_secs_f64()),
            ("cpu_seconds", cost.cpu.as_secs_f64()),
        ])
    }

    /// Tasks seen, exit records received and lost, and steps refused, since the monitor started.
    #[getter]
    fn stats(&self) -> BTreeMap<&'static str, u64> {
        let stats = self.inner.stats;
        BTreeMap::from([
            ("tasks", stats.tasks),
            ("exit_records", stats.exit_records),
            ("exit_records_dropped", stats.exit_records_dropped),
            ("exit_records_lost", stats.exit_records_lost),
            ("pending_expired", stats.pending_expired),
            ("refused", stats.refused),
        ])
    }

    /// The same figures as plain dictionaries, lists, strings and numbers.
    fn to_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<BTreeMap<&'static str, Bound<'py, PyAny>>> {
        let figures = [
            "sequence",
            "time",
            "interval",
            "node",
            "processes",
            "containers",
            "pods",
            "vms",
            "ended",
            "idle_split",
            "idle_share",
            "sources",
            "complaints",
            "cost",
            "stats",
        ];
        figures
            .into_iter()
            .map(|name| Ok((name, plain(slf.getattr(name)?)?)))
            .collect()
    }

    /// The processes as a pandas frame, a row each; figures by domain are columns such as ``joules_package``.
    #[pyo3(signature = () -> "Any")]
    fn to_pandas<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py()
            .import("pandas")?
            .getattr("DataFrame")?
            .call1((columns(slf)?,))
    }

    /// The processes as an Arrow table, with the columns of ``to_pandas``.
    #[pyo3(signature = () -> "Any")]
    fn to_arrow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py()
            .import("pyarrow")?
            .getattr("table")?
            .call1((columns(slf)?,))
    }

    fn __repr__(&self) -> String {
        let snapshot = &self.inner;
        let power = snapshot
            .node
            .domains
            .iter()
            .filter_map(|d| Some(format!(", {} {}", d.domain, d.power?.total)));
        format!(
            "Snapshot({}, {} processes, {} containers{})",
            snapshot.sequence,
            snapshot.processes.len(),
            snapshot.containers.len(),
            power.collect::<String>()
        )
    }
}

fn columns<'py>(snapshot: &Bound<'py, Snapshot>) -> PyResult<Bound<'py, PyAny>> {
    snapshot
        .py()
        .import("kepler._frames")?
        .getattr("columns")?
        .call1((snapshot,))
}

fn cached<T, R>(
    py: Python<'_>,
    cell: &PyOnceLock<Vec<Py<R>>>,
    from: &[T],
    convert: impl Fn(&T) -> R,
) -> PyResult<Vec<Py<R>>>
where
    R: pyo3::PyClass + Into<PyClassInitializer<R>>,
{
    let records = cell.get_or_try_init(py, || {
        from.iter()
            .map(|item| Py::new(py, convert(item)))
            .collect::<PyResult<_>>()
    })?;
    Ok(records.iter().map(|record| record.clone_ref(py)).collect())
}
