//! Command line arguments. Each command's own are in its module.

use clap::{Parser, Subcommand};
use kepler_service::log::LogArgs;

use crate::{hold, jobs, manage, serve};

/// Power models over HTTP; without a command it serves.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: serve::Serve,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve models over HTTP (what is done without a command)
    Serve(serve::Serve),
    /// Hold the socket that a server listens on, so that nobody is refused while it is started anew
    Hold(hold::Hold),
    /// Train models from measured power
    Train(jobs::train::Train),
    /// Measure how far off models are on data
    Eval(jobs::eval::Eval),
    /// Print what a model is
    Show(jobs::show::Show),
    /// Fetch the models of a manifest
    Pull(manage::pull::Pull),
    /// Compare expected models with those that a server has
    Check(manage::check::Check),
}
