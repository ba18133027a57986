//! What can go wrong before anything is served.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server cannot start. Its text is one line that says what, where and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address to listen on that is none.
    #[error(
        "{address:?} is no address to listen on: expected host:port, :port, unix:/path or held:/path, with http:// or https:// before it or not"
    )]
    Address {
        /// As it was written.
        address: String,
    },
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As it was written.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file that cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or a flag whose content is wrong.
    #[error("{place}: {problem}")]
    Invalid {
        /// The file, and where in it, or the flag.
        place: String,
        /// What was expected and what was found.
        problem: String,
    },
    /// A part of the system that does not do its work.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// What a program that fails with this ends with: 2 where a person has to change a setting, else 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Address { .. } | Self::Invalid { .. } => ExitCode::from(2),
            Self::Listen { .. } | Self::Read { .. } | Self::System { .. } => ExitCode::FAILURE,
        }
    }

    pub(crate) fn invalid(place: &impl ToString, problem: impl Into<String>) -> Self {
        Self::Invalid {
            place: place.to_string(),
            problem: problem.into(),
        }
    }
}
