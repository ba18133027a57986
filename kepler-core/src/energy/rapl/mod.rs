//! RAPL, the running average power limit: energy counters in processors of Intel and AMD, reached in three ways.

mod cpu;
mod discover;
mod limits;
mod name;
mod powercap;

pub use powercap::Powercap;
