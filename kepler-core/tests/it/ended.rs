//! What several scrapers at different times see of processes that end.

use std::collections::HashMap;

use kepler_core::monitor::{ExportMark, Snapshot, State};
use proptest::prelude::*;

use crate::fold::{Life, TURNS, lives, monitor, running};

/// A scraper that adds up growths, as `sum(increase(..))` does: what a series is first seen at has not grown.
struct Scraper {
    mark: ExportMark,
    every: usize,
    at: usize,
    seen: HashMap<String, u64>,
    grown: u64,
    /// What living processes had used when it saw them first.
    before: u64,
}

impl Scraper {
    fn new(mark: ExportMark, every: usize, at: usize) -> Self {
        Self {
            mark,
            every,
            at: at % every,
            seen: HashMap::new(),
            grown: 0,
            before: 0,
        }
    }

    fn scrape(&mut self, turn: usize, snapshot: &Snapshot) {
        if turn % self.every != self.at {
            return;
        }
        let processes = snapshot.processes.iter().map(|p| {
            let alive = p.usage.state == State::Running;
            (
                format!("{:?}", p.process.key),
                p.usage.counters.cpu_ns,
                alive,
            )
        });
        let ended = snapshot.ended.iter();
        let ended = ended.map(|e| (format!("{:?}", e.comm), e.usage.counters.cpu_ns, false));
        for (series, value, alive) in processes.chain(ended) {
            match self.seen.insert(series, value) {
                Some(earlier) => self.grown += value.checked_sub(earlier).expect("a counter fell"),
                None if alive => self.before += value,
                None => {}
            }
        }
        self.mark.exported(snapshot);
    }
}

fn used(lives: &[Life]) -> u64 {
    let all = (1..=TURNS).flat_map(|turn| running(lives, turn));
    all.map(|ran| ran.delta.cpu_ns).sum()
}

/// Lives from when both scrapers are known on.
fn late(mut lives: Vec<Life>) -> Vec<Life> {
    lives.iter_mut().for_each(|life| life.born += 12);
    lives.retain(|life| life.born + life.work.len() + 12 < TURNS);
    lives
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_of_a_pair_see_all_that_ended_processes_used(
        lives in lives(),
        every in 1_usize..5,
        phase in 0_usize..5,
    ) {
        let lives = late(lives);
        let mut monitor = monitor(&lives).build().unwrap();
        let mark = monitor.export_mark();
        let mut pair = [0, phase].map(|at| Scraper::new(mark.of(("scraper", at == 0)), every, at));
        for turn in 1..=TURNS {
            let snapshot = monitor.sample().unwrap();
            pair.iter_mut().for_each(|scraper| scraper.scrape(turn, &snapshot));
        }
        for scraper in pair {
            prop_assert!(scraper.grown <= used(&lives), "{} of {}", scraper.grown, used(&lives));
            prop_assert!(
                scraper.grown + scraper.before >= used(&lives),
                "{} and {} of {}", scraper.grown, scraper.before, used(&lives)
            );
        }
    }

    #[test]
    fn both_of_a_pair_see_all_beside_a_crowd_that_looks_once(
        lives in lives(),
        every in 2_usize..5,
    ) {
        let lives = late(lives);
        let mut monitor = monitor(&lives).build().unwrap();
        let mark = monitor.export_mark();
        let mut pair = [0, 1].map(|at| Scraper::new(mark.of(("scraper", at)), every, at));
        for turn in 1..=TURNS {
            let snapshot = monitor.sample().unwrap();
            pair.iter_mut().for_each(|scraper| scraper.scrape(turn, &snapshot));
            (0..50).for_each(|client| mark.of((turn, client)).exported(&snapshot));
        }
        for scraper in pair {
            prop_assert!(scraper.grown <= used(&lives), "{} of {}", scraper.grown, used(&lives));
            prop_assert!(
                scraper.grown + scraper.before >= used(&lives),
                "{} and {} of {}", scraper.grown, scraper.before, used(&lives)
            );
        }
    }

    #[test]
    fn none_of_several_sees_more_than_was_used(
        lives in lives(),
        scrapers in prop::collection::vec((1_usize..9, 0_usize..9), 1..4),
        limit in 0_usize..6,
    ) {
        let mut monitor = monitor(&lives).ended_limit(limit).build().unwrap();
        let mark = monitor.export_mark();
        let scrapers = (0..).zip(&scrapers);
        let mut scrapers: Vec<_> =
            scrapers.map(|(i, (every, at))| Scraper::new(mark.of(i), *every, *at)).collect();
        for turn in 1..=TURNS {
            let snapshot = monitor.sample().unwrap();
            scrapers.iter_mut().for_each(|scraper| scraper.scrape(turn, &snapshot));
        }
        for scraper in scrapers {
            prop_assert!(scraper.grown <= used(&lives), "{} of {}", scraper.grown, used(&lives));
        }
    }
}
