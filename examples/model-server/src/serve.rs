//! `serve`: the models over HTTP.

use std::process::ExitCode;

/// What `serve` is told.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Serve {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8100")]
    listen: String,
}

/// Serves until it is told to stop.
pub(crate) fn run(serve: &Serve) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(&serve.listen)
            .await
            .map_err(|e| format!("cannot listen on {}: {e}", serve.listen))?;
        let app = axum::Router::new().route("/health", axum::routing::get(|| async { "ok\n" }));
        let served = axum::serve(listener, app).await;
        served.map_err(|e| format!("cannot serve: {e}"))
    })?;
    Ok(ExitCode::SUCCESS)
}
