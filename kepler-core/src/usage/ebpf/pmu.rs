//! Hardware counters: an event for each CPU and counter, opened here and read in the kernel at each context switch.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use aya::maps::{Map, MapData};
use aya_obj::generated::{bpf_attr, bpf_cmd, perf_event_attr};

use crate::error::Error;
use crate::host::Host;
use crate::units::count_to_f64;
use crate::usage::{Counter, CounterSet, Note};

use super::Options;
use super::kernel::{CAPABILITIES, absent};

/// Events that count for as long as this lives.
pub(super) struct Pmu {
    events: Vec<File>,
    counters: CounterSet,
}

/// Kinds and numbers of `perf_event_attr`, from the kernel's `perf_event.h`.
const HARDWARE: u32 = 0;
const SOFTWARE: u32 = 1;
const HW_CACHE: u32 = 3;
const CYCLES: u64 = 0;
const INSTRUCTIONS: u64 = 1;
const CACHE_MISSES: u64 = 3;
/// Misses of reads in the last level; the generic event is of another level on some processors.
const LAST_LEVEL_READ_MISSES: u64 = 2 | 1 << 16;
const CPU_CLOCK: u64 = 0;
const TASK_CLOCK: u64 = 1;
const PAGE_FAULTS: u64 = 2;
const TIMES: u64 = 1 | 2;

impl Pmu {
    /// Opens the wanted counters on each CPU. One that fails is left out alone.
    pub(super) fn open(
        bpf: &mut aya::Ebpf,
        host: &Host,
        options: &Options,
        notes: &mut Vec<Note>,
    ) -> Self {
        let kinds = processors(host);
        let mut pmu = Self {
            events: Vec::new(),
            counters: CounterSet::EMPTY,
        };
        for (counter, map, hardware, software) in [
            (
                Counter::Cycles,
                "cycles",
                &[(HARDWARE, CYCLES)][..],
                CPU_CLOCK,
            ),
            (
                Counter::Instructions,
                "instructions",
                &[(HARDWARE, INSTRUCTIONS)],
                TASK_CLOCK,
            ),
            (
                Counter::CacheMisses,
                "cache_misses",
                &[(HW_CACHE, LAST_LEVEL_READ_MISSES), (HARDWARE, CACHE_MISSES)],
                PAGE_FAULTS,
            ),
        ] {
            if !options.counters.contains(counter) {
                continue;
            }
            let stand_in = [(SOFTWARE, software)];
            let events = if options.stand_ins {
                &stand_in
            } else {
                hardware
            };
            let outcome = pmu.open_counter(bpf, map, events, &kinds);
            match outcome {
                Ok(note) => {
                    pmu.counters = pmu.counters.with(counter);
                    notes.push(Note::on(map, note));
                }
                Err(error) => notes.push(Note::off(map, &error, "")),
            }
        }
        pmu
    }

    pub(super) fn counters(&self) -> CounterSet {
        self.counters
    }

    /// Share of the time that the events were on the processor, 0 to 1; below 1 where they had to share it with others.
    pub(super) fn running_ratio(&mut self) -> f64 {
        let (mut enabled, mut running) = (0, 0);
        for event in &mut self.events {
            let mut bytes = [0; 24];
            if event.read_exact(&mut bytes).is_ok() {
                let at = |at: usize| {
                    bytes[at..]
                        .first_chunk()
                        .map_or(0, |b| u64::from_ne_bytes(*b))
                };
                enabled += at(8);
                running += at(16);
            }
        }
        if enabled == 0 {
            return 1.0;
        }
        count_to_f64(running) / count_to_f64(enabled)
    }

