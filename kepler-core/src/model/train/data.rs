//! Training rows: features and measured watts, from arrays or from a CSV.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ndarray::{Array2, Axis};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::model::{Component, FeatureGroup};

use super::columns::ColumnChoice;

/// Rows of features with the power that was measured with them.
///
/// ```
/// use kepler_core::model::Component;
/// use kepler_core::model::train::TrainingData;
///
/// let text = "timestamp,bpf_cpu_time_ms,package_power\n3,20,61.5\n0,10,55.0\n";
/// let data = TrainingData::from_csv(text, "rows.csv")?;
/// assert_eq!(data.features, ["bpf_cpu_time_ms"]);
/// assert_eq!(data.targets[&Component::Package], [55.0, 61.5]); // by time
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TrainingData {
    /// Names of the features, in column order.
    pub features: Vec<String>,
    /// Values of shape (rows, features); counted things per second.
    pub rows: Array2<f64>,
    /// Measured watts of each row, by part of the machine.
    pub targets: BTreeMap<Component, Vec<f64>>,
    /// When each row was measured, in seconds; rows are then in the order of time. Empty when it is not known.
    pub times: Vec<f64>,
    /// The machine of each row. Empty when there is only one.
    pub machines: Vec<u32>,
}

/// Rows that a training CSV may have at most, and bytes of one that is read from a file.
const ROW_LIMIT: usize = 10_000_000;
const FILE_LIMIT: u64 = 1 << 30;

impl TrainingData {
    /// Rows from arrays: values of shape (rows, features) and watts by part of the machine.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for lengths that do not fit, no rows, and values that are not finite.
    pub fn from_arrays(
        features: Vec<String>,
        rows: Array2<f64>,
        targets: BTreeMap<Component, Vec<f64>>,
    ) -> Result<Self> {
        let data = Self {
            features,
            rows,
            targets,
            ..Self::default()
        };
        data.check()?;
        Ok(data)
    }

    /// The same rows with the time and the machine of each, either of which may be empty; rows are then in the order of time.
    ///
    /// # Errors
    /// As [`TrainingData::from_arrays`].
    pub fn measured(mut self, times: Vec<f64>, machines: Vec<u32>) -> Result<Self> {
        self.times = times;
        self.machines = machines;
        self.check()?;
        if self
            .machines
            .iter()
            .all(|n| Some(n) == self.machines.first())
        {
            self.machines.clear();
        }
        Ok(self.by_time())
    }

    /// Rows from a CSV with a header, whose names tell what the columns are; see [`ColumnChoice`].
    ///
    /// # Errors
    /// As [`TrainingData::from_csv_as`].
    pub fn from_csv(text: &str, place: &str) -> Result<Self> {
        Self::from_csv_as(text, place, &ColumnChoice::default())
    }

