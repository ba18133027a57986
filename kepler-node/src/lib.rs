//! The npm package `kepler`: conversions around `kepler-core`, no logic of its own.

mod errors;

use napi_derive::napi;

/// The version of the package, the same as that of the Rust crates and the Python package.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
