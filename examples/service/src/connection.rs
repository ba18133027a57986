//! One connection from its first byte to its last: which protocol it speaks, how long it may take, how it ends.

use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body as HttpBody, Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use crate::activity::{Activity, Phase};
use crate::body::{Body, BoxError};
use crate::gate::{Gate, Peer};
use crate::stream::{Socket, Watched};
use crate::{Limits, log};

/// How long a connection may take to end that has nothing under way. A client that asks more often than that is told with
/// its next answer; to close at once would cross requests on their way.
const END_TIME: Duration = Duration::from_secs(2);
/// Streams of one HTTP/2 connection at a time.
const STREAMS: u32 = 64;

/// What a server tells its connections.
#[derive(Clone)]
pub(crate) struct Signals {
    /// No further request is taken; those under way are finished.
    pub(crate) stopped: watch::Receiver<()>,
    /// Others wait for a place: idle connections end.
    pub(crate) pressed: watch::Receiver<()>,
}

/// Serves a client until it goes, stalls or is told to go. What is left to say is said when its place is free again.
pub(crate) async fn serve<S, B>(
    socket: Socket,
    peer: Peer,
    gate: Arc<Gate>,
    service: S,
    mut signals: Signals,
) -> Option<Farewell>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>> + Clone + Send,
    S: Send + Sync + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let stream = Watched::new(socket, gate.limits.stall_time);
    let greeted = tokio::select! {
        greeted = greet(stream, peer.tls, &gate) => greeted,
        () = long_stopped(signals.stopped.clone()) => return None,
    };
    let (mut stream, http2) = match greeted {
        Greeted::Served(stream, http2) => (stream, http2),
        Greeted::Refused(farewell) => return farewell,
    };
    let activity = Arc::new(Activity::new(!http2));
    stream.tell(&activity);
    let counted = Arc::clone(&activity);
    let limits = gate.limits.clone();
    let stopped = signals.stopped.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let answering = counted.request();
        let (gate, service, stopped) = (Arc::clone(&gate), service.clone(), stopped.clone());
        async move {
            let mut response = gate.answer(&service, peer, request, answering).await;
            if !http2 && stopped.has_changed().unwrap_or(true) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    // What was asked of those that came before.
    signals.pressed.mark_unchanged();
    let drive = Drive {
        activity: &activity,
        limits: &limits,
        http2,
    };
    let io = TokioIo::new(stream);
    let (ended, stream) = if http2 {
        let mut connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .serve_connection(io, service);
        let ended = drive.run(&mut connection, &mut signals, |c| {
            Pin::new(c).graceful_shutdown();
        });
        (ended.await, None)
    } else {
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(limits.head_bytes)
            .serve_connection(io, service);
        let ended = drive.run(&mut connection, &mut signals, |c| {
            Pin::new(c).graceful_shutdown();
        });
        (ended.await, Some(connection.into_parts().io.into_inner()))
    };
    let error = match &ended {
        Ended::Over(Ok(())) => None,
        Ended::Over(Err(error)) => Some(error.to_string()),
        Ended::Late(phase) => Some(format!("{phase:?} for too long")),
    };
    if let Some(error) = error {
        log::debug(&format!("connection: {error}"));
    }
    let stream = stream?;
    match ended {
        Ended::Late(Phase::Head) => Some(Farewell::too_slow(stream)),
        Ended::Late(_) => None,
        Ended::Over(_) => Farewell::unread(stream).await,
    }
}

/// Done when the server was told to stop, and a client had time to say what it came for.
async fn long_stopped(mut stopped: watch::Receiver<()>) {
    // An error says that the server is gone.
    let _ = stopped.changed().await;
    sleep(END_TIME).await;
}

/// How a connection began.
enum Greeted {
    /// The stream, and whether it carries HTTP/2.
    Served(Watched, bool),
    Refused(Option<Farewell>),
}

