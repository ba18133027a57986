//! Keeping a set of models present and sound.

pub(crate) mod check;
pub(crate) mod pull;
