//! `pull`.

use std::process::ExitCode;

/// What `pull` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Pull {}

/// Does the job.
pub(crate) fn run(_: &Pull) -> Result<ExitCode, String> {
    Err("pull is not in this version".to_owned())
}