/// Finds out what the client speaks; TLS is agreed on where it is spoken.
async fn greet(mut stream: Watched, tls: bool, gate: &Gate) -> Greeted {
    let limits = &gate.limits;
    let site = gate.sites.at(std::time::Instant::now());
    let Some(config) = site.tls.clone().filter(|_| tls) else {
        if !site.http2 {
            return Greeted::Served(stream, false);
        }
        return match timeout(limits.head_time, stream.speaks_http2()).await {
            Ok(Ok(http2)) => Greeted::Served(stream, http2),
            Err(_) if stream.has_begun() => Greeted::Refused(Some(Farewell::too_slow(stream))),
            Ok(Err(_)) | Err(_) => Greeted::Refused(None),
        };
    };
    let handshake = async {
        if stream.speaks_plainly().await? {
            return Ok(Err(Farewell::not_plainly(stream)));
        }
        TlsAcceptor::from(config).accept(stream).await.map(Ok)
    };
    match timeout(limits.head_time, handshake).await {
        Ok(Ok(Ok(tls))) => {
            let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = Watched::new(Socket::Tls(Box::new(tls)), limits.stall_time);
            Greeted::Served(stream, http2)
        }
        Ok(Ok(Err(farewell))) => Greeted::Refused(Some(farewell)),
        Ok(Err(error)) => {
            log::debug(&format!("connection: TLS: {error}"));
            Greeted::Refused(None)
        }
        Err(_) => Greeted::Refused(None),
    }
}

/// The end of a connection on which the client may still be sending: to close with something unread would take back the
/// answer that it has not read yet.
pub(crate) struct Farewell {
    stream: Watched,
    text: &'static [u8],
}

impl Farewell {
    /// There is no place.
    pub(crate) fn no_place(socket: Socket) -> Self {
        Self {
            stream: Watched::new(socket, END_TIME),
            text: b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        }
    }

    /// The head of the request took too long.
    fn too_slow(stream: Watched) -> Self {
        Self {
            stream,
            text: b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        }
    }

    /// HTTP came where TLS is spoken.
    fn not_plainly(stream: Watched) -> Self {
        Self {
            stream,
            text: b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 32\r\n\r\nthis port speaks HTTPS, not HTTP\n",
        }
    }

    /// Nothing is to be said, but something is to be read; `None` where nothing came.
    async fn unread(mut stream: Watched) -> Option<Self> {
        let mut byte = [0];
        let something = tokio::select! {
            biased;
            read = stream.read(&mut byte) => matches!(read, Ok(1)),
            () = ready(()) => false,
        };
        something.then_some(Self { stream, text: b"" })
    }

    /// Says it, and reads for a while what still comes.
    pub(crate) async fn say(mut self) {
        let say = async {
            self.stream.write_all(self.text).await?;
            self.stream.shutdown().await?;
            let (mut pieces, mut bytes) = (64, [0; 1024]);
            while pieces > 0 && self.stream.read(&mut bytes).await? > 0 {
                pieces -= 1;
            }
            Ok::<_, std::io::Error>(())
        };
        // A client that does not even take this is left alone.
        let _ = timeout(END_TIME, say).await;
    }
}

/// Runs a connection as long as it may.
struct Drive<'a> {
    activity: &'a Activity,
    limits: &'a Limits,
    http2: bool,
}

enum Ended {
    Over(hyper::Result<()>),
    Late(Phase),
}

impl Drive<'_> {
    async fn run<C>(&self, connection: &mut C, signals: &mut Signals, end: impl Fn(&mut C)) -> Ended
    where
        C: Future<Output = hyper::Result<()>> + Unpin,
    {
        let mut closing = None;
        let mut sleep = pin!(sleep_until(self.deadline(closing)));
        loop {
            let next = poll_fn(|cx| {
                if let Poll::Ready(over) = Pin::new(&mut *connection).poll(cx) {
                    return Poll::Ready(Some(over));
                }
                let deadline = self.deadline(closing);
                if sleep.deadline() != deadline {
                    sleep.as_mut().reset(deadline);
                }
                sleep.as_mut().poll(cx).map(|()| None)
            });
            tokio::select! {
                biased;
                over = next => match (over, self.activity.phase()) {
                    (Some(over), _) => return Ended::Over(over),
                    (None, Phase::Fresh | Phase::Idle) if closing.is_none() => {}
                    (None, Phase::Busy) if closing.is_none() && self.http2 => {}
                    (None, phase) => return Ended::Late(phase),
                },
                _ = signals.stopped.changed(), if closing.is_none() => {
                    if !self.http2 && self.activity.phase() != Phase::Busy {
                        closing = Some(Instant::now());
                        continue;
                    }
                }
                _ = signals.pressed.changed(), if closing.is_none() => {
                    if self.activity.phase() != Phase::Idle {
                        continue;
                    }
                }
            }
            closing = Some(Instant::now());
            end(connection);
        }
    }

    fn deadline(&self, closing: Option<Instant>) -> Instant {
        let usual = self.activity.deadline(self.limits);
        match (closing, self.activity.phase()) {
            (None, _) => usual,
            (Some(since), Phase::Busy) => since + self.limits.stop_time,
            (Some(since), _) => usual.min(self.activity.since().max(since) + END_TIME),
        }
    }
}
