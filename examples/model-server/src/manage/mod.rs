//! The model manager: which models are expected, where they come from, whether they are there, and what they are used for.

pub(crate) mod admin;
pub(crate) mod check;
pub(crate) mod client;
mod inventory;
mod jobs;
pub(crate) mod manager;
pub(crate) mod manifest;
pub(crate) mod pull;
pub(crate) mod usage;
