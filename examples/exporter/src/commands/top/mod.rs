//! `top`: a live table of what uses the most.

mod app;
mod screen;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use kepler_core::monitor::{Monitor, Snapshot, WorkloadKind};
use kepler_service::log::{self, LogFormat, LogLevel};
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::args::Args;
use crate::duration::interval;
use app::App;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Time between two samples
    #[arg(short = 'd', long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    delay: Duration,
    /// Print plain tables instead of a screen: so many, or without end for 0
    #[arg(short = 'n', long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "0")]
    batch: Option<u64>,
    /// Whose figures to show first
    #[arg(short = 'l', long, value_name = "LEVEL", default_value = "process")]
    level: Level,
    /// Workloads a plain table
    #[arg(long, value_name = "N", default_value_t = 15)]
    rows: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Process,
    Container,
    Pod,
    Vm,
}

impl From<Level> for WorkloadKind {
    fn from(level: Level) -> Self {
        match level {
            Level::Process => Self::Process,
            Level::Container => Self::Container,
            Level::Pod => Self::Pod,
            Level::Vm => Self::Vm,
        }
    }
}

/// A monitor, and its last sample for whoever learns the names of pods.
struct Watch {
    monitor: Monitor,
    latest: Arc<Mutex<Arc<Snapshot>>>,
}

impl Watch {
    /// Starts to learn the names of pods where they are asked for.
    fn open(args: &Args) -> Result<Self, String> {
        let builder = args.machine.monitor();
        let mut monitor = builder.build().map_err(|e| e.to_string())?;
        let first = monitor.sample().map_err(|e| e.to_string())?;
        let latest = Arc::new(Mutex::new(first));
        if let Some(settings) = args.kube.settings(&args.machine_name()) {
            let shown = Arc::clone(&latest);
            let names = monitor.pod_names();
            kepler_service::kube::start(&settings, names, move || newest(&shown))?;
        }
        Ok(Self { monitor, latest })
    }

    fn latest(&self) -> Arc<Snapshot> {
        newest(&self.latest)
    }

    fn sample(&mut self) -> Result<Arc<Snapshot>, String> {
        let snapshot = self.monitor.sample().map_err(|e| e.to_string())?;
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&snapshot);
        Ok(snapshot)
    }
}

fn newest(latest: &Mutex<Arc<Snapshot>>) -> Arc<Snapshot> {
    Arc::clone(&latest.lock().unwrap_or_else(PoisonError::into_inner))
}

const TWO_SECONDS: Duration = Duration::from_secs(2);

impl Options {
    pub(super) fn run(&self, args: &Args) -> Result<ExitCode, String> {
        let live_screen = self.batch.is_none() && std::io::stdout().is_terminal();
        if live_screen {
            // What is said would be written over the table, which tells of it itself.
            log::start(LogLevel::Error, LogFormat::Text);
        }
        let watch = Watch::open(args)?;
        let delay = if self.delay.is_zero() {
            TWO_SECONDS
        } else {
            self.delay
        };
        let app = App::new(watch.latest(), self.level.into(), delay);
        if live_screen {
            live(watch, app)
        } else {
            self.batch(watch, app, self.batch.unwrap_or(1))
        }
    }

    fn batch(&self, mut watch: Watch, mut app: App, tables: u64) -> Result<ExitCode, String> {
        let mut printed = 0;
        while tables == 0 || printed < tables {
            std::thread::sleep(app.delay);
            app.show(watch.sample()?);
            let text = screen::plain(&app, self.rows);
            super::print(text.as_bytes())?;
            printed += 1;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Until it is told to end. The terminal is as it was before, whatever happens.
fn live(mut watch: Watch, mut app: App) -> Result<ExitCode, String> {
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
                match watch.sample() {
                    Ok(snapshot) => app.show(snapshot),
                    Err(error) => break Err(error),
                }
            }
        }
    };
    ratatui::restore();
    ended
}
