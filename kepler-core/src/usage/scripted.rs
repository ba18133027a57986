//! Usage that is told instead of read, for tests and demonstrations.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::note::Note;

use super::{Usage, UsageSource};

/// A [`UsageSource`] that says what it was told.
///
/// ```
/// use std::time::Duration;
/// use kepler_core::usage::{Scripted, Usage, UsageSource};
///
/// let mut busy = Usage::default();
/// busy.node.busy_ns = 500;
/// let mut source = Scripted::frames([Usage::default(), busy]);
/// let mut usage = Usage::default();
/// source.sample(Duration::from_secs(1), &mut usage)?;
/// source.sample(Duration::from_secs(2), &mut usage)?;
/// assert_eq!(usage.node.busy_ns, 500);
/// # Ok::<(), kepler_core::Error>(())
/// ```
pub struct Scripted(Box<Script>);

type Script = dyn FnMut(Duration, &mut Usage) -> Result<()> + Send;

impl Scripted {
    /// Calls `script` for each sample with its time since boot. It finds in the usage what it left there the time before.
    pub fn new(script: impl FnMut(Duration, &mut Usage) -> Result<()> + Send + 'static) -> Self {
        Self(Box::new(script))
    }

    /// Plays `frames`, one a sample; then each sample is an error of kind [`crate::ErrorKind::Unsupported`].
    pub fn frames(frames: impl IntoIterator<Item = Usage, IntoIter: Send + 'static>) -> Self {
        let mut frames = frames.into_iter();
        Self::new(move |_, usage| {
            *usage = frames.next().ok_or_else(|| Error::Unsupported {
                what: "another sample".into(),
                why: "the script has ended".into(),
                hint: String::new(),
            })?;
            Ok(())
        })
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl UsageSource for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn sample(&mut self, now: Duration, usage: &mut Usage) -> Result<()> {
        (self.0)(now, usage)
    }

    fn notes(&self) -> Vec<Note> {
        vec![Note::on("scripted", "figures that a program made up")]
    }
}
