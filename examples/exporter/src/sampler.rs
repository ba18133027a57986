//! The sampling thread: takes samples at fixed times and shows the last one to whoever asks.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kepler_core::monitor::{ExportMark, Monitor, Snapshot};

use kepler_service::log;

/// A running sampling thread.
pub(crate) struct Sampler {
    view: View,
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// What the server sees of it. Asking never waits for a sample.
#[derive(Clone)]
pub(crate) struct View {
    latest: Arc<Mutex<Latest>>,
    interval: Duration,
    /// Tells the monitor which snapshots were shown.
    pub(crate) mark: ExportMark,
}

struct Latest {
    snapshot: Arc<Snapshot>,
    at: Instant,
}

impl Sampler {
    /// Starts with the first sample already taken.
    pub(crate) fn start(monitor: Monitor, first: Arc<Snapshot>, interval: Duration) -> Self {
        let latest = Latest {
            snapshot: first,
            at: Instant::now(),
        };
        let view = View {
            latest: Arc::new(Mutex::new(latest)),
            interval,
            mark: monitor.export_mark(),
        };
        let (stop, stopped) = sync_channel::<()>(0);
        let shown = view.clone();
        let thread = std::thread::spawn(move || {
            let mut monitor = monitor;
            let mut next = Instant::now() + interval;
            let mut failing = String::new();
            loop {
                let wait = next.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                match monitor.sample() {
                    Ok(snapshot) => {
                        shown.show(snapshot);
                        failing.clear();
                    }
                    Err(error) => {
                        // The same trouble again is no news.
                        let error = error.to_string();
                        if error != failing {
                            log::warn(&error);
                            failing = error;
                        }
                    }
                }
                // At fixed times; after a suspend the missed ones are not made up for.
                next = (next + interval).max(Instant::now());
            }
        });
        Self { view, stop, thread }
    }

    /// What the server sees of it.
    pub(crate) fn view(&self) -> View {
        self.view.clone()
    }

    /// Ends the thread and closes the sources.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::warn("the sampling thread had failed");
        }
    }
}

impl View {
    /// The last snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().snapshot)
    }

    /// Whether samples are taken on time.
    pub(crate) fn is_fresh(&self) -> bool {
        self.lock().at.elapsed() < self.interval * 3 + Duration::from_secs(1)
    }

    fn show(&self, snapshot: Arc<Snapshot>) {
        let latest = Latest {
            snapshot,
            at: Instant::now(),
        };
        // The earlier snapshot is dropped after the lock.
        let earlier = std::mem::replace(&mut *self.lock(), latest);
        drop(earlier);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
