//! The bytes of a connection, whatever carries them, with an eye on when they come and whether they are taken.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use crate::activity::Activity;

/// What a client is connected by.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Watched>>),
}

/// Calls a method of whichever stream it is.
macro_rules! either {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($stream) => $call,
            Socket::Unix($stream) => $call,
            Socket::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), s => Pin::new(s).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), s => Pin::new(s).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), s => Pin::new(s).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, s => s.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), s => Pin::new(s).poll_shutdown(cx))
    }
}

/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that tells its [`Activity`] what comes, and whose writes fail when nothing of them is taken for a while, so
/// that a reader that stalls does not hold its connection and its answer.
pub(crate) struct Watched {
    stream: Socket,
    /// What was read to see which protocol it is.
    begun: Vec<u8>,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    activity: Option<Arc<Activity>>,
}

impl Watched {
    pub(crate) fn new(stream: Socket, patience: Duration) -> Self {
        Self {
            stream,
            begun: Vec::new(),
            patience,
            waiting: None,
            activity: None,
        }
    }

    /// Tells `activity` from here on, what was read already included.
    pub(crate) fn tell(&mut self, activity: &Arc<Activity>) {
        if !self.begun.is_empty() {
            activity.received();
        }
        self.activity = Some(Arc::clone(activity));
    }

    /// Whether the client speaks HTTP/2 without having been asked. Reads until that is sure.
    pub(crate) async fn speaks_http2(&mut self) -> io::Result<bool> {
        loop {
            let count = self.begin().await?;
            let length = self.begun.len().min(PREFACE.len());
            if count == 0 || self.begun[..length] != PREFACE[..length] {
                return Ok(false);
            }
            if length == PREFACE.len() {
                return Ok(true);
            }
        }
    }

    /// Whether the client speaks HTTP where TLS is spoken.
    pub(crate) async fn speaks_plainly(&mut self) -> io::Result<bool> {
        self.begin().await?;
        Ok(self.begun.first().is_some_and(u8::is_ascii_uppercase))
    }

    /// Reads what is there, for a look at it; how many bytes it was.
    async fn begin(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 2048];
        let count = self.stream.read(&mut bytes).await?;
        self.begun.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Whether something came already.
    pub(crate) fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// `done`, or an error where the client has taken nothing for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.waiting = None;
            return done;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.begun.is_empty() {
            let count = self.begun.len().min(buffer.remaining());
            buffer.put_slice(&self.begun[..count]);
            self.begun.drain(..count);
            if self.begun.is_empty() {
                self.begun = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before
            && let Some(activity) = &self.activity
        {
            activity.received();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}
