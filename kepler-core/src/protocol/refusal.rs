//! Why a request is not answered.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// Why a request is not answered: whose fault it is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of HTTP: 400 for a request that cannot be met, 404 for a model that is not there, 500 for models that
    /// cannot be read.
    pub status: u16,
    /// What is wrong.
    pub reason: String,
    /// Whether the older server answers with exactly this text.
    pub known: bool,
}

impl Refusal {
    /// A request that makes no sense.
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self {
            status: 400,
            reason: reason.into(),
            known: false,
        }
    }

    /// A request that the older server refuses with the same words.
    pub(super) fn known(reason: String) -> Self {
        Self {
            known: true,
            ..Self::bad(reason)
        }
    }

    /// A model that is not there.
    pub(super) fn missing(name: &str) -> Self {
        Self {
            status: 404,
            ..Self::bad(format!("there is no model {name}; GET /models lists all"))
        }
    }

    /// A model that cannot be read, whoever asks.
    pub(super) fn broken(error: &Error) -> Self {
        Self {
            status: 500,
            ..Self::bad(error.to_string())
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::Malformed | ErrorKind::InvalidInput => {
                Self::bad(error.to_string())
            }
            _ => Self::broken(&error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refusal {}
