//! The door to the kernel: loads the object, attaches its programs, reads its maps.

use std::io::{self, Read};

use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, Iter, ProgramError};
use aya::{Btf, EbpfLoader, Endianness, VerifierLogLevel};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::usage::{Counter, CounterSet, Counters, Note, view};

use super::Options;
use super::hierarchy::Tree;
use super::hooks;
use super::ledger::Ledger;
use super::names::HostNames;
use super::pmu::Pmu;
use super::record::{self, Events, Exit, RawTotal};

/// The loaded object.
pub(super) struct Kernel {
    bpf: aya::Ebpf,
    exits: RingBuf<MapData>,
    mkdirs: RingBuf<MapData>,
    dropped: HashMap<MapData, u64, RawTotal>,
    lost: Array<MapData, RawTotal>,
    /// Records of dropped exits that were looked at.
    dropped_seen: u64,
    /// Whether this process is in a pid namespace below the initial one.
    nested: bool,
    collected: CounterSet,
    node_events: PerCpuArray<MapData, Events>,
    pmu: Option<Pmu>,
    buffer: Vec<u8>,
}

/// What the kernel gathers before it answers a read.
const BUFFER: usize = 32 << 10;
const PAGE: u32 = 4096;
const RING_LIMIT: u32 = 64 << 20;

pub(super) const CAPABILITIES: &str = "run as root, or give the program CAP_BPF and CAP_PERFMON: setcap cap_bpf,cap_perfmon=ep PROGRAM";
const BTF: &str = "use a kernel built with CONFIG_DEBUG_INFO_BTF";

impl Kernel {
    /// Loads the object and attaches what must be there; what else is wanted and refused is noted.
    pub(super) fn open(
        host: &Host,
        options: &Options,
        tree: &Tree,
        notes: &mut Vec<Note>,
    ) -> Result<Self> {
        if !host.is_live() {
            return Err(Error::Unsupported {
                what: "eBPF".into(),
                why: "the host is a tree of files, not the running kernel".into(),
                hint: String::new(),
            });
        }
        let nested = is_nested(host);
        if nested && view::proc_shows_all(host) {
            return Err(Error::Unsupported {
                what: "eBPF".into(),
                why: "it sees only this pid namespace, and /proc shows the whole machine".into(),
                hint: view::HINT.into(),
            });
        }
        let ring = options
            .ring_bytes
            .clamp(PAGE, RING_LIMIT)
            .next_power_of_two();
        // The loader reads the kernel's types by itself; dropped first, so that they are not held twice.
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        let btf = Btf::parse_file(host.sys("kernel/btf/vmlinux"), Endianness::default())
            .map_err(|e| refused("the kernel's BTF", &e))?;
        let (controller, hierarchy) = (tree.hierarchy.number(), tree.id);
        let stored = u32::from(hooks::storage_wanted(options.counters));
        let mut bpf = loader
            .btf(Some(&btf))
            .allow_unsupported_maps()
            .verifier_log_level(VerifierLogLevel::DEBUG)
            .override_global("controller", &controller, true)
            .override_global("hierarchy_id", &hierarchy, true)
            .override_global("events_on", &stored, true)
            .map_max_entries("exits", ring)
            .load(OBJECT)
            .map_err(|e| refused("loading the BPF object", &e))?;
        load_iterator(&mut bpf, &btf)?;
        notes.push(Note::on("iter/task", ""));
        attach(&mut bpf, &btf, "process_free", "sched_process_free")?;
        notes.push(Note::on("sched_process_free", ""));
        let named = attach(&mut bpf, &btf, "cgroup_made", "cgroup_mkdir");
        hooks::noted(notes, "cgroup_mkdir", named);
        let (more, pmu) = hooks::attach_wanted(&mut bpf, &btf, host, options, notes);
        if nested {
            notes.push(view::partial(
                "only processes of this pid namespace are seen, and none that lived between two samples",
            ));
        }
        Ok(Self {
            exits: ring_buffer(&mut bpf, "exits")?,
            mkdirs: ring_buffer(&mut bpf, "mkdirs")?,
            dropped: HashMap::try_from(map(&mut bpf, "dropped")?)
                .map_err(|e| refused("map dropped", &e))?,
            lost: Array::try_from(map(&mut bpf, "lost")?).map_err(|e| refused("map lost", &e))?,
            dropped_seen: 0,
            nested,
            collected: CounterSet::EMPTY
                .with(Counter::CpuTime)
                .with(Counter::ContextSwitches)
                .union(more),
            node_events: PerCpuArray::try_from(map(&mut bpf, "node_events")?)
                .map_err(|e| refused("map node_events", &e))?,
            pmu,
            buffer: vec![0; BUFFER],
            bpf,
        })
    }

