//! The thread that brings what was counted to the store.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use kepler_service::log;

use super::figures::add_all;
use super::store::{Batch, Held, Store};
use super::{Counters, State, grown, lock};

/// What the thread is told to do, and where it says what came of it.
pub(super) enum Order {
    /// Write now, and read what others wrote.
    Sync(SyncSender<Result<(), String>>),
    /// Forget all figures.
    Reset(SyncSender<Result<(), String>>),
}

pub(super) struct Writer {
    store: Box<dyn Store>,
    counters: Arc<Counters>,
    state: Arc<Mutex<State>>,
    /// This process, to the store.
    name: String,
    number: u64,
}

/// A shared store is read this often, to show what others wrote.
const READ: Duration = Duration::from_secs(10);
/// A store that failed is tried again after its own time, then twice that, up to this.
const PAUSE: Duration = Duration::from_secs(10);

impl Writer {
    pub(super) fn new(
        store: Box<dyn Store>,
        counters: Arc<Counters>,
        state: Arc<Mutex<State>>,
    ) -> Self {
        // Two hashers with random keys: enough for the few processes that ever share a store.
        let random = || RandomState::new().hash_one(std::process::id());
        Self {
            store,
            counters,
            state,
            name: format!("{:016x}{:016x}", random(), random()),
            number: 0,
        }
    }

    /// Writes now and then, and for the last time when nobody can give orders any more.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        let every = self.store.every();
        let (mut pause, mut read) = (every, None::<Instant>);
        loop {
            let order = orders.recv_timeout(pause);
            let wants_all = match &order {
                Ok(_) => true,
                Err(_) => self.store.is_shared() && read.is_none_or(|r| r.elapsed() >= READ),
            };
            if let Ok(Order::Reset(reply)) = &order {
                let _ = reply.try_send(self.reset());
                continue;
            }
            let done = self.sync(wants_all);
            if done.is_ok() && wants_all {
                read = Some(Instant::now());
            }
            pause = match &done {
                Ok(()) => every,
                Err(_) => (pause * 2).min(PAUSE.max(every)),
            };
            match order {
                Ok(Order::Sync(reply)) => {
                    let _ = reply.try_send(done);
                }
                Err(RecvTimeoutError::Disconnected) => return,
                _ => {}
            }
        }
    }

    /// Writes what was counted. A batch that failed is handed over again unchanged before another is made: whether it came
    /// through is for the store to know.
    fn sync(&mut self, wants_all: bool) -> Result<(), String> {
        let mut done = Ok(());
        for _ in 0..2 {
            let waiting = lock(&self.state).batch.is_some();
            let batch = self.batch();
            done = match &batch {
                Some(batch) => self.store.add(batch).map(|held| self.holds(held)),
                None => Ok(()),
            };
            if done.is_err() || !waiting {
                break;
            }
        }
        if done.is_ok() && wants_all && self.store.is_shared() {
            done = self.store.read().map(|all| self.holds(Held::All(all)));
        }
        let mut state = lock(&self.state);
        if done.is_err() {
            // Told once, when it begins: it is shown as long as it lasts.
            if state.failing.is_none() {
                tell(done.as_ref().err());
            }
        } else if state.failing.is_some() {
            tell(None);
        }
        state.failing = done.clone().err();
        done
    }

    /// What is to be written: the batch that waits, else a new one of all that grew.
    fn batch(&mut self) -> Option<Batch> {
        let mut state = lock(&self.state);
        if state.batch.is_none() {
            let mut growth = grown(&self.counters, &state.taken);
            for (name, figures) in &growth {
                state.taken.entry(name.clone()).or_default().add(figures);
            }
            let imported = std::mem::take(&mut state.imported);
            add_all(&mut growth, &imported);
            if growth.is_empty() {
                return None;
            }
            self.number += 1;
            state.batch = Some(Batch {
                writer: self.name.clone(),
                number: self.number,
                growth,
            });
        }
        state.batch.clone()
    }

    fn holds(&self, held: Held) {
        let mut state = lock(&self.state);
        state.written = Some(SystemTime::now());
        match held {
            Held::Changed(changed) => {
                state.batch = None;
                state.held.extend(changed);
            }
            Held::All(all) => {
                // Read after a batch was added; where none was, none waits.
                state.batch = None;
                state.held = all;
            }
        }
    }

    fn reset(&mut self) -> Result<(), String> {
        self.store.reset()?;
        lock(&self.state).forget(&self.counters);
        Ok(())
    }
}

