//! What is told to Python's logger `kepler`: which sources are in use and why others are not, and what a sample lacks.

use kepler_core::{Note, monitor::Snapshot};
use pyo3::prelude::*;
use pyo3::types::PyDict;

const DEBUG: u8 = 10;
const INFO: u8 = 20;
const WARNING: u8 = 30;

/// Sources that were opened: those in use as `INFO`, the others as `DEBUG`.
pub(crate) fn opened(py: Python<'_>, notes: &[Note]) -> PyResult<()> {
    let Some(logger) = listened(py)? else {
        return Ok(());
    };
    for note in notes {
        log(&logger, if note.active { INFO } else { DEBUG }, note)?;
    }
    Ok(())
}

/// A sample that was taken as `DEBUG`, and what it lacks as `WARNING`.
pub(crate) fn sampled(py: Python<'_>, snapshot: &Snapshot) -> PyResult<()> {
    let Some(logger) = listened(py)? else {
        return Ok(());
    };
    let (processes, wall) = (snapshot.processes.len(), snapshot.cost.wall);
    let text = format!(
        "sample {}: {processes} processes in {wall:.1?}",
        snapshot.sequence
    );
    log(&logger, DEBUG, text)?;
    for line in snapshot.complaints() {
        log(&logger, WARNING, line)?;
    }
    Ok(())
}

/// The logger, where somebody listens. A program that never imported `logging`, or has no handler, asked for nothing, and
/// `logging` would print warnings of its own accord.
fn listened(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let modules = py
        .import("sys")?
        .getattr("modules")?
        .cast_into::<PyDict>()?;
    let Some(logging) = modules.get_item("logging")? else {
        return Ok(None);
    };
    let logger = logging.call_method1("getLogger", ("kepler",))?;
    let heard = logger.call_method0("hasHandlers")?.is_truthy()?;
    Ok(heard.then_some(logger))
}

fn log(logger: &Bound<'_, PyAny>, level: u8, text: impl ToString) -> PyResult<()> {
    logger.call_method1("log", (level, "%s", text.to_string()))?;
    Ok(())
}
