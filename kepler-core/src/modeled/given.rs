//! A power model from elsewhere in the place of the embedded family's figures.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::host::MachineSpec;
use crate::model::embedded::NodeModel;
use crate::model::{
    CPU_FULL, CPU_TIME, Component, EnergySourceName, OutputType, PowerModel, Prediction,
};
use crate::provenance::{Origin, Provenance};
use crate::units::{Watts, count_to_f64};
use crate::usage::{Counter, CounterSet, NodeUsage};

/// A power model that was found to fit a machine.
///
/// A model of a machine of another size is cut to this one's share by logical CPUs, as [`PowerModel::for_guest`] does.
///
/// ```
/// use kepler_core::MachineSpec;
/// use kepler_core::model::{EnergySourceName, OutputType, embedded};
/// use kepler_core::modeled::GivenModel;
/// use kepler_core::usage::CounterSet;
///
/// let machine = MachineSpec { cores: Some(8), ..MachineSpec::default() };
/// let model = embedded::for_machine(&machine).power_model(EnergySourceName::Acpi, OutputType::AbsPower)?;
/// let given = GivenModel::new(model, &machine, CounterSet::EMPTY)?;
/// assert_eq!(given.source(), Some(EnergySourceName::Acpi));
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GivenModel {
    model: PowerModel,
    name: Arc<str>,
    note: Arc<str>,
    inputs: Vec<Input>,
}

/// What a feature is made of.
#[derive(Clone, Copy, Debug)]
enum Input {
    CpuTime,
    Count(Counter),
}

/// More than a machine draws a CPU, in watts: a model that says so is broken.
const MOST_A_CPU: f64 = 1000.0;
/// Names that are longer are nobody's: they would be in every page and log.
const TEXT: usize = 256;
/// CPUs of a machine that does not tell how many it has, for the bound above.
const MANY: u32 = 1024;

/// The features that are known of a machine whose usage source collects these counters, in alphabetical order: what a model
/// server is told.
pub fn features(collected: CounterSet) -> Vec<&'static str> {
    let known = |(_, input): &&(&str, Input)| input.is_known(collected);
    FEATURES
        .iter()
        .filter(known)
        .map(|(name, _)| *name)
        .collect()
}

const FEATURES: [(&str, Input); 8] = [
    ("bpf_block_irq", Input::Count(Counter::BlockIrq)),
    (CPU_TIME, Input::CpuTime),
    ("bpf_net_rx_irq", Input::Count(Counter::NetRxIrq)),
    ("bpf_net_tx_irq", Input::Count(Counter::NetTxIrq)),
    ("bpf_page_cache_hit", Input::Count(Counter::PageCacheHits)),
    ("cache_miss", Input::Count(Counter::CacheMisses)),
    ("cpu_cycles", Input::Count(Counter::Cycles)),
    ("cpu_instructions", Input::Count(Counter::Instructions)),
];

impl Input {
    fn is_known(self, collected: CounterSet) -> bool {
        match self {
            Self::CpuTime => true,
            Self::Count(counter) => collected.contains(counter),
        }
    }

    /// Per second, as the training data counts it.
    fn rate(self, node: &NodeUsage) -> f64 {
        match self {
            Self::CpuTime => node.busy_ratio().unwrap_or(0.0) * f64::from(node.cpus) * CPU_FULL,
            Self::Count(counter) => {
                let seconds = node.interval.as_secs_f64();
                let count = count_to_f64(node.counters.get(counter));
                if seconds > 0.0 { count / seconds } else { 0.0 }
            }
        }
    }
}

impl GivenModel {
    /// Takes a model for a machine on which these counters are collected.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model that is not of a whole node's power, whose features are not all known here, that
    /// predicts none of [`NodeModel::COMPONENTS`], or for a guest where the model does not say of how many CPUs it is;
    /// [`Error::InvalidInput`] for names of more than 256 bytes, and where what it predicts at rest or under full load cannot
    /// be power of this machine.
    pub fn new(model: PowerModel, machine: &MachineSpec, collected: CounterSet) -> Result<Self> {
        if is_wordy(&model) {
            let why = format!("it has names of more than {TEXT} bytes");
            return Err(Error::invalid("the model", why));
        }
        let unfit = |why: String| Error::Unsupported {
            what: format!("the model {}", model.name()),
            why,
            hint: String::new(),
        };
        if model.file().output_type != OutputType::AbsPower {
            let found = model.file().output_type;
            return Err(unfit(format!("it predicts {found}, not AbsPower")));
        }
        if !model
            .components()
            .any(|c| NodeModel::COMPONENTS.contains(&c))
        {
            return Err(unfit(
                "it predicts neither package, dram nor platform".into(),
            ));
        }
        let input = |name: &str| {
            let found = FEATURES.iter().find(|(known, _)| *known == name);
            let found = found.filter(|(_, input)| input.is_known(collected));
            found
                .map(|(_, input)| *input)
                .ok_or_else(|| unfit(format!("it needs {name}, which is not counted here")))
        };
        let inputs = model.features().map(input).collect::<Result<_>>()?;
        let (model, note) = fitted(model, machine)?;
        let given = Self {
            name: model.name().into(),
            note: note.into(),
            model,
            inputs,
        };
        given.check(machine.cores.unwrap_or(MANY))?;
        Ok(given)
    }

