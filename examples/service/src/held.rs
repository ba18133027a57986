//! A listening socket that outlives who serves it. While a server that was killed is started anew, the kernel goes on to take
//! its connections, and nobody who connects is refused.
//!
//! A program of its own holds the socket and gives it, by a unix socket, to each server that asks.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::{Address, Error, Result, UnixSocket, log};

/// How long a server waits for a holder that starts beside it, and for its answer.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(50);
/// How often a holder tries an address that a server of an earlier holder still has.
const FREE: Duration = Duration::from_secs(1);

/// Listens on `address` and gives that socket to who asks at the unix socket `path`, until `stop` is done. Takes no connection
/// itself. Runs on the current tokio runtime.
///
/// An address that is in use is waited for: a server that has the socket of an earlier holder keeps it to its own end.
///
/// # Errors
/// [`Error::Listen`] where one of both cannot be listened on.
pub async fn hold(address: &Address, path: &Path, stop: impl Future<Output = ()>) -> Result<()> {
    tokio::select! {
        held = give(address, path) => held,
        () = pin!(stop) => Ok(()),
    }
}

async fn give(address: &Address, path: &Path) -> Result<()> {
    let mut said = false;
    let held = loop {
        match address.tcp() {
            Err(Error::Listen { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
                if !said {
                    log::warn(&format!("waiting for {address}, which somebody has"));
                    said = true;
                }
                tokio::time::sleep(FREE).await;
            }
            bound => break bound?,
        }
    };
    let at = |source| Error::Listen {
        address: format!("unix:{}", path.display()),
        source,
    };
    let socket = UnixSocket::bind(path).map_err(at)?;
    let asked = socket.listen().map_err(at)?;
    log::info(&format!("holding {address} for {}", path.display()));
    loop {
        let given = asked.accept().await;
        let given = given.and_then(|(stream, _)| send(&stream.into_std()?, &held));
        if let Err(error) = given {
            log::warn(&format!("{}: {error}", path.display()));
            // Such as no file left to open: it would be asked for again at once.
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn send(stream: &UnixStream, held: &TcpListener) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    let sockets = [held.as_fd()];
    rights.push(SendAncillaryMessage::ScmRights(&sockets));
    // Rights go with at least one byte.
    sendmsg(
        stream,
        &[IoSlice::new(&[0])],
        &mut rights,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// The socket that is held at `path`.
pub(crate) fn take(path: &Path) -> io::Result<TcpListener> {
    let begun = Instant::now();
    let stream = loop {
        match UnixStream::connect(path) {
            Err(error) if waits(&error) && begun.elapsed() < PATIENCE => std::thread::sleep(AGAIN),
            connected => break connected.map_err(|error| told(&error))?,
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let into = &mut [IoSliceMut::new(&mut byte)];
    recvmsg(&stream, into, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = rights.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let socket = sockets.next().and_then(|mut sockets| sockets.next());
    let listener = TcpListener::from(socket.ok_or_else(|| told(&"no socket is given there"))?);
    // What is no socket of this kind has no such address.
    listener.local_addr()?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Why there is no socket, and what to do.
fn told(why: &impl std::fmt::Display) -> io::Error {
    io::Error::other(format!(
        "{why}: is `kepler-model-server hold` running with this path?"
    ))
}

/// Whether a holder may only be late.
fn waits(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    )
}
