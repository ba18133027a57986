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
