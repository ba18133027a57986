//! Energy and power with their units in the type. The only place that scales or casts between units.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A raw energy reading or range in microjoules, as powercap files hold it (`energy_uj`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Microjoules(pub u64);

/// A raw power reading or limit in microwatts, as powercap and hwmon files hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Microwatts(pub(crate) u64);

impl Microwatts {
    /// The same power in watts.
    pub(crate) fn watts(self) -> Watts {
        Watts(count_to_f64(self.0) / 1e6)
    }
}

/// Energy in joules.
///
/// ```
/// use std::time::Duration;
/// use kepler_core::Joules;
///
/// let used = Joules(12.0);
/// assert_eq!((used / Duration::from_secs(4)).unwrap().0, 3.0); // watts
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Joules(pub f64);

/// Power in watts: joules per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watts(pub f64);

impl Microjoules {
    /// The same energy in joules. Exact up to 2^53 µJ (9 GJ).
    pub fn joules(self) -> Joules {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counters stay far below 2^53 microjoules (9 gigajoules)"
        )]
        Joules(self.0 as f64 / 1e6)
    }
}

impl Joules {
    /// No energy.
    pub const ZERO: Self = Self(0.0);

    /// The same energy in watt-hours.
    pub fn watt_hours(self) -> f64 {
        self.0 / 3600.0
    }
}

impl Watts {
    /// No power.
    pub const ZERO: Self = Self(0.0);
}

impl Joules {
    /// The whole microjoules in it; 0 for less than nothing.
    pub fn microjoules(self) -> Microjoules {
        Microjoules(f64_to_count(self.0 * 1e6))
    }
}

impl Add for Joules {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Joules {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Joules {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<f64> for Joules {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Div<Duration> for Joules {
    type Output = Option<Watts>;
    /// Mean power over an interval; `None` when the interval is empty.
    fn div(self, interval: Duration) -> Option<Watts> {
        let seconds = interval.as_secs_f64();
        (seconds > 0.0).then(|| Watts(self.0 / seconds))
    }
}

impl Sum for Joules {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.map(|j| j.0).sum())
    }
}

impl Add for Watts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Mul<f64> for Watts {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Mul<Duration> for Watts {
    type Output = Joules;
    fn mul(self, interval: Duration) -> Joules {
        Joules(self.0 * interval.as_secs_f64())
    }
}

impl Sum for Watts {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        Self(iter.map(|w| w.0).sum())
    }
}

impl fmt::Display for Joules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} J", Significant(self.0))
    }
}

impl fmt::Display for Watts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} W", Significant(self.0))
    }
}

/// Three significant digits for people; never exponent notation between 0.001 and a million.
struct Significant(f64);

impl fmt::Display for Significant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        match size {
            _ if size == 0.0 => write!(f, "0"),
            _ if size >= 100.0 => write!(f, "{:.0}", self.0),
            _ if size >= 10.0 => write!(f, "{:.1}", self.0),
            _ if size >= 1.0 => write!(f, "{:.2}", self.0),
            _ if size >= 0.001 => write!(f, "{:.4}", self.0),
            _ => write!(f, "{:.2e}", self.0),
        }
    }
}

/// Nanoseconds as seconds, for figures that people and models read.
#[expect(
    clippy::cast_precision_loss,
    reason = "a CPU-time total stays below 2^53 ns for 104 days of one CPU; beyond that the error is under 1e-15 relative"
)]
pub(crate) fn ns_to_seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A duration as whole nanoseconds; saturates after 584 years.
pub(crate) fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One tick of the times in `/proc`: the kernel shows them at 100 Hz on every architecture of the last 20 years but Alpha.
pub(crate) const CLOCK_TICK_NS: u64 = 10_000_000;

/// A count as a float, for ratios and models. Exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, then within 1e-15 relative"
)]
pub(crate) fn count_to_f64(count: u64) -> f64 {
    count as f64
}

/// A float as a count: rounded down, below 0 and NaN become 0, above the range its largest value.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-integer cast saturates, by intent"
)]
pub(crate) fn f64_to_count(figure: f64) -> u64 {
    figure as u64
}

/// Joules or watts as whole millionths, rounded; `None` below 0 and where a float no longer tells millionths apart.
#[cfg(feature = "metrics")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
pub(crate) fn micro(value: f64) -> Option<u64> {
    let scaled = value * 1e6;
    (0.0..9e15).contains(&scaled).then(|| scaled.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watts_are_joules_over_the_real_interval() {
        let watts = (Joules(30.0) / Duration::from_millis(1500)).unwrap();
        assert!((watts.0 - 20.0).abs() < 1e-12);
        assert_eq!(Joules(1.0) / Duration::ZERO, None);
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(Joules(0.0).to_string(), "0 J");
        assert_eq!(Joules(1234.5).to_string(), "1234 J");
        assert_eq!(Watts(12.34).to_string(), "12.3 W");
        assert_eq!(Watts(0.012_34).to_string(), "0.0123 W");
        assert_eq!(Watts(0.000_012_34).to_string(), "1.23e-5 W");
    }
}
