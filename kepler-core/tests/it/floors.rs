//! The house has floors: a module uses only floors below its own, and the readers of floor 2 do not know each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kepler_core::Host;

/// Modules by floor, lowest first. A submodule is named where it stands on another floor than its parent.
const FLOORS: [&[&str]; 7] = [
    &["units", "error", "fit"],
    &["host", "counter", "note", "nvml", "process", "provenance"],
    &["energy", "usage", "workload", "model"],
    &["modeled", "model::train"],
    &["attribution"],
    &["monitor", "measure", "doctor"],
    &["metrics", "protocol", "share"],
];

/// Floors whose modules may use each other.
const SHARED: [usize; 3] = [0, 1, 5];

#[test]
fn a_module_uses_only_lower_floors() {
    let sources = sources();
    let exports = exports(&sources["lib"]);
    let mut wrong = Vec::new();
    for (module, text) in sources.iter().filter(|(module, _)| *module != "lib") {
        let (name, floor) = place(module).unwrap_or_else(|| panic!("{module} has no floor"));
        for used in used(text) {
            let first = used.split("::").next().unwrap_or(&used);
            let used = exports.get(first).cloned().unwrap_or(used);
            let Some((other, below)) = place(&used) else {
                panic!("{module} uses {used}, which has no floor");
            };
            let sibling = below == floor && (other == name || SHARED.contains(&floor));
            if below >= floor && !sibling {
                wrong.push(format!(
                    "{module} (floor {floor}) uses {used} (floor {below})"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_form_of_an_import_is_seen() {
    let text = "//! crate::a\n#[cfg(test)]\nmod cases;\nuse crate::{b::C, d::{e, f},\n  g};\n pub(crate) x: crate::h::i::J,\n#[cfg(test)]\nmod tests {\nuse crate::k;";
    assert_eq!(used(text), ["b::C", "d", "g", "h::i"]);
}

/// The entry of [`FLOORS`] that a path such as `model::train::tree` falls under, with its floor.
fn place(path: &str) -> Option<(&'static str, usize)> {
    FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, names)| names.iter().map(move |name| (*name, floor)))
        .filter(|(name, _)| {
            path.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
        .max_by_key(|(name, _)| name.len())
}

/// Paths after `crate::`, two names deep, outside comments and unit tests.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next();
    let code: String = code
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let mut paths = Vec::new();
    for (_, rest) in code
        .match_indices("crate::")
        .map(|(at, found)| (at, &code[at + found.len()..]))
    {
        if let Some(group) = rest.strip_prefix('{') {
            paths.extend(top_level(group).into_iter().map(two_names));
        } else {
            paths.push(two_names(rest));
        }
    }
    paths
}

/// The members of a `{a, b::{c, d}}` group whose opening brace is gone, without what stands in inner braces.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                members.push(group[start..at].trim());
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

fn two_names(path: &str) -> String {
    let end = path
        .find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'))
        .unwrap_or(path.len());
    path[..end]
        .split("::")
        .filter(|name| !name.is_empty())
        .take(2)
        .collect::<Vec<_>>()
        .join("::")
}

/// Where the names that the crate's root exports come from.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let code: String = lib
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let mut exports = BTreeMap::new();
    for statement in code
        .split(';')
        .filter_map(|s| s.trim().strip_prefix("pub use "))
    {
        let (module, names) = statement.rsplit_once("::").unwrap_or((statement, ""));
        for name in names.trim_matches(['{', '}']).split(',') {
            exports.insert(name.trim().to_owned(), module.to_owned());
        }
    }
    exports
}

/// Every source file of the crate by its module path.
fn sources() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let host = Host::default();
    let mut folders = vec![root.clone()];
    let mut sources = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for name in host.names(&folder).unwrap() {
            let path: PathBuf = folder.join(&name);
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let module = path.strip_prefix(&root).unwrap().with_extension("");
                let module = module.to_string_lossy().replace('/', "::");
                let module = module.trim_end_matches("::mod").to_owned();
                sources.insert(module, host.text(&path).unwrap());
            }
        }
    }
    sources
}
