//! Jobs on models that end by themselves.

pub(crate) mod eval;
pub(crate) mod show;
pub(crate) mod train;
