//! What the kernel side sends: the mirror of `bpf/kepler.h`, number by number.

use std::mem::{offset_of, size_of};

use crate::usage::{Counters, ProcessKey};

/// `struct kepler_task`: one task of an iterator pass. Only a group's leader tells `cgroup` and what follows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) tgid: u32,
    pub(super) local: u32,
    pub(super) flags: u32,
    pub(super) reserved: u32,
    pub(super) start_ns: u64,
    pub(super) cpu_ns: u64,
    pub(super) dead_cpu_ns: u64,
    pub(super) switches: u64,
    pub(super) dead_switches: u64,
    pub(super) cgroup: u64,
    pub(super) exec_id: u64,
    pub(super) comm: [u8; 16],
}

/// The record is of a group's leader.
pub(super) const LEADER: u32 = 1;
/// A thread of the kernel itself.
pub(super) const KERNEL: u32 = 2;
/// [`Events`] follow the record.
pub(super) const EVENTS: u32 = 4;

const _: () = assert!(offset_of!(Task, flags) == 8);
const _: () = assert!(offset_of!(Task, start_ns) == 16);
const _: () = assert!(offset_of!(Task, cpu_ns) == 24);
const _: () = assert!(offset_of!(Task, cgroup) == 56);
const _: () = assert!(offset_of!(Task, comm) == 72);
const _: () = assert!(size_of::<Task>() == 88);

/// `struct kepler_events`, in the order of its fields.
pub(super) type Events = [u64; 7];

/// `struct kepler_exit`: the final totals of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) tgid: u32,
    pub(super) flags: u32,
    pub(super) start_ns: u64,
    pub(super) cpu_ns: u64,
    pub(super) switches: u64,
    pub(super) cgroup: u64,
    pub(super) exec_id: u64,
    pub(super) comm: [u8; 16],
    pub(super) events: Events,
}

const _: () = assert!(offset_of!(Exit, start_ns) == 8);
const _: () = assert!(offset_of!(Exit, comm) == 48);
const _: () = assert!(offset_of!(Exit, events) == 64);
const _: () = assert!(size_of::<Exit>() == 120);

/// `struct kepler_total`: records, CPU nanoseconds, switches, then [`Events`]. A plain array, as the maps want it.
pub(super) type RawTotal = [u64; 10];

const _: () = assert!(size_of::<RawTotal>() == 80);

/// What processes did whose exit records found no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) records: u64,
    pub(super) counters: Counters,
}

/// Takes one task off the front of `bytes`; `None` when they do not hold a whole one.
pub(super) fn take_task<'a>(bytes: &mut &'a [u8]) -> Option<(Task, Option<&'a [u8]>)> {
    let flags = u32_at(bytes, offset_of!(Task, flags))?;
    let size = if flags & LEADER != 0 {
        size_of::<Task>()
    } else {
        offset_of!(Task, cgroup)
    };
    let all = size
        + if flags & EVENTS != 0 {
            size_of::<Events>()
        } else {
            0
        };
    let (record, rest) = bytes.split_at_checked(all)?;
    *bytes = rest;
    let mut task = Task {
        tgid: u32_at(record, 0)?,
        local: u32_at(record, offset_of!(Task, local))?,
        flags,
        reserved: 0,
        start_ns: u64_at(record, offset_of!(Task, start_ns))?,
        cpu_ns: u64_at(record, offset_of!(Task, cpu_ns))?,
        dead_cpu_ns: u64_at(record, offset_of!(Task, dead_cpu_ns))?,
        switches: u64_at(record, offset_of!(Task, switches))?,
        dead_switches: u64_at(record, offset_of!(Task, dead_switches))?,
        ..Task::default()
    };
    if flags & LEADER != 0 {
        task.cgroup = u64_at(record, offset_of!(Task, cgroup))?;
        task.exec_id = u64_at(record, offset_of!(Task, exec_id))?;
        task.comm = comm_at(record, offset_of!(Task, comm))?;
    }
    Some((task, (all > size).then(|| &record[size..])))
}

/// The events behind a task's record.
pub(super) fn events(bytes: &[u8]) -> Option<Events> {
    let mut events = Events::default();
    for (at, event) in events.iter_mut().enumerate() {
        *event = u64_at(bytes, at * size_of::<u64>())?;
    }
    Some(events)
}

