//! What all requests share: the models, the rules and the meters.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

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
}

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
        }
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
