//! What a connection is busy with and since when, which decides how long it may go on like that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::Limits;

/// What a connection is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing came yet.
    Fresh,
    /// A part of a request's head came.
    Head,
    /// At least one request is being answered.
    Busy,
    /// The last answer is made; nothing came since.
    Idle,
}

/// The phase of one connection, told by its stream and its requests.
pub(crate) struct Activity {
    state: Mutex<State>,
    /// HTTP/2 says more than heads, so what comes there does not open one.
    heads: bool,
}

struct State {
    phase: Phase,
    since: Instant,
    requests: usize,
}

impl Activity {
    pub(crate) fn new(heads: bool) -> Self {
        let state = State {
            phase: if heads { Phase::Fresh } else { Phase::Idle },
            since: Instant::now(),
            requests: 0,
        };
        Self {
            state: Mutex::new(state),
            heads,
        }
    }

    /// Bytes came.
    pub(crate) fn received(&self) {
        let mut state = self.lock();
        if self.heads && matches!(state.phase, Phase::Fresh | Phase::Idle) {
            state.enter(Phase::Head);
        }
    }

    /// A request's head came; it is answered when the guard is gone.
    pub(crate) fn request(self: &Arc<Self>) -> Answering {
        let mut state = self.lock();
        state.requests += 1;
        if state.requests == 1 {
            state.enter(Phase::Busy);
        }
        drop(state);
        Answering(Arc::clone(self))
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Since when it is in this phase.
    pub(crate) fn since(&self) -> Instant {
        self.lock().since
    }

    /// Until when the connection may go on like this.
    pub(crate) fn deadline(&self, limits: &Limits) -> Instant {
        let state = self.lock();
        state.since
            + match state.phase {
                Phase::Fresh | Phase::Head => limits.head_time,
                Phase::Busy => limits.busy_time,
                Phase::Idle => limits.idle_time,
            }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}

/// A request that is being answered.
pub(crate) struct Answering(Arc<Activity>);

impl Answering {
    /// One more guard of the same connection.
    pub(crate) fn another(&self) -> Self {
        self.0.request()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        if state.requests == 0 {
            state.enter(Phase::Idle);
        }
    }
}
