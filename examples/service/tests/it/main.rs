//! The servers' common floor as its clients meet it: curl, openssl, Prometheus, and clients that mean no good.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod auth;
mod limits;
mod protocols;
mod reload;
mod stop;
mod support;
mod tls;
