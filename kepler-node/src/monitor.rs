//! What everything on a machine uses, sample by sample.

use std::sync::{Arc, Mutex, PoisonError};

use kepler_core::monitor as core;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use crate::errors::{Result, Work, promise, to_js};
use crate::measure::EnergyMeter;
use crate::options::MonitorOptions;
use crate::snapshot::{Snapshot, Sources};

/// Watches one machine: each sample tells what everything on it used since the sample before.
///
/// Works without privileges and without a meter; `sources` says what is used and why. Several monitors can watch at once.
#[napi]
pub struct Monitor {
    inner: Arc<Mutex<core::Monitor>>,
    meter: core::EnergyMeter,
    sources: Arc<core::Sources>,
}

#[napi]
impl Monitor {
    /// Opens the best sources that work here.
    #[napi(constructor)]
    pub fn new(options: Option<MonitorOptions>) -> Result<Self> {
        let build = || options.unwrap_or_default().builder()?.build();
        let monitor = build().map_err(to_js)?;
        Ok(Self {
            meter: monitor.meter().clone(),
            sources: monitor.sources().clone(),
            inner: Arc::new(Mutex::new(monitor)),
        })
    }

    /// Takes a sample. The first one is the baseline: nothing is booked from before it.
    #[napi(ts_return_type = "Promise<Snapshot>")]
    pub fn sample(&self) -> AsyncTask<Work<Snapshot>> {
        let monitor = self.inner.clone();
        promise(move || take(&monitor))
    }

    /// As `sample`, while the event loop waits.
    #[napi]
    pub fn sample_sync(&self) -> Result<Snapshot> {
        take(&self.inner).map_err(to_js)
    }

    /// Which sources are in use, and why not others.
    #[napi(getter)]
    pub fn sources(&self) -> Sources {
        Sources::from(&*self.sources)
    }

    /// Measures blocks of code and commands with this monitor's meters, apart from its samples.
    #[napi(getter)]
    pub fn meter(&self) -> EnergyMeter {
        EnergyMeter(self.meter.clone())
    }
}

fn take(monitor: &Mutex<core::Monitor>) -> kepler_core::Result<Snapshot> {
    monitor
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .sample()
        .map(Snapshot)
}
