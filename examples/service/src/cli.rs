//! Arguments, and how what is wrong with them is said.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

/// The arguments of the program, or the code that it ends with.
///
/// Help and version are printed as they are; anything else that is not understood is one line on standard error, and code 2.
///
/// # Errors
/// The exit code, when there is nothing left to do.
#[expect(clippy::print_stderr, reason = "no log is set up yet")]
pub fn parse<A: Parser>(program: &str) -> Result<A, ExitCode> {
    let error = match A::try_parse() {
        Ok(args) => return Ok(args),
        Err(error) => error,
    };
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Nothing is left to do where even this cannot be printed.
        let _ = error.print();
        return Err(ExitCode::SUCCESS);
    }
    eprintln!("{program}: {} (try --help)", line(&error.to_string()));
    Err(ExitCode::from(2))
}

/// What is wrong, and what may have been meant, in one line.
fn line(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let tip = text
        .lines()
        .find_map(|l| l.trim_start().strip_prefix("tip: "));
    match tip {
        Some(tip) => format!("{first}; {tip}"),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_one_line_and_says_what_was_meant() {
        #[derive(Debug, Parser)]
        struct Args {
            #[arg(long = "web.listen-address")]
            listen: Option<String>,
        }
        let error = Args::try_parse_from(["x", "--web.listen-addr=:1"]).unwrap_err();
        let line = line(&error.to_string());
        assert!(!line.contains('\n'));
        assert!(
            line.contains("similar argument exists: '--web.listen-address'"),
            "{line}"
        );
        assert!(Args::parse_from(["x"]).listen.is_none());
    }
}
