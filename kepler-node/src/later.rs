//! What is opened when it is first needed: off the event loop where the caller can wait for a promise.

use std::sync::Arc;

use kepler_core::Result;
use once_cell::sync::OnceCell;

/// Clones share what was opened. Opening that failed is tried again the next time.
pub(crate) struct Later<T>(Arc<Inner<T>>);

struct Inner<T> {
    opened: OnceCell<T>,
    open: Box<dyn Fn() -> Result<T> + Send + Sync>,
}

impl<T> Later<T> {
    pub(crate) fn new(open: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            opened: OnceCell::new(),
            open: Box::new(open),
        }))
    }

    pub(crate) fn get(&self) -> Result<&T> {
        self.0.opened.get_or_try_init(&self.0.open)
    }

    pub(crate) fn opened(&self) -> Option<&T> {
        self.0.opened.get()
    }
}

impl<T: Clone + Send + Sync + 'static> From<T> for Later<T> {
    /// What is open already.
    fn from(opened: T) -> Self {
        let open = opened.clone();
        Self(Arc::new(Inner {
            opened: OnceCell::with_value(opened),
            open: Box::new(move || Ok(open.clone())),
        }))
    }
}

impl<T> Clone for Later<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