    /// Whether this process is in a pid namespace below the initial one.
    pub(super) fn is_nested(&self) -> bool {
        self.nested
    }

    pub(super) fn collected(&self) -> CounterSet {
        self.collected
    }

    /// Shows the ledger what found no room in the ring. One map read when nothing did.
    pub(super) fn overflow(&mut self, ledger: &mut Ledger) -> Result<()> {
        let all = |e| refused("map lost", &e);
        let [dropped, ..] = self.lost.get(&1, 0).map_err(all)?;
        if dropped == self.dropped_seen {
            return Ok(());
        }
        let nowhere = self.lost.get(&0, 0).map_err(all)?;
        for (cgroup, total) in self.dropped.iter().flatten() {
            ledger.overflow(Some(cgroup), &total.into());
        }
        ledger.overflow(None, &nowhere.into());
        ledger.dropped(dropped, nowhere[0]);
        self.dropped_seen = dropped;
        Ok(())
    }

    /// The whole machine's events since the programs were loaded; zeros where no hook counts them.
    pub(super) fn node(&self) -> Result<Counters> {
        let mut now = Counters::default();
        if hooks::storage_wanted(self.collected) {
            let all = self.node_events.get(&0, 0);
            for events in all.map_err(|e| refused("map node_events", &e))?.iter() {
                now.add(&record::counters(0, 0, events));
            }
        }
        Ok(now)
    }

    /// Share of the time that the hardware counters counted; `None` without any.
    pub(super) fn running_ratio(&mut self) -> Option<f64> {
        self.pmu.as_mut().map(Pmu::running_ratio)
    }

    /// Visits every task.
    pub(super) fn pass(&mut self, ledger: &mut Ledger) -> Result<()> {
        let mut tasks = start_pass(&mut self.bpf)?;
        let mut filled = 0;
        loop {
            let read = match tasks.read(&mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(kernel_error("reading iter/task", error)),
            };
            let mut rest = &self.buffer[..filled + read];
            while let Some((task, events)) = record::take_task(&mut rest) {
                ledger.task(&task, events.and_then(record::events).as_ref());
            }
            let kept = rest.len();
            let end = filled + read;
            self.buffer.copy_within(end - kept..end, 0);
            filled = kept;
        }
        Ok(())
    }

    /// Takes what the rings hold.
    pub(super) fn drain(&mut self, ledger: &mut Ledger, names: &mut HostNames) {
        while let Some(bytes) = self.mkdirs.next() {
            if let Some((id, path)) = record::mkdir(&bytes) {
                names.made(id, path);
            }
        }
        while let Some(bytes) = self.exits.next() {
            if let Some(exit) = Exit::parse(&bytes) {
                ledger.exit(&exit);
            }
        }
    }
}

static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/kepler.bpf.o"));

fn load_iterator(bpf: &mut aya::Ebpf, btf: &Btf) -> Result<()> {
    iterator(bpf)?
        .load("task", btf)
        .map_err(|e| refused("iter/task", &e))
}

fn iterator(bpf: &mut aya::Ebpf) -> Result<&mut Iter> {
    let program = bpf.program_mut("tasks").ok_or_else(|| absent("tasks"))?;
    program.try_into().map_err(|e| refused("iter/task", &e))
}

