//! What the columns of a table are to a training: power, features, time or machine; the same for files and for frames.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::model::Component;

/// Which columns of a table are to be what. What is left open follows from the columns' names.
///
/// ```
/// use kepler_core::model::Component;
/// use kepler_core::model::train::ColumnChoice;
///
/// let names = ["timestamp", "cpu_cycles", "package_power", "dram_power", "watts"];
/// let roles = ColumnChoice::default().target("package_power").roles(&names)?;
/// assert_eq!(roles.targets[&Component::Package], "package_power");
/// assert_eq!(roles.features, ["cpu_cycles"]); // what tells power is not learned from
/// assert_eq!(roles.time.as_deref(), Some("timestamp"));
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnChoice {
    /// Columns of measured watts by part of the machine; empty for every `<component>_power`.
    pub targets: BTreeMap<Component, String>,
    /// Columns to learn from; `None` for every other one that does not tell power or energy.
    pub features: Option<Vec<String>>,
    /// The column that orders the rows, in seconds; `None` for `timestamp`, where there is one.
    pub time: Option<String>,
    /// The column that names the machine of a row; `None` for `node_type` or `machine`, where there is one.
    pub machine: Option<String>,
}

/// What each column of a table is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnRoles {
    /// Columns of measured watts by part of the machine.
    pub targets: BTreeMap<Component, String>,
    /// Columns to learn from, in this order.
    pub features: Vec<String>,
    /// The column that orders the rows.
    pub time: Option<String>,
    /// The column that names the machine of a row.
    pub machine: Option<String>,
}

impl ColumnChoice {
    /// The same choice with one column of watts: that of `<component>_power` is the component's, any other one the platform's.
    #[must_use]
    pub fn target(mut self, column: &str) -> Self {
        let component = component(column).unwrap_or(Component::Platform);
        self.targets = BTreeMap::from([(component, column.to_owned())]);
        self
    }

    /// What the columns of a table with these names are.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a chosen column that is not there; [`Error::InvalidInput`] for a name that is there twice, no
    /// column of power, none to learn from, and a column of power, time or machines that is chosen as a feature too.
    pub fn roles<S: AsRef<str>>(&self, names: &[S]) -> Result<ColumnRoles> {
        let mut known = BTreeSet::new();
        for name in names {
            if !known.insert(name.as_ref()) {
                return Err(Error::invalid(
                    "column",
                    format!("{:?} is there twice", name.as_ref()),
                ));
            }
        }
        let targets = if self.targets.is_empty() {
            let named = names.iter().map(AsRef::as_ref);
            named
                .filter_map(|n| Some((component(n)?, n.to_owned())))
                .collect()
        } else {
            self.targets.clone()
        };
        let found = |wanted: &Option<String>, usual: &[&str]| {
            let usual = usual.iter().find(|name| known.contains(*name));
            wanted
                .clone()
                .or_else(|| usual.map(|name| (*name).to_owned()))
        };
        let time = found(&self.time, &["timestamp"]);
        let machine = found(&self.machine, &["node_type", "machine"]);
        let taken: BTreeSet<&String> = targets.values().chain(&time).chain(&machine).collect();
        let features = self.features.clone().unwrap_or_else(|| {
            let names = names.iter().map(|name| name.as_ref().to_owned());
            names
                .filter(|n| !taken.contains(n) && !is_left_out(n))
                .collect()
        });
        if targets.is_empty() {
            let why = format!(
                "no column is named after a component, such as package_power; {}",
                list(names)
            );
            return Err(Error::invalid("target", why));
        }
        if features.is_empty() {
            return Err(Error::invalid(
                "features",
                "no column is left to learn from",
            ));
        }
        for (number, feature) in features.iter().enumerate() {
            let mut others = targets.values().chain(&self.time).chain(&self.machine);
            if others.any(|name| name == feature) || features[..number].contains(feature) {
                let why = format!(
                    "{feature} is chosen twice, or is the power, time or machine of the rows"
                );
                return Err(Error::invalid("features", why));
            }
        }
        for name in targets
            .values()
            .chain(&features)
            .chain(&time)
            .chain(&machine)
        {
            if !known.contains(name.as_str()) {
                return Err(Error::NotFound {
                    what: "column",
                    name: name.clone(),
                    hint: list(names),
                });
            }
        }
        Ok(ColumnRoles {
            targets,
            features,
            time,
            machine,
        })
    }
}

/// Columns that nobody learns from unless they are asked for: what tells power or energy would give the answer away, and `id`
/// and shares of packages (`packge_ratio_*`, as they spell it) are of the older software's tables alone. A column without a
/// name is the row's number.
fn is_left_out(name: &str) -> bool {
    let tells_power =
        |word: &str| ["power", "watt", "watts", "energy", "joule", "joules", "uj"].contains(&word);
    let lower = name.to_ascii_lowercase();
    name.is_empty()
        || name == "id"
        || name.starts_with("packge_ratio_")
        || lower
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(tells_power)
}

/// The component of `<component>_power`.
fn component(column: &str) -> Option<Component> {
    column.strip_suffix("_power")?.parse().ok()
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() {
        return "there are none".to_owned();
    }
    format!("there are {}", names.join(", "))
}
