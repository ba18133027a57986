//! How one setting is spelt in each place: flag, file, environment.

use clap::{ArgAction, Command};

/// Keys of the file of Kepler 0.11 that do not follow from the flag's name. A flag that this build lacks makes its key one
/// without meaning.
const RENAMED: &[(&str, &str)] = &[
    ("exporter.prometheus.metricsLevel", "metrics"),
    ("exporter.prometheus.enabled", "exporter.prometheus"),
    ("exporter.stdout.enabled", "exporter.stdout"),
    ("web.listenAddresses", "web.listen-address"),
    ("web.configFile", "web.config.file"),
    ("kube.enabled", "kube.enable"),
    ("kube.nodeName", "node-name"),
    ("dev.fake-cpu-meter.enabled", "fake"),
];

/// Keys of Kepler 0.11 and flags of it that mean nothing here.
const WITHOUT_MEANING: &[&str] = &[
    "monitor.staleness",
    "exporter.prometheus.debugCollectors",
    "debug.pprof",
    "debug.pprof.enabled",
    "dev.fake-cpu-meter.zones",
    "experimental.hwmon.chipRules",
    "experimental.hwmon.forceEnabled",
    "experimental.hwmon.enabled",
    "experimental.hwmon.zones",
    "experimental.gpu.dcgmEndpoint",
];

/// Flags that steer the program and are no settings.
const STEERING: &[&str] = &["help", "version", "config.file", "config.check"];

/// What a key of the file turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The setting of this flag.
    Flag(String),
    /// One of Kepler 0.11 that means nothing here.
    WithoutMeaning,
    /// What keys stand below.
    Section,
    /// None, and the nearest one.
    Unknown(Option<String>),
}

/// The flags that are settings, in the order of declaration.
pub(super) fn flags(command: &Command) -> impl Iterator<Item = &str> {
    let long = command.get_arguments().filter_map(|a| a.get_long());
    long.filter(|flag| !STEERING.contains(flag))
}

/// The key of a flag in the file.
pub(super) fn file_key(flag: &str) -> String {
    match RENAMED.iter().find(|(_, renamed)| *renamed == flag) {
        Some((key, _)) => (*key).to_owned(),
        None => camel(flag),
    }
}

/// The variable of a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("KEPLER_{}", flag.replace(['.', '-'], "_").to_uppercase())
}

/// What `key` of the file means.
pub(super) fn resolve(command: &Command, key: &str) -> Key {
    let wanted = bare(key);
    let renamed = RENAMED.iter().find(|(known, _)| bare(known) == wanted);
    let name = renamed.map_or(wanted.clone(), |(_, flag)| bare(flag));
    if let Some(flag) = flags(command).find(|flag| bare(flag) == name) {
        return Key::Flag(flag.to_owned());
    }
    if renamed.is_some() || is_without_meaning(key) {
        return Key::WithoutMeaning;
    }
    let known = || flags(command).map(file_key);
    let below = wanted + ".";
    let without_meaning = WITHOUT_MEANING.iter().map(ToString::to_string);
    if known()
        .chain(without_meaning)
        .any(|known| bare(&known).starts_with(&below))
    {
        return Key::Section;
    }
    Key::Unknown(nearest(key, known()))
}

/// Whether this is a key or flag of Kepler 0.11 that means nothing here.
pub(super) fn is_without_meaning(key: &str) -> bool {
    WITHOUT_MEANING.iter().any(|known| bare(known) == bare(key))
}

/// The known name that `name` was probably meant to be.
pub(super) fn nearest(name: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let far = |other: &String| strsim::damerau_levenshtein(&bare(name), &bare(other));
    let best = known.into_iter().min_by_key(far)?;
    (far(&best) <= (name.len() / 3).max(2)).then_some(best)
}

/// Whether a flag may be given more than once.
pub(super) fn repeats(command: &Command, flag: &str) -> bool {
    let mut arguments = command.get_arguments();
    let argument = arguments.find(|a| a.get_long() == Some(flag));
    argument.is_some_and(|a| matches!(a.get_action(), ArgAction::Append))
}

/// Without what spellings differ in.
fn bare(name: &str) -> String {
    name.replace(['-', '_'], "").to_lowercase()
}

fn camel(flag: &str) -> String {
    let mut key = String::with_capacity(flag.len());
    let mut raise = false;
    for c in flag.chars() {
        match c {
            '-' => raise = true,
            c if raise => {
                key.extend(c.to_uppercase());
                raise = false;
            }
            c => key.push(c),
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::command;

    #[test]
    fn a_key_is_found_by_both_spellings() {
        let flag = |name: &str| Key::Flag(name.to_owned());
        for (key, flag) in [
            ("monitor.maxTerminated", flag("monitor.max-terminated")),
            ("monitor.max-terminated", flag("monitor.max-terminated")),
            ("exporter.prometheus.metricsLevel", flag("metrics")),
            ("web.listenAddresses", flag("web.listen-address")),
            ("debug.pprof.enabled", Key::WithoutMeaning),
            (
                "monitor.intervals",
                Key::Unknown(Some("monitor.interval".into())),
            ),
            (
                "monitors.interval",
                Key::Unknown(Some("monitor.interval".into())),
            ),
            ("monitor", Key::Section),
            ("experimental.platform", Key::Section),
            ("dev", Key::Section),
            ("moni", Key::Unknown(None)),
            ("colour", Key::Unknown(None)),
            ("config.file", Key::Unknown(None)),
        ] {
            assert_eq!(resolve(&command(), key), flag, "{key}");
        }
    }

    #[test]
    fn no_two_settings_share_a_name() {
        let command = command();
        let mut names: Vec<String> = flags(&command).map(file_key).collect();
        names.extend(flags(&command).map(variable));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