/// One pass that nobody looks at: it makes the storage of every task.
pub(super) fn prime(bpf: &mut aya::Ebpf) -> Result<()> {
    let mut tasks = start_pass(bpf)?;
    io::copy(&mut tasks, &mut io::sink()).map_err(|e| kernel_error("reading iter/task", e))?;
    Ok(())
}

/// A fresh pass: an iterator's file is read once from start to end.
fn start_pass(bpf: &mut aya::Ebpf) -> Result<std::fs::File> {
    let program = iterator(bpf)?;
    let link = program.attach().map_err(|e| refused("iter/task", &e))?;
    let link = program
        .take_link(link)
        .map_err(|e| refused("iter/task", &e))?;
    link.into_file().map_err(|e| refused("iter/task", &e))
}

pub(super) fn attach(bpf: &mut aya::Ebpf, btf: &Btf, name: &str, tracepoint: &str) -> Result<()> {
    let program = bpf.program_mut(name).ok_or_else(|| absent(name))?;
    let program: &mut BtfTracePoint = program.try_into().map_err(|e| refused(tracepoint, &e))?;
    program
        .load(tracepoint, btf)
        .and_then(|()| program.attach())
        .map_err(|e| refused(tracepoint, &e))?;
    Ok(())
}

fn map(bpf: &mut aya::Ebpf, name: &str) -> Result<aya::maps::Map> {
    bpf.take_map(name).ok_or_else(|| absent(name))
}

fn ring_buffer(bpf: &mut aya::Ebpf, name: &str) -> Result<RingBuf<MapData>> {
    RingBuf::try_from(map(bpf, name)?).map_err(|e| refused(name, &e))
}

pub(super) fn absent(name: &str) -> Error {
    Error::Unsupported {
        what: name.into(),
        why: "the BPF object does not hold it".into(),
        hint: "rebuild it with `make bpf`".into(),
    }
}

/// What the kernel said, found at the bottom of the loader's error.
pub(super) fn refused(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let what = &match verdict(error) {
        Some(verdict) => format!("{what} ({verdict})"),
        None => what.to_owned(),
    };
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(source) = inner.downcast_ref::<io::Error>() {
            let code = source.raw_os_error();
            return kernel_error(
                what,
                code.map_or_else(|| source.kind().into(), io::Error::from_raw_os_error),
            );
        }
        cause = inner.source();
    }
    let mut why = error.to_string();
    if let Some(source) = error.source() {
        why = format!("{why}: {source}");
    }
    Error::Unsupported {
        what: what.into(),
        why,
        hint: "use a kernel that has it".into(),
    }
}

/// The verifier's reason: the last line of its log that is not a statistic.
fn verdict(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let Some(ProgramError::LoadError { verifier_log, .. }) = error.downcast_ref() else {
        return None;
    };
    let log = verifier_log.to_string();
    let reason = log.lines().rev().find(|line| {
        !line.is_empty()
            && !line.starts_with("processed ")
            && !line.starts_with("verification time")
    })?;
    Some(reason.chars().take(200).collect())
}

pub(super) fn kernel_error(what: &str, source: io::Error) -> Error {
    let hint = match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => CAPABILITIES,
        Some(libc::ENOENT) => BTF,
        _ => "",
    };
    Error::Kernel {
        call: what.into(),
        source,
        hint: hint.into(),
    }
}

/// Loading parses the types of the whole kernel, 20 MB in small pieces, which the allocator would keep for good.
pub(super) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "std has no way to ask the allocator")]
    // SAFETY: the call takes no pointer and only returns free pages to the system.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whether this process is in a pid namespace below the initial one, whose number never changes (`PROC_PID_INIT_INO`).
fn is_nested(host: &Host) -> bool {
    const INITIAL: &str = "pid:[4026531836]";
    let own = host.link(host.proc("self/ns/pid"));
    own.is_ok_and(|link| link.as_os_str() != INITIAL)
}
