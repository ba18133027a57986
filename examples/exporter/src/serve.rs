//! Listeners and connections: bounded in number, time and size, and finished before the program ends.

use std::future::Future;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::log;
use crate::reply::Site;
use crate::stall::Impatient;

/// Connections at a time: many times what a pair of Prometheus servers and their probes need.
const CONNECTIONS: usize = 64;
/// How long a client may take to send a request, and how long an idle connection is kept.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// The largest request head.
const HEADER_BYTES: usize = 16 << 10;
/// How long a stop waits for answers under way.
const STOP_TIME: Duration = Duration::from_secs(4);

/// Opens the listeners. An address without a host (`:28282`) means every interface.
pub(crate) fn bind(addresses: &[String]) -> Result<Vec<StdListener>, String> {
    let one = |address: &String| {
        let listener = match address.strip_prefix(':') {
            Some(port) => StdListener::bind(format!("[::]:{port}"))
                .or_else(|_| StdListener::bind(format!("0.0.0.0:{port}"))),
            None => StdListener::bind(address),
        };
        let listener = listener.map_err(|e| format!("cannot listen on {address}: {e}"))?;
        listener
            .set_nonblocking(true)
            .map_err(|e| format!("cannot listen on {address}: {e}"))?;
        Ok(listener)
    };
    addresses.iter().map(one).collect()
}

/// Answers requests until `stop` is done, then finishes those under way.
pub(crate) async fn serve(
    listeners: Vec<StdListener>,
    site: Arc<Site>,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let (stopping, stopped) = watch::channel(());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    for listener in listeners {
        let listener =
            TcpListener::from_std(listener).map_err(|e| format!("cannot listen: {e}"))?;
        if let Ok(address) = listener.local_addr() {
            log::info(&format!("listening on http://{address}"));
        }
        tokio::spawn(accept(
            listener,
            Arc::clone(&site),
            Arc::clone(&places),
            stopped.clone(),
        ));
    }
    drop(stopped);
    stop.await;
    // Every listener and connection holds a receiver: when the last is gone, all is done.
    stopping.send_replace(());
    if timeout(STOP_TIME, stopping.closed()).await.is_err() {
        log::warn("some answers were not finished in time");
    }
    Ok(())
}

async fn accept(
    listener: TcpListener,
    site: Arc<Site>,
    places: Arc<Semaphore>,
    mut stopped: watch::Receiver<()>,
) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, say: nothing to do but to wait.
                    log::warn(&format!("cannot accept a connection: {error}"));
                    sleep(Duration::from_millis(200)).await;
                    continue;
                }
            },
            _ = stopped.changed() => return,
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tokio::spawn(refuse(stream));
            continue;
        };
        let (site, stopped) = (Arc::clone(&site), stopped.clone());
        tokio::spawn(async move {
            connection(stream, site, stopped).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, site: Arc<Site>, mut stopped: watch::Receiver<()>) {
    // Answers are written in large pieces; waiting to fill a packet would only delay the last one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        std::future::ready(Ok::<_, std::convert::Infallible>(site.reply(&request)))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(Impatient::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        log::debug(&format!("connection: {error}"));
    }
}

async fn refuse(stream: TcpStream) {
    // A client that does not even take this much is left alone.
    if timeout(Duration::from_secs(1), stream.writable())
        .await
        .is_ok()
    {
        let _ = stream.try_write(BUSY);
    }
}

const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
