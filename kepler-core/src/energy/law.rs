//! What a meter of either kind tells, as energy: the growth of a counter, or power over time.

use std::time::Duration;

use crate::energy::Reading;
use crate::energy::meter::Meter;
use crate::energy::power::Power;
use crate::error::Result;

/// How a meter's values become energy, and how often the machine had slept when it last told one.
#[derive(Debug)]
pub(super) struct Law {
    pub(super) kind: Kind,
    suspends: u64,
}

#[derive(Debug)]
pub(super) enum Kind {
    Counter(Meter),
    /// Values are microwatts.
    Integral(Power),
}

impl Law {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, suspends: 0 }
    }

    /// Takes the value at time `now`, and whether the meter had to be opened again for it. Power is not known over a look that
    /// failed and over a time that the machine slept.
    pub(super) fn look(
        &mut self,
        now: Duration,
        value: Result<(u64, bool)>,
        suspends: u64,
    ) -> Reading {
        let (value, reopened) = match value {
            Ok(value) => value,
            Err(error) => {
                if let Kind::Integral(power) = &mut self.kind {
                    power.forget();
                }
                return Reading::Failed(error);
            }
        };
        let slept = suspends != self.suspends;
        self.suspends = suspends;
        match &mut self.kind {
            Kind::Counter(meter) => meter.look(now, value, slept || reopened),
            Kind::Integral(power) => {
                if slept {
                    power.forget();
                }
                power.look(now, value)
            }
        }
    }
}
