//! The signals that end a server.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use crate::{Error, Result, log};

/// Done when the process is told to end, by SIGTERM or SIGINT.
///
/// The signals are caught from the call on, so that none is lost before the first poll. Must be called within a tokio
/// runtime.
///
/// # Errors
/// [`Error::System`] where signals cannot be caught.
pub fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    let caught = |kind| {
        signal(kind).map_err(|source| Error::System {
            what: "listen for signals",
            source,
        })
    };
    let (mut terminate, mut interrupt) = (
        caught(SignalKind::terminate())?,
        caught(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        log::info("stopping");
    })
}
