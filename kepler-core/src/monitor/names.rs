//! Pod names, told to a monitor by whoever learns them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::note::Note;
use crate::workload::PodTable;

/// Tells a monitor who the pods and containers on its node are, from any thread: the next sample shows it.
///
/// Names that were told once stay with what they name, also when a later table does not hold them.
///
/// ```
/// use kepler_core::monitor::Monitor;
/// use kepler_core::workload::PodTable;
///
/// let mut monitor = Monitor::builder().fake().build()?;
/// let names = monitor.pod_names();
/// names.set("a file", PodTable::parse(br#"{"items": []}"#)?);
/// let sources = monitor.sample()?.sources.to_string();
/// assert!(sources.contains("pod names: on (0 pods by a file)"), "{sources}");
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct PodNames(Arc<Mutex<News>>);

/// What was told since the monitor looked last.
#[derive(Default)]
pub(super) struct News {
    pub(super) table: Option<Arc<PodTable>>,
    pub(super) note: Option<Note>,
}

impl PodNames {
    /// The part that its notes are about ([`Note::part`]).
    pub const PART: &'static str = "pod names";

    /// The pods are those of `table`; `source` says how that is known.
    pub fn set(&self, source: &str, table: PodTable) {
        let note = Note::on(Self::PART, format!("{} pods by {source}", table.len()));
        let table = Some(Arc::new(table));
        *self.lock() = News {
            table,
            note: Some(note),
        };
    }

    /// `source` cannot tell at the moment, and why. The names known so far stay.
    pub fn fail(&self, source: &str, why: impl fmt::Display) {
        self.lock().note = Some(Note {
            part: Self::PART.to_owned(),
            active: false,
            why: format!("{source}: {why}"),
            hint: String::new(),
        });
    }

    pub(super) fn news(&self) -> News {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PodNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PodNames")
    }
}
