//! From when on an ended workload is shown as terminated.
//!
//! Its series of the state `running` would otherwise stop at the last page before its end, and what it used after that would
//! be in the series of the state `terminated` alone: one that is born at its final value, whose `increase()` is 0. So the
//! final total is shown as `running` first, long enough for every scraper.

use std::time::Duration;

use crate::monitor::State;

/// Longer than the usual scrape intervals, of several Prometheus servers too.
const FAREWELL: Duration = Duration::from_secs(60);

/// When a page first showed that a workload has ended; `None` while it lives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End(Option<Duration>);

impl End {
    /// Whether a page of the time `now` shows the workload as terminated.
    pub(super) fn shown(&mut self, state: State, now: Duration) -> bool {
        if state == State::Running {
            self.0 = None;
            return false;
        }
        let since = *self.0.get_or_insert(now);
        now.saturating_sub(since) > FAREWELL
    }
}
