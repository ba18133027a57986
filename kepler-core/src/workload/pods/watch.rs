//! One line of an API server's watch.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Error, Result};

use super::shape::{self, Object};
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

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(default)]
    code: u16,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
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
        let event: Event<'_> = shape::read(line, "a watch event")?;
        let json = event.object.get().as_bytes();
        if event.kind == "ERROR" {
            let status: Status<'_> = shape::read(json, "a status")?;
            return match status.code {
                GONE => Ok(Change::Expired),
                _ => Err(Error::malformed(
                    "watch",
                    "an event of a pod",
                    status.message,
                )),
            };
        }
        let object: Object<'_> = shape::read(json, "a pod")?;
        let version = shape::version(&object.metadata);
        let change = match (&*event.kind, shape::entry(object)) {
            ("ADDED" | "MODIFIED", Some(entry)) => {
                bound("the number of pods", self.len() + 1, PODS_LIMIT)?;
                self.insert(entry);
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
