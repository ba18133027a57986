//! Power models given to a monitor while it runs, by whoever fetches them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use crate::error::Result;
use crate::host::MachineSpec;
use crate::model::PowerModel;
use crate::modeled::{GivenModel, features};
use crate::note::Note;
use crate::usage::CounterSet;

/// Gives power models to a monitor whose energy is modeled, from any thread: the next sample takes them in place of the
/// embedded one. Totals go on from where they are.
///
/// ```
/// use kepler_core::model::{EnergySourceName, OutputType, embedded};
/// use kepler_core::monitor::Monitor;
/// # use kepler_core::Host;
/// # let root = std::env::temp_dir().join(format!("kepler-models-{}", std::process::id()));
/// # let stat = "cpu  9 0 9 99 0 0 0 0 0 0\ncpu0 9 0 9 99 0 0 0 0 0 0\n";
/// # std::fs::create_dir_all(root.join("1")).unwrap();
/// # std::fs::write(root.join("stat"), stat).unwrap();
/// # std::fs::write(root.join("cpuinfo"), "processor : 0\n").unwrap();
/// # let host = Host::default().with_proc(&root).with_sys(&root);
///
/// let mut monitor = Monitor::builder().host(host).build()?;
/// let models = monitor.models().expect("this machine has no meter");
/// let mine = embedded::for_machine(models.machine());
/// models.give(mine.power_model(EnergySourceName::Acpi, OutputType::AbsPower)?)?;
/// models.answered("my models");
/// assert!(monitor.sample()?.sources.to_string().contains("models: on (by my models"));
/// # std::fs::remove_dir_all(root).unwrap();
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Models {
    machine: Arc<MachineSpec>,
    desk: Arc<Mutex<Desk>>,
}

/// How fetching models went, since the monitor started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelFetches {
    /// How often it went well.
    pub successes: u64,
    /// How often it did not.
    pub failures: u64,
    /// When it went well last.
    pub last_success: Option<SystemTime>,
}

/// What lies there for the monitor, and what it said.
#[derive(Default)]
struct Desk {
    collected: CounterSet,
    given: Vec<GivenModel>,
    /// Names of the models in use, by the meter that they predict.
    names: Vec<(Option<crate::model::EnergySourceName>, String)>,
    note: Option<Note>,
    fetches: Option<ModelFetches>,
}

/// What was given since the monitor looked last.
pub(super) struct News {
    pub(super) given: Vec<GivenModel>,
    pub(super) note: Option<Note>,
    pub(super) fetches: Option<ModelFetches>,
}

const PART: &str = "models";

impl Models {
    pub(super) fn new(machine: MachineSpec) -> Self {
        Self {
            machine: Arc::new(machine),
            desk: Arc::default(),
        }
    }

    /// The machine that models are wanted of.
    pub fn machine(&self) -> &MachineSpec {
        &self.machine
    }

    /// The features that a model may have: those that this monitor knew of the machine in its last sample.
    pub fn features(&self) -> Vec<&'static str> {
        features(self.lock().collected)
    }

    /// The next sample takes this model for what it predicts, in place of an earlier one of the same meter.
    ///
    /// # Errors
    /// As [`GivenModel::new`]; then everything stays as it was.
    pub fn give(&self, model: PowerModel) -> Result<()> {
        let mut desk = self.lock();
        let given = GivenModel::new(model, &self.machine, desk.collected)?;
        let source = given.source();
        desk.given.retain(|earlier| earlier.source() != source);
        desk.names.retain(|(of, _)| *of != source);
        desk.names.push((source, given.model().name().to_owned()));
        desk.given.push(given);
        Ok(())
    }

    /// `source` was asked and gave what it has.
    pub fn answered(&self, source: &str) {
        let mut desk = self.lock();
        let fetches = desk.fetches.get_or_insert_default();
        fetches.successes += 1;
        fetches.last_success = Some(SystemTime::now());
        let names = desk.names();
        desk.note = Some(Note::on(PART, format!("by {source}: {names}")));
    }

    /// `source` cannot give any at the moment, and why. The models so far stay.
    pub fn failed(&self, source: &str, why: impl fmt::Display) {
        let mut desk = self.lock();
        desk.fetches.get_or_insert_default().failures += 1;
        let instead = desk.names();
        desk.note = Some(Note {
            part: PART.to_owned(),
            active: false,
            why: format!("{source}: {why}; meanwhile {instead}"),
            hint: String::new(),
        });
    }

    /// Tells which counters are collected, and takes what was given.
    pub(super) fn news(&self, collected: CounterSet) -> News {
        let mut desk = self.lock();
        desk.collected = collected;
        News {
            given: std::mem::take(&mut desk.given),
            note: desk.note.take(),
            fetches: desk.fetches,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn names(&self) -> String {
        let name = |(source, name): &(Option<_>, String)| match source {
            Some(source) => format!("{name} of {source}"),
            None => name.clone(),
        };
        match self.names.as_slice() {
            [] => "the embedded models".to_owned(),
            names => names.iter().map(name).collect::<Vec<_>>().join(", "),
        }
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Models")
    }
}
