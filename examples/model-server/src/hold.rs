//! The command that holds a server's listening socket.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kepler_service::{Address, hold, log, stop_signal};

/// How a socket is held.
#[derive(Args, Debug)]
pub(crate) struct Hold {
    /// Where to listen; the server does so at held:PATH
    #[arg(long, value_name = "ADDRESS", default_value = ":8100")]
    listen: Address,
    /// The unix socket by which it is given away
    path: PathBuf,
}

/// Holds until it is told to stop.
pub(crate) fn run(args: &Hold) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|e| format!("cannot start: {e}"))?;
    let held = runtime.block_on(async {
        let stop = stop_signal()?;
        hold(&args.listen, &args.path, stop).await
    });
    Ok(match held {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error(&error.to_string());
            error.exit_code()
        }
    })
}
