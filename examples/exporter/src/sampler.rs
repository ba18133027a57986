//! The sampling thread: takes samples at fixed times and shows the last one to whoever asks.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kepler_core::Note;
use kepler_core::monitor::{ExportMark, Fold, Monitor, Snapshot};

use kepler_service::log;

use crate::harden::Raised;
use crate::outputs::Outputs;

/// A running sampling thread.
pub(crate) struct Sampler {
    view: View,
    /// Other intervals; closed to stop.
    orders: Sender<Duration>,
    thread: JoinHandle<()>,
}

/// What the server sees of it. Asking never waits for a sample.
#[derive(Clone)]
pub(crate) struct View {
    latest: Arc<Mutex<Latest>>,
    interval: Arc<Mutex<Duration>>,
    /// Tells the monitor which snapshots were shown.
    pub(crate) mark: ExportMark,
}

struct Latest {
    sample: Sample,
    at: Instant,
}

/// A sample as it was taken and as it is shown: the same where nothing is folded.
struct Sample {
    whole: Arc<Snapshot>,
    shown: Arc<Snapshot>,
}

impl Sampler {
    /// Starts with the first sample already taken. What `handling` makes of a sample is
    /// shown.
    pub(crate) fn start(
        monitor: Monitor,
        first: Arc<Snapshot>,
        interval: Duration,
        mut handling: Handling,
    ) -> Self {
        let latest = Latest {
            sample: handling.handle(first),
            at: Instant::now(),
        };
        let view = View {
            latest: Arc::new(Mutex::new(latest)),
            interval: Arc::new(Mutex::new(interval)),
            mark: monitor.export_mark(),
        };
        let (orders, ordered) = channel::<Duration>();
        let shown = view.clone();
        let thread = std::thread::spawn(move || {
            let (mut monitor, mut interval) = (monitor, interval);
            let mut next = Instant::now() + interval;
            let mut failing = String::new();
            loop {
                let wait = next.saturating_duration_since(Instant::now());
                match ordered.recv_timeout(wait) {
                    Ok(other) => {
                        next = next.min(Instant::now() + other);
                        interval = other;
                        continue;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                let raised = handling.raised.then(Raised::new);
                let sampled = monitor.sample();
                drop(raised);
                match sampled {
                    Ok(snapshot) => {
                        shown.show(handling.handle(snapshot));
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
        Self {
            view,
            orders,
            thread,
        }
    }

    /// Samples at another interval from now on.
    pub(crate) fn set_interval(&self, interval: Duration) {
        *self.view.interval() = interval;
        // The thread lives as long as this does.
        let _ = self.orders.send(interval);
    }

    /// What the server sees of it.
    pub(crate) fn view(&self) -> View {
        self.view.clone()
    }

    /// Ends the thread and closes the sources.
    pub(crate) fn stop(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            log::warn("the sampling thread had failed");
        }
    }
}

/// What is done with a sample before it is shown.
pub(crate) struct Handling {
    pub(crate) fold: Option<Fold>,
    pub(crate) outputs: Outputs,
    /// Whether reading files of others is a privilege that is raised for each sample.
    pub(crate) raised: bool,
    /// What was said of each meter last.
    pub(crate) meters: Vec<Note>,
}

impl Handling {
    fn handle(&mut self, mut whole: Arc<Snapshot>) -> Sample {
        self.tell_of_meters(&whole);
        let notes = self.outputs.notes();
        if !notes.is_empty() {
            let mut sources = (*whole.sources).clone();
            sources.notes.extend(notes);
            Arc::make_mut(&mut whole).sources = Arc::new(sources);
        }
        let shown = match &mut self.fold {
            Some(fold) => fold.apply(Arc::clone(&whole)),
            None => Arc::clone(&whole),
        };
        self.outputs.offer(&shown);
        Sample { whole, shown }
    }

    /// Says which meters stopped to answer, and which answer again; what they said first was told at the start.
    fn tell_of_meters(&mut self, snapshot: &Snapshot) {
        let sources = &snapshot.sources;
        let of_meters = |note: &&Note| sources.energy.contains(&note.part);
        let now: Vec<Note> = sources.notes.iter().filter(of_meters).cloned().collect();
        for note in now.iter().filter(|note| !self.meters.contains(note)) {
            match note.active {
                _ if self.meters.is_empty() => {}
                true => log::info(&note.to_string()),
                false => log::warn(&note.to_string()),
            }
        }
        self.meters = now;
    }
}

impl View {
    /// The last snapshot as it is shown.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().sample.shown)
    }

    /// The last snapshot with every workload, also those that are shown folded.
    pub(crate) fn whole(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().sample.whole)
    }

    /// Whether samples are taken on time.
    pub(crate) fn is_fresh(&self) -> bool {
        let interval = *self.interval();
        self.lock().at.elapsed() < interval * 3 + Duration::from_secs(1)
    }

    fn interval(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.interval.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, sample: Sample) {
        let latest = Latest {
            sample,
            at: Instant::now(),
        };
        // The earlier sample is dropped after the lock.
        let earlier = std::mem::replace(&mut *self.lock(), latest);
        drop(earlier);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
