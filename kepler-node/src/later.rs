//! What is opened when it is first needed, or asked for: off the event loop where the caller waits for a promise.

use std::sync::Arc;

use kepler_core::Result;
use napi::bindgen_prelude::AsyncTask;
use once_cell::sync::OnceCell;

use crate::errors::{Work, promise};
use crate::options::invalid;

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

    /// Opens it off the event loop; nothing where it is open.
    pub(crate) fn open(&self) -> Option<AsyncTask<Work<()>>>
    where
        T: Send + Sync + 'static,
    {
        let closed = self.clone();
        (self.opened().is_none()).then(|| promise(move || closed.get().map(drop)))
    }

    pub(crate) fn opened(&self) -> Option<&T> {
        self.0.opened.get()
    }

    /// What is open already, for those who do not wait for its opening.
    pub(crate) fn ready(&self, what: &str) -> Result<&T> {
        let why = "it is not open yet: await open() first, or use openSync()";
        self.opened().ok_or_else(|| invalid(what, why))
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
