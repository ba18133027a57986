#![doc = include_str!("../README.md")]

mod activity;
mod address;
mod auth;
mod body;
mod budget;
mod cli;
mod client;
mod client_cert;
mod config;
mod connection;
mod duration;
mod error;
mod files;
mod gate;
mod health;
mod held;
mod html;
#[cfg(feature = "kube")]
pub mod kube;
mod limits;
pub mod log;
#[cfg(feature = "models")]
pub mod models;
mod rate;
mod self_signed;
mod server;
mod shown;
pub mod sinks;
mod site;
mod stop;
mod stream;
mod tls;
mod unix;
mod web;
mod yaml;

pub use address::Address;
pub use auth::AdminToken;
pub use body::Body;
pub use cli::parse;
pub use client::url;
pub use duration::duration;
pub use error::{Error, Result};
pub use gate::Peer;
pub use health::Probe;
pub use held::hold;
pub use html::escaped;
pub use limits::Limits;
pub use rate::Rate;
pub use server::Server;
pub use shown::shown;
pub use stop::stop_signal;
pub use unix::UnixSocket;
pub use web::WebArgs;
pub use yaml::yaml;
