//! One law for counters that grow, wrap and sometimes lie.

/// A growing counter that wraps at a known modulus.
///
/// The first reading is a baseline. A failed read is simply not shown to it: the old baseline stays, and the counter
/// itself remembers what passed. A reading that goes back without a possible wrap (suspend, driver reload) or a step
/// above the caller's ceiling is refused and becomes the new baseline.
#[derive(Clone, Debug)]
pub struct WrappingCounter {
    modulus: Option<u64>,
    last: Option<u64>,
}

/// What one reading of a [`WrappingCounter`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first reading: nothing is known of the time before it.
    First,
    /// Growth since the last reading.
    Grew(u64),
    /// Growth since the last reading, across one wrap.
    Wrapped(u64),
    /// Not believed: the counter went back where no wrap is possible, or grew above the ceiling.
    Refused,
}

impl WrappingCounter {
    /// A counter whose values are below `modulus`; `None` when its range is unknown, and then it never wraps.
    pub fn new(modulus: Option<u64>) -> Self {
        Self {
            modulus: modulus.filter(|m| *m > 0),
            last: None,
        }
    }

    /// Takes a reading. `ceiling` is the largest growth that is physically possible since the last one.
    ///
    /// ```
    /// use kepler_core::{Step, WrappingCounter};
    ///
    /// let mut counter = WrappingCounter::new(Some(1000));
    /// assert_eq!(counter.advance(990, 100), Step::First);
    /// assert_eq!(counter.advance(5, 100), Step::Wrapped(15));
    /// assert_eq!(counter.advance(905, 100), Step::Refused);
    /// ```
    pub fn advance(&mut self, now: u64, ceiling: u64) -> Step {
        let Some(last) = self.last.replace(now) else {
            return Step::First;
        };
        let step = if now >= last {
            Step::Grew(now - last)
        } else {
            match self.modulus {
                Some(modulus) if last < modulus => Step::Wrapped(modulus - last + now),
                _ => return Step::Refused,
            }
        };
        match step {
            Step::Grew(delta) | Step::Wrapped(delta) if delta <= ceiling => step,
            _ => Step::Refused,
        }
    }

    /// Makes the next reading a baseline.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// The last reading, if there was one.
    pub fn last(&self) -> Option<u64> {
        self.last
    }

    /// Whether a growth of `delta` may be one of a full range more, so that it is only a lower bound.
    pub fn is_ambiguous(&self, delta: u64, ceiling: u64) -> bool {
        self.modulus
            .is_some_and(|modulus| delta.saturating_add(modulus) <= ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_counter_without_range_never_wraps() {
        let mut counter = WrappingCounter::new(None);
        assert_eq!(counter.advance(100, u64::MAX), Step::First);
        assert_eq!(counter.advance(50, u64::MAX), Step::Refused);
        assert_eq!(counter.advance(60, u64::MAX), Step::Grew(10));
    }

    #[test]
    fn a_growth_is_ambiguous_when_one_more_turn_is_possible() {
        let counter = WrappingCounter::new(Some(1_000));
        assert!(counter.is_ambiguous(100, 1_100));
        assert!(!counter.is_ambiguous(101, 1_100));
        assert!(!WrappingCounter::new(None).is_ambiguous(0, u64::MAX));
    }

    #[test]
    fn a_refused_reading_is_the_new_baseline() {
        let mut counter = WrappingCounter::new(Some(1_000_000));
        counter.advance(500_000, 1_000);
        assert_eq!(counter.advance(10, 1_000), Step::Refused);
        assert_eq!(counter.advance(110, 1_000), Step::Grew(100));
    }

    proptest! {
        #[test]
        fn any_walk_within_the_range_is_exact(
            modulus in 2_u64..u64::MAX / 4,
            start in 0_u64..u64::MAX / 4,
            steps in prop::collection::vec(0_u64..u64::MAX / 4, 1..50),
        ) {
            let mut counter = WrappingCounter::new(Some(modulus));
            let mut truth = u128::from(start % modulus);
            counter.advance(start % modulus, u64::MAX);
            for step in steps {
                let step = step % modulus;
                truth += u128::from(step);
                let shown = u64::try_from(truth % u128::from(modulus)).unwrap();
                match counter.advance(shown, modulus - 1) {
                    Step::Grew(delta) | Step::Wrapped(delta) => prop_assert_eq!(delta, step),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
    }
}
