//! Kepler 0.11's way to turn a switch off.

use std::ffi::OsString;

use clap::{Arg, Command};

use crate::args;

/// `--no-NAME` as `--NAME=false`. From a command's name or `--` on nothing is touched: that may be another program's.
pub(super) fn negated(command: &Command, arguments: &[OsString]) -> Vec<OsString> {
    let mut own = true;
    let mut awaits_value = false;
    let one = |argument: &OsString| {
        let text = argument.to_str().unwrap_or_default();
        let is_value = std::mem::take(&mut awaits_value) && !text.starts_with('-');
        own &= is_value || text != "--" && command.find_subcommand(text).is_none();
        if !own || is_value {
            return argument.clone();
        }
        let switch = text
            .strip_prefix("--no-")
            .filter(|name| flag(command, name).is_some_and(args::is_switch));
        awaits_value = text.strip_prefix("--").is_some_and(|name| {
            flag(command, name)
                .is_some_and(|a| a.get_action().takes_values() && !a.is_require_equals_set())
        });
        match switch {
            Some(name) => format!("--{name}=false").into(),
            None => argument.clone(),
        }
    };
    let program = arguments.first().cloned();
    let rest = arguments.iter().skip(1).map(one);
    program.into_iter().chain(rest).collect()
}

fn flag<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let named = |a: &&Arg| {
        a.get_long() == Some(name)
            || a.get_all_aliases()
                .is_some_and(|aliases| aliases.contains(&name))
    };
    command.get_arguments().find(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn only_the_programs_own_switches_are_turned_off() {
        for (given, meant) in [
            // The first is the program's name, whatever that is.
            ("measure --no-harden", "measure --harden=false"),
            ("x --no-harden --no-fake", "x --harden=false --fake=false"),
            (
                "x --no-harden measure echo --no-harden",
                "x --harden=false measure echo --no-harden",
            ),
            (
                "x --no-harden -- --no-harden",
                "x --harden=false -- --no-harden",
            ),
            ("x --no-node-name --no-such", "x --no-node-name --no-such"),
            // A value that is spelt as a command.
            (
                "x --node-name measure --no-harden",
                "x --node-name measure --harden=false",
            ),
            (
                "x --kube.node-name top --no-harden",
                "x --kube.node-name top --harden=false",
            ),
            (
                "x --node-name=top --no-harden",
                "x --node-name=top --harden=false",
            ),
            ("x --harden top --no-harden", "x --harden top --no-harden"),
            (
                "x --experimental.gpu.enabled --no-harden",
                "x --experimental.gpu.enabled --harden=false",
            ),
        ] {
            let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            assert_eq!(negated(&args::command(), &words(given)), words(meant));
        }
        let odd = [OsString::from("x"), OsStr::from_bytes(b"\xff").to_owned()];
        assert_eq!(negated(&args::command(), &odd), odd);
    }
}
