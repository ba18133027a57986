//! Power readings in, energy out: an integral over the real time between two looks.

use std::time::Duration;

use crate::energy::Reading;
use crate::units::{Microwatts, Watts};

/// What is known of a power sensor's past.
#[derive(Debug)]
pub(super) struct Power {
    /// The time that a reading is the average over; zero for an instantaneous one.
    window: Duration,
    ceiling: Watts,
    last: Option<(Duration, Watts)>,
}

impl Power {
    pub(super) fn new(window: Duration, ceiling: Watts) -> Self {
        Self {
            window,
            ceiling,
            last: None,
        }
    }

    /// Takes a reading of `microwatts` at time `now`.
    pub(super) fn look(&mut self, now: Duration, microwatts: u64) -> Reading {
        let watts = Microwatts(microwatts).watts();
        if watts.0 > self.ceiling.0 {
            // Firmware says "unknown" by a value with all bits set.
            self.forget();
            return Reading::Refused;
        }
        let Some((then, before)) = self.last.replace((now, watts)) else {
            return Reading::Baseline;
        };
        let over = now.saturating_sub(then);
        let mean = if self.window >= over {
            watts
        } else {
            (before + watts) * 0.5
        };
        Reading::Energy {
            joules: mean * over,
            over,
            ambiguous: false,
        }
    }

    /// Makes the next look a baseline.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}
