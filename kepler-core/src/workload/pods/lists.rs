//! One pod list after another.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use crate::error::Result;

use super::{PodEntry, PodTable};

/// The pod lists of a node as they come, one after another. A pod that stands in a list word for word as in the list before
/// is not read again, wherever it stands there: of 2,000 pods of which few change, that is more than half of the time.
///
/// Keeps the text of the last list.
///
/// ```
/// use kepler_core::workload::PodLists;
///
/// let mut lists = PodLists::default();
/// let mut answer = br#"{"items": [{"metadata": {"name": "web", "uid": "6c2b6f94-1f0c-4f9e-8a11-0b2d8e7c5a33"}}]}"#.to_vec();
/// assert_eq!(lists.next(&mut answer)?.len(), 1);
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct PodLists {
    text: Vec<u8>,
    known: HashMap<u64, Listed>,
    hasher: RandomState,
}

/// A pod, and where in its list's text it stands.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) place: Range<usize>,
    pub(super) entry: Arc<PodEntry>,
}

/// Pods are told apart by the first bytes of their text: their names stand there. Those that begin alike are read again.
const BEGINNING: usize = 96;

impl PodLists {
    /// Reads the next list, as [`PodTable::parse`] would. Takes the text, and leaves in its place an earlier one, whose memory can
    /// hold the list after.
    ///
    /// # Errors
    /// Those of [`PodTable::parse`]; what was known before then stays known.
    pub fn next(&mut self, json: &mut Vec<u8>) -> Result<PodTable> {
        let (table, listed) = PodTable::read(json, |text| self.find(text))?;
        std::mem::swap(&mut self.text, json);
        self.known.clear();
        for pod in listed {
            let beginning = self.beginning(&self.text[pod.place.start..]);
            self.known.insert(beginning, pod);
        }
        Ok(table)
    }

    /// The pod with whose text this text begins, if it is a known one, and that text's length.
    fn find(&self, text: &str) -> Option<(usize, Arc<PodEntry>)> {
        let text = text.as_bytes();
        let listed = self.known.get(&self.beginning(text))?;
        let before = self.text.get(listed.place.clone())?;
        text.starts_with(before)
            .then(|| (before.len(), Arc::clone(&listed.entry)))
    }

    fn beginning(&self, text: &[u8]) -> u64 {
        self.hasher.hash_one(&text[..text.len().min(BEGINNING)])
    }
}
