//! Counter values at known times in, readings out: the one place that decides what is believed.

use std::time::Duration;

use crate::counter::{Step, WrappingCounter};
use crate::energy::{Domain, Reading};
use crate::units::{Joules, Watts, count_to_f64, f64_to_count};

/// A growing energy counter, read now and then.
#[derive(Debug)]
pub(super) struct Meter {
    counter: WrappingCounter,
    per_joule: f64,
    ceiling: Watts,
    last: Option<Duration>,
}

/// Counters are refreshed by firmware, most every millisecond, some far less often: a short look may show the energy of a
/// longer time.
const REFRESH: Duration = Duration::from_secs(1);

impl Meter {
    /// A counter of `per_joule` counts a joule that starts again after `max`, on a part that cannot draw more than
    /// `ceiling`.
    pub(super) fn new(max: Option<u64>, per_joule: f64, ceiling: Watts) -> Self {
        let modulus = max.filter(|m| *m > 0).and_then(|m| m.checked_add(1));
        Self {
            counter: WrappingCounter::new(modulus),
            per_joule,
            ceiling,
            last: None,
        }
    }

    /// Takes the counter's value at time `now`. `reset` tells that something (a suspend) may have set it back to 0, so
    /// that a counter that went back did not wrap.
    pub(super) fn look(&mut self, now: Duration, value: u64, reset: bool) -> Reading {
        let over = now.saturating_sub(self.last.replace(now).unwrap_or(now));
        let back = self.counter.last().is_some_and(|last| value < last);
        let ceiling = if reset && back {
            0
        } else {
            let most = self.ceiling * (over + REFRESH);
            f64_to_count(most.0 * self.per_joule)
        };
        match self.counter.advance(value, ceiling) {
            Step::First => Reading::Baseline,
            Step::Refused => Reading::Refused,
            Step::Grew(delta) | Step::Wrapped(delta) => Reading::Energy {
                joules: Joules(count_to_f64(delta) / self.per_joule),
                over,
                ambiguous: self.counter.is_ambiguous(delta, ceiling),
            },
        }
    }

    /// Makes the next look a baseline.
    pub(super) fn forget(&mut self) {
        self.counter.forget();
        self.last = None;
    }

    /// Whether `value` would be refused as too large a growth at time `now`.
    pub(super) fn exceeds(&self, now: Duration, value: u64) -> bool {
        let mut tried = Self {
            counter: self.counter.clone(),
            ..*self
        };
        matches!(tried.look(now, value, false), Reading::Refused)
    }

    /// Replaces the most that the part can draw.
    pub(super) fn set_ceiling(&mut self, ceiling: Watts) {
        self.ceiling = ceiling;
    }
}

/// More than any part of the kind draws, whatever its maker allows it: several times the largest sold in 2026.
///
/// Only there to tell nonsense from energy, so it is generous: a figure that is refused in error is lost.
pub(super) fn ceiling(domain: Domain) -> Watts {
    Watts(match domain {
        Domain::Platform => 10_000.0,
        Domain::Psys => 4_000.0,
        Domain::Package | Domain::Core | Domain::Uncore | Domain::Gpu => 2_000.0,
        Domain::Dram => 1_000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn joules(reading: &Reading) -> Option<(f64, bool)> {
        match reading {
            Reading::Energy {
                joules, ambiguous, ..
            } => Some((joules.0, *ambiguous)),
            _ => None,
        }
    }

    #[test]
    fn one_more_turn_is_possible_only_in_a_long_interval() {
        // 1,000,000 counts a turn of 1 J a 1e6 counts: at most 2 W, so 2 turns fit into 1 s, and 4 with the refresh.
        let mut fast = Meter::new(Some(999_999), 1e6, Watts(2.0));
        fast.look(Duration::ZERO, 0, false);
        assert_eq!(
            joules(&fast.look(SECOND, 500_000, false)),
            Some((0.5, true))
        );
        let mut slow = Meter::new(Some(999_999), 1e6, Watts(0.4));
        slow.look(Duration::ZERO, 0, false);
        assert_eq!(
            joules(&slow.look(SECOND, 500_000, false)),
            Some((0.5, false))
        );
    }

    #[test]
    fn a_counter_set_back_by_a_suspend_did_not_wrap() {
        let mut meter = Meter::new(Some(9_999_999), 1e6, Watts(4.0));
        meter.look(Duration::ZERO, 9_900_000, false);
        assert!(matches!(meter.look(SECOND, 100, true), Reading::Refused));
        assert_eq!(
            joules(&meter.look(2 * SECOND, 1_000_100, true)),
            Some((1.0, false))
        );
    }
}
