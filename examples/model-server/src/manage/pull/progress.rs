//! How far a download is: a bar for a person at a terminal, plain lines otherwise, and the log's lines in a server.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use kepler_service::log;

/// Where it is told how far a download is.
pub(crate) struct Progress {
    name: String,
    kind: Kind,
    size: Option<u64>,
}

enum Kind {
    Log(Instant),
    Lines(Instant),
    Bar(ProgressBar),
}

/// Time between two lines.
const LINE: Duration = Duration::from_secs(5);

impl Progress {
    /// Tells the log.
    pub(crate) fn logged(name: &str) -> Self {
        Self::new(name, Kind::Log(Instant::now()))
    }

    /// Tells a person if standard error is a terminal, whoever reads it otherwise.
    pub(crate) fn of(name: &str) -> Self {
        let kind = if std::io::stderr().is_terminal() {
            Kind::Bar(ProgressBar::no_length().with_message(name.to_owned()))
        } else {
            Kind::Lines(Instant::now())
        };
        Self::new(name, kind)
    }

    fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            size: None,
        }
    }

    /// A try begins: `at` bytes are there, of `size` in all where that is known.
    pub(super) fn begin(&mut self, size: Option<u64>, at: u64) {
        self.size = size;
        match &self.kind {
            Kind::Bar(bar) => {
                let form = match size {
                    Some(_) => "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta}",
                    None => "{msg} {spinner} {bytes}, {bytes_per_sec}",
                };
                if let Ok(style) = ProgressStyle::with_template(form) {
                    bar.set_style(style);
                }
                if let Some(size) = size {
                    bar.set_length(size);
                }
                bar.set_position(at);
                bar.reset_eta();
            }
            Kind::Lines(_) | Kind::Log(_) if at > 0 => {
                self.tell(&format!("going on after {at} bytes"));
            }
            Kind::Lines(_) | Kind::Log(_) => {}
        }
    }

    /// So many bytes are there.
    pub(super) fn at(&mut self, at: u64) {
        match &mut self.kind {
            Kind::Bar(bar) => bar.set_position(at),
            Kind::Lines(last) | Kind::Log(last) if last.elapsed() >= LINE => {
                *last = Instant::now();
                match self.size {
                    Some(size) => {
                        let percent = at.saturating_mul(100) / size.max(1);
                        self.tell(&format!("{percent} % of {size} bytes"));
                    }
                    None => self.tell(&format!("{at} bytes")),
                }
            }
            Kind::Lines(_) | Kind::Log(_) => {}
        }
    }

    /// Says a line.
    #[expect(clippy::print_stderr, reason = "progress of a command")]
    pub(super) fn tell(&self, text: &str) {
        match &self.kind {
            Kind::Log(_) => log::info(&format!("{}: {text}", self.name)),
            Kind::Bar(bar) => bar.println(format!("{}: {text}", self.name)),
            Kind::Lines(_) => eprintln!("{}: {text}", self.name),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}
