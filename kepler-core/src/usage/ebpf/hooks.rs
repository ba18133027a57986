//! Hooks that cost something: attached only when a counter that needs them is wanted, each for itself.

use aya::Btf;
use aya::programs::FEntry;

use crate::error::Result;
use crate::host::Host;
use crate::usage::{Counter, CounterSet, Note};

use super::Options;
use super::kernel::{absent, attach, prime, refused};
use super::pmu::Pmu;

/// The counters that tasks' own storage holds.
const STORED: [Counter; 7] = [
    Counter::NetTxIrq,
    Counter::NetRxIrq,
    Counter::BlockIrq,
    Counter::PageCacheHits,
    Counter::Cycles,
    Counter::Instructions,
    Counter::CacheMisses,
];
const SOFTIRQ: [Counter; 3] = [Counter::NetTxIrq, Counter::NetRxIrq, Counter::BlockIrq];
const HARDWARE: [Counter; 3] = [Counter::Cycles, Counter::Instructions, Counter::CacheMisses];

/// Whether any of the wanted counters is kept in tasks' storage.
pub(super) fn storage_wanted(wanted: CounterSet) -> bool {
    wants(wanted, &STORED)
}

fn wants(wanted: CounterSet, any: &[Counter]) -> bool {
    any.iter().any(|counter| wanted.contains(*counter))
}

/// Attaches what `options` ask for; tells what is collected, and the events that must stay open for it. What the kernel
/// refuses costs the counters that need it, and is noted.
pub(super) fn attach_wanted(
    bpf: &mut aya::Ebpf,
    btf: &Btf,
    host: &Host,
    options: &Options,
    notes: &mut Vec<Note>,
) -> (CounterSet, Option<Pmu>) {
    let wanted = options.counters;
    let mut collected = CounterSet::EMPTY;
    if !storage_wanted(wanted) {
        return (collected, None);
    }
    let mut stored = true;
    for (program, tracepoint) in [
        ("task_made", "sched_process_fork"),
        ("task_exited", "sched_process_exit"),
    ] {
        stored &= noted(notes, tracepoint, attach(bpf, btf, program, tracepoint));
    }
    stored = stored && noted(notes, "task storage", prime(bpf));
    if !stored {
        return (collected, None);
    }
    if wants(wanted, &SOFTIRQ)
        && noted(
            notes,
            "softirq_entry",
            attach(bpf, btf, "softirq", "softirq_entry"),
        )
    {
        collected = SOFTIRQ.into_iter().fold(collected, CounterSet::with);
    }
    if wanted.contains(Counter::PageCacheHits) && attach_page_cache(bpf, btf, notes) {
        collected = collected.with(Counter::PageCacheHits);
    }
    let mut pmu = None;
    if wants(wanted, &HARDWARE) {
        let opened = Pmu::open(bpf, host, options, notes);
        if opened.counters() != CounterSet::EMPTY
            && noted(
                notes,
                "sched_switch",
                attach(bpf, btf, "switched", "sched_switch"),
            )
        {
            collected = collected.union(opened.counters());
            pmu = Some(opened);
        }
    }
    (collected, pmu)
}

fn attach_page_cache(bpf: &mut aya::Ebpf, btf: &Btf, notes: &mut Vec<Note>) -> bool {
    let found = attach(bpf, btf, "pages_found", "mm_filemap_get_pages");
    let missing = found.is_err();
    let mut any = noted(notes, "mm_filemap_get_pages", found);
    if missing {
        any |= noted(notes, "folio_mark_accessed", attach_entry(bpf, btf));
    }
    let dirtied = attach(bpf, btf, "folio_dirtied", "writeback_dirty_folio");
    noted(notes, "writeback_dirty_folio", dirtied) || any
}

fn attach_entry(bpf: &mut aya::Ebpf, btf: &Btf) -> Result<()> {
    const FUNCTION: &str = "folio_mark_accessed";
    let program = bpf
        .program_mut("folio_accessed")
        .ok_or_else(|| absent("folio_accessed"))?;
    let program: &mut FEntry = program.try_into().map_err(|e| refused(FUNCTION, &e))?;
    program
        .load(FUNCTION, btf)
        .and_then(|()| program.attach())
        .map_err(|e| refused(FUNCTION, &e))?;
    Ok(())
}

/// Tells how it went; whether it is on.
pub(super) fn noted(notes: &mut Vec<Note>, part: &str, outcome: Result<()>) -> bool {
    let on = outcome.is_ok();
    notes.push(match outcome {
        Ok(()) => Note::on(part, ""),
        Err(error) => Note::off(part, &error, ""),
    });
    on
}
