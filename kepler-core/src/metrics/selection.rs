//! What of the table is exported.

use std::fmt;
use std::str::FromStr;

use super::family::{FAMILIES, Family, Group, Level, Series};
use crate::error::{Error, Result};
use crate::usage::CounterSet;

/// Which families, at which levels.
///
/// ```
/// use kepler_core::metrics::{Group, Level, Selection};
///
/// let narrow = Selection { groups: vec!["cpu".parse()?], levels: vec![Level::Node], ..Selection::default() };
/// assert!(narrow.families().all(|f| f.group == Group::Cpu && f.level == Level::Node));
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Which groups of families.
    pub groups: Vec<Group>,
    /// Whose figures.
    pub levels: Vec<Level>,
    /// Which of the labels that tell workloads apart are exported; all of them where it is `None`. What has the same labels
    /// then is one series: of counters the growths of all, which go on when one of them ends, of gauges the sum.
    pub labels: Option<Vec<&'static str>>,
}

impl Default for Selection {
    /// Both generations and our own families at every level; of the older generation, no processes.
    fn default() -> Self {
        Self {
            groups: vec![Group::Cpu, Group::Joules, Group::Own],
            levels: Level::ALL.into(),
            labels: None,
        }
    }
}

impl Selection {
    /// The families chosen, in the order of export. Where both generations have one of the same name (energy of graphics
    /// processors), and both are chosen, it is the older one's.
    pub fn families(&self) -> impl Iterator<Item = &'static Family> + use<'_> {
        let chosen = |f: &Family| self.groups.contains(&f.group) && self.levels.contains(&f.level);
        FAMILIES.iter().filter(move |f| {
            let older = |o: &Family| o.name == f.name && o.group != Group::Cpu && chosen(o);
            chosen(f) && (f.group != Group::Cpu || !FAMILIES.iter().any(older))
        })
    }

    /// A label that tells workloads apart, such as `pid` or `pod_name`.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a name that no family of workloads has.
    pub fn label(name: &str) -> Result<&'static str> {
        let mut all: Vec<&'static str> = Vec::new();
        for family in FAMILIES.iter().filter(|f| f.level != Level::Node) {
            let own = family.labels.iter().filter(|label| !COMMON.contains(label));
            let new: Vec<_> = own.filter(|label| !all.contains(label)).collect();
            all.extend(new);
        }
        named("metric label", name, &all, |label| label)
    }

    /// The counters that the chosen families show: what the monitor is to collect.
    pub fn counters(&self) -> CounterSet {
        self.families()
            .filter_map(|family| match family.series {
                Series::Count(counter) => Some(counter),
                _ => None,
            })
            .collect()
    }
}

/// Labels of workloads' series that tell what is counted, not of whom.
const COMMON: [&str; 5] = ["state", "zone", "mode", "source", "node_name"];

impl Group {
    /// Every group, in the order of declaration.
    pub const ALL: [Self; 6] = [
        Self::Cpu,
        Self::Joules,
        Self::ProcessJoules,
        Self::Counters,
        Self::Aliases,
        Self::Own,
    ];

    /// The name as `--metrics.families` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Joules => "joules",
            Self::ProcessJoules => "process-joules",
            Self::Counters => "counters",
            Self::Aliases => "aliases",
            Self::Own => "own",
        }
    }
}

impl Level {
    /// Every level, in the order of declaration.
    pub const ALL: [Self; 5] = [
        Self::Node,
        Self::Process,
        Self::Container,
        Self::Vm,
        Self::Pod,
    ];

    /// The name as `--metrics` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Process => "process",
            Self::Container => "container",
            Self::Vm => "vm",
            Self::Pod => "pod",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Group {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        named("metric family group", name, &Self::ALL, Self::as_str)
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        named("metric level", name, &Self::ALL, Self::as_str)
    }
}

fn named<T: Copy>(
    what: &'static str,
    name: &str,
    all: &[T],
    spell: impl Fn(T) -> &'static str,
) -> Result<T> {
    let found = all.iter().copied().find(|item| spell(*item) == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|item| spell(*item)).collect();
        Error::NotFound {
            what,
            name: name.to_owned(),
            hint: format!("known: {}", known.join(", ")),
        }
    })
}
