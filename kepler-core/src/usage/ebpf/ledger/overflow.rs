//! Time of processes whose exit records found no room, by cgroup.
//!
//! A total there is that of whole lives, also of processes that were booked while they lived: what they had been booked is
//! taken out again. Which ones they are cannot be known at once: a process that is gone may be in there, or its record
//! may still come. So all that are gone are taken out for as long as they are, and a bucket gives out what is above that.

use std::collections::HashMap;

use crate::usage::Counters;

use super::super::record::Total;

/// A cgroup's overflow, or (`None`) that of all cgroups that found no room among these.
pub(super) type Bucket = Option<u64>;

/// The overflow of every cgroup that had one.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    buckets: HashMap<Bucket, Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// All that ever went in.
    grown: Counters,
    /// Of that, what was booked while its processes lived, of those that are forgotten.
    booked: Counters,
    /// The same, of those that are gone now.
    gone: Counters,
    /// Of that, what was given out.
    released: Counters,
}

impl Overflow {
    /// The cumulative total of a bucket as it is now.
    pub(super) fn grown(&mut self, bucket: Bucket, total: &Total) {
        if total.records > 0 {
            self.buckets.entry(bucket).or_default().grown = total.counters;
        }
    }

    /// Whether anything ever overflowed.
    pub(super) fn is_open(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// Whether the record of a process of this cgroup may be in here.
    pub(super) fn may_hold(&self, cgroup: u64) -> bool {
        self.buckets.contains_key(&Some(cgroup)) || self.buckets.contains_key(&None)
    }

    /// What is in now is of before the first pass.
    pub(super) fn forget(&mut self) {
        for held in self.buckets.values_mut() {
            held.released = held.grown;
        }
    }

    /// Starts the sum of those that are gone anew.
    pub(super) fn nobody_gone(&mut self) {
        for held in self.buckets.values_mut() {
            held.gone = Counters::default();
        }
    }

    /// A process with these booked totals is gone.
    pub(super) fn gone(&mut self, cgroup: u64, seen: &Counters) {
        if let Some(held) = self.bucket_of(cgroup) {
            held.gone.add(seen);
        }
    }

    /// A process with these booked totals is gone for good: its record is in here.
    pub(super) fn gone_for_good(&mut self, cgroup: u64, seen: &Counters) {
        if let Some(held) = self.bucket_of(cgroup) {
            held.booked.add(seen);
        }
    }

    /// What has no name and was not given out yet.
    pub(super) fn release(&mut self) -> Vec<(Bucket, Counters)> {
        let mut released = Vec::new();
        for (bucket, held) in &mut self.buckets {
            let inside = held.grown.since(&held.booked).since(&held.gone);
            let more = inside.since(&held.released);
            if more != Counters::default() {
                held.released.add(&more);
                released.push((*bucket, more));
            }
        }
        released
    }

    /// The kernel's full hash never takes another cgroup: records of one are all in its own bucket, or all in the last.
    fn bucket_of(&mut self, cgroup: u64) -> Option<&mut Held> {
        let own = Some(cgroup);
        let bucket = if self.buckets.contains_key(&own) {
            own
        } else {
            None
        };
        self.buckets.get_mut(&bucket)
    }
}
