//! Whether the machine slept: counters may start anew then, and the clock ran on.

use crate::host::{Host, KeptFile};

/// `/sys/power/suspend_stats/success`, where the kernel has it (since 5.3).
#[derive(Debug)]
pub(super) struct Suspends(Option<KeptFile>);

impl Suspends {
    pub(super) fn open(host: &Host) -> Self {
        Self(host.open(host.sys("power/suspend_stats/success")).ok())
    }

    /// How often the machine was suspended since boot; 0 where it does not tell.
    pub(super) fn count(&mut self) -> u64 {
        let count = self.0.as_mut().and_then(|file| file.number().ok());
        count.unwrap_or(0)
    }
}
