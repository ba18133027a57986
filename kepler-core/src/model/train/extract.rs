//! From Prometheus history to training rows: rates of what containers did beside the power of the node.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array2;

use super::data::TrainingData;
use super::prometheus::{
    PrometheusDump, Series, container_metric, energy_metric, node_metric, process_metric,
};
use crate::error::{Error, Result};
use crate::model::{Component, EnergySourceName, FeatureGroup};

/// What to take from a dump.
#[derive(Clone, Debug, PartialEq)]
pub struct Extraction {
    /// The meter whose power is taken.
    pub source: EnergySourceName,
    /// The features, such as those of a [`FeatureGroup`].
    pub features: Vec<String>,
    /// Whose activity is taken.
    pub scope: Scope,
    /// Divide joules by the mean time between samples rather than by the time that really passed, as the older software
    /// does. Wrong wherever samples are not evenly spaced; only for comparing with its tables.
    pub mean_step: bool,
}

/// Whose activity, and whose power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Containers, with the power of their node.
    Containers,
    /// Virtual machines' processes, with the power of the machines.
    VirtualMachines,
}

/// What each container did at each time, with the power of the whole node then.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Activity {
    /// Names of the features, in column order.
    pub features: Vec<String>,
    /// One entry a time and container, by time and then by name.
    pub entries: Vec<ContainerRow>,
    /// Watts of the node by time in seconds, and by part of the machine.
    pub power: Vec<(f64, BTreeMap<Component, f64>)>,
    /// Values of features that are the node's own, such as its frequency, by column; `None` elsewhere.
    node_features: Vec<Option<BTreeMap<Time, f64>>>,
}

/// What one container did in the interval that ended at a time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ContainerRow {
    /// The end of the interval in seconds.
    pub time: f64,
    /// `container_id/pod_name/container_name/container_namespace`, or `container_id/pid` of a virtual machine's process.
    pub id: String,
    /// Growth a second, by feature; 0 in the interval in which the container was first seen.
    pub rates: Vec<f64>,
}

/// A time as an orderable key: samples of one scrape have the very same time.
type Time = u64;

impl Extraction {
    /// The features of a group beside the power that a meter measured, for containers.
    pub fn of_group(source: EnergySourceName, group: FeatureGroup) -> Self {
        Self {
            source,
            features: group.features().iter().map(|f| (*f).to_owned()).collect(),
            scope: Scope::Containers,
            mean_step: false,
        }
    }

    /// Takes the rows of each container.
    ///
    /// Differs from the older software where that slips: joules are divided by the time that passed, not by the mean time
    /// between samples ([`Extraction::mean_step`]); a series that appears late adds what it grew, not its whole total;
    /// and where it names a column of package shares (`packge_ratio_package`, always 1), there is none.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a metric that the dump does not have; [`Error::InvalidInput`] where power and activity have
    /// no time in common.
    pub fn run(&self, dump: &PrometheusDump) -> Result<Activity> {
        let power = self.power(dump)?;
        let times: BTreeSet<Time> = power.iter().map(|(t, _)| t.to_bits()).collect();
        let mut rates: BTreeMap<(Time, String), Vec<Option<f64>>> = BTreeMap::new();
        let mut node_features = vec![None; self.features.len()];
        for (column, feature) in self.features.iter().enumerate() {
            let series = self.activity(dump, feature)?;
            if let Activities::Node(series) = series {
                node_features[column] = Some(mean_by_time(series));
                continue;
            }
            let Activities::Containers(series) = series else {
                continue;
            };
            for series in series.iter().filter(|s| self.is_wanted(s)) {
                // Seen once is no interval.
                let first = series.values.first().filter(|_| series.values.len() > 1);
                let first = first.map(|(time, _)| (*time, 0.0));
                for (time, rate) in first.into_iter().chain(series.rates()) {
                    if times.contains(&time.to_bits()) {
                        let key = (time.to_bits(), self.id(series));
                        let row = rates
                            .entry(key)
                            .or_insert_with(|| vec![None; self.features.len()]);
                        *row[column].get_or_insert(0.0) += rate;
                    }
                }
            }
        }
        let node = &node_features;
        let complete = |((time, id), row): ((Time, String), Vec<Option<f64>>)| {
            let value = |(column, rate): (usize, Option<f64>)| match &node[column] {
                Some(values) => values.get(&time).copied(),
                None => rate,
            };
            let rates = row
                .into_iter()
                .enumerate()
                .map(value)
                .collect::<Option<Vec<f64>>>()?;
            Some(ContainerRow {
                time: f64::from_bits(time),
                id,
                rates,
            })
        };
        let entries: Vec<ContainerRow> = rates.into_iter().filter_map(complete).collect();
        if entries.is_empty() {
            return Err(Error::invalid(
                "dump",
                "power and activity have no time in common",
            ));
        }
        Ok(Activity {
            features: self.features.clone(),
            entries,
            power,
            node_features,
        })
    }

