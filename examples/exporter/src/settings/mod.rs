//! Settings from every place they may stand in, each place over the next: command line, `KEPLER_*` variables, the YAML
//! file, Kepler 0.7's keys (variables, then files), defaults.
//!
//! What stands in a file or a variable is an argument written elsewhere. It is brought into that form, judged alone by the
//! parser of the command line, and what wins is put before the arguments that were really given. So a new flag is a key of
//! the file and a variable without another word.

mod check;
mod file;
mod names;
mod negated;
mod older;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Command, FromArgMatches};
use kepler_core::Host;

use crate::args::{self, Args};
use file::Value;
use names::Key;
use negated::negated;
use older::Found;

/// Where the ConfigMap of Kepler 0.7 is mounted.
pub(crate) const OLDER_FOLDER: &str = "/etc/kepler/kepler.config";

/// Where settings are looked for.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The command line, the program's name first.
    pub(crate) arguments: Vec<OsString>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) older_folder: PathBuf,
}

/// What was found, and where.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) args: Args,
    /// What was set, by flag; defaults are not in it.
    set: BTreeMap<String, Item>,
    /// What is told once: keys without meaning and the like.
    pub(crate) notes: Vec<String>,
}

/// One setting from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    flag: String,
    values: Vec<String>,
    origin: Origin,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    CommandLine,
    Variable(String),
    File(PathBuf, Option<u64>),
}

/// Why there are no settings.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The command line is wrong, or asks for help.
    Arguments(clap::Error),
    /// What stands elsewhere is wrong.
    Setting(String),
    /// A file cannot be read.
    Unreadable(String),
}

impl Places {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let text = |os: OsString| os.to_string_lossy().into_owned();
        Self {
            arguments: std::env::args_os().collect(),
            variables: std::env::vars_os()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            older_folder: OLDER_FOLDER.into(),
        }
    }

    /// Reads and judges all of them.
    pub(crate) fn load(&self) -> Result<Settings, Fault> {
        let command = args::command();
        let arguments = negated(&command, &self.arguments);
        let matches = command
            .clone()
            .try_get_matches_from(&arguments)
            .map_err(Fault::Arguments)?;
        let mut notes = Vec::new();
        let mut set = BTreeMap::new();
        let mut layers = self.older(&mut notes);
        let variables = self.variables(&command, &mut notes);
        let given = |id: &str| matches.get_one::<PathBuf>(id).cloned();
        let file = given("settings_file")
            .or_else(|| self.variable("KEPLER_CONFIG_FILE").map(PathBuf::from));
        if let Some(path) = file.filter(|path| !path.as_os_str().is_empty()) {
            layers.extend(from_file(&command, &path, &mut notes)?);
        }
        layers.extend(variables);
        for item in layers {
            judge(&command, &item)?;
            set.insert(item.flag.clone(), item);
        }
        let mut all = vec![arguments.first().cloned().unwrap_or_default()];
        for argument in command.get_arguments() {
            let Some(flag) = argument.get_long() else {
                continue;
            };
            if matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine) {
                let raw = matches
                    .get_raw(argument.get_id().as_str())
                    .into_iter()
                    .flatten();
                let item = Item {
                    flag: flag.to_owned(),
                    values: raw
                        .map(|value| value.to_string_lossy().into_owned())
                        .collect(),
                    origin: Origin::CommandLine,
                };
                set.insert(flag.to_owned(), item);
            } else if let Some(item) = set.get(flag) {
                all.extend(item.arguments().map(OsString::from));
            }
        }
        all.extend(arguments.into_iter().skip(1));
        let matches = command
            .clone()
            .try_get_matches_from(all)
            .map_err(Fault::Arguments)?;
        let args = Args::from_arg_matches(&matches).map_err(Fault::Arguments)?;
        notes.extend(args.notes());
        Ok(Settings { args, set, notes })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let mut all = self.variables.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Kepler 0.7's keys: the variables over the files.
    fn older(&self, notes: &mut Vec<String>) -> Vec<Item> {
        let host = Host::default();
        let found: Vec<Found> = older::KEYS
            .iter()
            .filter_map(|key| {
                // The variable of the log's level is one of ours too, and stands where those do.
                let variable = self.variable(key).filter(|v| !v.trim().is_empty());
                if let Some(value) = variable.filter(|_| *key != older::LEVEL) {
                    let origin = Origin::Variable((*key).to_owned());
                    return Some(Found {
                        key,
                        value: value.to_owned(),
                        origin,
                    });
                }
                let path = self.older_folder.join(key);
                let value = host.optional(&path).ok().flatten()?;
                Some(Found {
                    key,
                    value,
                    origin: Origin::File(path, None),
                })
            })
            .collect();
        let found = older::unfolded(found);
        let (items, unused) = older::translate(&found);
        let silent: Vec<&str> = unused.iter().map(|f| f.key).collect();
        if !silent.is_empty() {
            notes.push(format!(
                "of Kepler 0.7's keys these mean nothing here: {}",
                silent.join(", ")
            ));
        }
        items
    }

    fn variables(&self, command: &Command, notes: &mut Vec<String>) -> Vec<Item> {
        let mut items = Vec::new();
        for (name, value) in &self.variables {
            if !name.starts_with("KEPLER_")
                || (older::KEYS.contains(&name.as_str()) && name != older::LEVEL)
                || name == "KEPLER_CONFIG_FILE"
            {
                continue;
            }
            let value = match name.as_str() {
                older::LEVEL => older::level(value),
                _ => value,
            };
            match names::flags(command).find(|flag| names::variable(flag) == *name) {
                Some(_) if value.is_empty() => {}
                Some(flag) => items.push(Item {
                    values: split(command, flag, value),
                    flag: flag.to_owned(),
                    origin: Origin::Variable(name.clone()),
                }),
                None if is_service_link(name) => {}
                None => {
                    let known = names::flags(command).map(names::variable);
                    let nearest = names::nearest(name, known);
                    // A variable may be another program's, so it is no error; one that is nearly ours is told.
                    if let Some(nearest) = nearest {
                        notes.push(format!(
                            "the variable {name} is not known; is it {nearest}?"
                        ));
                    }
                }
            }
        }
        items
    }
}

