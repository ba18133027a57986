//! Behaviour through the public API, on fixture hosts and on the live kernel: one file a behaviour.

mod floors;
mod model;
mod parity;
