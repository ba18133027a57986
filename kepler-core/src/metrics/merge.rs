//! Series of several workloads together, where the labels that would tell them apart are left out.
//!
//! A total of several is the growth of all that ever was one of them, so that it goes on when one ends and grows by nothing when
//! one is forgotten.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::fit;
use crate::monitor::{Id, Sum, WorkloadUsage};

/// The workloads of one level under the labels of one generation, from page to page.
#[derive(Debug, Default)]
pub(super) struct Merger {
    page: u64,
    /// What each workload had used when it was last on a page.
    members: HashMap<Id, (Sum, u64)>,
    /// By their labels, in the order of export.
    together: BTreeMap<Arc<str>, (WorkloadUsage, u64)>,
}

impl Merger {
    /// Begins a page.
    pub(super) fn turn(&mut self) {
        self.page += 1;
    }

    /// One that is there without an entry of its own: it may come back with what it had and more.
    pub(super) fn keep(&mut self, member: &Id) {
        if let Some((_, last)) = self.members.get_mut(member) {
            *last = self.page;
        }
    }

    /// One workload, by what tells it apart.
    pub(super) fn add(&mut self, member: Id, labels: &str, usage: &WorkloadUsage) {
        let page = self.page;
        let now = Sum::of(usage);
        let grown = match self.members.get_mut(&member) {
            Some((before, last)) => {
                *last = page;
                let grown = now.since(before);
                *before = now;
                grown
            }
            None => {
                self.members.insert(member, (now.clone(), page));
                now
            }
        };
        if !self.together.contains_key(labels) {
            let none = (Sum::nothing(usage), 0);
            self.together.insert(labels.into(), none);
        }
        if let Some((together, last)) = self.together.get_mut(labels) {
            if *last != page {
                Sum::still(together);
                *last = page;
            }
            grown.book(together, usage);
        }
    }

    /// Ends a page: what each of the label sets on it used together. What was not on it is forgotten.
    pub(super) fn end(&mut self) -> impl Iterator<Item = (&Arc<str>, &WorkloadUsage)> {
        let page = self.page;
        self.members.retain(|_, (_, last)| *last == page);
        fit::table(&mut self.members);
        self.together.retain(|_, (_, last)| *last == page);
        self.together
            .iter()
            .map(|(labels, (usage, _))| (labels, usage))
    }
}
