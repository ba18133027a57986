//! Containers that run and have no name: worth a question, but not the same one again and again.

use std::collections::HashMap;
use std::sync::Arc;

/// How often a container is asked for out of turn. One that is still unknown then (a pod's sandbox has no name) waits for the
/// answers that come anyway.
const QUESTIONS: u8 = 2;

pub(super) struct Unknown {
    looked: Box<dyn Fn() -> Vec<Arc<str>> + Send>,
    /// How often each was asked for.
    asked: HashMap<Arc<str>, u8>,
}

impl Unknown {
    pub(super) fn new(looked: Box<dyn Fn() -> Vec<Arc<str>> + Send>) -> Self {
        Self {
            looked,
            asked: HashMap::new(),
        }
    }

    /// Whether there is one that a question may help.
    pub(super) fn wants_an_answer(&mut self) -> bool {
        let now = (self.looked)();
        self.asked.retain(|id, _| now.contains(id));
        now.iter()
            .any(|id| self.asked.get(id).is_none_or(|asked| *asked < QUESTIONS))
    }

    /// A question was answered: those that it did not name have one chance less.
    pub(super) fn answered(&mut self) {
        for id in (self.looked)() {
            let asked = self.asked.entry(id).or_default();
            *asked = asked.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn one_that_nobody_knows_is_asked_for_twice_and_no_more() {
        let running: Arc<Mutex<Vec<Arc<str>>>> = Arc::default();
        let shown = Arc::clone(&running);
        let mut unknown = Unknown::new(Box::new(move || shown.lock().unwrap().clone()));
        assert!(!unknown.wants_an_answer());
        running.lock().unwrap().push("sandbox".into());
        for _ in 0..2 {
            assert!(unknown.wants_an_answer());
            unknown.answered();
        }
        assert!(!unknown.wants_an_answer());
        running.lock().unwrap().push("new".into());
        assert!(unknown.wants_an_answer());
        running.lock().unwrap().clear();
        assert!(!unknown.wants_an_answer());
    }
}
