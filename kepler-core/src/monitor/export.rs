//! Who was shown which snapshots.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::fit;

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

/// The newest samples that were shown; 0 for none. Where nobody reads regularly, it is to anybody.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exported {
    /// To any who reads regularly.
    pub(super) newest: u64,
    /// To all who read regularly.
    pub(super) to_all: u64,
}

#[derive(Debug, Default)]
struct Readers {
    newest: u64,
    known: HashMap<u64, Reader>,
}

#[derive(Debug)]
struct Reader {
    sequence: u64,
    /// When the snapshot was taken that it saw last.
    seen: Duration,
    regular: bool,
}

/// Longer than scrape intervals are.
const FORGOTTEN: Duration = Duration::from_secs(180);
/// Readers that are told apart. Each connection of one that opens many looks like another, so there is room for a loop of such
/// beside those that come again after a minute.
const MOST: usize = 1 << 14;

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
        let regular = readers.known.values().filter(|reader| reader.regular);
        let shown = regular.map(|reader| reader.sequence);
        // To who looks once nothing grows, so as long as somebody comes again, nobody else counts.
        Exported {
            newest: shown.clone().max().unwrap_or(readers.newest),
            to_all: shown.min().unwrap_or(readers.newest),
        }
    }
}

impl Readers {
    fn look(&mut self, id: u64, sequence: u64, seen: Duration) {
        self.newest = self.newest.max(sequence);
        if let Some(known) = self.known.get_mut(&id) {
            if sequence > known.sequence {
                (known.sequence, known.seen, known.regular) = (sequence, seen, true);
            }
            return;
        }
        if self.known.len() >= MOST {
            // Those that looked once go first.
            let least = (self.known.iter()).min_by_key(|(_, reader)| (reader.regular, reader.seen));
            let least = least.map(|(id, _)| *id);
            least.and_then(|id| self.known.remove(&id));
        }
        let reader = Reader {
            sequence,
            seen,
            regular: false,
        };
        self.known.insert(id, reader);
    }

    fn forget(&mut self, now: Duration) {
        self.known
            .retain(|_, reader| now.saturating_sub(reader.seen) <= FORGOTTEN);
        fit::table(&mut self.known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_looks_once_takes_no_place_from_who_comes_again() {
        let mark = ExportMark::default();
        let look = |id, sequence, second| {
            let mut readers = mark.readers.lock().unwrap();
            readers.look(id, sequence, Duration::from_secs(second));
        };
        look(1, 1, 1);
        look(1, 2, 2);
        (0..MOST as u64 + 100).for_each(|id| look(1000 + id, 3, 3));
        let state = mark.state(Duration::from_secs(4));
        assert_eq!((state.newest, state.to_all), (2, 2));
        assert_eq!(mark.readers.lock().unwrap().known.len(), MOST);
        // Who is not seen again is forgotten, with the room that was made for it.
        let state = mark.state(Duration::from_secs(200));
        assert_eq!((state.newest, state.to_all), (3, 3));
        assert!(mark.readers.lock().unwrap().known.capacity() < MOST / 2);
    }
}
