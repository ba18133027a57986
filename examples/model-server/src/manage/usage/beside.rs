//! How late a machine that is busy with other things lets a thread be, for tests of what may be lost by that.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often the thread writes, and the store's does.
const EVERY: Duration = Duration::from_millis(500);

/// A thread that does as the store's does, and shows how late the machine lets it be. Times are in microseconds.
pub(crate) struct Beside {
    begun: Instant,
    due: AtomicU64,
    late: AtomicU64,
}

impl Beside {
    pub(crate) fn start(path: PathBuf) -> Arc<Self> {
        let beside = Arc::new(Self {
            begun: Instant::now(),
            due: AtomicU64::new(u64::MAX),
            late: AtomicU64::default(),
        });
        let writer = beside.clone();
        std::thread::spawn(move || writer.write(&path));
        beside
    }

    fn write(&self, path: &Path) {
        for round in 0_u64.. {
            let every = u64::try_from(EVERY.as_micros()).unwrap();
            self.due.store(self.look().0 + every, Relaxed);
            std::thread::sleep(EVERY);
            let mut file = std::fs::File::create(path).unwrap();
            file.write_all(&round.to_le_bytes()).unwrap();
            file.sync_all().unwrap();
        }
    }

    /// The time, and by how much the thread was late at most until now.
    pub(crate) fn look(&self) -> (u64, u64) {
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap();
        let late = now.saturating_sub(self.due.load(Relaxed));
        (now, self.late.fetch_max(late, Relaxed).max(late))
    }
}
