//! What is asked of each request before a handler sees it, and of each answer before the client does.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use hyper::body::{Body as HttpBody, Bytes, Incoming};
use hyper::header::{
    ACCEPT, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode, Version};
use ipnet::IpNet;
use tokio::time::timeout;

use crate::activity::Answering;
use crate::auth::{Passwords, Verdict};
use crate::body::{Answer, Body, BoxError, Failing, Received};
use crate::budget::Budget;
use crate::rate::{self, RateLimiter};
use crate::site::{Site, Sites};
use crate::{Limits, Probe, log};

/// Who asks; an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The client's address, as a trusted proxy told it where there is one; `None` on a unix socket.
    pub address: Option<IpAddr>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// A number that no other connection of the server has.
    pub connection: u64,
}

/// What all connections of a server share.
pub(crate) struct Gate {
    pub(crate) limits: Limits,
    /// What the bodies of requests may hold together.
    pub(crate) bodies: Budget,
    pub(crate) sites: Sites,
    pub(crate) passwords: Passwords,
    pub(crate) rate: Option<RateLimiter>,
    pub(crate) proxies: Vec<IpNet>,
}

/// Why a request is refused.
struct Refusal {
    status: StatusCode,
    reason: &'static str,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Gate {
    /// The answer to a request, by `service` where nothing speaks against it.
    pub(crate) async fn answer<S, B>(
        &self,
        service: &S,
        mut peer: Peer,
        mut request: Request<Incoming>,
        answering: Answering,
    ) -> Response<Answer<B>>
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
        B: HttpBody<Data = Bytes>,
    {
        let version = request.version();
        let wants_json = wants_json(request.headers());
        peer.address = peer
            .address
            .map(|address| rate::client(address, request.headers(), &self.proxies));
        request.extensions_mut().insert(peer);
        let site = self.sites.at(Instant::now());
        let result = match self.admit(&request, peer, &site).await {
            Ok(()) => self.handle(service, request, &answering).await,
            Err(refusal) => {
                // Dropped as a bounded body, so that what the client still sends is read.
                drop(self.bounded(request, &answering));
                Err(refusal)
            }
        };
        let mut response = match result {
            Ok(response) => response.map(|body| Answer::handlers(body, answering)),
            Err(refusal) => refusal.response(version, wants_json, answering),
        };
        protect(response.headers_mut());
        for (name, value) in &site.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    async fn admit(
        &self,
        request: &Request<Incoming>,
        peer: Peer,
        site: &Site,
    ) -> Result<(), Refusal> {
        if request.body().size_hint().lower() > self.limits.body_bytes {
            return Err(Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE));
        }
        if Probe::of(request.uri().path()).is_some() {
            return Ok(());
        }
        let now = Instant::now();
        if let (Some(rate), Some(address)) = (&self.rate, peer.address) {
            rate.take(address, now).map_err(Refusal::too_many)?;
        }
        if let Some(rate) = &site.rate {
            rate.take(ALL, now).map_err(Refusal::too_many)?;
        }
        let Some(users) = &site.users else {
            return Ok(());
        };
        let verified = self.passwords.verify(users, request.headers());
        let verified = timeout(self.limits.request_time, verified).await;
        match verified.unwrap_or(Verdict::Busy) {
            Verdict::Welcome => Ok(()),
            Verdict::Unknown => Err(Refusal {
                header: Some((
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"kepler\", charset=\"UTF-8\""),
                )),
                ..Refusal::of(StatusCode::UNAUTHORIZED, "user and password are needed")
            }),
            Verdict::Busy => Err(Refusal::busy("too many passwords are being verified")),
        }
    }

    fn bounded(
        &self,
        request: Request<Incoming>,
        answering: &Answering,
    ) -> (Request<Body>, Received) {
        Body::bounded(request, self.limits.body_bytes, &self.bodies, answering)
    }

    async fn handle<S, B>(
        &self,
        service: &S,
        request: Request<Incoming>,
        answering: &Answering,
    ) -> Result<Response<B>, Refusal>
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    {
        let (request, received) = self.bounded(request, answering);
        let handled = timeout(self.limits.request_time, service.call(request)).await;
        match handled {
            _ if received.failed_by(Failing::TooLarge) => {
                Err(Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE))
            }
            _ if received.failed_by(Failing::NoRoom) => {
                Err(Refusal::busy("too many large requests are being received"))
            }
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                log::warn(&format!("a request failed: {}", error.into()));
                Err(Refusal::of(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the request failed",
                ))
            }
            Err(_) if received.is_whole() => Err(Refusal::busy("the request took too long")),
            Err(_) => Err(Refusal::of(
                StatusCode::REQUEST_TIMEOUT,
                "the body of the request came too slowly",
            )),
        }
    }
}

/// In whose name all clients together are counted.
const ALL: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const TOO_LARGE: &str = "the body of the request is too large";

impl Refusal {
    fn of(status: StatusCode, reason: &'static str) -> Self {
        Self {
            status,
            reason,
            header: None,
        }
    }

    fn busy(reason: &'static str) -> Self {
        Self {
            header: Some((RETRY_AFTER, HeaderValue::from_static("1"))),
            ..Self::of(StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }

    fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            header: Some((RETRY_AFTER, seconds.into())),
            ..Self::of(StatusCode::TOO_MANY_REQUESTS, "too many requests")
        }
    }

    fn response<B>(
        self,
        version: Version,
        json: bool,
        answering: Answering,
    ) -> Response<Answer<B>> {
        // The reasons hold nothing that would have to be escaped.
        let (kind, text) = if json {
            (
                "application/json",
                format!("{{\"error\":\"{}\"}}\n", self.reason),
            )
        } else {
            ("text/plain; charset=utf-8", format!("{}\n", self.reason))
        };
        let mut response = Response::new(Answer::own(text.into(), answering));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.extend(self.header);
        let undone = matches!(
            self.status,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
        );
        if undone && version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| {
        accept
            .to_str()
            .is_ok_and(|a| a.contains("application/json"))
    })
}

/// Gives pages what keeps others from using them against their readers, where the handler did not say otherwise.
fn protect(headers: &mut HeaderMap) {
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page {
        return;
    }
    for (name, value) in [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'",
        ),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}
