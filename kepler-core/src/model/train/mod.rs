//! Training power models: from tables of rates and watts to a [`super::PowerModel`] with a stated error.
//!
//! Everything is deterministic: the same rows, settings and seed give the same model, bit for bit.

mod boost;
mod forest;
mod grow;
mod progress;
mod rng;

pub use boost::Boosting;
pub use forest::{Forest, Loss};
pub use grow::{Splits, TreeShape};
pub use progress::{Progress, Watch};
