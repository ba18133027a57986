//! Other places where figures go, each off the path of whoever makes them.
//!
//! An [`Outlet`] has a thread and a place for one thing to deliver: a newer one takes the place of one that waits. So a
//! place that is slow or dead costs neither memory nor time of the one who makes them, and gets the newest when it is back.

mod otlp;
mod post;
mod remote_write;
mod series;
mod textfile;

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::log;

pub use otlp::Otlp;
pub use post::Push;
pub use remote_write::RemoteWrite;
pub use textfile::Textfile;

/// One place that things are delivered to.
pub struct Outlet<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    slot: Mutex<Slot<T>>,
    changed: Condvar,
}

struct Slot<T> {
    waiting: Option<T>,
    /// Why the last delivery failed.
    failing: Option<String>,
    replaced: u64,
    ended: bool,
}

/// How deliveries have gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Why the last one failed, if it did.
    pub failing: Option<String>,
    /// How many things a newer one took the place of before they were delivered.
    pub replaced: u64,
}

/// Time to wait after the first failure; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl<T: Send + 'static> Outlet<T> {
    /// Starts a thread that calls `deliver` with the newest thing offered, at most once in `every`.
    ///
    /// A failure is logged when it is news, and the next attempt comes 1 s later, then 2 s, up to a minute.
    pub fn start<E: fmt::Display>(
        name: &'static str,
        every: Duration,
        mut deliver: impl FnMut(T) -> Result<(), E> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            slot: Mutex::new(Slot {
                waiting: None,
                failing: None,
                replaced: 0,
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let mine = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut wait = FIRST_WAIT;
            while let Some(thing) = mine.take() {
                let begun = Instant::now();
                let pause = match deliver(thing) {
                    Ok(()) => {
                        if mine.lock().failing.take().is_some() {
                            log::info(&format!("{name}: works again"));
                        }
                        wait = FIRST_WAIT;
                        every
                    }
                    Err(error) => {
                        let error = error.to_string();
                        let before = mine.lock().failing.replace(error.clone());
                        // The same trouble again is no news.
                        if before.as_ref() != Some(&error) {
                            log::warn(&format!("{name}: {error}"));
                        }
                        let pause = wait;
                        wait = (wait * 2).min(LONGEST_WAIT);
                        pause
                    }
                };
                mine.rest(pause.saturating_sub(begun.elapsed()));
            }
        });
        Self { shared }
    }

    /// Puts a thing where the thread takes the next one from. Never waits for a delivery.
    pub fn offer(&self, thing: T) {
        let mut slot = self.shared.lock();
        let earlier = slot.waiting.replace(thing);
        slot.replaced += u64::from(earlier.is_some());
        drop(slot);
        self.shared.changed.notify_one();
        // What was replaced is dropped after the lock.
        drop(earlier);
    }

    /// How deliveries have gone so far.
    pub fn state(&self) -> State {
        let slot = self.shared.lock();
        State {
            failing: slot.failing.clone(),
            replaced: slot.replaced,
        }
    }
}

impl<T> Drop for Outlet<T> {
    /// Lets the thread end after the delivery under way; what waits is not delivered.
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_one();
    }
}

impl<T> fmt::Debug for Outlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing to deliver; `None` at the end.
    fn take(&self) -> Option<T> {
        let mut slot = self.lock();
        loop {
            if slot.ended {
                return None;
            }
            if let Some(thing) = slot.waiting.take() {
                return Some(thing);
            }
            slot = self
                .changed
                .wait(slot)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits, whatever is offered, but not beyond the end.
    fn rest(&self, time: Duration) {
        let slot = self.lock();
        drop(
            self.changed
                .wait_timeout_while(slot, time, |slot| !slot.ended),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_dead_place_keeps_one_thing_and_holds_up_nobody() {
        let (open, gate) = channel::<()>();
        let (tell, told) = channel();
        let outlet = Outlet::start("test", Duration::ZERO, move |thing: u32| {
            let _ = tell.send(thing);
            let _ = gate.recv();
            Ok::<_, String>(())
        });
        outlet.offer(0);
        assert_eq!(told.recv(), Ok(0));
        for thing in 1..=1000 {
            outlet.offer(thing);
        }
        assert_eq!(outlet.state().replaced, 999);
        open.send(()).unwrap();
        assert_eq!(told.recv(), Ok(1000), "the newest");
        drop(open);
    }

    #[test]
    fn a_failure_is_kept_until_a_delivery_succeeds() {
        let (tell, told) = channel();
        let mut left = 1;
        let outlet = Outlet::start("test", Duration::ZERO, move |_: u32| {
            let failed = left > 0;
            left -= i32::from(failed);
            let _ = tell.send(failed);
            if failed { Err("no") } else { Ok(()) }
        });
        outlet.offer(1);
        assert_eq!(told.recv(), Ok(true));
        while outlet.state().failing.is_none() {
            std::thread::yield_now();
        }
        assert_eq!(outlet.state().failing.as_deref(), Some("no"));
        outlet.offer(2);
        assert_eq!(told.recv(), Ok(false));
        while outlet.state().failing.is_some() {
            std::thread::yield_now();
        }
    }
}
