//! What was used lately, within a bound.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Values that were used lately: the longest unused are dropped when all together cost more than a limit.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    /// Key, value and cost, the last used at the end.
    items: Mutex<VecDeque<(K, V, usize)>>,
    limit: usize,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            items: Mutex::default(),
            limit,
        }
    }

    /// The value of a key, made when it is not there. What costs more than the limit is not kept.
    pub(super) fn get<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
        cost: impl FnOnce(&V) -> usize,
    ) -> Result<V, E> {
        if let Some(value) = self.kept(&key) {
            return Ok(value);
        }
        // Made without the lock: two may make the same at the same time.
        let value = make()?;
        let cost = cost(&value);
        if cost <= self.limit {
            let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
            items.retain(|(of, ..)| *of != key);
            items.push_back((key, value.clone(), cost));
            while items.iter().map(|(.., cost)| cost).sum::<usize>() > self.limit {
                items.pop_front();
            }
        }
        Ok(value)
    }

    /// The value of a key, where it is there.
    pub(super) fn kept(&self, key: &K) -> Option<V> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let place = items.iter().position(|(of, ..)| of == key)?;
        let item = items.remove(place)?;
        let value = item.1.clone();
        items.push_back(item);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first_and_what_is_too_large_is_not_kept() {
        let recent = Recent::new(3);
        let get = |key, cost| {
            let mut made = false;
            let make = || {
                made = true;
                Ok::<_, ()>(key)
            };
            assert_eq!(recent.get(key, make, |_| cost), Ok(key));
            made
        };
        assert!(get(1, 1) && get(2, 2) && !get(1, 1));
        assert!(get(3, 1), "2 goes");
        assert!(!get(1, 1) && !get(3, 1));
        assert!(get(4, 4) && get(4, 4));
        assert!(get(2, 2), "4 took nobody's place, 1 goes");
        assert!(!get(3, 1) && get(1, 1));
    }
}