    /// Power by time. The first sample has none, and where all parts show 0 W the meter stood still.
    fn power(&self, dump: &PrometheusDump) -> Result<Vec<(f64, BTreeMap<Component, f64>)>> {
        let of = match self.scope {
            Scope::Containers => "node",
            Scope::VirtualMachines => "vm",
        };
        let mut by_time: BTreeMap<Time, BTreeMap<Component, f64>> = BTreeMap::new();
        for component in self.source.components() {
            let metric = energy_metric(of, *component);
            let series = dump.series(&metric).iter();
            let series: Vec<&Series> = series
                .filter(|s| s.label("source") == self.source.as_str())
                .collect();
            if series.is_empty() {
                let hint = format!("the dump has no such series of {}", self.source);
                return Err(Error::NotFound {
                    what: "metric",
                    name: metric,
                    hint,
                });
            }
            for series in series {
                let mean = mean_step(series);
                for (pair, (time, watts)) in series.values.windows(2).zip(series.rates()) {
                    let step = pair[1].0 - pair[0].0;
                    let watts = if self.mean_step {
                        watts * step / mean
                    } else {
                        watts
                    };
                    let at = by_time.entry(time.to_bits()).or_default();
                    *at.entry(*component).or_insert(0.0) += watts;
                }
            }
        }
        let rows = by_time
            .into_iter()
            .map(|(time, watts)| (f64::from_bits(time), watts));
        Ok(rows
            .filter(|(_, watts)| watts.values().sum::<f64>() > 0.0)
            .collect())
    }

    fn activity<'a>(&self, dump: &'a PrometheusDump, feature: &str) -> Result<Activities<'a>> {
        let metric = match self.scope {
            Scope::Containers => container_metric(feature),
            Scope::VirtualMachines => process_metric(feature),
        };
        let (own, node) = (dump.series(&metric), dump.series(&node_metric(feature)));
        match (own, node) {
            ([], []) => Err(Error::NotFound {
                what: "metric",
                name: metric,
                hint: "the dump has no such series".to_owned(),
            }),
            ([], node) => Ok(Activities::Node(node)),
            (own, _) => Ok(Activities::Containers(own)),
        }
    }

    /// A virtual machine is its own job.
    fn is_wanted(&self, series: &Series) -> bool {
        (series.label("job") == "vm") == (self.scope == Scope::VirtualMachines)
    }

    fn id(&self, series: &Series) -> String {
        let labels: &[&str] = match self.scope {
            Scope::Containers => &[
                "container_id",
                "pod_name",
                "container_name",
                "container_namespace",
            ],
            Scope::VirtualMachines => &["container_id", "pid"],
        };
        labels
            .iter()
            .map(|l| series.label(l))
            .collect::<Vec<_>>()
            .join("/")
    }
}

enum Activities<'a> {
    Containers(&'a [Series]),
    Node(&'a [Series]),
}

impl Activity {
    /// One row a time: what all containers did, with the power of the node. Training rows for power with idle.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where nothing is left.
    pub fn node(&self) -> Result<TrainingData> {
        self.node_of(|_| true)
    }

    /// As [`Activity::node`], of some containers alone.
    pub(super) fn node_of(&self, wanted: impl Fn(&str) -> bool) -> Result<TrainingData> {
        let mut sums: BTreeMap<Time, Vec<f64>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|e| wanted(&e.id)) {
            let sum = sums
                .entry(entry.time.to_bits())
                .or_insert_with(|| vec![0.0; self.features.len()]);
            for ((sum, rate), node) in sum.iter_mut().zip(&entry.rates).zip(&self.node_features) {
                *sum = if node.is_some() { *rate } else { *sum + rate };
            }
        }
        let rows: Vec<_> = self
            .power
            .iter()
            .filter(|(t, _)| sums.contains_key(&t.to_bits()))
            .collect();
        let mut targets: BTreeMap<Component, Vec<f64>> = BTreeMap::new();
        let mut values = Array2::zeros((rows.len(), self.features.len()));
        for (number, (time, power)) in rows.iter().enumerate() {
            let sum = &sums[&time.to_bits()];
            values
                .row_mut(number)
                .iter_mut()
                .zip(sum)
                .for_each(|(v, s)| *v = *s);
            for (component, watts) in power {
                targets.entry(*component).or_default().push(*watts);
            }
        }
        let mut data = TrainingData::from_arrays(self.features.clone(), values, targets)?;
        data.times = rows.iter().map(|(time, _)| *time).collect();
        Ok(data)
    }

    /// Names of all containers.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|e| e.id.as_str()).collect()
    }
}

fn mean_by_time(series: &[Series]) -> BTreeMap<Time, f64> {
    let mut sums: BTreeMap<Time, (f64, f64)> = BTreeMap::new();
    for (time, value) in series.iter().flat_map(|s| &s.values) {
        let (sum, count) = sums.entry(time.to_bits()).or_default();
        *sum += value;
        *count += 1.0;
    }
    sums.into_iter()
        .map(|(time, (sum, count))| (time, sum / count))
        .collect()
}

fn mean_step(series: &Series) -> f64 {
    let (Some(first), Some(last)) = (series.values.first(), series.values.last()) else {
        return 1.0;
    };
    (last.0 - first.0) / (series.values.len() - 1).max(1) as f64
}
