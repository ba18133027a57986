//! Kepler's model server: serves power models over HTTP, and trains, checks and fetches them.

mod args;
mod hold;
mod jobs;
mod manage;
mod serve;

use std::process::ExitCode;

use kepler_service::log;

use args::{Args, Command};

fn main() -> ExitCode {
    let args: Args = match kepler_service::parse("kepler-model-server") {
        Ok(args) => args,
        Err(code) => return code,
    };
    log::start(args.log.level, args.log.format);
    let done = match args.command {
        None => serve::run(&args.serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Hold(hold)) => hold::run(&hold),
        Some(Command::Train(train)) => jobs::train::run(&train),
        Some(Command::Eval(eval)) => jobs::eval::run(&eval),
        Some(Command::Show(show)) => jobs::show::run(&show),
        Some(Command::Pull(pull)) => manage::pull::run(&pull),
        Some(Command::Check(check)) => manage::check::run(&check),
    };
    done.unwrap_or_else(|error| {
        log::error(&error);
        ExitCode::FAILURE
    })
}
