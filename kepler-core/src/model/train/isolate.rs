//! Power above idle for training rows: how much of the node's power belongs to the containers at hand.

use std::collections::{BTreeMap, BTreeSet};

use super::data::TrainingData;
use super::extract::Activity;
use super::trainer::correlation;
use crate::error::{Error, Result};
use crate::model::{Component, PowerModel};

/// How idle and background power are taken off.
#[derive(Clone, Debug)]
pub enum Isolation<'a> {
    /// Not at all.
    None,
    /// The least power of the rows is what an idle node draws.
    Min,
    /// An idle node was measured apart: its containers are left out, and its power is taken off.
    Profile(&'a IdleProfile),
    /// What background containers draw is told by models of the whole node. Of several models, the one with the least
    /// known error whose rest goes along with what the other containers do (correlation of at least 0.7) is used.
    Trained {
        /// Models of whole nodes, over features that the rows have.
        models: &'a [PowerModel],
        /// Names of the containers that are background, such as those of an idle node.
        background: &'a BTreeSet<String>,
    },
}

/// What an idle node draws, and the containers that run on it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IdleProfile {
    /// Names of the containers.
    pub containers: BTreeSet<String>,
    /// The least and the most watts seen, by part of the machine.
    pub watts: BTreeMap<Component, (f64, f64)>,
}

impl IdleProfile {
    /// The profile of an idle node's history.
    ///
    /// The older software divides these watts by the time between samples once more, and counts `uncore` as a second
    /// `core`; neither is done here.
    pub fn of(idle: &Activity) -> Self {
        let mut watts: BTreeMap<Component, (f64, f64)> = BTreeMap::new();
        for (component, value) in idle.power.iter().flat_map(|(_, power)| power) {
            let (low, high) = watts.entry(*component).or_insert((*value, *value));
            *low = low.min(*value);
            *high = high.max(*value);
        }
        Self {
            containers: idle.ids().into_iter().map(str::to_owned).collect(),
            watts,
        }
    }
}

/// The least correlation at which a model's rest is believed to be the containers' power.
const CORRELATION: f64 = 0.7;

impl Activity {
    /// One row a time with power above idle, for models of workloads.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where no container is left, and where no model of [`Isolation::Trained`] fits;
    /// [`Error::NotFound`] for a model's feature that the rows do not have.
    pub fn isolate(&self, isolation: &Isolation<'_>) -> Result<TrainingData> {
        match isolation {
            Isolation::None => self.node(),
            Isolation::Min => Ok(self.node()?.above_least()),
            Isolation::Profile(profile) => {
                let mut data = self.node_of(|id| !profile.containers.contains(id))?;
                for (component, watts) in &mut data.targets {
                    let idle = profile.watts.get(component);
                    let idle = idle.map_or(0.0, |(low, high)| f64::midpoint(*low, *high));
                    watts.iter_mut().for_each(|w| *w = (*w - idle).max(0.0));
                }
                Ok(data)
            }
            Isolation::Trained { models, background } => self.less_background(models, background),
        }
    }

    fn less_background(
        &self,
        models: &[PowerModel],
        background: &BTreeSet<String>,
    ) -> Result<TrainingData> {
        let foreground = self.node_of(|id| !background.contains(id))?;
        let mut best: Option<(f64, TrainingData)> = None;
        for model in models {
            let rest = self.rest(model, background, &foreground)?;
            let Some(main) = rest.main_component() else {
                continue;
            };
            let together = (0..rest.features.len())
                .map(|i| correlation(rest.rows.column(i).iter().copied(), &rest.targets[&main]))
                .fold(0.0, f64::max);
            let error = model
                .file()
                .components
                .get(&main)
                .and_then(|c| c.errors.first());
            let error = error.map_or(f64::MAX, |e| e.mae);
            if together >= CORRELATION && best.as_ref().is_none_or(|(least, _)| error < *least) {
                best = Some((error, rest));
            }
        }
        best.map(|(_, rest)| rest).ok_or_else(|| {
            Error::invalid(
                "models",
                "none leaves power that goes along with what the containers did",
            )
        })
    }

    /// The foreground's rows with the node's power less what a model tells of the background.
    fn rest(
        &self,
        model: &PowerModel,
        background: &BTreeSet<String>,
        foreground: &TrainingData,
    ) -> Result<TrainingData> {
        let mut rest = foreground.clone();
        let Ok(behind) = self.node_of(|id| background.contains(id)) else {
            return Ok(rest);
        };
        let drawn = model
            .bind_among(&behind.features)?
            .predict(behind.rows.view())?;
        for (component, watts) in &mut rest.targets {
            let Some(drawn) = drawn.watts.get(component) else {
                continue;
            };
            for (time, watts) in foreground.times.iter().zip(watts) {
                let row = behind.times.iter().position(|t| t.total_cmp(time).is_eq());
                *watts = (*watts - row.map_or(0.0, |row| drawn[row])).max(0.0);
            }
        }
        Ok(rest)
    }
}