impl Settings {
    /// The settings as a file, each with the place it comes from.
    pub(crate) fn effective(&self) -> String {
        check::effective(&args::command(), self)
    }

    /// The flags that are set otherwise than in `other`.
    pub(crate) fn changed(&self, other: &Self) -> Vec<String> {
        let command = args::command();
        let value =
            |settings: &Self, flag: &str| settings.set.get(flag).map(|item| item.values.clone());
        let flags = names::flags(&command).filter(|flag| value(self, flag) != value(other, flag));
        flags.map(str::to_owned).collect()
    }

    /// These settings with those of `earlier` for some flags.
    pub(crate) fn keeping(mut self, earlier: &Self, flags: &[String]) -> Self {
        for flag in flags {
            match earlier.set.get(flag) {
                Some(item) => self.set.insert(flag.clone(), item.clone()),
                None => self.set.remove(flag),
            };
        }
        self
    }
}

impl Item {
    fn arguments(&self) -> impl Iterator<Item = String> {
        self.values
            .iter()
            .map(|value| format!("--{}={value}", self.flag))
    }
}

/// What a variable or file says of a flag: the parts of a list where the flag may be repeated.
fn split(command: &Command, flag: &str, value: &str) -> Vec<String> {
    if names::repeats(command, flag) {
        value
            .split(',')
            .map(|part| part.trim().to_owned())
            .collect()
    } else {
        vec![value.to_owned()]
    }
}

fn from_file(command: &Command, path: &Path, notes: &mut Vec<String>) -> Result<Vec<Item>, Fault> {
    let text = Host::default()
        .text(path)
        .map_err(|e| Fault::Unreadable(e.to_string()))?;
    let leaves =
        file::parse(&text).map_err(|e| Fault::Setting(format!("{}: {e}", path.display())))?;
    let mut items = Vec::new();
    for leaf in leaves {
        let place = Origin::File(path.to_owned(), Some(leaf.line));
        let values = match leaf.value {
            Value::Absent => None,
            Value::One(text) => Some(vec![text]),
            Value::Several(texts) => Some(texts),
            Value::Structured => Some(Vec::new()),
        };
        match (names::resolve(command, &leaf.key), values) {
            (Key::WithoutMeaning, _) => {
                notes.push(format!("{place}: {} means nothing here", leaf.key))
            }
            (Key::Unknown(nearest), _) => {
                let hint = nearest
                    .map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"));
                return Err(Fault::Setting(format!(
                    "{place}: unknown key {}{hint}",
                    leaf.key
                )));
            }
            (Key::Section, Some(_)) => {
                return Err(Fault::Setting(format!(
                    "{place}: {}: expected keys below it",
                    leaf.key
                )));
            }
            // All below it may be commented out.
            (Key::Flag(_) | Key::Section, None) => {}
            (Key::Flag(_), Some(values)) if values.is_empty() => {
                return Err(Fault::Setting(format!(
                    "{place}: {}: expected a value or a list of values",
                    leaf.key
                )));
            }
            (Key::Flag(flag), Some(values)) => {
                let values = if names::repeats(command, &flag) {
                    values
                } else {
                    vec![values.join(",")]
                };
                items.push(Item {
                    flag,
                    values,
                    origin: place,
                });
            }
        }
    }
    Ok(items)
}

/// Whether the parser takes a setting, so that the one that is wrong is named with its place.
fn judge(command: &Command, item: &Item) -> Result<(), Fault> {
    let arguments = std::iter::once(String::new()).chain(item.arguments());
    match command.clone().try_get_matches_from(arguments) {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::Setting(format!(
            "{}: {}",
            item.origin,
            args::one_line(&error)
        ))),
    }
}

/// Variables that Kubernetes makes of a service's name, such as `KEPLER_PORT_28282_TCP_ADDR`.
fn is_service_link(name: &str) -> bool {
    name.contains("_SERVICE_") || name.ends_with("_PORT") || name.contains("_PORT_")
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
        }
    }
}
