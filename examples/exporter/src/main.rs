//! Kepler's Prometheus exporter: arguments, a sampling thread, an HTTP server, and a clean stop.

mod args;
mod commands;
mod duration;
mod gzip;
mod harden;
mod kube;
mod landing;
mod machine;
mod memory;
mod models;
mod outputs;
mod pages;
mod power;
mod redfish;
mod reload;
mod reply;
mod report;
mod sampler;
mod settings;
mod share;

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::service::service_fn;
use kepler_core::monitor::{Fold, Snapshot};
use kepler_service::{Body, Limits, Server, log, stop_signal};
use tokio::signal::unix::{SignalKind, signal};

use outputs::Subject;
use pages::Chosen;
use reload::Reload;
use reply::Site;
use sampler::{Handling, Sampler};
use settings::{Fault, Places, Settings};

/// Where it listens when no address is given.
const ADDRESS: &str = "0.0.0.0:28282";
/// Connections at a time: many times what a pair of Prometheus servers and their probes need.
const CONNECTIONS: usize = 64;
/// How long an idle connection is kept: longer than scrape intervals are, since it tells one reader from another.
const IDLE: Duration = Duration::from_secs(190);

fn main() -> ExitCode {
    memory::map_large_pieces();
    let places = Places::of_process();
    let settings = match places.load() {
        Ok(settings) => settings,
        Err(fault) => return refuse(&fault),
    };
    log::start(settings.args.log.level, settings.args.log.format);
    let ended = if settings.args.config_check {
        settings.notes.iter().for_each(|note| log::info(note));
        let checked = settings.args.check();
        checked.and_then(|()| Ok(commands::print(settings.effective().as_bytes())?))
    } else if let Some(command) = &settings.args.command {
        command.run(&settings.args).map_err(Into::into)
    } else {
        run(places, settings).map(|()| ExitCode::SUCCESS)
    };
    match ended {
        Ok(code) => code,
        Err(error) => {
            log::error(&error.to_string());
            let code = error.downcast_ref().map(kepler_service::Error::exit_code);
            code.unwrap_or(ExitCode::FAILURE)
        }
    }
}

/// Says what is wrong with the settings. The exit code is 2, or 1 where a file cannot be read.
#[expect(clippy::print_stderr, reason = "no log is set up yet")]
fn refuse(fault: &Fault) -> ExitCode {
    match fault {
        Fault::Arguments(error) => args::explain(error),
        Fault::Setting(line) => {
            eprintln!("kepler-exporter: {line}");
            ExitCode::from(2)
        }
        Fault::Unreadable(line) => {
            eprintln!("kepler-exporter: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run(places: Places, settings: Settings) -> Result<(), Box<dyn Error>> {
    let args = &settings.args;
    args.outputs.any()?;
    // Before anything that takes time, so that a busy port is told at once.
    let server = if args.outputs.prometheus {
        let mut limits = Limits::default();
        limits.connections = CONNECTIONS;
        limits.idle_time = IDLE;
        Some(Server::bind(&args.web, ADDRESS, limits)?)
    } else {
        None
    };
    let host = args.machine.host();
    for root in [host.proc(""), host.sys("")] {
        host.names(root)?;
    }
    log::info(&format!("kepler-exporter {}", env!("CARGO_PKG_VERSION")));
    settings.notes.iter().for_each(|note| log::info(note));
    if args.harden {
        harden::harden()?;
    }
    let selection = args.selection();
    let chosen = Chosen::new(selection.clone(), args.node_name.clone());
    let pages = || chosen.pages(host.clone());
    let name = args.machine_name();
    let builder = args.models.apply(args.monitor());
    let builder = args.power.apply(builder, &name, args.harden)?;
    let mut monitor = builder.counters(selection.counters()).build()?;
    let (names, models) = (monitor.pod_names(), monitor.models());
    let first = monitor.sample()?;
    explain(&first);
    memory::give_back();
    let subject = Subject {
        pages: &pages,
        mark: &monitor.export_mark(),
        node_name: &name,
    };
    let outputs = args.outputs.start(&subject, args.harden)?;
    let handling = Handling {
        fold: args.top.map(Fold::to),
        outputs,
        raised: args.harden,
        meters: Vec::new(),
    };
    let sampler = Sampler::start(monitor, first, args.interval(), handling);
    let site = Arc::new(Site::new(pages(), sampler.view()));
    if args.harden {
        // The sampling thread has its own; threads that start from here on have none.
        harden::give_up_all()?;
    }
    if let Some(folder) = &args.power.share {
        share::start(folder, sampler.view())?;
    }
    if let Some(settings) = args.kube.settings(&name) {
        let view = sampler.view();
        kepler_service::kube::start(&settings, names, move || view.whole())?;
    }
    match (args.models.settings(), models) {
        (Some(settings), Some(models)) => kepler_service::models::start(settings, models)?,
        (Some(_), None) => log::info("models: energy is measured here, so none is fetched"),
        (None, _) => {}
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let served = runtime.block_on(serve(
        server,
        &site,
        &sampler,
        Reload::new(places, settings, chosen),
    ));
    sampler.stop();
    served
}

/// Answers until the program is told to stop.
async fn serve(
    server: Option<Server>,
    site: &Arc<Site>,
    sampler: &Sampler,
    mut reload: Reload,
) -> Result<(), Box<dyn Error>> {
    let mut hangup =
        signal(SignalKind::hangup()).map_err(|e| format!("cannot listen for signals: {e}"))?;
    let reloading = async {
        while hangup.recv().await.is_some() {
            reload.reload(sampler);
        }
    };
    let asked = Arc::clone(site);
    let service =
        service_fn(move |request: Request<Body>| ready(Ok::<_, Infallible>(asked.reply(&request))));
    let stop = stop_signal()?;
    let serving = async {
        match server {
            Some(server) => server.run(service, stop).await,
            None => {
                stop.await;
                Ok(())
            }
        }
    };
    tokio::select! {
        served = serving => Ok(served?),
        () = reloading => Ok(()),
    }
}

/// What is used, where figures come from, and why what is missing is missing.
fn explain(snapshot: &Snapshot) {
    for zone in &snapshot.node.zones {
        log::info(&format!("zone {}: {}", zone.zone, zone.provenance));
    }
    log::info(&format!("usage by {}", snapshot.sources.usage));
    for note in &snapshot.sources.notes {
        log::info(&note.to_string());
    }
}
