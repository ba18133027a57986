//! Who uses NVIDIA's graphics processors, by its management library.

use std::collections::BTreeMap;

use crate::nvml::{Device, Library};
use crate::units::count_to_f64;

use super::GpuUsage;

/// Reads who worked on each graphics processor since the last look.
///
/// Where the driver tells the time that each process kept the multiprocessors busy, that is the measure. A processor in MIG
/// mode does not: there each instance that is in use counts by its multiprocessors. Where nothing is told, processes count
/// alike.
pub struct GpuReader {
    library: Library,
    /// The time of the last sample that was taken in, by processor.
    seen: Vec<u64>,
}

impl GpuReader {
    /// A reader of all processors that the library knows.
    pub(crate) fn new(library: Library) -> Self {
        Self {
            library,
            seen: Vec::new(),
        }
    }

    /// Who worked since the last look, a processor each. One that cannot be asked is left out.
    pub fn read(&mut self, gpus: &mut Vec<GpuUsage>) {
        gpus.clear();
        let count = self.library.count();
        self.seen.resize(count as usize, 0);
        for (index, seen) in (0..count).zip(&mut self.seen) {
            let Ok(device) = self.library.device(index) else {
                continue;
            };
            let Ok(holders) = holders(&device) else {
                continue;
            };
            let work = match instances(&device) {
                Some(instances) => instances,
                None => work(&device, seen),
            };
            let unused = holders.is_empty() && work.is_empty();
            let work = if work.is_empty() {
                holders.into_iter().map(|pid| (pid, 1)).collect()
            } else {
                work
            };
            gpus.push(GpuUsage {
                index,
                processes: shares(&work),
                unused,
            });
        }
    }
}

/// The processes that hold a context.
fn holders(device: &Device<'_>) -> Result<Vec<u32>, nvml_wrapper::error::NvmlError> {
    let mut pids: Vec<u32> = (device.running_compute_processes()?.into_iter())
        .chain(device.running_graphics_processes().unwrap_or_default())
        .map(|process| process.pid)
        .collect();
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

/// Percent of the multiprocessors' time, added up over the driver's samples since the last look.
fn work(device: &Device<'_>, seen: &mut u64) -> BTreeMap<u32, u64> {
    let mut work = BTreeMap::new();
    let before = *seen;
    let samples = device.process_utilization_stats(before).unwrap_or_default();
    for sample in samples.iter().filter(|sample| sample.timestamp > before) {
        *seen = sample.timestamp.max(*seen);
        if sample.sm_util > 0 {
            *work.entry(sample.pid).or_default() += u64::from(sample.sm_util);
        }
    }
    work
}

/// In MIG mode, each process's part of the multiprocessors of its instance; `None` in any other mode.
fn instances(device: &Device<'_>) -> Option<BTreeMap<u32, u64>> {
    const ENABLED: u32 = 1;
    /// So that the processes of one instance can share its multiprocessors in whole numbers.
    const PARTS: u64 = 5040;
    if device.mig_mode().ok()?.current != ENABLED {
        return None;
    }
    let mut work = BTreeMap::new();
    for place in 0..device.mig_device_count().unwrap_or(0) {
        let Ok(instance) = device.mig_device_by_index(place) else {
            continue;
        };
        let pids = holders(&instance).unwrap_or_default();
        let width = instance
            .attributes()
            .map_or(1, |a| u64::from(a.multiprocessor_count));
        for pid in &pids {
            *work.entry(*pid).or_default() += width * PARTS / pids.len() as u64;
        }
    }
    Some(work)
}

fn shares(work: &BTreeMap<u32, u64>) -> Vec<(u32, f64)> {
    let all = count_to_f64(work.values().sum());
    let share = |(pid, part): (&u32, &u64)| (*pid, count_to_f64(*part) / all);
    work.iter().filter(|_| all > 0.0).map(share).collect()
}
