//! Training power models: from tables of rates and watts to a [`super::PowerModel`] with a stated error.
//!
//! Everything is deterministic: the same rows, settings and seed give the same model, bit for bit. Rows that an error is
//! measured on are never seen in training, not even by the scaler.

mod boost;
mod columns;
mod curve_fit;
mod data;
pub mod defaults;
mod ensemble;
mod extract;
mod fit;
mod forest;
mod grow;
mod isolate;
mod kernel;
mod leaf;
mod linear;
mod local_median;
mod progress;
mod prometheus;
mod rng;
mod shape;
mod split;
mod svr_fit;
mod threshold;
mod trainer;
mod tree_rows;
mod validate;

pub use boost::Boosting;
pub use columns::{ColumnChoice, ColumnRoles};
pub use data::TrainingData;
pub use extract::{Activity, ContainerRow, Extraction, Scope};
pub use fit::{TrainOptions, cross_validate, train};
pub use forest::Forest;
pub use isolate::{IdleProfile, Isolation};
pub use leaf::Loss;
pub use progress::{Progress, Watch};
pub use prometheus::PrometheusDump;
pub use shape::{Splits, TreeShape};
pub use split::{Fold, folds};
pub use trainer::Trainer;
pub use validate::{Entry, Leaderboard, Validation, leaderboard};
