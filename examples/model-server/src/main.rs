//! Kepler's model server: serves power models over HTTP, and trains, checks and fetches them.

mod args;
mod jobs;
mod manage;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        None => serve::run(&args.serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Train(train)) => jobs::train::run(&train),
        Some(Command::Eval(eval)) => jobs::eval::run(&eval),
        Some(Command::Show(show)) => jobs::show::run(&show),
        Some(Command::Pull(pull)) => manage::pull::run(&pull),
        Some(Command::Check(check)) => manage::check::run(&check),
    };
    done.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stderr, reason = "the last word of a failed command")]
fn complain(error: &str) {
    eprintln!("kepler-model-server: {error}");
}