    /// Rows from a CSV with a header, with the columns that were chosen. What is neither power, feature, time nor machine is
    /// not read.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line for a row that does not fit; else as [`ColumnChoice::roles`] and
    /// [`TrainingData::from_arrays`].
    pub fn from_csv_as(text: &str, place: &str, choice: &ColumnChoice) -> Result<Self> {
        let mut lines = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty());
        let header: Vec<&str> = lines
            .next()
            .map(|(_, l)| l.trim().split(',').map(str::trim).collect())
            .unwrap_or_default();
        let roles = choice.roles(&header)?;
        let mut numbers: BTreeMap<&str, Vec<f64>> = roles
            .targets
            .values()
            .chain(&roles.features)
            .chain(&roles.time)
            .map(|name| (name.as_str(), Vec::new()))
            .collect();
        let mut machines = Vec::new();
        let mut count = 0;
        for (number, line) in lines {
            let malformed =
                |want: String| Error::malformed(format!("{place}:{}", number + 1), want, line);
            let cells: Vec<&str> = line.trim().split(',').map(str::trim).collect();
            if cells.len() != header.len() || count == ROW_LIMIT {
                return Err(malformed(format!("{} values", header.len())));
            }
            for (name, cell) in header.iter().zip(cells) {
                if let Some(column) = numbers.get_mut(name) {
                    let value = cell.parse::<f64>().ok().filter(|v| v.is_finite());
                    column.push(value.ok_or_else(|| malformed(format!("a finite {name}")))?);
                }
                if roles.machine.as_deref() == Some(*name) {
                    machines.push(cell);
                }
            }
            count += 1;
        }
        let column = |name: &String| numbers.get(name.as_str()).cloned().unwrap_or_default();
        let values = roles.features.iter().flat_map(&column).collect();
        let rows = Array2::from_shape_vec((roles.features.len(), count), values)
            .map_err(|_shape| Error::malformed(place, "a table", header.join(",")))?
            .reversed_axes();
        let targets = roles.targets.iter().map(|(c, name)| (*c, column(name)));
        let data = Self {
            targets: targets.collect(),
            features: roles.features.clone(),
            rows,
            ..Self::default()
        };
        let times = roles.time.as_ref().map(&column).unwrap_or_default();
        data.measured(times, machine_numbers(&machines))
    }

    /// Rows from a CSV file; see [`TrainingData::from_csv`].
    ///
    /// # Errors
    /// As [`TrainingData::read_csv_as`].
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_csv_as(path, &ColumnChoice::default())
    }

    /// Rows from a CSV file, with the columns that were chosen; see [`TrainingData::from_csv_as`].
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::TooLarge`] above 1 GiB, and as [`TrainingData::from_csv_as`].
    pub fn read_csv_as(path: impl AsRef<Path>, choice: &ColumnChoice) -> Result<Self> {
        let path = path.as_ref();
        let place = path.display().to_string();
        let bytes = Host::at("/").bytes(path, FILE_LIMIT)?;
        let text = String::from_utf8(bytes)
            .map_err(|e| Error::malformed(&place, "UTF-8 text", e.to_string()))?;
        Self::from_csv_as(&text, &place, choice)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.nrows()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part of the machine that models of these rows are judged by: platform, package, or the first there is.
    pub fn main_component(&self) -> Option<Component> {
        let has = |c: &Component| self.targets.contains_key(c);
        let preferred = [Component::Package, Component::Platform]
            .into_iter()
            .find(has);
        preferred.or_else(|| self.targets.keys().next().copied())
    }

    /// The same rows with these features, in this order.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a feature that the rows do not have.
    pub fn with_features<S: AsRef<str>>(&self, features: &[S]) -> Result<Self> {
        let place = |feature: &S| {
            let name = feature.as_ref();
            let place = self.features.iter().position(|f| f == name);
            place.ok_or_else(|| Error::NotFound {
                what: "feature",
                name: name.to_owned(),
                hint: format!("the rows have {}", self.features.join(", ")),
            })
        };
        let columns = features.iter().map(place).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            features: features.iter().map(|f| f.as_ref().to_owned()).collect(),
            rows: self.rows.select(Axis(1), &columns),
            ..self.clone()
        })
    }

    /// The same rows with the features of a group.
    ///
    /// # Errors
    /// As [`TrainingData::with_features`].
    pub fn with_group(&self, group: FeatureGroup) -> Result<Self> {
        self.with_features(group.features())
    }

    /// The same rows with power above the least that each part of each machine drew: rows for a
    /// `DynPower` model where idle power was not told apart.
    pub fn above_least(&self) -> Self {
        let mut data = self.clone();
        for watts in data.targets.values_mut() {
            let mut least: BTreeMap<u32, f64> = BTreeMap::new();
            let machine = |row: usize| self.machines.get(row).copied().unwrap_or(0);
            for (row, watts) in watts.iter().enumerate() {
                let least = least.entry(machine(row)).or_insert(f64::INFINITY);
                *least = least.min(*watts);
            }
            for (row, watts) in watts.iter_mut().enumerate() {
                *watts -= least[&machine(row)];
            }
        }
        data
    }

    /// The rows of several machines, one after the other, each under its number. Rows have features and targets in common,
    /// and no times: they are not one series.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a feature, and [`Error::InvalidInput`] for a target, that another machine does not have.
    pub fn of_machines(parts: &[(u32, Self)]) -> Result<Self> {
        let features = parts.first().map_or(&[][..], |(_, first)| &first.features);
        let mut all = Self {
            features: features.to_vec(),
            rows: Array2::zeros((0, features.len())),
            ..Self::default()
        };
        for (machine, part) in parts {
            let part = part.with_features(features)?;
            for (component, watts) in part.targets {
                all.targets.entry(component).or_default().extend(watts);
            }
            all.machines.extend(vec![*machine; part.rows.nrows()]);
            all.rows
                .append(Axis(0), part.rows.view())
                .map_err(|e| Error::invalid("rows", e.to_string()))?;
        }
        all.check()?;
        Ok(all)
    }

    /// Some of the rows, in the order given. Numbers beyond the last row are left out.
    pub fn at(&self, rows: &[usize]) -> Self {
        let rows: Vec<usize> = rows.iter().copied().filter(|r| *r < self.len()).collect();
        let pick = |column: &Vec<f64>| {
            rows.iter()
                .filter_map(|r| column.get(*r).copied())
                .collect()
        };
        Self {
            features: self.features.clone(),
            rows: self.rows.select(Axis(0), &rows),
            targets: self.targets.iter().map(|(c, w)| (*c, pick(w))).collect(),
            times: pick(&self.times),
            machines: rows
                .iter()
                .filter_map(|r| self.machines.get(*r).copied())
                .collect(),
        }
    }

    /// Checks that lengths fit and numbers are finite.
    pub(super) fn check(&self) -> Result<()> {
        let fits = |n: usize| n == self.len();
        let fits_or_empty = |n: usize| n == 0 || fits(n);
        let shapes = self.rows.ncols() == self.features.len()
            && self.targets.values().all(|w| fits(w.len()))
            && fits_or_empty(self.times.len())
            && fits_or_empty(self.machines.len());
        if !shapes || self.is_empty() || self.features.is_empty() || self.targets.is_empty() {
            let found = format!(
                "{} rows, {} features and {} targets that do not make a table",
                self.len(),
                self.features.len(),
                self.targets.len()
            );
            return Err(Error::invalid("training rows", found));
        }
        let finite = self.rows.iter().chain(self.targets.values().flatten());
        if !finite.chain(&self.times).all(|v| v.is_finite()) {
            return Err(Error::invalid(
                "training rows",
                "a value is not a finite number",
            ));
        }
        Ok(())
    }

    fn by_time(self) -> Self {
        if self.times.is_sorted() {
            return self;
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|a, b| self.times[*a].total_cmp(&self.times[*b]));
        self.at(&order)
    }
}

/// Machines by their numbers, or numbered in the order of their names.
fn machine_numbers(cells: &[&str]) -> Vec<u32> {
    let number = |cell: &&str| {
        let value = cell.parse::<f64>().ok()?;
        let inside = (0.0..=f64::from(u32::MAX)).contains(&value) && value.fract() == 0.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked"
        )]
        let number = inside.then_some(value as u32);
        number
    };
    let numbers: Option<Vec<u32>> = cells.iter().map(number).collect();
    numbers.unwrap_or_else(|| {
        let names: BTreeSet<&str> = cells.iter().copied().collect();
        let numbers: BTreeMap<&str, u32> = names.into_iter().zip(0..).collect();
        cells.iter().map(|cell| numbers[cell]).collect()
    })
}
