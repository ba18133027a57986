//! Several servers that share a store, tested with the real one where there is one.

mod cluster;
mod configmap;
#[cfg(feature = "postgres")]
mod database;
#[cfg(feature = "postgres")]
mod postgres;

use std::time::{Duration, Instant, SystemTime};

use super::{Event, Usage};

const LONG: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(30);

/// Counts `times` requests and as many inferences of one model out of three, each after a rest.
fn use_models(usage: &Usage, times: u64, rest: Duration) -> Duration {
    let mut longest = Duration::ZERO;
    for time in 0..times {
        let begun = Instant::now();
        let counter = usage.model(["a", "b", "c"][usize::try_from(time % 3).unwrap()]);
        counter.count(Event::Request, SystemTime::now());
        counter.count(Event::Inference, SystemTime::now());
        longest = longest.max(begun.elapsed());
        std::thread::sleep(rest);
    }
    longest
}

/// Waits until a replica shows so many requests in all; then each model has a third of them.
fn shows(usage: &Usage, requests: u64) {
    let begun = Instant::now();
    loop {
        let view = usage.fresh_view(PATIENCE);
        let sum: u64 = view.models.values().map(|f| f.requests).sum();
        if sum == requests && view.failing.is_none() {
            for (name, figures) in &view.models {
                let counts = (figures.requests, figures.inferences);
                assert_eq!(counts, (requests / 3, requests / 3), "{name}");
            }
            return;
        }
        assert!(
            sum <= requests,
            "{sum} of {requests}: something was counted twice"
        );
        assert!(begun.elapsed() < LONG, "{sum} of {requests}; {view:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
