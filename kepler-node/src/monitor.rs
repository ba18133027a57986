//! What everything on a machine uses, sample by sample.

use std::sync::{Arc, Mutex, PoisonError};

use kepler_core::monitor as core;
use kepler_core::workload::PodTable;
use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi_derive::napi;

use crate::errors::{Result, Work, promise, to_js};
use crate::later::Later;
use crate::measure::EnergyMeter;
use crate::options::MonitorOptions;
use crate::snapshot::{Snapshot, Sources};

/// Watches one machine: each sample tells what everything on it used since the sample before.
///
/// Works without privileges and without a meter; `sources` says what is used and why. Several monitors can watch at once.
/// Its sources are opened by `open`, or by the first sample.
#[napi]
pub struct Monitor(Later<Opened>);

struct Opened {
    monitor: Mutex<core::Monitor>,
    meter: core::EnergyMeter,
    sources: Arc<core::Sources>,
    names: core::PodNames,
}

#[napi]
impl Monitor {
    /// Options that make no sense are refused here, sources that do not work when they are opened.
    #[napi(constructor)]
    pub fn new(options: Option<MonitorOptions>) -> Result<Self> {
        let options = options.unwrap_or_default();
        options.clone().builder().map_err(to_js)?;
        Ok(Self(Later::new(move || {
            let monitor = options.clone().builder()?.build()?;
            Ok(Opened {
                meter: monitor.meter().clone(),
                sources: monitor.sources().clone(),
                names: monitor.pod_names(),
                monitor: Mutex::new(monitor),
            })
        })))
    }

    /// Takes a sample. The first one is the baseline: nothing is booked from before it.
    #[napi(ts_return_type = "Promise<Snapshot>")]
    pub fn sample(&self) -> AsyncTask<Work<Snapshot>> {
        let opened = self.0.clone();
        promise(move || take(&opened))
    }

    /// As `sample`, while the event loop waits.
    #[napi]
    pub fn sample_sync(&self) -> Result<Snapshot> {
        take(&self.0).map_err(to_js)
    }

    /// Whether the sources are opened.
    #[napi(getter, js_name = "_opened", skip_typescript)]
    pub fn opened(&self) -> bool {
        self.0.opened().is_some()
    }

    /// Opens the sources off the event loop; nothing where they are open.
    #[napi(js_name = "_open", skip_typescript)]
    pub fn open(&self) -> Option<AsyncTask<Work<()>>> {
        self.0.open()
    }

    /// As `_open`, while the event loop waits.
    #[napi(js_name = "_openSync", skip_typescript)]
    pub fn open_sync(&self) -> Result<()> {
        self.0.get().map(drop).map_err(to_js)
    }

    /// Which sources are in use, and why not others. Known once they are open.
    #[napi(getter)]
    pub fn sources(&self) -> Result<Sources> {
        let opened = self.0.ready("monitor").map_err(to_js)?;
        Ok(Sources::from(&*opened.sources))
    }

    /// Tells who the pods on this machine are, by a pod list as JSON: what the kubelet answers at `/pods`, or the API server at
    /// `/api/v1/pods`. The next sample names them and their containers. Returns how many pods it names.
    #[napi(
        ts_args_type = "podList: string | Uint8Array",
        ts_return_type = "Promise<number>"
    )]
    pub fn name_pods(&self, pod_list: Uint8Array) -> AsyncTask<Work<u32>> {
        let opened = self.0.clone();
        promise(move || {
            // A copy, which nobody writes to while it is read.
            let pod_list = pod_list.to_vec();
            name(&opened, &pod_list)
        })
    }

    /// As `namePods`, while the event loop waits.
    #[napi(ts_args_type = "podList: string | Uint8Array")]
    pub fn name_pods_sync(&self, pod_list: Uint8Array) -> Result<u32> {
        name(&self.0, &pod_list).map_err(to_js)
    }

    /// Measures blocks of code and commands with this monitor's meters, apart from its samples.
    #[napi(getter)]
    pub fn meter(&self) -> EnergyMeter {
        if let Some(opened) = self.0.opened() {
            return EnergyMeter::from(Later::from(opened.meter.clone()));
        }
        let opened = self.0.clone();
        EnergyMeter::from(Later::new(move || Ok(opened.get()?.meter.clone())))
    }
}

fn name(opened: &Later<Opened>, pod_list: &[u8]) -> kepler_core::Result<u32> {
    let table = PodTable::parse(pod_list)?;
    let pods = u32::try_from(table.len()).unwrap_or(u32::MAX);
    opened.get()?.names.set("pod list", table);
    Ok(pods)
}

fn take(opened: &Later<Opened>) -> kepler_core::Result<Snapshot> {
    opened
        .get()?
        .monitor
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .sample()
        .map(Snapshot)
}
