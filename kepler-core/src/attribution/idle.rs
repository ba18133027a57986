//! What a part of the machine draws without work, and whose that is.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::units::Watts;

/// How energy is split into active and idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdleSplit {
    /// By the busy share of the CPU time: a machine that is busy for a tenth of it has a tenth of its energy active.
    #[default]
    UsageRatio,
    /// By the power that the part would draw without work, fitted to how its power follows the load. Until the load has
    /// varied enough to tell, by the busy share.
    Fitted,
}

/// Whether workloads are handed idle energy, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdleShare {
    /// It is shown apart and is no part of their energy.
    #[default]
    None,
    /// Each living process carries the same.
    Equal,
    /// Each carries its share of the busy time.
    Usage,
}

impl IdleSplit {
    /// Every way, in the order of their declaration.
    pub const ALL: [Self; 2] = [Self::UsageRatio, Self::Fitted];

    /// The name as settings and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsageRatio => "usage-ratio",
            Self::Fitted => "fitted",
        }
    }
}

impl IdleShare {
    /// Every way, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::None, Self::Equal, Self::Usage];

    /// The name as settings and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Equal => "equal",
            Self::Usage => "usage",
        }
    }
}

impl fmt::Display for IdleSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for IdleShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IdleSplit {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|way| way.as_str() == name);
        found.ok_or_else(|| Error::invalid("idle", format!("{name} is not usage-ratio or fitted")))
    }
}

impl FromStr for IdleShare {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|way| way.as_str() == name);
        found.ok_or_else(|| {
            Error::invalid("idle share", format!("{name} is not none, equal or usage"))
        })
    }
}

/// Fits a straight line to power by load, the latest hours counting most: where it meets no load is the idle power.
///
/// ```
/// use std::time::Duration;
/// use kepler_core::Watts;
/// use kepler_core::attribution::IdleFit;
///
/// let mut fit = IdleFit::default();
/// for step in 0..100 {
///     let busy = f64::from(step % 10) / 10.0;
///     fit.learn(busy, Watts(30.0 + 50.0 * busy), Duration::from_secs(5));
/// }
/// assert!((fit.level().unwrap().0 - 30.0).abs() < 1e-6);
/// ```
#[derive(Clone, Debug, Default)]
pub struct IdleFit {
    /// Time that is remembered, in seconds, and sums over it of load, power, their squares and product.
    weight: f64,
    load: f64,
    power: f64,
    load_squared: f64,
    product: f64,
    /// The least power seen, forgotten as slowly.
    least: Option<f64>,
}

/// After this time, what was seen counts half.
const HALF_LIFE: f64 = 3600.0;
/// Less than this says nothing.
const ENOUGH_TIME: f64 = 30.0;
/// The load has to vary by this much (standard deviation) for a line to be told.
const ENOUGH_SPREAD: f64 = 0.03;

impl IdleFit {
    /// Takes in an interval: the busy share of the machine and the part's mean power.
    pub fn learn(&mut self, busy: f64, watts: Watts, over: Duration) {
        let seconds = over.as_secs_f64();
        if !(busy.is_finite() && watts.0.is_finite() && seconds > 0.0) {
            return;
        }
        let kept = 0.5_f64.powf(seconds / HALF_LIFE);
        for sum in [
            &mut self.weight,
            &mut self.load,
            &mut self.power,
            &mut self.load_squared,
            &mut self.product,
        ] {
            *sum *= kept;
        }
        self.weight += seconds;
        self.load += seconds * busy;
        self.power += seconds * watts.0;
        self.load_squared += seconds * busy * busy;
        self.product += seconds * busy * watts.0;
        // Rises by half of the way to the present in a half-life, so that a machine that changed is learnt anew.
        let risen = |least: f64| least + (watts.0 - least) * (1.0 - kept);
        self.least = Some(
            self.least
                .map_or(watts.0, |least| watts.0.min(risen(least))),
        );
    }

    /// The idle power: never more than the least that was seen, never below 0. `None` until the load has varied enough.
    pub fn level(&self) -> Option<Watts> {
        if self.weight < ENOUGH_TIME {
            return None;
        }
        let (load, power) = (self.load / self.weight, self.power / self.weight);
        let variance = self.load_squared / self.weight - load * load;
        if variance < ENOUGH_SPREAD * ENOUGH_SPREAD {
            return None;
        }
        let slope = (self.product / self.weight - load * power) / variance;
        // A part whose power falls with load has no line of its own: what it drew least is all that is known.
        let level = power - slope.max(0.0) * load;
        Some(Watts(level.clamp(0.0, self.least?.max(0.0))))
    }
}
