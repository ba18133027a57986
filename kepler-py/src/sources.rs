//! Which sources are in use, as records.

use kepler_core::monitor as core;
use pyo3::prelude::*;

use crate::record::record;

record! {
    /// Whether one part of a source works here.
    Note {
        /// The part, such as `softirq_entry`.
        part: String,
        /// Whether it is in use.
        active: bool,
        /// Why not, or how; may be empty.
        why: String,
        /// The one thing that would change it; may be empty.
        hint: String,
    }
}

record! {
    /// Which sources are in use, and why not others.
    Sources {
        /// Names of the energy sources in use.
        energy: Vec<String>,
        /// Name of the usage source in use: `ebpf` or `procfs`.
        usage: String,
        /// Every part that was tried.
        notes: Vec<Py<Note>>,
        /// The same as text for people, a line a part.
        report: String,
    }
}

impl Note {
    pub(crate) fn new(py: Python<'_>, from: &kepler_core::Note) -> PyResult<Py<Self>> {
        let record = Self {
            part: from.part.clone(),
            active: from.active,
            why: from.why.clone(),
            hint: from.hint.clone(),
        };
        Py::new(py, record)
    }
}

impl Sources {
    pub(crate) fn new(py: Python<'_>, from: &core::Sources) -> PyResult<Py<Self>> {
        Py::new(
            py,
            Self {
                energy: from.energy.clone(),
                usage: from.usage.clone(),
                notes: from
                    .notes
                    .iter()
                    .map(|note| Note::new(py, note))
                    .collect::<PyResult<_>>()?,
                report: from.to_string(),
            },
        )
    }
}
