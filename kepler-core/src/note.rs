//! What a source says about its parts: which work here, and why others do not.

use std::fmt;

use serde::Serialize;

use crate::error::Error;

/// Whether one part of a source works here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The part, such as `softirq_entry`.
    pub part: String,
    /// Whether it is in use.
    pub active: bool,
    /// Why not, or how; may be empty.
    pub why: String,
    /// The one thing that would change it; may be empty.
    pub hint: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            self.part,
            if self.active { "on" } else { "off" }
        )?;
        if !self.why.is_empty() {
            write!(f, " ({})", self.why)?;
        }
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl Note {
    /// A part that is in use.
    pub fn on(part: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            active: true,
            why: why.into(),
            hint: String::new(),
        }
    }

    /// A part that is not in use, because of `error`.
    pub fn off(part: impl Into<String>, error: &Error, hint: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            active: false,
            why: error.to_string(),
            hint: hint.into(),
        }
    }
}