fn tell(error: Option<&String>) {
    match error {
        Some(error) => log::warn(&format!("usage figures wait to be written: {error}")),
        None => log::info("usage figures are written again"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::{Event, Place, Totals, Usage};
    use super::*;

    /// Adds up like a server that may lose the answer to what it did.
    #[derive(Clone, Default)]
    struct Scripted(Arc<Mutex<(Totals, Vec<u64>)>>, Arc<AtomicBool>);

    impl Store for Scripted {
        fn add(&mut self, batch: &Batch) -> Result<Held, String> {
            let mut kept = self.0.lock().unwrap();
            if !kept.1.contains(&batch.number) {
                kept.1.push(batch.number);
                add_all(&mut kept.0, &batch.growth);
            }
            if self.1.load(Ordering::Relaxed) {
                return Err("the answer was lost".to_owned());
            }
            Ok(Held::All(kept.0.clone()))
        }
        fn read(&mut self) -> Result<Totals, String> {
            Ok(self.0.lock().unwrap().0.clone())
        }
        fn reset(&mut self) -> Result<(), String> {
            self.0.lock().unwrap().0.clear();
            Ok(())
        }
        fn every(&self) -> Duration {
            Duration::from_millis(5)
        }
        fn is_shared(&self) -> bool {
            true
        }
    }

    fn usage() -> (Usage, Scripted) {
        let store = Scripted::default();
        let usage = Usage::with(Place::Memory, Some(Box::new(store.clone()))).unwrap();
        (usage, store)
    }

    #[test]
    fn nothing_is_lost_or_counted_twice_while_answers_get_lost() {
        let (usage, store) = usage();
        let counter = usage.model("m");
        for round in 0..200 {
            store.1.store(round % 3 != 0, Ordering::Relaxed);
            counter.count(Event::Request, SystemTime::now());
            if round % 20 == 0 {
                let _ = usage.fresh_view(Duration::from_secs(5));
            }
            assert!(usage.view().models["m"].requests > round, "round {round}");
        }
        store.1.store(false, Ordering::Relaxed);
        let view = usage.fresh_view(Duration::from_secs(20));
        assert_eq!((view.models["m"].requests, view.failing), (200, None));
        drop(usage);
        assert_eq!(store.0.lock().unwrap().0["m"].requests, 200);
    }

    #[test]
    fn what_was_counted_last_is_written_at_the_end() {
        let (usage, store) = usage();
        usage.model("m").count(Event::Pull, SystemTime::now());
        drop(usage);
        assert_eq!(store.0.lock().unwrap().0["m"].pulls, 1);
    }

    #[test]
    fn reset_and_import_hold_here_and_there() {
        let (usage, store) = usage();
        usage.model("m").count(Event::Inference, SystemTime::now());
        usage.reset().unwrap();
        assert!(usage.view().models.is_empty());
        let text =
            br#"{"store":"x","models":{"m":{"requests":4,"last_used":"2026-01-01T00:00:00Z"}}}"#;
        assert_eq!(usage.import(text), Ok(1));
        usage
            .model("m")
            .count(Event::Request, SystemTime::UNIX_EPOCH);
        assert_eq!(usage.view().models["m"].requests, 5);
        assert!(usage.import(b"{}").is_err());
        let error = usage.import(br#"{"models":{"a\u0000b":{"requests":4}}}"#);
        assert!(error.unwrap_err().contains("control character"));
        assert!(usage.import(br#"{"models":{"m":{"request":4}}}"#).is_err());
        drop(usage);
        assert_eq!(store.0.lock().unwrap().0["m"].requests, 5);
    }
}
