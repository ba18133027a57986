//! One error type for the library: facts in fields, a closed [`ErrorKind`] for callers.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What the library's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the place and what was expected there.
///
/// The text says what happened, where, and what to do. Callers match [`Error::kind`], never text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the machine or of a user could not be read.
    #[error("cannot read {path}: {source}{}", advice(.source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or text is not what it should be.
    #[error("{place}: expected {want}, found {found:?}")]
    Malformed {
        /// The file, with a byte offset or field where one is known.
        place: String,
        /// What should stand there.
        want: String,
        /// What stands there, cut to a readable length.
        found: String,
    },
    /// Something named by the caller does not exist.
    #[error("{what} not found: {name}{}", tail(.hint))]
    NotFound {
        /// The kind of thing, such as `feature` or `model`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What would help; may be empty.
        hint: String,
    },
    /// An argument or setting makes no sense.
    #[error("{what}: {why}")]
    InvalidInput {
        /// The argument.
        what: String,
        /// Why it is refused and what is accepted.
        why: String,
    },
    /// An input is larger than the library is willing to take.
    #[error("{what} is too large: {size} (limit {limit})")]
    TooLarge {
        /// The input.
        what: String,
        /// Its size, in the unit of `limit`.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// This machine, kernel or build cannot do it.
    #[error("{what} is not available: {why}{}", tail(.hint))]
    Unsupported {
        /// What was asked for.
        what: String,
        /// Why it cannot be had.
        why: String,
        /// What would change it; may be empty.
        hint: String,
    },
    /// The kernel refused a call.
    #[error("{call} failed: {source}{}", tail(.hint))]
    Kernel {
        /// The call and its object, such as `bpf(PROG_LOAD) process_free`.
        call: String,
        /// What the kernel said.
        source: io::Error,
        /// What would change it; may be empty.
        hint: String,
    },
    /// The object was made by a parent process and does not cross `fork()`.
    #[error("this {0} was opened before fork(): open a new one in the child process")]
    Forked(&'static str),
    /// The caller asked to stop.
    #[error("cancelled: {0}")]
    Cancelled(&'static str),
}

/// The kinds of [`Error`]: a closed list, with one exception class each in Python and one `code` each in Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A file, process, zone, feature or model does not exist.
    NotFound,
    /// The system forbids it to this user.
    PermissionDenied,
    /// Data is not what it should be.
    Malformed,
    /// An argument or setting makes no sense.
    InvalidInput,
    /// An input is over a limit.
    TooLarge,
    /// This machine, kernel or build cannot do it.
    Unsupported,
    /// Reading or a kernel call failed in another way.
    Io,
    /// The object was opened before `fork()`.
    Forked,
    /// The caller asked to stop.
    Cancelled,
}

impl Error {
    /// The kind of this error.
    ///
    /// ```
    /// use kepler_core::{ErrorKind, Host};
    ///
    /// let error = Host::at("/nowhere").text("/nowhere/proc/stat").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } | Self::Kernel { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                io::ErrorKind::Unsupported => ErrorKind::Unsupported,
                _ if source.raw_os_error() == Some(libc::ESRCH) => ErrorKind::NotFound,
                _ => ErrorKind::Io,
            },
            Self::Malformed { .. } => ErrorKind::Malformed,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::InvalidInput { .. } => ErrorKind::InvalidInput,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Forked(_) => ErrorKind::Forked,
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }

    /// Whether trying the same call again later can help, as with a process that just ended or a device that was busy.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Read { source, .. } | Self::Kernel { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::Interrupted
                        | io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                ) || matches!(
                    source.raw_os_error(),
                    Some(libc::ESRCH | libc::EBUSY | libc::EIO | libc::ENODATA)
                )
            }
            _ => false,
        }
    }

    /// A file that could not be read.
    pub(crate) fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source,
        }
    }

    /// Text or bytes that are not what they should be. `found` is cut to 80 characters.
    pub(crate) fn malformed(
        place: impl fmt::Display,
        want: impl Into<String>,
        found: impl AsRef<str>,
    ) -> Self {
        let found = found.as_ref();
        let mut cut: String = found.chars().take(80).collect();
        if cut.len() < found.len() {
            cut.push('…');
        }
        Self::Malformed {
            place: place.to_string(),
            want: want.into(),
            found: cut,
        }
    }

    /// An argument that makes no sense.
    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::InvalidInput {
            what: what.into(),
            why: why.into(),
        }
    }
}

impl ErrorKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::NotFound,
        Self::PermissionDenied,
        Self::Malformed,
        Self::InvalidInput,
        Self::TooLarge,
        Self::Unsupported,
        Self::Io,
        Self::Forked,
        Self::Cancelled,
    ];

    /// The name of this kind, the same in Rust, Python (class) and Node (`err.code`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::PermissionDenied => "PermissionDenied",
            Self::Malformed => "Malformed",
            Self::InvalidInput => "InvalidInput",
            Self::TooLarge => "TooLarge",
            Self::Unsupported => "Unsupported",
            Self::Io => "Io",
            Self::Forked => "Forked",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "; run as root, or give the program CAP_DAC_READ_SEARCH or a group that may read it"
        }
        _ => "",
    }
}

fn tail(hint: &str) -> String {
    if hint.is_empty() {
        String::new()
    } else {
        format!("; {hint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_file_says_what_to_do() {
        let error = Error::read("/sys/x", io::Error::from_raw_os_error(libc::EACCES));
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("CAP_DAC_READ_SEARCH"), "{error}");
        assert!(!error.is_temporary());
    }

    #[test]
    fn a_process_that_ended_is_temporary_and_not_found() {
        let error = Error::read("/proc/7/stat", io::Error::from_raw_os_error(libc::ESRCH));
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.is_temporary());
    }

    #[test]
    fn what_was_found_is_cut() {
        let error = Error::malformed("x", "a number", "9".repeat(10_000));
        assert!(error.to_string().len() < 400);
    }
}
