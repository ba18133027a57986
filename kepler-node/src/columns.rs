//! Long lists by column, some rows at a time. `lists.js` makes records of them only where a program looks, so that no list,
//! however long, holds up the event loop. A column crosses as a whole: to make a JavaScript value of each cell takes longer than to
//! find them.

use kepler_core::monitor as core;
use kepler_core::monitor::{WorkloadEnergy, WorkloadUsage};
use kepler_core::usage::{Counter, CounterSet};
use napi::bindgen_prelude::{Either, Either3, Float64Array, Int32Array};

/// Numbers (several a row for figures by domain or counter, NaN where one is absent), words, or lists of words.
pub type Column = Either3<Float64Array, Words, Vec<Vec<String>>>;

/// All words of a column one after another, and where each begins and ends there in UTF-16 units; -1 where one is absent.
pub type Words = Vec<Either<String, Int32Array>>;

/// One row of a list.
pub(crate) trait Row {
    fn usage(&self) -> &WorkloadUsage;
    /// A field that only this kind of row has.
    fn cell(&self, field: &str) -> Cell<'_>;
}

pub(crate) enum Cell<'a> {
    Number(f64),
    Word(Option<&'a str>),
}

/// The counters that are told: those that are collected, CPU time aside, which has a field of its own.
pub(crate) fn counters(collected: CounterSet) -> impl Iterator<Item = Counter> + Clone {
    let told = move |c: &Counter| *c != Counter::CpuTime && collected.contains(*c);
    Counter::ALL.into_iter().filter(told)
}

/// `count` rows of one field, from the row `from` on.
pub(crate) fn of_workloads<R: Row>(
    snapshot: &core::Snapshot,
    rows: &[R],
    field: &str,
    from: usize,
    count: usize,
) -> Column {
    let rows = part(rows, from, count);
    let by_domain = |pick: fn(&WorkloadEnergy) -> Option<f64>| {
        let domains = 0..snapshot.node.domains.len();
        let figure = |row: &R, d: usize| pick(row.usage().energy.get(d)?);
        numbers(rows.iter().flat_map(|row| {
            domains
                .clone()
                .map(move |d| figure(row, d).unwrap_or(f64::NAN))
        }))
    };
    match field {
        "joules" => by_domain(|energy| Some(energy.joules.0)),
        "idleJoules" => by_domain(|energy| Some(energy.idle.0)),
        "watts" => by_domain(|energy| Some(energy.watts?.0)),
        "counters" => {
            let told = counters(snapshot.collected);
            let of = |row: &R| {
                let counters = row.usage().counters;
                told.clone().map(move |c| counters.get(c) as f64)
            };
            numbers(rows.iter().flat_map(of))
        }
        "cpuSeconds" => numbers(rows.iter().map(|row| {
            let ns = row.usage().counters.cpu_ns;
            std::time::Duration::from_nanos(ns).as_secs_f64()
        })),
        "state" => words(rows.iter().map(|row| Some(row.usage().state.as_str()))),
        _ => of_cells(rows.iter().map(|row| row.cell(field))),
    }
}

/// The rows of a block, fewer at the end.
pub(crate) fn part<R>(rows: &[R], from: usize, count: usize) -> &[R] {
    let from = from.min(rows.len());
    &rows[from..rows.len().min(from.saturating_add(count))]
}

/// A column of one kind of cell.
pub(crate) fn of_cells<'a>(cells: impl Iterator<Item = Cell<'a>>) -> Column {
    let (mut figures, mut texts) = (Vec::new(), Vec::new());
    for cell in cells {
        match cell {
            Cell::Number(number) => figures.push(number),
            Cell::Word(word) => texts.push(word),
        }
    }
    if texts.is_empty() {
        Either3::A(figures.into())
    } else {
        words(texts.into_iter())
    }
}

fn numbers(figures: impl Iterator<Item = f64>) -> Column {
    Either3::A(figures.collect::<Vec<_>>().into())
}

fn words<'a>(words: impl ExactSizeIterator<Item = Option<&'a str>>) -> Column {
    let (mut text, mut units) = (String::new(), 0);
    let mut places = Vec::with_capacity(2 * words.len());
    for word in words {
        let Some(word) = word else {
            places.extend([-1, -1]);
            continue;
        };
        places.push(units);
        text.push_str(word);
        units += i32::try_from(word.encode_utf16().count()).unwrap_or(i32::MAX);
        places.push(units);
    }
    Either3::B(vec![Either::A(text), Either::B(places.into())])
}

impl Row for core::ProcessSnapshot {
    fn usage(&self) -> &WorkloadUsage {
        &self.usage
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        let (process, workload) = (&self.process, &self.workload);
        let start = std::time::Duration::from_nanos(process.key.start_ns);
        Cell::Word(match field {
            "pid" => return Cell::Number(process.key.pid.into()),
            "startSeconds" => return Cell::Number(start.as_secs_f64()),
            "comm" => Some(&*process.comm),
            "exe" => process.exe.as_deref(),
            "command" => process.command.as_deref(),
            "cgroup" => process.cgroup.as_deref(),
            "container" => workload.container.as_ref().map(|c| &*c.id),
            "pod" => workload.pod.as_ref().map(|pod| &*pod.uid),
            "vm" => workload.vm.as_ref().map(|vm| &*vm.id),
            "unit" => workload.unit.as_deref(),
            _ => None,
        })
    }
}

impl Row for core::ContainerSnapshot {
    fn usage(&self) -> &WorkloadUsage {
        &self.usage
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        Cell::Word(match field {
            "id" => Some(&*self.container.id),
            "runtime" => Some(self.container.runtime.as_str()),
            "podUid" => self.container.pod_uid.as_deref(),
            "name" => self.container.name.as_deref(),
            _ => None,
        })
    }
}

impl Row for core::PodSnapshot {
    fn usage(&self) -> &WorkloadUsage {
        &self.usage
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        Cell::Word(match field {
            "uid" => Some(&*self.pod.uid),
            "name" => self.pod.name.as_deref(),
            "namespace" => self.pod.namespace.as_deref(),
            _ => None,
        })
    }
}

impl Row for core::VmSnapshot {
    fn usage(&self) -> &WorkloadUsage {
        &self.usage
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        Cell::Word(match field {
            "id" => Some(&*self.vm.id),
            "name" => Some(&*self.vm.name),
            "hypervisor" => Some(self.vm.hypervisor),
            _ => None,
        })
    }
}

impl Row for core::EndedSnapshot {
    fn usage(&self) -> &WorkloadUsage {
        &self.usage
    }

    fn cell(&self, field: &str) -> Cell<'_> {
        Cell::Word(match field {
            "count" => return Cell::Number(self.count as f64),
            "container" => self.container.as_ref().map(|c| &*c.id),
            "comm" => Some(&*self.comm),
            _ => None,
        })
    }
}
