//! The embedded family as one more pipeline: a model of each meter's power, made for the machine that is asked about.

use super::choice::{Choice, Chosen, ModelId};
use super::recent::Recent;
use crate::error::Result;
use crate::host::MachineSpec;
use crate::model::embedded::{self, NodeModel};
use crate::model::{EnergySourceName, FeatureGroup, ModelRequest, OutputType};

/// The name of that pipeline.
pub(super) const PIPELINE: &str = "embedded";
/// What there are models of.
pub(super) const SOURCES: [EnergySourceName; 2] =
    [EnergySourceName::Acpi, EnergySourceName::RaplSysfs];
/// The name of a model. Clients tell the formula of weights by it: this one says that they are linear.
const LINE: &str = "SGDRegressorTrainer_0";
/// Bytes of machines that figures are kept ready for.
const MACHINES: usize = 256 << 10;

/// The embedded family, with its figures for machines that were asked for.
#[derive(Debug)]
pub(super) struct Family(Recent<MachineSpec, NodeModel>);

impl Family {
    pub(super) fn new() -> Self {
        Self(Recent::new(MACHINES))
    }

    /// The embedded family suits every machine, where the CPU time is known.
    pub(super) fn choose(&self, request: &ModelRequest) -> Result<Option<Choice<'static>>> {
        let group = FeatureGroup::BpfOnly;
        let asked = match request.group {
            Some(asked) => asked == group,
            None => request.metrics.iter().any(|m| m == group.features()[0]),
        };
        if !asked || !LINE.contains(&request.trainer) || !SOURCES.contains(&request.source) {
            return Ok(None);
        }
        let machine = match &request.machine {
            Some(record) => {
                record.has_values()?;
                record.machine()
            }
            None => MachineSpec::default(),
        };
        let model = self.model(&machine);
        let line = model.line(request.source, request.output_type)?;
        let main = request.source.main_component();
        if !request.filter.admits_model(&line, main) {
            return Ok(None);
        }
        let error = line.file().components[&main].errors.first();
        let mae = error.map(|e| e.mae);
        Ok(Some(Choice {
            id: id(request.source, request.output_type),
            model: Chosen::Embedded(Box::new(model)),
            mae,
        }))
    }

    /// The figures for a machine: a few milliseconds of work, unless it was asked for lately.
    pub(super) fn model(&self, machine: &MachineSpec) -> NodeModel {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let cost = size_of::<(MachineSpec, NodeModel)>()
            + 2 * (text(&machine.vendor) + text(&machine.processor))
            + 512;
        let make = || Ok::<_, std::convert::Infallible>(embedded::for_machine(machine));
        match self.0.get(machine.clone(), make, |_| cost) {
            Ok(model) => model,
            Err(never) => match never {},
        }
    }
}

/// Where all models of the family lie.
pub(super) fn ids() -> impl Iterator<Item = ModelId> {
    let of_source = |source| OutputType::ALL.iter().map(move |of| id(source, *of));
    SOURCES.into_iter().flat_map(of_source)
}

fn id(source: EnergySourceName, output_type: OutputType) -> ModelId {
    ModelId {
        pipeline: PIPELINE.to_owned(),
        source,
        output_type,
        group: FeatureGroup::BpfOnly.to_string(),
        name: LINE.to_owned(),
    }
}