    /// One counter on every CPU; the first of `events` that a CPU has. Errs when no CPU has any.
    fn open_counter(
        &mut self,
        bpf: &mut aya::Ebpf,
        map: &str,
        events: &[(u32, u64)],
        kinds: &BTreeMap<u32, u64>,
    ) -> Result<String, Error> {
        let Some(Map::PerfEventArray(array)) = bpf.map(map) else {
            return Err(absent(map));
        };
        let mut failed = None;
        let mut opened = 0;
        for (cpu, kind) in kinds {
            match open_on(array, *cpu, *kind, events) {
                Ok(event) => {
                    self.events.push(event);
                    opened += 1;
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if opened == 0 => Err(Error::Kernel {
                call: "perf_event_open".into(),
                hint: match error.kind() {
                    io::ErrorKind::PermissionDenied => CAPABILITIES.into(),
                    _ => NO_PMU.into(),
                },
                source: error,
            }),
            Some(error) => Ok(format!("on {opened} of {} CPUs: {error}", kinds.len())),
            None => Ok(String::new()),
        }
    }
}

const NO_PMU: &str =
    "needs a processor whose performance counters this machine may use; many guests have none";

/// CPUs, and the kind of processor each one is: 0 where all are of one kind.
fn processors(host: &Host) -> BTreeMap<u32, u64> {
    let online = host
        .text(host.sys("devices/system/cpu/online"))
        .unwrap_or_default();
    let mut kinds: BTreeMap<u32, u64> = cpu_list(&online).map(|cpu| (cpu, 0)).collect();
    for name in ["cpu_core", "cpu_atom", "cpu_lowpower"] {
        let folder = host.sys("bus/event_source/devices").join(name);
        let kind = host.text(folder.join("type")).ok();
        let kind = kind.and_then(|text| text.trim().parse().ok());
        let cpus = host.text(folder.join("cpus")).unwrap_or_default();
        if let Some(kind) = kind {
            kinds.extend(cpu_list(&cpus).map(|cpu| (cpu, kind)));
        }
    }
    kinds
}

/// The numbers of a list such as `0-3,8`.
fn cpu_list(text: &str) -> impl Iterator<Item = u32> {
    text.trim().split(',').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) => first..last.saturating_add(1).min(CPU_LIMIT),
            _ => 0..0,
        }
    })
}

/// Places in the kernel side's maps.
const CPU_LIMIT: u32 = 1024;

fn open_on(array: &MapData, cpu: u32, kind: u64, events: &[(u32, u64)]) -> io::Result<File> {
    let mut last = io::Error::from_raw_os_error(libc::ENODEV);
    for (class, number) in events {
        match perf_event_open(*class, kind << 32 | number, cpu) {
            Ok(event) => {
                put(array, cpu, &event)?;
                return Ok(event.into());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[expect(unsafe_code, reason = "std has no perf_event_open")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a structure of some 130 bytes, and descriptors are of 32 bits"
)]
fn perf_event_open(class: u32, config: u64, cpu: u32) -> io::Result<OwnedFd> {
    // SAFETY: all zeros is a valid attribute; the call reads `size` bytes of it, and what it returns is a new descriptor
    // that nothing else owns.
    unsafe {
        let mut attr: perf_event_attr = std::mem::zeroed();
        attr.type_ = class;
        attr.size = size_of::<perf_event_attr>() as u32;
        attr.config = config;
        attr.read_format = TIMES;
        let everyone = -1;
        let alone = -1;
        let close_on_exec: libc::c_ulong = 8;
        let fd = libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            everyone,
            cpu,
            alone,
            close_on_exec,
        );
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Puts an event into its CPU's place. The loader only knows arrays of events that it opened by itself.
#[expect(unsafe_code, reason = "the loader has no call for it")]
#[expect(clippy::cast_sign_loss, reason = "descriptors are positive")]
fn put(array: &MapData, cpu: u32, event: &OwnedFd) -> io::Result<()> {
    let value = event.as_raw_fd() as u32;
    // SAFETY: all zeros is a valid attribute; key and value are of the map's sizes (4 bytes each) and outlive the call.
    unsafe {
        let mut attr: bpf_attr = std::mem::zeroed();
        let element = &mut attr.__bindgen_anon_2;
        element.map_fd = array.fd().as_fd().as_raw_fd() as u32;
        element.key = (&raw const cpu) as u64;
        element.__bindgen_anon_1.value = (&raw const value) as u64;
        let command = bpf_cmd::BPF_MAP_UPDATE_ELEM as libc::c_long;
        if libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const attr,
            size_of::<bpf_attr>(),
        ) < 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus() {
        assert_eq!(cpu_list("0-2,8\n").collect::<Vec<_>>(), [0, 1, 2, 8]);
        assert_eq!(cpu_list("").count(), 0);
        assert_eq!(cpu_list("0-4294967295").count(), 1024);
    }
}
