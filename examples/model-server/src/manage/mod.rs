//! The model manager: which models are expected, where they come from, whether they are there, and what they are used for.

pub(crate) mod check;
pub(crate) mod client;
#[allow(dead_code, reason = "the server's routes come to use it")]
mod inventory;
#[allow(dead_code, reason = "the server's routes come to use it")]
mod jobs;
#[allow(dead_code, reason = "the server's routes come to use it")]
pub(crate) mod manager;
pub(crate) mod manifest;
pub(crate) mod pull;
#[allow(dead_code, reason = "the server's routes come to use it")]
pub(crate) mod usage;
