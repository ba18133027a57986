//! Rows to train or judge models on: from tables, dumps of Prometheus, or the server itself.

use std::path::PathBuf;

use kepler_core::Host;
use kepler_core::model::train::{Activity, Extraction, Isolation, PrometheusDump, TrainingData};
use kepler_core::model::{EnergySourceName, FeatureGroup, OutputType};

use super::history::History;
use super::told::tell;

/// Where rows come from.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Rows {
    /// A table with a header: features, and watts as `<component>_power`; given again for another machine
    #[arg(long, value_name = "FILE")]
    csv: Vec<PathBuf>,
    /// Saved range queries: metric names with what Prometheus answered
    #[arg(long, value_name = "FILE", conflicts_with = "csv")]
    dump: Vec<PathBuf>,
    #[command(flatten)]
    history: History,
    /// The meter whose power the rows have
    #[arg(long, value_name = "SOURCE", default_value = "rapl-sysfs")]
    pub(super) source: EnergySourceName,
    /// Power of the whole node (AbsPower), or above idle (DynPower)
    #[arg(
        long,
        value_name = "TYPE",
        value_delimiter = ',',
        default_value = "AbsPower"
    )]
    pub(super) output_type: Vec<OutputType>,
    /// Features to learn from; all groups that the rows have, if none is given
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub(super) group: Vec<FeatureGroup>,
}

/// The rows of one feature group.
pub(super) struct Table {
    pub(super) output_type: OutputType,
    pub(super) group: FeatureGroup,
    pub(super) data: TrainingData,
}

/// The largest dump.
const BYTES: u64 = 1 << 30;

impl Rows {
    /// The tables that the rows allow.
    ///
    /// # Errors
    /// What is wrong with the rows, or that no group is in them.
    pub(super) fn tables(&self) -> Result<Vec<Table>, String> {
        let asked = !self.group.is_empty();
        let groups = if asked {
            &self.group[..]
        } else {
            FeatureGroup::ALL
        };
        let groups: Vec<FeatureGroup> = groups
            .iter()
            .copied()
            .filter(|g| !g.features().is_empty())
            .collect();
        let from = self.read(&groups)?;
        let (mut tables, mut why) = (Vec::new(), Vec::new());
        for output_type in &self.output_type {
            for group in &groups {
                match from.table(self.source, *output_type, *group) {
                    Ok(data) => tables.push(Table {
                        output_type: *output_type,
                        group: *group,
                        data,
                    }),
                    Err(error) if asked => return Err(format!("{group}: {error}")),
                    Err(error) => why.push(format!("{group}: {error}")),
                }
            }
        }
        if tables.is_empty() {
            return Err(format!(
                "no group of features is in the rows\n  {}",
                why.join("\n  ")
            ));
        }
        Ok(tables)
    }

    /// What the rows come from, for a model card.
    pub(super) fn origin(&self) -> String {
        let names = self.csv.iter().chain(&self.dump);
        let names: Vec<String> = names.map(|path| path.display().to_string()).collect();
        match &self.history.prometheus {
            Some(url) if names.is_empty() => kepler_service::shown(url),
            _ => names.join(", "),
        }
    }

    fn read(&self, groups: &[FeatureGroup]) -> Result<From, String> {
        let fail = |e: kepler_core::Error| e.to_string();
        if let [first, more @ ..] = &self.csv[..] {
            let first = TrainingData::read_csv(first).map_err(fail)?;
            if more.is_empty() {
                return Ok(From::Table(first));
            }
            let mut machines = vec![(0, first)];
            for (number, path) in (1..).zip(more) {
                machines.push((number, TrainingData::read_csv(path).map_err(fail)?));
            }
            return TrainingData::of_machines(&machines)
                .map(From::Table)
                .map_err(fail);
        }
        if let [path] = &self.dump[..] {
            let bytes = Host::default().bytes(path, BYTES).map_err(fail)?;
            let dump = PrometheusDump::from_json(&bytes, &path.display().to_string());
            return dump.map(From::History).map_err(fail);
        }
        if !self.dump.is_empty() {
            return Err(
                "give one dump: histories of two machines cannot be told apart in one".to_owned(),
            );
        }
        let Some(url) = &self.history.prometheus else {
            return Err("no rows: give --csv, --dump or --prometheus".to_owned());
        };
        let mut features: Vec<&str> = groups.iter().flat_map(|g| g.features()).copied().collect();
        features.sort_unstable();
        features.dedup();
        tell(&format!("asking {}", kepler_service::shown(url)));
        self.history
            .fetch(url, self.source, &features)
            .map(From::History)
    }
}

enum From {
    Table(TrainingData),
    History(PrometheusDump),
}

impl From {
    fn table(
        &self,
        source: EnergySourceName,
        output_type: OutputType,
        group: FeatureGroup,
    ) -> kepler_core::Result<TrainingData> {
        match self {
            Self::Table(data) => {
                let data = data.with_group(group)?;
                Ok(match output_type {
                    OutputType::AbsPower => data,
                    OutputType::DynPower => data.above_least(),
                })
            }
            Self::History(dump) => {
                let activity: Activity = Extraction::of_group(source, group).run(dump)?;
                activity.isolate(match output_type {
                    OutputType::AbsPower => &Isolation::None,
                    OutputType::DynPower => &Isolation::Min,
                })
            }
        }
    }
}
