//! Bytes that all requests together may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is left of them.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicU64>);

/// What one request has of them; given back with it.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    bytes: AtomicU64,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    pub(crate) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: AtomicU64::new(0),
        }
    }
}

impl Share {
    /// Takes so many more, where so many are left.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        let (relaxed, left) = (Ordering::Relaxed, &self.budget.0);
        let taken = left.fetch_update(relaxed, relaxed, take).is_ok();
        if taken {
            self.bytes.fetch_add(bytes, relaxed);
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.budget.0.fetch_add(bytes, Ordering::Relaxed);
    }
}
