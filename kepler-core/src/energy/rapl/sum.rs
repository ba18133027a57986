//! A zone made of several counters: AMD counts each core apart.

use std::time::Duration;

use crate::energy::Reading;
use crate::energy::meter::Meter;
use crate::error::Result;
use crate::units::Joules;

/// The counters of a zone, each with a wrap and a baseline of its own.
#[derive(Debug)]
pub(super) struct Sum<C> {
    parts: Vec<Part<C>>,
    suspends: u64,
}

#[derive(Debug)]
struct Part<C> {
    counter: C,
    meter: Meter,
    value: u64,
}

impl<C> Sum<C> {
    pub(super) fn new(parts: impl IntoIterator<Item = (C, Meter)>) -> Self {
        let parts = parts.into_iter().map(|(counter, meter)| Part {
            counter,
            meter,
            value: 0,
        });
        Self {
            parts: parts.collect(),
            suspends: 0,
        }
    }

    /// What all counters together show, each read by `value`. If one fails none moves on, and all of them remember.
    pub(super) fn look(
        &mut self,
        now: Duration,
        suspends: u64,
        mut value: impl FnMut(&mut C) -> Result<u64>,
    ) -> Reading {
        for part in &mut self.parts {
            part.value = match value(&mut part.counter) {
                Ok(value) => value,
                Err(error) => return Reading::Failed(error),
            };
        }
        let reset = suspends != self.suspends;
        self.suspends = suspends;
        let looks = self.parts.iter_mut();
        looks
            .map(|part| part.meter.look(now, part.value, reset))
            .reduce(together)
            .unwrap_or(Reading::Refused)
    }

    /// Makes the next look a baseline.
    pub(super) fn forget(&mut self) {
        for part in &mut self.parts {
            part.meter.forget();
        }
    }

    /// Whether every counter still stands at 0.
    pub(super) fn stands_at_zero(&self) -> bool {
        self.parts.iter().all(|part| part.value == 0)
    }
}

/// Two parts' readings as one: what one of them does not know, both together do not.
fn together(one: Reading, other: Reading) -> Reading {
    match (one, other) {
        (
            Reading::Energy {
                joules: Joules(one),
                over,
                ambiguous,
            },
            Reading::Energy {
                joules: Joules(other),
                ambiguous: also,
                ..
            },
        ) => Reading::Energy {
            joules: Joules(one + other),
            over,
            ambiguous: ambiguous || also,
        },
        (Reading::Energy { .. }, other) => other,
        (one, _) => one,
    }
}
