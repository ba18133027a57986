//! `top`: a live table of what uses the most.

mod app;
mod screen;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use kepler_core::monitor::Monitor;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::duration::interval;
use crate::machine::Machine;
use app::App;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Time between two samples
    #[arg(short = 'd', long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    delay: Duration,
    /// Print plain tables instead of a screen: so many, or without end for 0
    #[arg(short = 'n', long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "0")]
    batch: Option<u64>,
    /// Workloads a plain table
    #[arg(long, value_name = "N", default_value_t = 15)]
    rows: usize,
}

const TWO_SECONDS: Duration = Duration::from_secs(2);

impl Options {
    pub(super) fn run(&self, machine: &Machine) -> Result<ExitCode, String> {
        let mut monitor = machine.monitor().build().map_err(|e| e.to_string())?;
        let delay = if self.delay.is_zero() {
            TWO_SECONDS
        } else {
            self.delay
        };
        let app = App::new(monitor.sample().map_err(|e| e.to_string())?, delay);
        match self.batch {
            Some(tables) => self.batch(monitor, app, tables),
            None if std::io::stdout().is_terminal() => live(monitor, app),
            None => self.batch(monitor, app, 1),
        }
    }

    fn batch(&self, mut monitor: Monitor, mut app: App, tables: u64) -> Result<ExitCode, String> {
        let mut printed = 0;
        while tables == 0 || printed < tables {
            std::thread::sleep(app.delay);
            app.show(monitor.sample().map_err(|e| e.to_string())?);
            let text = screen::plain(&app, self.rows);
            super::print(text.as_bytes())?;
            printed += 1;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Until it is told to end. The terminal is as it was before, whatever happens.
fn live(mut monitor: Monitor, mut app: App) -> Result<ExitCode, String> {
    let mut terminal = ratatui::try_init().map_err(|e| format!("cannot use the terminal: {e}"))?;
    // The second sample comes soon, so that the first figures do.
    let mut next = Instant::now() + app.delay.min(Duration::from_millis(500));
    let ended = loop {
        if let Err(error) = terminal.draw(|frame| screen::draw(frame, &mut app)) {
            break Err(format!("cannot draw: {error}"));
        }
        match event::poll(next.saturating_duration_since(Instant::now())) {
            Err(error) => break Err(format!("cannot read keys: {error}")),
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if app.press(key) {
                        break Ok(ExitCode::SUCCESS);
                    }
                }
                Ok(_) => {}
                Err(error) => break Err(format!("cannot read keys: {error}")),
            },
            Ok(false) => {
                next = Instant::now() + app.delay;
                if app.paused {
                    continue;
                }
                match monitor.sample() {
                    Ok(snapshot) => app.show(snapshot),
                    Err(error) => break Err(error.to_string()),
                }
            }
        }
    };
    ratatui::restore();
    ended
}
