//! The older estimator's unix socket: a request and a reply a connection, many at a time.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kepler_core::protocol::estimator::{Reply, RequestEnd};
use kepler_service::{bind_unix, log};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::meters::Use;
use super::site::Site;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 64;
/// The largest request.
const REQUEST_BYTES: usize = 10_000_000;
/// How long a client may take to send its request, and again to take its reply.
const TIME: Duration = Duration::from_secs(30);

/// An open socket, whose file goes with it.
pub(super) struct Socket {
    listener: StdListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A file that is gone already is no loss.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens the socket. One that a server left behind is taken over; one that somebody listens on is not, nor is another file.
///
/// # Errors
/// A line that names the path and what is wrong.
pub(super) fn bind(path: &Path) -> Result<Socket, String> {
    let listener =
        bind_unix(path).map_err(|e| format!("cannot listen on {}: {e}", path.display()))?;
    Ok(Socket {
        listener,
        path: path.to_owned(),
    })
}

/// Answers from now on, on the current runtime, until that ends.
///
/// # Errors
/// That the socket cannot be used.
pub(super) fn start(socket: Socket, site: Arc<Site>) -> Result<(), String> {
    let listener = socket.listener.try_clone();
    let listener = listener
        .and_then(UnixListener::from_std)
        .map_err(|e| format!("cannot listen on {}: {e}", socket.path.display()))?;
    log::info(&format!(
        "answering estimator requests on {}",
        socket.path.display()
    ));
    tokio::spawn(async move {
        let _socket = socket;
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let site = Arc::clone(&site);
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &site).await {
                            log::debug(&format!("estimator socket: {error}"));
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    log::warn(&format!("estimator socket: cannot accept: {error}"));
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    });
    Ok(())
}

async fn converse(mut stream: UnixStream, site: &Arc<Site>) -> io::Result<()> {
    let reply = match timeout(TIME, request(&mut stream)).await {
        Ok(Ok(request)) if request.is_empty() => return Ok(()),
        Ok(Ok(request)) if request.len() > REQUEST_BYTES => {
            Reply::refusal(&format!("the request is larger than {REQUEST_BYTES} bytes"))
        }
        Ok(Ok(request)) => {
            let site = Arc::clone(site);
            tokio::task::spawn_blocking(move || answer(&site, &request)).await?
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => Reply::refusal("the request did not end in time"),
    };
    if !reply.met {
        site.meters.failed("socket");
    }
    let say = async {
        stream.write_all(reply.text.as_bytes()).await?;
        stream.shutdown().await
    };
    timeout(TIME, say).await?
}

/// The request, up to its last brace or to where the client stopped; longer ones are cut just behind the limit.
async fn request(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut end = RequestEnd::default();
    let (mut request, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    while request.len() <= REQUEST_BYTES {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            break;
        }
        if let Some(last) = end.find(&piece[..count]) {
            request.extend_from_slice(&piece[..last]);
            break;
        }
        request.extend_from_slice(&piece[..count]);
    }
    Ok(request)
}

fn answer(site: &Site, request: &[u8]) -> Reply {
    let started = Instant::now();
    let reply = site.catalog().reply(&site.machine, request);
    if let Some(model) = &reply.model {
        site.predicted(model, Use::Socket, started.elapsed());
    }
    reply
}
