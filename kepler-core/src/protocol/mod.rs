//! What a model server and an estimator are asked and answer: text in, text out, no sockets.
//!
//! The contract is that of Kepler's older Python model server: [`ModelQuery`] is what is posted to `/model`,
//! [`BestQuery`] what `/best-models` is asked, [`estimator`] the unix socket's conversation. A [`Catalog`] answers them
//! all, from pipelines or from the embedded models. [`Want`] is the other side: what a client asks, and makes of the answer.

mod best;
mod catalog;
mod choice;
pub mod estimator;
mod family;
mod given;
mod listing;
mod python;
mod query;
mod recent;
mod refusal;
mod rows;
mod want;
mod weights;

pub use best::BestQuery;
pub use catalog::Catalog;
pub use choice::{ModelAnswer, ModelId};
pub use listing::{Listing, MachineType};
pub use query::{ModelQuery, Rules};
pub use refusal::Refusal;
pub use rows::{Estimate, EstimateQuery, Watts};
pub use want::{Learnt, Want};
