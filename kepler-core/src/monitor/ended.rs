//! Ended processes that have no account of their own any more, together by container and name.
//!
//! What they used and nobody was shown goes to an entry whose growth can be seen: one that all who read were shown before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::workload::Container;

use super::account::{Account, Prices};
use super::snapshot::{EndedSnapshot, OTHER};

/// Names of ended processes that are told apart; later ones go to one entry a container. Bounds what a hostile process can
/// fill by renaming itself.
const NAMES: usize = 2000;

/// The entries of ended processes.
pub(super) struct Ended {
    domains: usize,
    entries: HashMap<Name, Entry>,
    /// The newest sample that all who read were shown; 0 when nothing exports.
    shown_to_all: u64,
    sequence: u64,
}

/// The id of the container, and the name.
type Name = (Option<Arc<str>>, Arc<str>);

struct Entry {
    container: Option<Arc<Container>>,
    count: u64,
    shown: Account,
    /// Waits until a snapshot showed this entry at 0, so that its growth can be seen.
    waiting: Account,
    waiting_count: u64,
    first: u64,
    touched: Duration,
}

impl Ended {
    pub(super) fn new(domains: usize) -> Self {
        Self {
            domains,
            entries: HashMap::new(),
            shown_to_all: 0,
            sequence: 0,
        }
    }

    /// Starts the books of one sample: what waits in entries that were shown at 0 becomes visible.
    pub(super) fn begin(&mut self, sequence: u64, shown_to_all: u64) {
        self.sequence = sequence;
        self.shown_to_all = shown_to_all;
        for entry in self.entries.values_mut() {
            if entry.waiting_count > 0 && entry.was_shown(shown_to_all) {
                let waiting = std::mem::replace(&mut entry.waiting, Account::new(self.domains));
                entry.shown.absorb(&waiting);
                entry.count += std::mem::take(&mut entry.waiting_count);
            }
        }
    }

    /// Takes what a process used and nobody was shown. Tells the name of the entry that it went to.
    pub(super) fn take(
        &mut self,
        container: Option<&Arc<Container>>,
        comm: &Arc<str>,
        unshown: &Account,
        now: Duration,
    ) -> Name {
        let mut name = (container.map(|c| c.id.clone()), comm.clone());
        if self.entries.len() >= NAMES && !self.entries.contains_key(&name) {
            name.1 = OTHER.into();
        }
        let entry = self.entries.entry(name.clone()).or_insert_with(|| Entry {
            container: container.cloned(),
            count: 0,
            shown: Account::new(self.domains),
            waiting: Account::new(self.domains),
            waiting_count: 0,
            first: self.sequence,
            touched: now,
        });
        entry.touched = now;
        if entry.was_shown(self.shown_to_all) {
            entry.shown.absorb(unshown);
            entry.count += 1;
        } else {
            entry.waiting.absorb(unshown);
            entry.waiting_count += 1;
        }
        name
    }

    /// Closes the books of one sample: drops what nothing was added to for `retention`.
    pub(super) fn close(&mut self, prices: &Prices, now: Duration, retention: Duration) {
        self.entries.retain(|_, entry| {
            entry.shown.rest(prices);
            now.saturating_sub(entry.touched) <= retention
        });
    }

    pub(super) fn snapshot(&self) -> Vec<EndedSnapshot> {
        self.entries
            .iter()
            .map(|((_, comm), entry)| EndedSnapshot {
                container: entry.container.clone(),
                comm: comm.clone(),
                count: entry.count,
                usage: entry.shown.usage(false),
            })
            .collect()
    }
}

impl Entry {
    /// Whether growth of it is seen from here on.
    fn was_shown(&self, shown_to_all: u64) -> bool {
        shown_to_all == 0 || self.first <= shown_to_all
    }
}
