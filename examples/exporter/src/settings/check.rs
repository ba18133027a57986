//! What `--config.check` prints: every setting as it holds, in a form that the file takes; secrets are left out.

use clap::Command;

use super::{Item, Settings, names, split};

/// One line a setting: key, value, and where it comes from.
pub(super) fn effective(command: &Command, settings: &Settings) -> String {
    let mut lines = Vec::new();
    for argument in command.get_arguments() {
        let Some(flag) = argument
            .get_long()
            .filter(|flag| names::flags(command).any(|f| f == *flag))
        else {
            continue;
        };
        let key = names::file_key(flag);
        match settings.set.get(flag) {
            Some(item) => lines.push(set(&key, item)),
            None => {
                let defaults = argument.get_default_values().iter();
                let defaults: Vec<String> = defaults
                    .flat_map(|v| split(command, flag, &v.to_string_lossy()))
                    .collect();
                if !argument.is_hide_set() {
                    lines.push(line(&key, &defaults, "default"));
                }
            }
        }
    }
    lines.sort();
    lines.concat()
}

/// A setting that was made. Of URLs what a person may see: what is printed ends in logs and tickets.
fn set(key: &str, item: &Item) -> String {
    let is_url = item.flag.ends_with("url");
    let may_be_seen = |value: &String| match is_url {
        true => kepler_service::shown(value),
        false => value.clone(),
    };
    let values: Vec<String> = item.values.iter().map(may_be_seen).collect();
    let hidden = match values == item.values {
        true => "",
        false => ", with a secret that is not shown",
    };
    line(key, &values, &format!("{}{hidden}", item.origin))
}

fn line(key: &str, values: &[String], origin: &str) -> String {
    let value = match values {
        [] => "null".to_owned(),
        [one] => quoted(one),
        several => format!(
            "[{}]",
            several
                .iter()
                .map(|v| quoted(v))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    format!("{key}: {value} # {origin}\n")
}

/// Plain where a reader takes it as the same text, else in quotes.
fn quoted(text: &str) -> String {
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
