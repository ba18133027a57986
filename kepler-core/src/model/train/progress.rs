//! Telling how far long work is, and stopping it.

use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// How far a training run is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// What is being done, such as `ExtraTrees, fold 3`.
    pub stage: &'a str,
    /// The share that is done, from 0 to 1.
    pub done: f64,
}

/// Where long work reports to, and asks whether to go on.
///
/// Whoever returns [`ControlFlow::Break`] from the callback gets [`Error::Cancelled`] from the work.
///
/// ```
/// use std::ops::ControlFlow;
/// use kepler_core::model::train::Watch;
///
/// let mut shares = Vec::new();
/// let mut watch = Watch::new(|p| {
///     shares.push(p.done);
///     ControlFlow::Continue(())
/// });
/// watch.report("fitting", 0.5)?;
/// drop(watch);
/// assert_eq!(shares, [0.5]);
/// # Ok::<(), kepler_core::Error>(())
/// ```
pub struct Watch<'a> {
    callback: Box<dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a>,
    stage: String,
    from: f64,
    share: f64,
}

impl<'a> Watch<'a> {
    /// Reports to a callback.
    pub fn new(callback: impl FnMut(Progress<'_>) -> ControlFlow<()> + 'a) -> Self {
        Self {
            callback: Box::new(callback),
            stage: String::new(),
            from: 0.0,
            share: 1.0,
        }
    }

    /// Reports to nobody and is never cancelled.
    pub fn none() -> Self {
        Self::new(|_| ControlFlow::Continue(()))
    }

    /// Reports the share `done` of the present part of the work.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the callback says so.
    pub fn report(&mut self, stage: &str, done: f64) -> Result<()> {
        let stage = match (self.stage.as_str(), stage) {
            ("", stage) | (stage, "") => stage.to_owned(),
            (outer, inner) => format!("{outer}, {inner}"),
        };
        let progress = Progress {
            stage: &stage,
            done: self.from + self.share * done.clamp(0.0, 1.0),
        };
        match (self.callback)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled("training")),
        }
    }

    /// Does one part of several: what it reports as done is part `index` of `count`.
    pub(super) fn part<T>(
        &mut self,
        stage: &str,
        (index, count): (usize, usize),
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = (self.stage.clone(), self.from, self.share);
        let share = self.share / count.max(1) as f64;
        if !stage.is_empty() {
            self.stage = stage.to_owned();
        }
        self.from += share * index as f64;
        self.share = share;
        let result = work(self);
        (self.stage, self.from, self.share) = outer;
        result
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
