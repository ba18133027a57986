//! Work that outlives the request that began it: one at a time by name, and any request may wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Done(Result<(), String>),
}

/// The jobs that run, and the ends that nobody has seen yet.
#[derive(Clone, Default)]
pub(super) struct Jobs(Arc<(Mutex<HashMap<String, State>>, Condvar)>);

impl Jobs {
    /// Begins a job, or joins the one of that name, and waits for its end as long as `patience`. An end is told once.
    pub(super) fn run(
        &self,
        name: &str,
        patience: Duration,
        work: impl FnOnce(&str) -> Result<(), String> + Send + 'static,
    ) -> State {
        let mut states = self.states();
        if !states.contains_key(name) {
            states.insert(name.to_owned(), State::Running);
            let (jobs, name) = (self.clone(), name.to_owned());
            std::thread::spawn(move || {
                // A panic in the work must not leave the job running for ever.
                let end = Ending {
                    jobs: &jobs,
                    name: &name,
                };
                let done = work(&name);
                end.jobs.states().insert(name.clone(), State::Done(done));
            });
        }
        let until = Instant::now() + patience;
        loop {
            if let Some(State::Done(_)) = states.get(name) {
                return states.remove(name).unwrap_or(State::Running);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !states.contains_key(name) {
                return State::Running;
            }
            let waited = self.0.1.wait_timeout(states, left);
            states = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn states(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Ending<'a> {
    jobs: &'a Jobs,
    name: &'a str,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut states = self.jobs.states();
        if let Some(state @ State::Running) = states.get_mut(self.name) {
            *state = State::Done(Err("it ended without a word".to_owned()));
        }
        drop(states);
        self.jobs.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_job_runs_once_and_its_end_is_told_once() {
        let (jobs, (go, wait)) = (Jobs::default(), channel::<()>());
        let slow = move |_: &str| wait.recv().map_err(|e| e.to_string());
        assert_eq!(jobs.run("a", Duration::ZERO, slow), State::Running);
        let never = |_: &str| panic!("the first is running");
        assert_eq!(
            jobs.run("a", Duration::from_millis(1), never),
            State::Running
        );
        go.send(()).unwrap();
        let long = Duration::from_secs(60);
        let never = |_: &str| Err("begun twice".to_owned());
        assert_eq!(jobs.run("a", long, never), State::Done(Ok(())));
        let again = |_: &str| Err("the second".to_owned());
        assert_eq!(
            jobs.run("a", long, again),
            State::Done(Err("the second".to_owned()))
        );
    }
}
