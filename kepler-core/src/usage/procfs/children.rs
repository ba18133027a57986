//! CPU time of processes that ended without being seen to: what their parents collected.

use std::collections::HashMap;
use std::sync::Arc;

/// `/proc/PID/stat` also holds what the children used that a process waited for. Its growth, less what was seen of the
/// children that are gone, is time whose owner is not known, though most often it ran in the cgroup of its parent.
#[derive(Debug, Default)]
pub(super) struct Children {
    collected: Vec<Collected>,
    seen: HashMap<u32, u64>,
    late: u64,
}

/// What one process collected from its children since the last sample.
#[derive(Debug)]
struct Collected {
    parent: u32,
    cgroup: Option<Arc<str>>,
    ticks: u64,
}

impl Children {
    /// The collected time of process `parent`, of `cgroup`, grew by `ticks`.
    pub(super) fn collect(&mut self, parent: u32, cgroup: Option<&Arc<str>>, ticks: u64) {
        if ticks > 0 {
            self.collected.push(Collected {
                parent,
                cgroup: cgroup.cloned(),
                ticks,
            });
        }
    }

    /// A child of process `parent` is gone. `ticks` of its own and of its children were seen in its life.
    pub(super) fn gone(&mut self, parent: u32, ticks: u64) {
        let seen = self.seen.entry(parent).or_default();
        *seen = seen.saturating_add(ticks);
    }

    /// Hands out the ticks that were not seen, by cgroup, and begins anew.
    ///
    /// What was seen of a child whose parent did not collect as much is taken from what others collected, now or at the next
    /// sample: the child may have been handed to another parent, or have ended between the looks at the two. Where a parent
    /// ignores its children that is too little, never too much.
    pub(super) fn settle(&mut self, mut book: impl FnMut(Option<Arc<str>>, u64)) {
        for one in &mut self.collected {
            if let Some(seen) = self.seen.get_mut(&one.parent) {
                let taken = one.ticks.min(*seen);
                one.ticks -= taken;
                *seen -= taken;
            }
        }
        let late: u64 = self
            .seen
            .drain()
            .fold(0, |sum, (_, ticks)| ticks.saturating_add(sum));
        let mut elsewhere = late.saturating_add(self.late);
        for one in self.collected.drain(..) {
            let taken = one.ticks.min(elsewhere);
            elsewhere -= taken;
            if one.ticks > taken {
                book(one.cgroup, one.ticks - taken);
            }
        }
        self.late = elsewhere.min(late);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(children: &mut Children) -> Vec<(Option<Arc<str>>, u64)> {
        let mut booked = Vec::new();
        children.settle(|cgroup, ticks| booked.push((cgroup, ticks)));
        booked
    }

    #[test]
    fn what_was_seen_of_a_child_is_not_booked_again() {
        let mut children = Children::default();
        let cgroup: Arc<str> = "/a".into();
        children.collect(7, Some(&cgroup), 100);
        children.gone(7, 80);
        assert_eq!(settle(&mut children), [(Some(cgroup), 20)]);
        assert_eq!(settle(&mut children), []);
    }

    #[test]
    fn an_orphan_collected_by_another_is_not_booked_again() {
        let mut children = Children::default();
        children.collect(1, None, 500);
        children.gone(7, 500);
        assert_eq!(settle(&mut children), []);
    }

    #[test]
    fn a_child_that_ended_between_the_looks_is_settled_at_the_next_sample_and_no_later() {
        let mut children = Children::default();
        children.gone(7, 80);
        assert_eq!(settle(&mut children), []);
        children.collect(7, None, 100);
        assert_eq!(settle(&mut children), [(None, 20)]);

        children.gone(7, 80);
        assert_eq!(settle(&mut children), []);
        assert_eq!(settle(&mut children), []);
        children.collect(7, None, 100);
        assert_eq!(settle(&mut children), [(None, 100)]);
    }
}
