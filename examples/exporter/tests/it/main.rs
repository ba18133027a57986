//! The program as its users meet it, by subject.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod commands;
mod dashboards;
mod harden;
mod models;
mod settings;
mod sinks;
#[path = "../support/mod.rs"]
mod support;
