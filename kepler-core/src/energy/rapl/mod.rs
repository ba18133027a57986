//! RAPL, the running average power limit: energy counters in processors of Intel and AMD, reached in three ways.

mod cpu;
mod discover;
mod limits;
mod msr;
mod name;
mod perf;
mod perf_event;
mod perf_zones;
mod powercap;
mod registers;
mod sum;
mod topology;

pub use msr::Msr;
pub use perf::Perf;
pub use perf_event::PerfEvent;
pub use powercap::Powercap;

use crate::energy::Zone;
use crate::error::Error;

/// What is said of a counter that is there and that nothing feeds.
fn stands_at_zero(zone: &Zone) -> Error {
    Error::Unsupported {
        what: format!("{} of {}", zone.name, zone.path),
        why: "its counter has not moved since it was opened".into(),
        hint: "guests, and machines without the sensor, show counters that nothing feeds".into(),
    }
}
