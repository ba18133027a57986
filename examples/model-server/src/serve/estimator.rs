//! The older estimator's unix socket: a request and a reply a connection, many at a time.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kepler_core::protocol::estimator::{Reply, RequestEnd};
use kepler_service::{UnixSocket, log};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
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

/// Opens the socket.
///
/// # Errors
/// A line that names the path and what is wrong.
pub(super) fn bind(path: &Path) -> Result<UnixSocket, String> {
    UnixSocket::bind(path).map_err(|e| failed(path, &e))
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("cannot listen on {}: {error}", path.display())
}

/// Answers from now on, on the current runtime, until that ends.
///
/// # Errors
/// That the socket cannot be used.
pub(super) fn start(socket: UnixSocket, site: Arc<Site>) -> Result<(), String> {
    let path = socket.path();
    let listener = socket.listen().map_err(|e| failed(path, &e))?;
    log::info(&format!(
        "answering estimator requests on {}",
        path.display()
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
