//! The embedded family's figures for one machine as a model like any other: a curve over its CPU time, or a line.

use super::{FAMILY, LEVEL, LOADS, NodeModel, at};
use crate::error::{Error, Result};
use crate::model::{
    CPU_TIME, Component, ComponentModel, EnergySourceName, Estimator, FeatureGroup, FeatureSpec,
    HeldOut, ModelFile, OutputType, PowerModel, ResidualStep, Residuals, Split, Table, Training,
};

/// Points of a curve that a line is drawn through.
const POINTS: u8 = 100;

impl NodeModel {
    /// This machine's power over `bpf_cpu_time_ms`, the CPU time of everything that runs on it: platform for `acpi`,
    /// package and dram for RAPL. DynPower is what is above the power at rest.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a source that the family has no figures of.
    pub fn power_model(
        &self,
        source: EnergySourceName,
        output_type: OutputType,
    ) -> Result<PowerModel> {
        self.as_model(source, output_type, &[CPU_TIME], |watts| {
            let table = Table {
                input: 0,
                x: LOADS.into(),
                y: watts.into(),
            };
            (Estimator::Table(table), 0.0)
        })
    }

    /// The straight line nearest to [`NodeModel::power_model`] over the features of [`FeatureGroup::BpfOnly`], for clients
    /// that know weights only. What it is further off is in its error.
    ///
    /// # Errors
    /// As [`NodeModel::power_model`].
    pub fn line(&self, source: EnergySourceName, output_type: OutputType) -> Result<PowerModel> {
        let features = FeatureGroup::BpfOnly.features();
        self.as_model(source, output_type, features, |watts| {
            let points = || (0..=POINTS).map(|p| f64::from(p) / f64::from(POINTS));
            let count = f64::from(POINTS) + 1.0;
            let mean = points().map(|x| at(&watts, x)).sum::<f64>() / count;
            let (rise, run) = points().fold((0.0, 0.0), |(rise, run), x| {
                (
                    rise + (x - 0.5) * (at(&watts, x) - mean),
                    run + (x - 0.5) * (x - 0.5),
                )
            });
            let slope = rise / run;
            let intercept = (mean - slope / 2.0).max(0.0);
            let off = points().map(|x| (intercept + slope * x - at(&watts, x)).abs());
            let off = off.sum::<f64>() / count;
            let weights = vec![slope, 0.0];
            (Estimator::Linear { intercept, weights }, off)
        })
    }

    fn as_model(
        &self,
        source: EnergySourceName,
        output_type: OutputType,
        features: &[&str],
        estimator: impl Fn([f64; LOADS.len()]) -> (Estimator, f64),
    ) -> Result<PowerModel> {
        let components: &[Component] = match source {
            EnergySourceName::Acpi => &[Component::Platform],
            EnergySourceName::RaplSysfs => &[Component::Package, Component::Dram],
            _ => {
                return Err(Error::NotFound {
                    what: "embedded model for the source",
                    name: source.to_string(),
                    hint: "there are some for acpi and rapl-sysfs".to_owned(),
                });
            }
        };
        let features = features.iter().map(|name| match *name {
            CPU_TIME => FeatureSpec::cpu_time(self.machine.cores),
            _ => FeatureSpec::raw(name),
        });
        let mut file = ModelFile::new(self.name(), output_type, features.collect());
        file.energy_source = Some(source);
        for component in components {
            let idle = match output_type {
                OutputType::AbsPower => 0.0,
                OutputType::DynPower => self.watts(*component, 0.0).0,
            };
            let watts = LOADS.map(|load| self.watts(*component, load).0 - idle);
            let (estimator, off) = estimator(watts);
            let error = |load: f64| (at(&watts, load)) * self.error_share(*component);
            let part = ComponentModel {
                estimator,
                errors: vec![HeldOut {
                    split: Split::MachineOut,
                    rows: None,
                    mae: error(0.5) + off,
                    mape: None,
                }],
                residuals: Some(self.residuals(*component, idle)),
            };
            file.components.insert(*component, part);
        }
        file.machine = self.machine().clone();
        file.training = Training {
            trainer: FAMILY.to_owned(),
            data: self.note().to_string(),
            ..Training::default()
        };
        PowerModel::new(file)
    }

    fn error_share(&self, component: Component) -> f64 {
        self.curve(component).map_or(0.0, |curve| curve.error)
    }

    /// The intervals at each load as shares of the power there; what is at rest has the same share above it.
    fn residuals(&self, component: Component, idle: f64) -> Residuals {
        let steps = LOADS.into_iter().filter_map(|load| {
            let interval = self.interval(component, load)?;
            let watts = self.watts(component, load).0;
            let share = |end: f64| if watts > 0.0 { end / watts - 1.0 } else { 0.0 };
            Some(ResidualStep {
                from: watts - idle,
                low: share(interval.low),
                high: share(interval.high),
            })
        });
        Residuals {
            level: LEVEL,
            split: Split::MachineOut,
            relative: true,
            steps: steps.collect(),
            coverage: None,
            mean_width: None,
        }
    }
}
