//! Reads what a scraper reads, by our own eyes and by programs that are not ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

/// A family as the text shows it.
pub(crate) struct Shown {
    pub(crate) kind: String,
    pub(crate) labels: BTreeSet<String>,
}

pub(crate) fn families(text: &str) -> BTreeMap<String, Shown> {
    let mut families: BTreeMap<String, Shown> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            let shown = Shown {
                kind: kind.to_owned(),
                labels: BTreeSet::new(),
            };
            assert!(
                families.insert(name.to_owned(), shown).is_none(),
                "{name} twice"
            );
        }
    }
    for (name, labels, _) in samples(text) {
        if let Some(family) = families.get_mut(&name) {
            family.labels.extend(labels.into_keys());
        }
    }
    families
}

pub(crate) type Labels = BTreeMap<String, String>;

pub(crate) fn samples(text: &str) -> Vec<(String, Labels, f64)> {
    let lines = text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty());
    lines
        .map(|line| sample(line).unwrap_or_else(|| panic!("{line}")))
        .collect()
}

fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
            let (mut value, mut chars) = (String::new(), after.char_indices());
            let close = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, plain) => value.push(plain),
                }
            };
            labels.insert(label.to_owned(), value);
            rest = &after[close + 1..];
        }
        rest = &rest[1..];
    }
    Some((name.to_owned(), labels, rest.trim().parse().ok()?))
}

pub(crate) fn matching(text: &str, name: &str, wanted: &[(&str, &str)]) -> Vec<f64> {
    let has = |labels: &Labels| {
        wanted
            .iter()
            .all(|(k, v)| labels.get(*k).is_some_and(|l| l == v))
    };
    let found = samples(text)
        .into_iter()
        .filter(|(n, labels, _)| n == name && has(labels));
    found.map(|(_, _, value)| value).collect()
}

pub(crate) fn count(text: &str, name: &str, wanted: &[(&str, &str)]) -> usize {
    matching(text, name, wanted).len()
}

pub(crate) fn value(text: &str, name: &str, wanted: &[(&str, &str)]) -> f64 {
    match matching(text, name, wanted).as_slice() {
        [value] => *value,
        found => panic!("{} series {name} {wanted:?}", found.len()),
    }
}

/// Runs a program that reads `text`; `None` where it is not installed.
pub(crate) fn fed(program: &str, arguments: &[&str], text: &str) -> Option<std::process::Output> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        missing(program);
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    let text = text.to_owned();
    let feeder = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    Some(output)
}

pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing");
    eprintln!("skipped: {what} is missing");
}
