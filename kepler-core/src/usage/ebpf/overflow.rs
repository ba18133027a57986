//! Time of processes whose exit records found no room, by cgroup.
//!
//! A total there is that of whole lives, also of processes that were booked while they lived: what they had been booked is
//! taken out again. Which ones they are cannot be known at once: a process that is gone may be in there, or its record
//! may still come. It is taken out as if it were in there, and given back if its record comes.

use std::collections::HashMap;

use crate::usage::Counters;

use super::ledger::Bucket;
use super::record::Total;

/// The overflow of every cgroup that had one.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    buckets: HashMap<Bucket, Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// All that ever went in, and the number of records.
    grown: Total,
    /// Of that, what was booked while its processes lived, and their number.
    booked: Total,
    /// Of that, what was released.
    released: Counters,
}

impl Overflow {
    /// The cumulative total of a bucket as it is now.
    pub(super) fn grown(&mut self, bucket: Bucket, total: &Total) {
        self.buckets.entry(bucket).or_default().grown = *total;
    }

    /// Whether anything ever overflowed.
    pub(super) fn is_open(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// What is in now is of before the first pass.
    pub(super) fn forget(&mut self) {
        for held in self.buckets.values_mut() {
            held.released = held.grown.counters;
            held.booked.records = held.grown.records;
        }
    }

    /// Takes a process with these booked totals out of a bucket, if it can be in there.
    pub(super) fn take_out(&mut self, bucket: Bucket, seen: &Counters) -> bool {
        let Some(held) = self.buckets.get_mut(&bucket) else {
            return false;
        };
        let fits =
            held.booked.records < held.grown.records && seen.cpu_ns <= held.available().cpu_ns;
        if fits {
            held.booked.records += 1;
            held.booked.counters.add(seen);
        }
        fits
    }

    /// Gives back what [`Overflow::take_out`] took: the process was not in there.
    pub(super) fn give_back(&mut self, bucket: Bucket, seen: &Counters) {
        if let Some(held) = self.buckets.get_mut(&bucket) {
            held.booked.records -= 1;
            held.booked.counters = held.booked.counters.since(seen);
        }
    }

    /// What has no name and was not released yet.
    pub(super) fn release(&mut self) -> Vec<(Bucket, Counters)> {
        let mut released = Vec::new();
        for (bucket, held) in &mut self.buckets {
            let available = held.available();
            if available != Counters::default() {
                held.released.add(&available);
                released.push((*bucket, available));
            }
        }
        released
    }
}

impl Held {
    fn available(&self) -> Counters {
        self.grown
            .counters
            .since(&self.booked.counters)
            .since(&self.released)
    }
}
