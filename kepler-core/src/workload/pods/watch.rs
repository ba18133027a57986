//! One line of an API server's watch.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::{Error, Result};

use super::json::Json;
use super::shape::Object;
use super::{PODS_LIMIT, PodTable, TEXT_LIMIT, bound};

/// What a watch event did to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pod is new or was changed.
    Updated,
    /// A pod is gone.
    Removed,
    /// Nothing but the version from which a watch goes on.
    Version,
    /// The version is too old: the pods must be listed anew.
    Expired,
}

/// HTTP's "gone", which the API server gives in an event as well.
const GONE: u16 = 410;

impl PodTable {
    /// Takes in one line of a watch, such as `{"type": "ADDED", "object": {...}}`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no event, or the server says what went wrong; [`Error::TooLarge`] for more pods than a
    /// node can have.
    pub fn apply(&mut self, line: &[u8]) -> Result<Change> {
        bound("a watch event", line.len(), TEXT_LIMIT)?;
        let (mut kind, mut object) = (Cow::Borrowed(""), Object::default());
        let mut json = Json::new(line, "a watch event");
        json.whole(|json, name| match name {
            "type" => json.text().map(|text| kind = text),
            "object" => Object::read(json).map(|read| object = read),
            _ => json.skip(),
        })?;
        if kind == "ERROR" {
            return match object.code {
                GONE => Ok(Change::Expired),
                _ => Err(Error::malformed(
                    "watch",
                    "an event of a pod",
                    object.message,
                )),
            };
        }
        let version = object.version();
        let change = match (&*kind, object.entry()) {
            ("ADDED" | "MODIFIED", Some(entry)) => {
                bound("the number of pods", self.len() + 1, PODS_LIMIT)?;
                self.insert(&Arc::new(entry));
                Change::Updated
            }
            ("DELETED", Some(entry)) => {
                self.remove(&entry.pod.uid);
                Change::Removed
            }
            ("ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK", _) => Change::Version,
            (kind, _) => return Err(Error::malformed("watch", "a known event", kind)),
        };
        if !version.is_empty() {
            self.version = version;
        }
        Ok(change)
    }
}
