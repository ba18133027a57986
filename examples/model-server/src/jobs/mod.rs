//! Jobs that are run by hand or by a scheduler.

pub(crate) mod eval;
mod history;
mod pipeline;
mod rows;
pub(crate) mod show;
mod told;
pub(crate) mod train;
