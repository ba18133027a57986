//! Kepler's Prometheus exporter: arguments, a sampling thread, an HTTP server, and a clean stop.

mod args;
mod gzip;
mod landing;
mod memory;
mod reply;
mod sampler;

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::process::ExitCode;
use std::sync::Arc;

use hyper::Request;
use hyper::service::service_fn;
use kepler_core::metrics::Exposition;
use kepler_core::monitor::Snapshot;
use kepler_core::{Origin, Provenance};
use kepler_service::{Body, Limits, Server, log, stop_signal};

use args::Args;
use reply::Site;
use sampler::Sampler;

/// Where it listens when no address is given.
const ADDRESS: &str = "0.0.0.0:28282";
/// Connections at a time: many times what a pair of Prometheus servers and their probes need.
const CONNECTIONS: usize = 64;

fn main() -> ExitCode {
    memory::map_large_pieces();
    let args: Args = match kepler_service::parse("kepler-exporter") {
        Ok(args) => args,
        Err(code) => return code,
    };
    log::start(args.log.level, args.log.format);
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error(&error.to_string());
            let code = error.downcast_ref().map(kepler_service::Error::exit_code);
            code.unwrap_or(ExitCode::FAILURE)
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut limits = Limits::default();
    limits.connections = CONNECTIONS;
    // Before anything that takes time, so that a busy port is told at once.
    let server = Server::bind(&args.web, ADDRESS, limits)?;
    let host = args.host();
    for root in [host.proc(""), host.sys("")] {
        host.names(root)?;
    }
    let selection = args.selection();
    let mut exposition = Exposition::new(&selection, host.clone());
    if let Some(name) = &args.node_name {
        exposition = exposition.with_node_name(name);
    }
    let mut monitor = args.monitor(host).counters(selection.counters()).build()?;
    log::info(&format!("kepler-exporter {}", env!("CARGO_PKG_VERSION")));
    let first = monitor.sample()?;
    explain(&first);
    memory::give_back();
    let sampler = Sampler::start(monitor, first, args.interval);
    let site = Arc::new(Site::new(exposition, sampler.view()));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let served = runtime.block_on(async {
        let service = service_fn(move |request: Request<Body>| {
            ready(Ok::<_, Infallible>(site.reply(&request)))
        });
        server.run(service, stop_signal()?).await
    });
    sampler.stop();
    Ok(served?)
}

/// What is used, where figures come from, and why what is missing is missing.
fn explain(snapshot: &Snapshot) {
    for zone in &snapshot.node.zones {
        log::info(&format!(
            "zone {}: {}",
            zone.zone.name,
            origin(&zone.provenance)
        ));
    }
    log::info(&format!("usage by {}", snapshot.sources.usage));
    for note in &snapshot.sources.notes {
        log::info(&note.to_string());
    }
}

/// Where a zone's figures come from, in a line.
fn origin(provenance: &Provenance) -> String {
    let mut text = match (&provenance.model, provenance.origin) {
        (Some(model), _) => format!("modeled by {model}"),
        (None, Origin::Modeled) => format!("modeled by {}", provenance.source),
        (None, Origin::Measured) => format!("measured by {}", provenance.source),
    };
    if let Some(mae) = provenance.mae {
        text += &format!(", expected error {mae}");
    }
    if provenance.in_range == Some(false) {
        text += ", outside the range that the model was trained on";
    }
    if !provenance.note.is_empty() {
        text += &format!(" ({})", provenance.note);
    }
    text
}
