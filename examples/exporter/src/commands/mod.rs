//! What the program does besides serving metrics.

mod doctor;
mod man;
mod measure;
#[cfg(feature = "top")]
mod top;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use crate::args::{self, Args};

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show live what uses the most
    #[cfg(feature = "top")]
    Top(top::Options),
    /// Run a command and tell what it used
    Measure(measure::Options),
    /// Tell what works on this machine and what would make more work
    Doctor(doctor::Options),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for man -l
    Man,
}

impl Command {
    /// Does it. The exit code is that of the program.
    pub(crate) fn run(&self, args: &Args) -> Result<ExitCode, String> {
        let machine = &args.machine;
        match self {
            #[cfg(feature = "top")]
            Self::Top(options) => options.run(args),
            Self::Measure(options) => options.run(machine),
            Self::Doctor(options) => options.run(machine),
            Self::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(*shell, &mut args::command(), NAME, &mut text);
                print(&text)
            }
            Self::Man => {
                let page = man::page(&args::command().name(NAME));
                print(&page.map_err(|e| e.to_string())?)
            }
        }
    }
}

const NAME: &str = "kepler-exporter";

/// Prints a text. A reader that takes only the first lines of it is content.
pub(crate) fn print(text: &[u8]) -> Result<ExitCode, String> {
    match io::stdout()
        .write_all(text)
        .and_then(|()| io::stdout().flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
