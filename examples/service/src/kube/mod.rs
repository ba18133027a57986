//! Pod names of this node, learnt from the kubelet or from the API server by a thread of its own: sampling never waits for
//! them, and only this node's pods are ever asked for.

mod access;
mod apiserver;
mod kubeconfig;
mod kubelet;
mod unknown;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use kepler_core::monitor::{PodNames, Snapshot};
use kepler_core::workload::PodTable;

use access::Access;
use apiserver::ApiServer;
use kubelet::Kubelet;
use unknown::Unknown;

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The kubelet of this node, again and again.
    Kubelet,
    /// The API server, which tells of changes.
    #[value(name = "apiserver")]
    ApiServer,
}

/// How pod names are learnt.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whom to ask.
    pub mode: Mode,
    /// The name of this node in the cluster.
    pub node: String,
    /// Credentials; without it those of the pod that this is.
    pub kubeconfig: Option<PathBuf>,
    /// Where the kubelet listens; without it the API server is asked for the node's address.
    pub kubelet: Option<String>,
    /// Certificates that vouch for the kubelet, where the cluster's own do not.
    pub kubelet_ca: Option<PathBuf>,
    /// Whether the kubelet may be anyone. The credentials are then shown to whoever answers.
    pub kubelet_unverified: bool,
    /// Time between two questions to the kubelet.
    pub interval: Duration,
}

/// What a source needs of its surroundings while it follows.
struct Surroundings<'a> {
    /// Takes in what is known now.
    publish: &'a mut dyn FnMut(PodTable),
    /// Containers that run and have no name.
    unknown: &'a mut Unknown,
}

/// Where the pods of this node are learnt.
trait PodSource: Send {
    /// Its name, as messages spell it.
    fn name(&self) -> &'static str;

    /// Tells the pods and every change of them, until something goes wrong.
    fn follow(&mut self, around: &mut Surroundings<'_>)
    -> Result<std::convert::Infallible, String>;
}

/// Reads the file of credentials that the settings name, if they name one.
///
/// # Errors
/// What is wrong with it.
pub fn check(settings: &Settings) -> Result<(), String> {
    let given = settings.kubeconfig.as_deref();
    given.map_or(Ok(()), |path| Access::open(Some(path)).map(drop))
}

/// Starts to learn, and waits a moment for the first answer, so that the first series bear their names.
///
/// `latest` gives the last snapshot: it shows which containers have no name.
///
/// # Errors
/// When the credentials cannot be read at all. A server that does not answer is no error: it is asked again.
pub fn start(
    settings: &Settings,
    names: PodNames,
    latest: impl Fn() -> Arc<Snapshot> + Send + 'static,
) -> Result<(), String> {
    let access = Access::open(settings.kubeconfig.as_deref())?;
    let mut source: Box<dyn PodSource> = match settings.mode {
        Mode::Kubelet => Box::new(Kubelet::new(access, settings.clone())),
        Mode::ApiServer => Box::new(ApiServer::new(access, settings.node.clone())),
    };
    let mut unknown = Unknown::new(Box::new(move || {
        latest().unnamed_containers().cloned().collect()
    }));
    let (first, answered) = std::sync::mpsc::sync_channel::<()>(1);
    std::thread::Builder::new()
        .name("pods".into())
        .spawn(move || follow(&mut *source, &names, &mut unknown, &first))
        .map_err(|e| format!("cannot start a thread: {e}"))?;
    // Without an answer by then the names come later.
    let _ = answered.recv_timeout(FIRST_ANSWER);
    Ok(())
}

const FIRST_ANSWER: Duration = Duration::from_secs(3);
/// How long to wait after trouble: doubled each time it is still there.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

fn follow(
    source: &mut dyn PodSource,
    names: &PodNames,
    unknown: &mut Unknown,
    first: &std::sync::mpsc::SyncSender<()>,
) {
    let (mut wait, mut said) = (PATIENCE[0], String::new());
    loop {
        let asked = Instant::now();
        let name = source.name();
        let mut publish = |table: PodTable| {
            names.set(name, table);
            // Nobody waits any more after the first.
            let _ = first.try_send(());
            if !said.is_empty() {
                crate::log::info(&format!("pod names: {name} answers again"));
                said.clear();
            }
        };
        let ended = source.follow(&mut Surroundings {
            publish: &mut publish,
            unknown,
        });
        let Err(error) = ended;
        names.fail(name, &error);
        // The same trouble again is no news.
        if said != error {
            crate::log::warn(&format!("pod names: {name}: {error}"));
            said = error;
        }
        let _ = first.try_send(());
        // What worked for a while is tried again soon.
        if asked.elapsed() > PATIENCE[1] {
            wait = PATIENCE[0];
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(PATIENCE[1]);
    }
}
