//! What is answered to which request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, FORWARDED,
    HeaderName, USER_AGENT, VARY,
};
use hyper::http::HeaderValue;
use hyper::{Method, Request, Response, StatusCode, Version};
use kepler_core::metrics::{Format, Page};
use kepler_core::monitor::ExportMark;
use kepler_service::{Peer, Probe};

use crate::gzip::Gzip;
use crate::landing;
use crate::pages::Pages;
use crate::sampler::View;

/// Everything that can be asked for.
pub(crate) struct Site {
    pages: Mutex<Pages>,
    view: View,
}

impl Site {
    pub(crate) fn new(pages: Pages, view: View) -> Self {
        Self {
            pages: Mutex::new(pages),
            view,
        }
    }

    /// The answer to a request. Its body is made while it is sent.
    pub(crate) fn reply(&self, request: &Request<impl Sized>) -> Response<Reply> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            reply
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return reply;
        }
        let path = request.uri().path();
        if Probe::of(path).is_some() {
            return if self.view.is_fresh() {
                plain(StatusCode::OK, "ok\n")
            } else {
                plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "no sample was taken for three intervals\n",
                )
            };
        }
        match path {
            "/metrics" => self.metrics(request),
            "/" => {
                let page = landing::page(&self.view.snapshot());
                answer(
                    StatusCode::OK,
                    "text/html; charset=utf-8",
                    Reply::Whole(page.into()),
                )
            }
            _ => plain(StatusCode::NOT_FOUND, "not found; see / and /metrics\n"),
        }
    }

    fn metrics(&self, request: &Request<impl Sized>) -> Response<Reply> {
        let format = Format::negotiate(&header(request, ACCEPT));
        let gzip = wants_gzip(&header(request, ACCEPT_ENCODING));
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.page(&self.view.snapshot(), format);
        drop(pages);
        let body = Scrape {
            page,
            gzip: gzip.then(Gzip::new),
            mark: self.view.mark.of(Reader::of(request)),
            done: false,
        };
        let mut reply = answer(
            StatusCode::OK,
            format.content_type(),
            Reply::Scrape(Box::new(body)),
        );
        let headers = reply.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        reply
    }
}

/// What tells those apart who read again and again.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Reader {
    /// It keeps its connection, as each Prometheus does.
    Connection(Option<u64>),
    /// It connects anew each time, or comes by a proxy whose connections are everybody's.
    Client {
        address: Option<IpAddr>,
        forwarded: String,
        agent: String,
    },
}

impl Reader {
    fn of(request: &Request<impl Sized>) -> Self {
        let peer = request.extensions().get::<Peer>();
        let forwarded = header(request, FORWARDED) + &header(request, X_FORWARDED_FOR);
        let connection = header(request, CONNECTION).to_ascii_lowercase();
        let anew = request.version() < Version::HTTP_11 || connection.contains("close");
        if forwarded.is_empty() && !anew {
            return Self::Connection(peer.map(|peer| peer.connection));
        }
        Self::Client {
            address: peer.and_then(|peer| peer.address),
            forwarded,
            agent: header(request, USER_AGENT),
        }
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A body.
pub(crate) enum Reply {
    /// All of it at once.
    Whole(Bytes),
    /// A page of metrics, piece by piece.
    Scrape(Box<Scrape>),
}

/// A page of metrics on its way to a client: at no time is more of it in memory than a piece.
pub(crate) struct Scrape {
    page: Page,
    gzip: Option<Gzip>,
    mark: ExportMark,
    done: bool,
}

/// Size of a piece in bytes, before compression.
const PIECE: usize = 64 << 10;
/// Size of a compressed piece in bytes: one write to the socket for several pieces of text.
const PACKED: usize = 16 << 10;

impl Scrape {
    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut piece = Vec::with_capacity(PIECE + (PIECE >> 3));
        match &mut self.gzip {
            None => self.done = !self.page.write(&mut piece, PIECE),
            Some(gzip) => {
                let mut packed = Vec::with_capacity(PACKED + (PACKED >> 1));
                while !self.done && packed.len() < PACKED {
                    piece.clear();
                    self.done = !self.page.write(&mut piece, PIECE);
                    gzip.write(&piece, &mut packed);
                }
                if self.done {
                    gzip.finish(&mut packed);
                }
                piece = packed;
            }
        }
        if self.done {
            // The last piece: from here on, what it shows counts as shown.
            self.mark.exported(self.page.snapshot());
        }
        (!piece.is_empty()).then(|| piece.into())
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut *self {
            Self::Whole(bytes) => Some(std::mem::take(bytes)).filter(|b| !b.is_empty()),
            Self::Scrape(scrape) => scrape.next(),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Scrape(scrape) => scrape.done,
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.len() as u64),
            Self::Scrape(_) => hyper::body::SizeHint::default(),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Reply> {
    answer(
        status,
        "text/plain; charset=utf-8",
        Reply::Whole(Bytes::from_static(text.as_bytes())),
    )
}

fn answer(status: StatusCode, content_type: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// All values of a header, as one list.
fn header(request: &Request<impl Sized>, name: HeaderName) -> String {
    let values = request
        .headers()
        .get_all(name)
        .iter()
        .filter_map(|v| v.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// Whether an `Accept-Encoding` header takes gzip.
fn wants_gzip(accept: &str) -> bool {
    let (mut gzip, mut any) = (None, false);
    for coding in accept.split(',') {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = parameters
            .trim()
            .strip_prefix("q=")
            .map_or(Ok(1.0), str::parse::<f64>);
        let taken = quality.is_ok_and(|q| q > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                gzip = Some(taken)
            }
            "*" => any = taken,
            _ => {}
        }
    }
    gzip.unwrap_or(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(version: Version, headers: &[(&str, &str)]) -> Reader {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reader::of(&request.body(()).unwrap())
    }

    #[test]
    fn who_connects_anew_or_by_a_proxy_is_known_again() {
        let kept = Reader::Connection(None);
        assert_eq!(reader(Version::HTTP_11, &[("user-agent", "a")]), kept);
        assert_eq!(
            reader(Version::HTTP_2, &[("connection", "keep-alive")]),
            kept
        );
        let closing = |agent| {
            reader(
                Version::HTTP_11,
                &[("connection", "Close"), ("user-agent", agent)],
            )
        };
        assert_eq!(closing("a"), closing("a"));
        assert_ne!(closing("a"), closing("b"));
        assert_eq!(
            reader(Version::HTTP_10, &[("user-agent", "a")]),
            closing("a")
        );
        let by_proxy = |name, who| reader(Version::HTTP_11, &[(name, who)]);
        assert_ne!(
            by_proxy("x-forwarded-for", "10.0.0.1"),
            by_proxy("x-forwarded-for", "10.0.0.2")
        );
        assert_ne!(by_proxy("forwarded", "for=10.0.0.1"), kept);
    }

    #[test]
    fn gzip_only_where_it_is_taken() {
        for taken in [
            "gzip",
            "deflate, gzip;q=0.5",
            "*",
            "GZIP",
            "br;q=1, *;q=0.1",
        ] {
            assert!(wants_gzip(taken), "{taken}");
        }
        for refused in [
            "",
            "identity",
            "gzip;q=0",
            "*;q=0",
            "gzip;q=0, *",
            "gzip;q=x",
        ] {
            assert!(!wants_gzip(refused), "{refused}");
        }
    }
}
