//! How far long work is: a bar at a terminal, a line now and then in a log.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use kepler_core::model::train::Watch;

/// Time between two lines.
const LINE: Duration = Duration::from_secs(10);

/// Has work tell how far it is, under a name.
pub(super) fn watch(name: &str) -> Watch<'static> {
    let name = name.to_owned();
    if std::io::stderr().is_terminal() {
        let bar = ProgressBar::new(1000).with_message(name);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {percent} %, {eta}") {
            bar.set_style(style);
        }
        return Watch::new(move |progress| {
            bar.set_position(per_mille(progress.done));
            ControlFlow::Continue(())
        });
    }
    let mut last = Instant::now();
    Watch::new(move |progress| {
        if last.elapsed() >= LINE {
            last = Instant::now();
            tell(&format!(
                "{name}: {} %, {}",
                per_mille(progress.done) / 10,
                progress.stage
            ));
        }
        ControlFlow::Continue(())
    })
}

/// Says a line beside the result.
#[expect(clippy::print_stderr, reason = "progress of a command")]
pub(super) fn tell(text: &str) {
    eprintln!("{text}");
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share from 0 to 1"
)]
fn per_mille(done: f64) -> u64 {
    (done * 1000.0) as u64
}
