//! Bodies: of requests, bounded in size; of answers, the server's own or the handler's.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::{Request, Version, header};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::activity::Answering;
use crate::budget::{Budget, Share};

/// What a body fails with.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// How long a body that nobody wants is read, so that the client comes to read its answer.
const LEFTOVER_TIME: Duration = Duration::from_secs(4);
/// How much of it; who sends more sees its connection closed.
const LEFTOVER_BYTES: usize = 32 << 20;

/// The body of a request. It fails past [`Limits::body_bytes`](crate::Limits::body_bytes); whatever the handler then
/// answers, the client is told 413.
pub struct Body {
    inner: Option<Incoming>,
    /// How many bytes more may come.
    left: u64,
    received: Received,
    /// What the client still sends has to be read, or it never sees its answer.
    leftover: bool,
    /// Until that is read, the connection is not idle.
    answering: Option<Answering>,
}

/// How far a body has come, for who answers in the handler's place. What it holds of the server's room is given back when
/// both the body and the answer are done with.
#[derive(Clone)]
pub(crate) struct Received(Option<Arc<Progress>>);

struct Progress {
    state: AtomicU8,
    share: Share,
}

const PARTLY: u8 = 0;
const WHOLE: u8 = 1;

/// Why a body is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Failing {
    /// It is larger than a body may be.
    TooLarge = 2,
    /// There is no room for more, as long as others have it.
    NoRoom = 3,
}

impl Body {
    /// The request with its body bounded to `limit` bytes, which are taken from the room for all.
    pub(crate) fn bounded(
        request: Request<Incoming>,
        limit: u64,
        room: &Budget,
        answering: &Answering,
    ) -> (Request<Self>, Received) {
        let (head, incoming) = request.into_parts();
        let empty = incoming.is_end_stream();
        let received = Received((!empty).then(|| {
            Arc::new(Progress {
                state: AtomicU8::new(PARTLY),
                share: room.share(),
            })
        }));
        let waits_for_continue = head.headers.contains_key(header::EXPECT);
        let body = Self {
            inner: Some(incoming),
            left: limit,
            received: received.clone(),
            leftover: head.version == Version::HTTP_2 || !waits_for_continue,
            answering: (!empty).then(|| answering.another()),
        };
        (Request::from_parts(head, body), received)
    }
}

impl Received {
    pub(crate) fn is_whole(&self) -> bool {
        self.get() == WHOLE
    }

    pub(crate) fn failed_by(&self, failing: Failing) -> bool {
        self.get() == failing as u8
    }

    fn get(&self) -> u8 {
        let progress = self.0.as_ref();
        progress.map_or(WHOLE, |p| p.state.load(Ordering::Relaxed))
    }

    fn take(&self, bytes: u64) -> bool {
        self.0.as_ref().is_none_or(|p| p.share.take(bytes))
    }

    fn set(&self, value: u8) {
        if let Some(received) = &self.0 {
            received.state.store(value, Ordering::Relaxed);
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        // Asked for, it comes.
        self.leftover |= self.received.0.is_some();
        let Some(frame) = frame else {
            self.received.set(WHOLE);
            return Poll::Ready(None);
        };
        if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
            let length = data.len() as u64;
            let (failing, why) = match self.left.checked_sub(length) {
                None => (Failing::TooLarge, "the body of the request is too large"),
                Some(_) if !self.received.take(length) => {
                    (Failing::NoRoom, "there is no room for the body now")
                }
                Some(left) => {
                    self.left = left;
                    return Poll::Ready(Some(frame.map_err(Into::into)));
                }
            };
            self.received.set(failing as u8);
            return Poll::Ready(Some(Err(why.into())));
        }
        Poll::Ready(Some(frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if !self.leftover || self.received.is_whole() || self.is_end_stream() {
            return;
        }
        if let (Some(mut rest), Ok(runtime)) = (self.inner.take(), Handle::try_current()) {
            let answering = self.answering.take();
            let drain = async move {
                let _answering = answering;
                let mut bytes = 0;
                while let Some(Ok(frame)) = rest.frame().await {
                    bytes += frame.data_ref().map_or(0, Bytes::len);
                    if bytes > LEFTOVER_BYTES {
                        break;
                    }
                }
            };
            runtime.spawn(timeout(LEFTOVER_TIME, drain));
        }
    }
}

/// The body of an answer.
pub(crate) struct Answer<B> {
    kind: Kind<B>,
    _answering: Answering,
}

enum Kind<B> {
    Own(Bytes),
    Handlers(B),
}

impl<B> Answer<B> {
    pub(crate) fn own(text: Bytes, answering: Answering) -> Self {
        Self {
            kind: Kind::Own(text),
            _answering: answering,
        }
    }

    pub(crate) fn handlers(body: B, answering: Answering) -> Self {
        Self {
            kind: Kind::Handlers(body),
            _answering: answering,
        }
    }
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin> HttpBody for Answer<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.kind {
            Kind::Own(text) => {
                let text = Some(std::mem::take(text)).filter(|t| !t.is_empty());
                Poll::Ready(text.map(|text| Ok(Frame::data(text))))
            }
            Kind::Handlers(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(text) => text.is_empty(),
            Kind::Handlers(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(text) => SizeHint::with_exact(text.len() as u64),
            Kind::Handlers(body) => body.size_hint(),
        }
    }
}
