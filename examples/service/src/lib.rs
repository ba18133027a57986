#![doc = include_str!("../README.md")]

mod activity;
mod address;
mod body;
mod cli;
mod connection;
mod error;
mod gate;
mod health;
mod limits;
pub mod log;
mod rate;
mod server;
mod stop;
mod stream;
mod web;

pub use address::Address;
pub use body::Body;
pub use cli::parse;
pub use error::{Error, Result};
pub use gate::Peer;
pub use health::Probe;
pub use limits::Limits;
pub use server::Server;
pub use stop::stop_signal;
pub use web::WebArgs;
