//! `serve`: the models over HTTP and on the estimator's socket.

#[cfg(feature = "arrow")]
mod arrow;
mod estimator;
mod list;
mod managed;
mod managing;
mod meters;
mod models;
mod page;
mod reply;
mod routes;
mod settings;
mod site;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use hyper_util::service::TowerToHyperService;
use kepler_core::protocol::Rules;
use kepler_core::{Host, MachineSpec};
use kepler_service::{Limits, Server, WebArgs, log, stop_signal};

use managing::Managing;
use settings::Settings;
use site::Site;

/// What `serve` is told.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    web: WebArgs,
    /// A pipeline of models, or a folder of them: a folder, a zip, or the URL of a zip; may be given more than once.
    /// Without it the embedded models are served
    #[arg(long, value_name = "DIR|ZIP|URL")]
    models: Vec<String>,
    /// Answer the older estimator's requests on this unix socket
    #[arg(long, value_name = "PATH")]
    estimator_socket: Option<PathBuf>,
    /// Refuse requests with fields that are not known
    #[arg(long)]
    strict: bool,
    /// Take node_type 0 at its word; the Go exporter sends it with its machine when it means that it does not know
    #[arg(long)]
    compat_node_type: bool,
    #[command(flatten)]
    managing: Managing,
    /// A folder with one file a setting, in the older server's names
    #[arg(
        short = 'c',
        long,
        value_name = "DIR",
        env = "CONFIG_PATH",
        default_value = "/etc/kepler/kepler.config"
    )]
    config_dir: PathBuf,
}

/// Serves until it is told to stop.
pub(crate) fn run(serve: &Serve) -> Result<ExitCode, String> {
    let settings = Settings::read(&serve.config_dir)?;
    // Before anything that takes time, so that a busy port is told at once.
    let server = match Server::bind(&serve.web, &settings.address(), Limits::default()) {
        Ok(server) => server,
        Err(error) => {
            log::error(&error.to_string());
            return Ok(error.exit_code());
        }
    };
    let socket = serve.estimator_socket.as_deref();
    let socket = socket.map(estimator::bind).transpose()?;
    let wanted = match serve.models.is_empty() {
        true => settings.models(),
        false => serve.models.clone(),
    };
    log::info(&format!(
        "kepler-model-server {}",
        env!("CARGO_PKG_VERSION")
    ));
    let host = Host::default();
    let machine = MachineSpec::discover(&host).map_err(|e| e.to_string())?;
    let rules = Rules {
        strict: serve.strict,
        compat_node_type: serve.compat_node_type,
    };
    let prepared = serve.managing.prepare(&wanted)?;
    let usage = Arc::clone(&prepared.usage);
    let catalog = models::open(&prepared.places)?;
    let site = Site::new(catalog, rules, machine, host, Arc::clone(&usage));
    let site = Arc::new(site);
    let (manager, checks) = serve.managing.start(prepared, Arc::clone(&site))?;
    give_back_memory();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let served = runtime.block_on(async {
        if let Some(socket) = socket {
            estimator::start(socket, Arc::clone(&site))?;
        }
        let service = TowerToHyperService::new(routes::router(site, &manager));
        let stop = stop_signal().map_err(|e| e.to_string())?;
        server.run(service, stop).await.map_err(|e| e.to_string())
    });
    // What still predicts is not waited for.
    runtime.shutdown_background();
    drop(checks);
    // What was counted last is written.
    usage.close();
    served.map(|()| ExitCode::SUCCESS)
}

/// Indexing thousands of models takes some megabytes for a moment; the allocator keeps them unless it is asked.
fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "std does not speak of the allocator")]
    // SAFETY: the call takes no pointer and may be made at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