impl Exit {
    /// One exit record; `None` when the bytes are not one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let flags = u32_at(bytes, offset_of!(Self, flags))?;
        Some(Self {
            tgid: u32_at(bytes, 0)?,
            flags,
            start_ns: u64_at(bytes, offset_of!(Self, start_ns))?,
            cpu_ns: u64_at(bytes, offset_of!(Self, cpu_ns))?,
            switches: u64_at(bytes, offset_of!(Self, switches))?,
            cgroup: u64_at(bytes, offset_of!(Self, cgroup))?,
            exec_id: u64_at(bytes, offset_of!(Self, exec_id))?,
            comm: comm_at(bytes, offset_of!(Self, comm))?,
            events: if flags & EVENTS != 0 {
                events(bytes.get(offset_of!(Self, events)..)?)?
            } else {
                Events::default()
            },
        })
    }

    pub(super) fn key(&self) -> ProcessKey {
        ProcessKey {
            pid: self.tgid,
            start_ns: self.start_ns,
        }
    }

    pub(super) fn counters(&self) -> Counters {
        counters(self.cpu_ns, self.switches, &self.events)
    }
}

impl From<RawTotal> for Total {
    fn from(raw: RawTotal) -> Self {
        let [records, cpu_ns, switches, events @ ..] = raw;
        Self {
            records,
            counters: counters(cpu_ns, switches, &events),
        }
    }
}

/// The counts of a record in the library's own form.
pub(super) fn counters(cpu_ns: u64, context_switches: u64, events: &Events) -> Counters {
    let [
        net_tx_irq,
        net_rx_irq,
        block_irq,
        page_cache_hits,
        cycles,
        instructions,
        cache_misses,
    ] = *events;
    Counters {
        cpu_ns,
        net_tx_irq,
        net_rx_irq,
        block_irq,
        page_cache_hits,
        context_switches,
        cycles,
        instructions,
        cache_misses,
    }
}

/// `struct kepler_mkdir`: a cgroup's id and its path below the hierarchy's root.
pub(super) fn mkdir(bytes: &[u8]) -> Option<(u64, &str)> {
    let id = u64_at(bytes, 0)?;
    let path = bytes.get(size_of::<u64>()..)?;
    let path = path.split(|byte| *byte == 0).next()?;
    Some((id, std::str::from_utf8(path).ok()?))
}

/// The text of a NUL-terminated name.
pub(super) fn comm_text(comm: &[u8; 16]) -> String {
    let end = comm
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into_owned()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn comm_at(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    Some(*bytes.get(at..)?.first_chunk()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader() -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [7u32, 3, LEADER, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        for long in [100u64, 5, 6, 8, 9, 44, 2] {
            bytes.extend(long.to_ne_bytes());
        }
        bytes.extend(b"cat\0rubbish-----");
        bytes
    }

    #[test]
    fn records_of_both_lengths_follow_each_other() {
        let mut bytes = leader();
        let mut thread = leader()[..56].to_vec();
        thread[8..12].copy_from_slice(&0u32.to_ne_bytes());
        bytes.extend(thread);
        let mut rest = bytes.as_slice();
        let (first, _) = take_task(&mut rest).unwrap();
        assert_eq!((first.tgid, first.local, first.start_ns), (7, 3, 100));
        assert_eq!((first.cgroup, first.exec_id), (44, 2));
        assert_eq!(comm_text(&first.comm), "cat");
        let (second, _) = take_task(&mut rest).unwrap();
        assert_eq!(
            (second.cpu_ns, second.dead_switches, second.cgroup),
            (5, 9, 0)
        );
        assert!(rest.is_empty());
    }

    #[test]
    fn a_record_cut_anywhere_is_not_one() {
        let whole = leader();
        for end in 0..whole.len() {
            let mut rest = &whole[..end];
            assert!(take_task(&mut rest).is_none());
            assert_eq!(rest.len(), end);
        }
        let mut exit = [0; 120];
        assert_eq!(Exit::parse(&exit[..63]), None);
        assert!(Exit::parse(&exit[..64]).is_some());
        exit[4..8].copy_from_slice(&EVENTS.to_ne_bytes());
        assert_eq!(Exit::parse(&exit[..119]), None);
        assert!(Exit::parse(&exit).is_some());
    }

    #[test]
    fn a_path_ends_at_its_nul() {
        let mut bytes = 9u64.to_ne_bytes().to_vec();
        bytes.extend(b"/a/b\0\0\0");
        assert_eq!(mkdir(&bytes), Some((9, "/a/b")));
        assert_eq!(mkdir(&bytes[..4]), None);
    }
}
