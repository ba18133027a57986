//! What is exported, chosen in one place for the site and every output, and anew while the program runs.

use std::sync::{Arc, Mutex, PoisonError};

use kepler_core::Host;
use kepler_core::metrics::{Exposition, Format, Page, Selection};
use kepler_core::monitor::Snapshot;

/// The choice that holds.
#[derive(Clone)]
pub(crate) struct Chosen(Arc<Mutex<Choice>>);

struct Choice {
    selection: Selection,
    node_name: Option<String>,
    /// Grows with each change.
    version: u64,
}

/// Makes pages, each as the choice says at that time.
pub(crate) struct Pages {
    exposition: Exposition,
    chosen: Chosen,
    version: u64,
}

impl Chosen {
    pub(crate) fn new(selection: Selection, node_name: Option<String>) -> Self {
        Self(Arc::new(Mutex::new(Choice {
            selection,
            node_name,
            version: 0,
        })))
    }

    /// From the next page on something else is exported.
    pub(crate) fn choose(&self, selection: Selection, node_name: Option<String>) {
        let mut choice = self.lock();
        let version = choice.version + 1;
        *choice = Choice {
            selection,
            node_name,
            version,
        };
    }

    /// Pages about this machine. Who makes some for one reader after another keeps what counters need from page to page.
    pub(crate) fn pages(&self, host: Host) -> Pages {
        let choice = self.lock();
        let mut exposition = Exposition::new(&choice.selection, host);
        if let Some(name) = &choice.node_name {
            exposition = exposition.with_node_name(name);
        }
        Pages {
            exposition,
            chosen: self.clone(),
            version: choice.version,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Choice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    pub(crate) fn page(&mut self, snapshot: &Arc<Snapshot>, format: Format) -> Page {
        let choice = self.chosen.lock();
        if choice.version != self.version {
            self.version = choice.version;
            let name = choice.node_name.as_deref();
            self.exposition.choose(&choice.selection, name);
        }
        drop(choice);
        self.exposition.page(snapshot, format)
    }
}
