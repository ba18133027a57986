//! The server as its clients meet it: over HTTP on a loopback port and on the estimator's socket.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

#[cfg(feature = "arrow")]
mod arrow;
mod bounds;
mod contract;
mod held;
mod replay;
mod server;
mod socket;
