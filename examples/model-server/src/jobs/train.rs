//! `train`.

use std::process::ExitCode;

/// What `train` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Train {}

/// Does the job.
pub(crate) fn run(_: &Train) -> Result<ExitCode, String> {
    Err("train is not in this version".to_owned())
}
