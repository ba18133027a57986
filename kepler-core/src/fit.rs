//! Tables that give back what a storm made them grow to: by themselves they stay as large as they were at their height.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Places that are kept whatever is used.
const KEPT: usize = 1024;

/// Makes a table smaller that is filled by less than a quarter.
pub(crate) fn table<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    let used = table.len().max(KEPT);
    if table.capacity() / 4 > used {
        table.shrink_to(2 * used);
    }
}

/// Makes a list smaller that is filled by less than a quarter.
#[cfg(any(feature = "ebpf", test))]
pub(crate) fn list<T>(list: &mut Vec<T>) {
    let used = list.len().max(KEPT);
    if list.capacity() / 4 > used {
        list.shrink_to(2 * used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_storm_took_is_given_back_and_what_is_used_is_kept() {
        let mut held: HashMap<u32, u32> = (0..100_000).map(|i| (i, i)).collect();
        let mut row: Vec<u32> = (0..100_000).collect();
        table(&mut held);
        list(&mut row);
        assert!(held.capacity() >= 100_000 && row.capacity() >= 100_000);
        held.retain(|key, _| *key < 3000);
        row.truncate(3000);
        table(&mut held);
        list(&mut row);
        assert!(held.capacity() < 16_000 && row.capacity() < 16_000);
        assert_eq!((held.len(), row.len()), (3000, 3000));
        // Small ones are left alone: they would only grow again.
        held.clear();
        let before = held.capacity();
        held.shrink_to(4 * KEPT);
        table(&mut held);
        assert!(held.capacity() >= KEPT && held.capacity() <= before);
    }
}
