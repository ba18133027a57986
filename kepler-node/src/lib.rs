//! The npm package `kepler`: conversions around `kepler-core`, no logic of its own.
#![allow(
    clippy::needless_pass_by_value,
    reason = "arguments come as Node hands them over"
)]
#![allow(
    clippy::use_self,
    reason = "napi puts signatures where Self is unknown"
)]
#![cfg_attr(
    test,
    allow(dead_code, reason = "in a test build napi exports nothing")
)]
#![allow(unreachable_pub, reason = "napi exports what is pub")]

mod columns;
mod doctor;
mod errors;
mod later;
mod measure;
mod model;
mod monitor;
mod options;
mod provenance;
mod registry;
mod snapshot;
mod stop;
mod text;
mod train;

use napi_derive::napi;

/// The version of the package, the same as that of the Rust crates and the Python package.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
