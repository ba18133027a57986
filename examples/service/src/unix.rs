//! Unix sockets that leave no file behind.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// An open unix socket, whose file goes with it.
#[derive(Debug)]
pub struct UnixSocket {
    listener: StdUnixListener,
    path: PathBuf,
}

impl UnixSocket {
    /// Opens it. A socket that a killed process left behind is replaced; one that somebody answers at is not, nor is any other
    /// file.
    ///
    /// # Errors
    /// Why the path cannot be listened on.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = StdUnixListener::bind(path).or_else(|error| {
            let left_behind = error.kind() == io::ErrorKind::AddrInUse
                && std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
                && UnixStream::connect(path)
                    .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
            if !left_behind {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            StdUnixListener::bind(path)
        })?;
        let socket = Self {
            listener,
            path: path.to_owned(),
        };
        socket.listener.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What takes connections, on the current tokio runtime.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn listen(&self) -> io::Result<UnixListener> {
        self.listener.try_clone().and_then(UnixListener::from_std)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // A file that is gone already is no loss.
        let _ = std::fs::remove_file(&self.path);
    }
}
