//! One pod list after another.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::error::Result;

use super::{PodEntry, PodTable, shape};

/// The pod lists of a node as they come, one after another. A pod whose text is that of the list before is not read again,
/// wherever it stands: of 2,000 pods of which few change, reading is most of the work.
///
/// Texts are not kept but told apart by hashes of 64 bits, whose keys are drawn anew for each `PodLists`.
///
/// ```
/// use kepler_core::workload::PodLists;
///
/// let mut lists = PodLists::default();
/// let answer = br#"{"items": [{"metadata": {"name": "web", "uid": "6c2b6f94-1f0c-4f9e-8a11-0b2d8e7c5a33"}}]}"#;
/// assert_eq!(lists.next(answer)?.len(), 1);
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct PodLists {
    /// By how their texts begin.
    known: HashTable<Known>,
    table: PodTable,
    hasher: DefaultHashBuilder,
}

/// A pod that was read, and where in its list's text it stands.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) place: Range<usize>,
    pub(super) entry: Arc<PodEntry>,
}

#[derive(Debug)]
struct Known {
    beginning: u64,
    /// Of its text.
    hash: u64,
    length: usize,
    /// Whether it stands in the list that is being read, too.
    stays: bool,
    entry: Arc<PodEntry>,
}

/// Pods are found by the first bytes of their text: their names stand there. Of those that begin alike each is looked at.
const BEGINNING: usize = 96;

impl PodLists {
    /// Reads the next list, as [`PodTable::parse`] would.
    ///
    /// # Errors
    /// Those of [`PodTable::parse`]; the list after is read whole then.
    pub fn next(&mut self, json: &[u8]) -> Result<PodTable> {
        let read = self.read(json);
        if read.is_err() {
            *self = Self::default();
        }
        read
    }

    fn read(&mut self, json: &[u8]) -> Result<PodTable> {
        let (version, new) = shape::list(json, |text| self.find(text))?;
        let Self {
            known,
            table,
            hasher,
        } = self;
        known.retain(|known| {
            let stays = std::mem::take(&mut known.stays);
            if !stays {
                table.remove(&known.entry.pod.uid);
            }
            stays
        });
        let mut alone = true;
        for Listed { place, entry } in new {
            alone &= table.insert(&entry);
            let text = &json[place];
            let new = Known {
                beginning: beginning(hasher, text),
                hash: hasher.hash_one(text),
                length: text.len(),
                stays: false,
                entry,
            };
            known.insert_unique(new.beginning, new, |known| known.beginning);
        }
        if alone {
            table.version = version;
            return Ok(table.clone());
        }
        // Of two pods that claim one container the later in the list has it.
        known.clear();
        *table = PodTable::default();
        PodTable::parse(json)
    }

    /// The length of a known pod, if this text begins with its.
    fn find(&mut self, text: &[u8]) -> Option<usize> {
        let hasher = &self.hasher;
        let is = |known: &Known| {
            let same = text.get(..known.length);
            !known.stays && same.is_some_and(|text| hasher.hash_one(text) == known.hash)
        };
        let known = self.known.find_mut(beginning(hasher, text), is)?;
        known.stays = true;
        Some(known.length)
    }
}

/// `text` is a pod's, or begins with it.
fn beginning(hasher: &DefaultHashBuilder, text: &[u8]) -> u64 {
    hasher.hash_one(&text[..text.len().min(BEGINNING)])
}
