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
pub(super) struct Jobs(Arc<(Mutex<Table>, Condvar)>);

#[derive(Default)]
struct Table {
    jobs: HashMap<String, Job>,
    begun: u64,
}

struct Job {
    /// Which one it is of all, so that one that ends late is not taken for the next of its name.
    number: u64,
    /// How it ended, and when.
    end: Option<(Instant, Result<(), String>)>,
}

/// Whoever waits for an end asks again sooner; one that nobody asked for any more says nothing about now.
const STALE: Duration = Duration::from_secs(60);

impl Jobs {
    /// Begins a job, or joins the one of that name, and waits for its end as long as `patience`. An end is told once.
    pub(super) fn run(
        &self,
        name: &str,
        patience: Duration,
        work: impl FnOnce(&str) -> Result<(), String> + Send + 'static,
    ) -> State {
        let begun = Instant::now();
        let mut table = self.table();
        table.forget_stale(begun);
        let number = match table.jobs.get(name) {
            Some(job) => job.number,
            None => match self.begin(&mut table, name, work) {
                Ok(number) => number,
                Err(error) => return State::Done(Err(error)),
            },
        };
        loop {
            let job = table.jobs.get(name).filter(|job| job.number == number);
            if job.is_some_and(|job| job.end.is_some()) {
                let end = table.jobs.remove(name).and_then(|job| job.end);
                return end.map_or(State::Running, |(_, end)| State::Done(end));
            }
            let left = patience.saturating_sub(begun.elapsed());
            // Somebody else may have seen the end already.
            if left.is_zero() || job.is_none() {
                return State::Running;
            }
            let waited = self.0.1.wait_timeout(table, left);
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn begin(
        &self,
        table: &mut Table,
        name: &str,
        work: impl FnOnce(&str) -> Result<(), String> + Send + 'static,
    ) -> Result<u64, String> {
        table.begun += 1;
        let number = table.begun;
        let job = Job { number, end: None };
        let (jobs, owned) = (self.clone(), name.to_owned());
        let work = move || {
            let mut ending = Ending {
                jobs,
                name: owned,
                number,
                // A panic in the work must not leave the job running for ever.
                end: Err("it ended without a word".to_owned()),
            };
            ending.end = work(&ending.name);
        };
        let thread = std::thread::Builder::new().name("pull".to_owned());
        thread
            .spawn(work)
            .map_err(|e| format!("cannot start a thread: {e}"))?;
        table.jobs.insert(name.to_owned(), job);
        Ok(number)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_stale(&mut self, now: Instant) {
        self.jobs.retain(|_, job| {
            let ended = job.end.as_ref().map(|(when, _)| *when);
            ended.is_none_or(|when| now.saturating_duration_since(when) < STALE)
        });
    }
}

/// Tells the end of a job, however it comes.
struct Ending {
    jobs: Jobs,
    name: String,
    number: u64,
    end: Result<(), String>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, Ok(()));
        let mut table = self.jobs.table();
        let job = table.jobs.get_mut(&self.name);
        if let Some(job) = job.filter(|job| job.number == self.number) {
            job.end = Some((Instant::now(), end));
        }
        drop(table);
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
    #[test]
    fn an_end_that_nobody_asked_for_is_told_for_a_while_only() {
        let jobs = Jobs::default();
        let fails = |_: &str| Err("the first".to_owned());
        let _ = jobs.run("a", Duration::ZERO, fails);
        let ended = |table: &Table| table.jobs["a"].end.is_some();
        let mut table = jobs.table();
        while !ended(&table) {
            table = jobs.0.1.wait(table).unwrap();
        }
        let (when, _) = table.jobs["a"].end.clone().unwrap();
        table.forget_stale(when + STALE / 2);
        assert!(ended(&table));
        table.forget_stale(when + STALE);
        assert!(table.jobs.is_empty());
    }

    #[test]
    fn a_panic_is_an_end() {
        let panics = |_: &str| panic!("on purpose");
        let end = Jobs::default().run("a", Duration::from_secs(60), panics);
        assert_eq!(end, State::Done(Err("it ended without a word".to_owned())));
    }

    #[test]
    fn ends_of_many_jobs_of_one_name_are_their_own() {
        let jobs = Jobs::default();
        for round in 0..2000 {
            let work = move |_: &str| Err(round.to_string());
            let end = jobs.run("a", Duration::from_secs(60), work);
            assert_eq!(end, State::Done(Err(round.to_string())));
        }
    }
}
