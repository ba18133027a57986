//! Who was shown which snapshots.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::snapshot::Snapshot;

/// Tells a monitor which of its snapshots were shown to somebody who watches growth, as a Prometheus scrape does.
///
/// A series that is first seen at its final value has grown by nothing, so what a process used that was born and died
/// between two exported snapshots goes to [`Snapshot::ended`], where its growth is seen. Without a mark, ended processes
/// simply keep an entry of their own for the retention.
///
/// Of several readers each has a mark of its own, by [`ExportMark::of`]: then an ended process stays until all of them saw what it
/// used. A reader counts from its second look on, until it has looked at nothing for three minutes.
///
/// ```
/// use kepler_core::monitor::Monitor;
///
/// let mut monitor = Monitor::builder().fake().build()?;
/// let mark = monitor.export_mark();
/// let (one, other) = (mark.of("prometheus-0"), mark.of("prometheus-1"));
/// one.exported(&*monitor.sample()?);
/// other.exported(&*monitor.sample()?);
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ExportMark {
    readers: Arc<Mutex<Readers>>,
    reader: u64,
}

/// The newest samples that were shown; 0 for none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exported {
    /// To anybody.
    pub(super) newest: u64,
    /// To all who read regularly.
    pub(super) to_all: u64,
}

#[derive(Debug, Default)]
struct Readers {
    newest: u64,
    known: Vec<Reader>,
}

#[derive(Debug)]
struct Reader {
    id: u64,
    sequence: u64,
    /// When the snapshot was taken that it saw last.
    seen: Duration,
    regular: bool,
}

/// Longer than scrape intervals are.
const FORGOTTEN: Duration = Duration::from_secs(180);
/// Readers that are told apart: each connection of one that opens many looks like another.
const MOST: usize = 64;

impl ExportMark {
    /// The mark of one reader of several, by what tells them apart.
    #[must_use]
    pub fn of(&self, reader: impl Hash) -> Self {
        Self {
            readers: Arc::clone(&self.readers),
            reader: BuildHasherDefault::<DefaultHasher>::default().hash_one(reader),
        }
    }

    /// `snapshot` was shown.
    pub fn exported(&self, snapshot: &Snapshot) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.look(self.reader, snapshot.sequence, snapshot.since_boot);
    }

    /// What was shown by the time `now`.
    pub(super) fn state(&self, now: Duration) -> Exported {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.forget(now);
        let regular = readers.known.iter().filter(|reader| reader.regular);
        Exported {
            newest: readers.newest,
            to_all: regular
                .map(|reader| reader.sequence)
                .min()
                .unwrap_or(readers.newest),
        }
    }
}

impl Readers {
    fn look(&mut self, id: u64, sequence: u64, seen: Duration) {
        self.newest = self.newest.max(sequence);
        if let Some(known) = self.known.iter_mut().find(|reader| reader.id == id) {
            if sequence > known.sequence {
                (known.sequence, known.seen, known.regular) = (sequence, seen, true);
            }
            return;
        }
        if self.known.len() >= MOST {
            let oldest = (0..MOST).min_by_key(|place| self.known[*place].seen);
            oldest.map(|place| self.known.swap_remove(place));
        }
        self.known.push(Reader {
            id,
            sequence,
            seen,
            regular: false,
        });
    }

    fn forget(&mut self, now: Duration) {
        self.known
            .retain(|reader| now.saturating_sub(reader.seen) <= FORGOTTEN);
    }
}