    /// The meter whose power it predicts.
    pub fn source(&self) -> Option<EnergySourceName> {
        self.model.file().energy_source
    }

    /// The model, cut to this machine.
    pub fn model(&self) -> &PowerModel {
        &self.model
    }

    /// Which counters it asks for.
    pub fn counters(&self) -> CounterSet {
        let counts = self.inputs.iter().filter_map(|input| match input {
            Input::CpuTime => None,
            Input::Count(counter) => Some(*counter),
        });
        counts.collect()
    }

    /// Watts of a machine that did this.
    pub(super) fn predict(&self, node: &NodeUsage) -> Option<Prediction> {
        let row: Vec<f64> = self.inputs.iter().map(|input| input.rate(node)).collect();
        // The features are finite and as many as the model has.
        self.model.predict_one(&row).ok()
    }

    /// What is known of a component's figure, where it is of this model.
    pub(super) fn provenance(&self, component: Component, in_range: bool) -> Option<Provenance> {
        let part = self.model.file().components.get(&component)?;
        Some(Provenance {
            origin: Origin::Modeled,
            source: super::NAME.into(),
            model: Some(self.name.clone()),
            mae: part.errors.first().map(|error| Watts(error.mae)),
            in_range: Some(in_range),
            note: self.note.clone(),
        })
    }

    /// Looks at what it predicts at rest and under full load.
    fn check(&self, cpus: u32) -> Result<()> {
        let most = MOST_A_CPU * f64::from(cpus.max(1));
        let rest: Vec<f64> = self.inputs.iter().map(|_| 0.0).collect();
        let features = &self.model.file().features;
        let full = self
            .inputs
            .iter()
            .zip(features)
            .map(|(input, spec)| match input {
                Input::CpuTime => CPU_FULL * f64::from(cpus.max(1)),
                Input::Count(_) => spec.max.unwrap_or(spec.scale),
            });
        let full: Vec<f64> = full.collect();
        let mut any = false;
        for (row, load) in [(rest, "at rest"), (full, "under full load")] {
            for (component, watts) in self.model.predict_one(&row)?.watts {
                if !(0.0..=most).contains(&watts) {
                    let why = format!("{component} is {watts} W {load} of {cpus} CPUs");
                    return Err(Error::invalid(&*self.name, why));
                }
                any |= watts > 0.0 && NodeModel::COMPONENTS.contains(&component);
            }
        }
        if any {
            Ok(())
        } else {
            Err(Error::invalid(
                &*self.name,
                "it predicts 0 W whatever is done",
            ))
        }
    }
}

fn is_wordy(model: &PowerModel) -> bool {
    let file = model.file();
    let features = file.features.iter().map(|f| &f.name);
    let mut texts = features.chain([&file.name]).chain(&file.machine.processor);
    texts.any(|text| text.len() > TEXT)
}

/// The model of this machine's share of the machine that it is of, and what must be said of it.
fn fitted(model: PowerModel, machine: &MachineSpec) -> Result<(PowerModel, String)> {
    let theirs = &model.file().machine;
    let same_size = theirs.cores.is_none() || machine.cores == theirs.cores;
    match machine.cores {
        Some(cpus) if machine.guest || !same_size => {
            // What a server made for a guest of this size has been cut already.
            if theirs.guest && same_size && theirs.cores.is_some() {
                return Ok((model, String::new()));
            }
            let known = theirs.processor.is_some() && theirs.processor == machine.processor;
            let share = model.for_guest(cpus, known)?;
            Ok((share.model, share.note))
        }
        _ => Ok((model, String::new())),
    }
}
