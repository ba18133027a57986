//! What all requests share: the models, the rules and the meters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use kepler_core::protocol::{Catalog, ModelId, Rules};
use kepler_core::{Host, MachineSpec};

use super::meters::{Meters, Use};
use crate::manage::usage::{Event, Usage};

/// What all requests share.
pub(super) struct Site {
    catalog: RwLock<Arc<Catalog>>,
    pub(super) rules: Rules,
    /// The machine that this server runs on: the estimator's clients run there too.
    pub(super) machine: MachineSpec,
    pub(super) meters: Meters,
    usage: Arc<Usage>,
    began: Instant,
    fetching: AtomicBool,
}

/// How long a server whose first models don't come is not ready. Then what it has is better than nothing.
const FIRST_FETCH: Duration = Duration::from_secs(60);

impl Site {
    pub(super) fn new(
        catalog: Catalog,
        rules: Rules,
        machine: MachineSpec,
        host: Host,
        usage: Arc<Usage>,
    ) -> Self {
        let meters = Meters::new(host);
        meters.loaded(&catalog);
        Self {
            catalog: RwLock::new(Arc::new(catalog)),
            rules,
            machine,
            meters,
            usage,
            began: Instant::now(),
            fetching: AtomicBool::new(false),
        }
    }

    /// Notes whether models that are expected from the start are still being fetched.
    pub(super) fn set_fetching(&self, fetching: bool) {
        self.fetching.store(fetching, Ordering::Relaxed);
    }

    /// Whether clients should be sent here: one that knows other models answers meanwhile.
    pub(super) fn is_ready(&self) -> bool {
        !self.fetching.load(Ordering::Relaxed) || self.began.elapsed() > FIRST_FETCH
    }

    /// The models as they are now; a request keeps those that it began with.
    pub(super) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves other models from now on.
    pub(super) fn serve(&self, catalog: Catalog) {
        self.meters.loaded(&catalog);
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    /// Notes that a model was handed out.
    pub(super) fn handed_out(&self, model: &ModelId, form: Use) {
        self.meters.used(model, form);
        let counter = self.usage.model(&model.to_string());
        counter.count(Event::Request, SystemTime::now());
    }

    /// Notes that a model predicted rows.
    pub(super) fn predicted(&self, model: &ModelId, form: Use, took: Duration) {
        self.handed_out(model, form);
        self.meters.predicted(model, took);
        let counter = self.usage.model(&model.to_string());
        counter.count(Event::Inference, SystemTime::now());
    }
}
