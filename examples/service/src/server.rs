//! Listeners: opened at once, served until the end, and emptied before it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::Response;
use hyper::body::{Body as HttpBody, Bytes};
use hyper::service::Service;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use crate::address::Bound;
use crate::auth::Passwords;
use crate::body::{Body, BoxError};
use crate::budget::Budget;
use crate::connection::{self, Farewell, Signals};
use crate::gate::{Gate, Peer};
use crate::rate::RateLimiter;
use crate::site::Sites;
use crate::stream::Socket;
use crate::{Address, Error, Limits, Result, UnixSocket, WebArgs, log};

/// How long a connection waits for a place.
const PLACE_TIME: Duration = Duration::from_secs(1);
/// How many wait for one at a time.
const WAITING: usize = 128;

/// Open listeners and what holds for who comes there.
pub struct Server {
    listeners: Vec<(Bound, bool)>,
    gate: Gate,
}

impl Server {
    /// Opens the listeners; where the flags name none, one at `usual`. Nothing is answered yet.
    ///
    /// # Errors
    /// [`Error::Listen`] where an address cannot be listened on, [`Error::Invalid`] where a setting is wrong.
    pub fn bind(args: &WebArgs, usual: &str, limits: Limits) -> Result<Self> {
        let addresses = if args.listen.is_empty() {
            vec![usual.parse()?]
        } else {
            args.listen.clone()
        };
        let bound: Vec<Bound> = addresses.iter().map(Address::bind).collect::<Result<_>>()?;
        let ips: Vec<IpAddr> = bound.iter().filter_map(Bound::ip).collect();
        let sites = Sites::open(args, &ips)?;
        let tls = encrypted(&addresses, &sites)?;
        Ok(Self {
            listeners: bound.into_iter().zip(tls).collect(),
            gate: Gate {
                bodies: Budget::new(limits.bodies_bytes),
                limits,
                sites,
                passwords: Passwords::new()?,
                rate: args.rate_limit.map(RateLimiter::new),
                proxies: args.trusted_proxies.clone(),
            },
        })
    }

    /// Reads what [`Server::bind`] would read, and opens nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a setting is wrong, [`Error::Read`] where a file that one names cannot be read.
    pub fn check(args: &WebArgs) -> Result<()> {
        encrypted(&args.listen, &Sites::open(args, &[])?).map(drop)
    }

    /// Where it listens, the unix sockets apart: port 0 is a true one here.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let bound = self.listeners.iter();
        bound.filter_map(|(bound, _)| bound.address()).collect()
    }

    /// Answers requests by `service` until `stop` is done, then finishes those under way. Runs on the current tokio runtime.
    ///
    /// A tower service, such as an axum router, comes as
    /// [`TowerToHyperService`](hyper_util::service::TowerToHyperService).
    ///
    /// # Errors
    /// [`Error::System`] where a listener cannot be used.
    pub async fn run<S, B>(self, service: S, stop: impl Future<Output = ()>) -> Result<()>
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let (stopping, stopped) = watch::channel(());
        let (press, pressed) = watch::channel(());
        let stop_time = self.gate.limits.stop_time;
        let door = Door {
            places: Arc::new(Semaphore::new(self.gate.limits.connections)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            press: Arc::new(press),
            gate: Arc::new(self.gate),
            service,
            signals: Signals { stopped, pressed },
            connections: Arc::default(),
        };
        for (bound, tls) in self.listeners {
            let listener = Listener::open(bound)?;
            log::info(&format!("listening on {}", listener.name(tls)));
            tokio::spawn(accept(listener, tls, door.clone()));
        }
        drop(door);
        stop.await;
        // Every listener and connection holds a receiver: when the last is gone, all is done.
        stopping.send_replace(());
        if timeout(stop_time, stopping.closed()).await.is_err() {
            log::warn("some answers were not finished in time");
        }
        Ok(())
    }
}

/// Which of the listeners speak TLS.
fn encrypted(addresses: &[Address], sites: &Sites) -> Result<Vec<bool>> {
    let has_tls = sites.at(Instant::now()).tls.is_some();
    let tls = addresses.iter().map(|address| match address.tls(has_tls) {
        true if !has_tls => Err(Error::invalid(
            address,
            "no certificate is set: see --web.config.file and --web.self-signed",
        )),
        tls => Ok(tls),
    });
    tls.collect()
}

/// What decides who comes in.
#[derive(Clone)]
struct Door<S> {
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    press: Arc<watch::Sender<()>>,
    /// So many came in.
    connections: Arc<AtomicU64>,
    gate: Arc<Gate>,
    service: S,
    signals: Signals,
}

impl<S, B> Door<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    fn come_in(&self, socket: Socket, peer: Peer) {
        let places = Arc::clone(&self.places);
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                tokio::spawn(self.clone().serve(socket, peer, place));
            }
            Err(_) => {
                self.press.send_replace(());
                // With too many waiting, the connection is closed unheard.
                let Ok(turn) = self.waiting.clone().try_acquire_owned() else {
                    return;
                };
                let door = self.clone();
                tokio::spawn(async move {
                    match timeout(PLACE_TIME, places.acquire_owned()).await {
                        Ok(Ok(place)) => {
                            drop(turn);
                            door.serve(socket, peer, place).await;
                        }
                        // Over TLS nothing can be said before a handshake.
                        _ if peer.tls => {}
                        _ => Farewell::no_place(socket).say().await,
                    }
                });
            }
        }
    }

    async fn serve(self, socket: Socket, peer: Peer, place: OwnedSemaphorePermit) {
        let left = connection::serve(socket, peer, self.gate, self.service, self.signals).await;
        drop(place);
        if let (Some(left), Ok(_turn)) = (left, self.waiting.try_acquire()) {
            left.say().await;
        }
    }
}

async fn accept<S, B>(listener: Listener, tls: bool, door: Door<S>)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let mut stopped = door.signals.stopped.clone();
    let mut failing = false;
    loop {
        tokio::select! {
            // Who is in the queue already comes in still.
            biased;
            accepted = listener.accept() => match accepted {
                Ok((socket, address)) => {
                    failing = false;
                    let connection = door.connections.fetch_add(1, Ordering::Relaxed);
                    door.come_in(socket, Peer { address, tls, connection });
                }
                Err(error) => {
                    // Out of descriptors, say: nothing to do but to wait.
                    if !failing {
                        log::warn(&format!("cannot accept a connection: {error}"));
                    }
                    failing = true;
                    sleep(Duration::from_millis(200)).await;
                }
            },
            _ = stopped.changed() => return,
        }
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, UnixSocket),
}

impl Listener {
    fn open(bound: Bound) -> Result<Self> {
        let opened = match bound {
            Bound::Tcp(listener) => TcpListener::from_std(listener).map(Self::Tcp),
            Bound::Unix(socket) => socket.listen().map(|l| Self::Unix(l, socket)),
        };
        opened.map_err(|source| Error::System {
            what: "listen",
            source,
        })
    }

    fn name(&self, tls: bool) -> String {
        let scheme = if tls { "https" } else { "http" };
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|e| e.to_string(), |address| format!("{scheme}://{address}")),
            Self::Unix(_, socket) => format!("{scheme}://unix:{}", socket.path().display()),
        }
    }

    async fn accept(&self) -> std::io::Result<(Socket, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are written in large pieces; waiting to fill a packet would only delay the last one.
                let _ = stream.set_nodelay(true);
                Ok((Socket::Tcp(stream), Some(address.ip())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), None))
            }
        }
    }
}
