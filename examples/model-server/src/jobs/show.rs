//! `show`.

use std::process::ExitCode;

/// What `show` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Show {}

/// Does the job.
pub(crate) fn run(_: &Show) -> Result<ExitCode, String> {
    Err("show is not in this version".to_owned())
}
