//! What the screen shows and what the keys change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kepler_core::monitor::{Snapshot, WorkloadKind};
use kepler_core::usage::Counters;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The state of the screen.
pub(super) struct App {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) kind: WorkloadKind,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// Whether keys go to the filter.
    pub(super) typing: bool,
    pub(super) paused: bool,
    pub(super) delay: Duration,
    pub(super) selected: usize,
    /// What each workload had used in the sample before.
    before: HashMap<String, Counters>,
}

/// One line of the table.
pub(super) struct Line {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) within: String,
    /// Share of one CPU over the last interval; `None` for what is new.
    pub(super) cpu: Option<f64>,
    /// Power by domain.
    pub(super) watts: Vec<Option<f64>>,
    /// Energy in the first domain since the start.
    pub(super) joules: Option<f64>,
    pub(super) seconds: f64,
    pub(super) ended: bool,
}

/// What the table is sorted by, the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Power,
    Energy,
    Cpu,
    Name,
}

pub(super) const KINDS: [(WorkloadKind, &str); 4] = [
    (WorkloadKind::Process, "Processes"),
    (WorkloadKind::Container, "Containers"),
    (WorkloadKind::Pod, "Pods"),
    (WorkloadKind::Vm, "VMs"),
];

/// Delays that `+` and `-` choose from.
const DELAYS: [u64; 7] = [250, 500, 1000, 2000, 5000, 10_000, 30_000];

impl App {
    pub(super) fn new(snapshot: Arc<Snapshot>, kind: WorkloadKind, delay: Duration) -> Self {
        Self {
            snapshot,
            kind,
            sort: Sort::Power,
            filter: String::new(),
            typing: false,
            paused: false,
            delay,
            selected: 0,
            before: HashMap::new(),
        }
    }

    /// Shows a newer sample.
    pub(super) fn show(&mut self, snapshot: Arc<Snapshot>) {
        self.before.clear();
        for (kind, _) in KINDS {
            for workload in self.snapshot.ranked(kind) {
                let key = key(kind, &workload.id, workload.name, &workload.within);
                self.before.insert(key, workload.usage.counters);
            }
        }
        self.snapshot = snapshot;
    }

    /// The lines of the level that is shown.
    pub(super) fn lines(&self) -> Vec<Line> {
        let interval = self.snapshot.interval.unwrap_or_default();
        let wanted = self.filter.to_lowercase();
        let ranked = self.snapshot.ranked(self.kind).into_iter();
        let mut lines: Vec<Line> = ranked
            .filter(|w| {
                wanted.is_empty()
                    || [&*w.id, w.name, &*w.within]
                        .iter()
                        .any(|t| t.to_lowercase().contains(&wanted))
            })
            .map(|w| {
                let key = key(self.kind, &w.id, w.name, &w.within);
                let before = self.before.get(&key);
                let now = w.usage.counters;
                Line {
                    cpu: before.and_then(|before| now.since(before).cpus(interval)),
                    watts: w
                        .usage
                        .energy
                        .iter()
                        .map(|e| e.watts.map(|w| w.0))
                        .collect(),
                    joules: w.usage.energy.first().map(|e| e.joules.0),
                    seconds: now.cpu_seconds(),
                    ended: w.usage.state == kepler_core::monitor::State::Terminated,
                    id: w.id.into_owned(),
                    name: w.name.to_owned(),
                    within: w.within.into_owned(),
                }
            })
            .collect();
        match self.sort {
            Sort::Power => {}
            Sort::Energy => {
                lines.sort_by(|a, b| b.joules.unwrap_or(0.0).total_cmp(&a.joules.unwrap_or(0.0)))
            }
            Sort::Cpu => {
                lines.sort_by(|a, b| b.cpu.unwrap_or(0.0).total_cmp(&a.cpu.unwrap_or(0.0)))
            }
            Sort::Name => lines.sort_by(|a, b| a.name.cmp(&b.name)),
        }
        lines
    }

    /// Takes a key; whether it ends the program.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return true;
        }
        if self.typing {
            match key.code {
                KeyCode::Char(c) => self.filter.push(c),
                KeyCode::Backspace => drop(self.filter.pop()),
                KeyCode::Enter => self.typing = false,
                KeyCode::Esc => {
                    self.typing = false;
                    self.filter.clear();
                }
                _ => {}
            }
            return false;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(KINDS.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.selected += 1,
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected += 20,
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(20),
            KeyCode::Home => self.selected = 0,
            KeyCode::Char('p' | 'w') => self.sort = Sort::Power,
            KeyCode::Char('e') => self.sort = Sort::Energy,
            KeyCode::Char('c') => self.sort = Sort::Cpu,
            KeyCode::Char('n') => self.sort = Sort::Name,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('+') => self.slow(false),
            KeyCode::Char('-') => self.slow(true),
            _ => {}
        }
        false
    }

    fn turn(&mut self, by: usize) {
        let place = KINDS
            .iter()
            .position(|(kind, _)| *kind == self.kind)
            .unwrap_or(0);
        self.kind = KINDS[(place + by) % KINDS.len()].0;
        self.selected = 0;
    }

    fn slow(&mut self, slower: bool) {
        let all = DELAYS.map(Duration::from_millis);
        let next = if slower {
            all.into_iter().find(|d| *d > self.delay)
        } else {
            all.into_iter().rev().find(|d| *d < self.delay)
        };
        self.delay = next.unwrap_or(self.delay);
    }
}

fn key(kind: WorkloadKind, id: &str, name: &str, within: &str) -> String {
    // An id is of one workload; ended processes together have a name and a container instead.
    if id.is_empty() {
        format!("{kind:?} {name} {within}")
    } else {
        format!("{kind:?} {id}")
    }
}
