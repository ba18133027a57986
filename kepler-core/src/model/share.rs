//! A guest's share of the machine that a model is of.

use super::card::Split;
use super::estimator::{BlendPart, Estimator};
use super::interval::{ResidualStep, Residuals};
use super::{ModelFile, PowerModel};
use crate::error::{Error, Result};

/// Watts a core at full load differ by this much between the machines that a guest may be on: the 5th and 95th
/// percentile over the median, less 1, of the 216 machine types in the SPECpower training table.
const OTHER_HOSTS: (f64, f64) = (-0.74, 3.1);

/// A model cut to a guest, and what must be said of its figures.
#[derive(Clone, Debug)]
pub struct GuestShare {
    /// The model of the guest.
    pub model: PowerModel,
    /// The scaling, for [`crate::Provenance::note`].
    pub note: String,
}

impl PowerModel {
    /// This model for a guest with `cpus` logical CPUs: the host is taken to be as busy, CPU by CPU, as the guest is, and
    /// the guest gets its share of the host's power, idle and dynamic alike. Features that count per second, ranges,
    /// errors and intervals are scaled with it.
    ///
    /// With `host_known` false the host may be any machine, and the intervals say so.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the model does not say how many CPUs its machine has.
    pub fn for_guest(&self, cpus: u32, host_known: bool) -> Result<GuestShare> {
        let file = self.file();
        let host = file.machine.cores.filter(|cores| *cores > 0);
        let host = host
            .filter(|_| cpus > 0)
            .ok_or_else(|| Error::Unsupported {
                what: format!("the model {} for a guest of {cpus} CPUs", file.name),
                why: "it does not say how many CPUs its machine has".to_owned(),
                hint: "choose a model from a registry, which knows its machines".to_owned(),
            })?;
        let share = f64::from(cpus) / f64::from(host);
        let mut note = format!("scaled to {cpus} of {host} CPUs");
        if let Some(processor) = &file.machine.processor {
            note = format!("{note} of {processor}");
        }
        if !host_known {
            note.push_str("; the real host is not known");
        }
        let mut scaled = cut(file, share);
        scaled.machine.cores = Some(cpus);
        scaled.machine.guest = true;
        scaled.training.data = format!("{}; {note}", scaled.training.data);
        if !host_known {
            for part in scaled.components.values_mut() {
                part.residuals = Some(any_host());
            }
        }
        Ok(GuestShare {
            model: Self::new(scaled)?,
            note,
        })
    }
}

fn cut(file: &ModelFile, share: f64) -> ModelFile {
    let mut file = file.clone();
    for feature in file.features.iter_mut().filter(|f| f.unit.ends_with("/s")) {
        feature.offset *= share;
        feature.scale *= share;
        feature.min = feature.min.map(|min| min * share);
        feature.max = feature.max.map(|max| max * share);
    }
    for part in file.components.values_mut() {
        let whole = BlendPart {
            weight: share,
            // The guest's share of what the whole cannot be.
            estimator: Estimator::Clamped {
                low: Some(0.0),
                high: None,
                of: Box::new(part.estimator.clone()),
            },
        };
        part.estimator = Estimator::Blend { parts: vec![whole] };
        for error in &mut part.errors {
            error.mae *= share;
        }
        if let Some(residuals) = &mut part.residuals {
            let unit = if residuals.relative { 1.0 } else { share };
            for step in &mut residuals.steps {
                step.from *= share;
                step.low *= unit;
                step.high *= unit;
            }
            residuals.mean_width = residuals.mean_width.map(|width| width * share);
        }
    }
    file
}

fn any_host() -> Residuals {
    Residuals {
        level: 0.9,
        split: Split::MachineOut,
        relative: true,
        steps: vec![ResidualStep {
            from: 0.0,
            low: OTHER_HOSTS.0,
            high: OTHER_HOSTS.1,
        }],
        coverage: None,
        mean_width: None,
    }
}
