//! The ledger against a made-up kernel that does all that a real one may: a pass during which threads and processes come
//! and go, records that come late, a ring that is full, pids that are used again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::usage::identity::Identity;
use crate::usage::{ProcessKey, Usage};

use super::super::record::{Events, Exit, LEADER, Task, Total};
use super::overflow::Bucket;
use super::{Ledger, Names};

/// Paths by id, and identities that tell the pid.
pub(super) struct Fake;

impl Names for Fake {
    fn identity(&mut self, pid: u32) -> Identity {
        Identity {
            exe: Some(format!("/bin/{pid}").into()),
            command: None,
        }
    }

    fn cgroup(&mut self, id: u64, _pid: Option<u32>) -> Option<Arc<str>> {
        Some(format!("/{id}").into())
    }
}

#[derive(Clone, Debug)]
struct Life {
    key: ProcessKey,
    cgroup: u64,
    /// Run time of each living thread; the leader's is the first.
    threads: Vec<u64>,
    dead_ns: u64,
}

impl Life {
    fn total(&self) -> u64 {
        self.threads.iter().sum::<u64>() + self.dead_ns
    }

    fn task(&self, thread: usize) -> Task {
        Task {
            tgid: self.key.pid,
            local: self.key.pid,
            flags: if thread == 0 { LEADER } else { 0 },
            start_ns: self.key.start_ns,
            cpu_ns: self.threads[thread],
            dead_cpu_ns: self.dead_ns,
            cgroup: self.cgroup,
            ..Task::default()
        }
    }
}

/// The kernel, what the ledger made of it, and the truth.
struct World {
    ledger: Ledger,
    usage: Usage,
    now_ns: u64,
    lives: Vec<Life>,
    /// Records on their way, in the ring, and its size.
    coming: Vec<Exit>,
    ring: Vec<Exit>,
    room: usize,
    dropped: BTreeMap<u64, Total>,
    nowhere: Total,
    /// What each process did in all, and before it was first seen.
    truth: HashMap<ProcessKey, u64>,
    before: HashMap<ProcessKey, u64>,
    without_name: Vec<ProcessKey>,
    charged: HashMap<ProcessKey, u64>,
    ended: Vec<ProcessKey>,
    unnamed: u64,
    passes: usize,
}

const MS: u64 = 1_000_000;
/// So few pids that they are used again all the time.
const PIDS: u32 = 6;

impl World {
    fn new(room: usize) -> Self {
        Self {
            ledger: Ledger::new(false),
            usage: Usage::default(),
            now_ns: 1_000_000 * MS,
            lives: Vec::new(),
            coming: Vec::new(),
            ring: Vec::new(),
            room,
            dropped: BTreeMap::new(),
            nowhere: Total::default(),
            truth: HashMap::new(),
            before: HashMap::new(),
            without_name: Vec::new(),
            charged: HashMap::new(),
            ended: Vec::new(),
            unnamed: 0,
            passes: 0,
        }
    }

    /// One thing that happens, chosen by a random word.
    fn step(&mut self, word: u32) {
        let [kind, who, how, much] = word.to_ne_bytes();
        self.now_ns += MS;
        let who = usize::from(who);
        match kind % 12 {
            0..=2 => self.spawn(who, u64::from(how % 3)),
            3..=6 => self.run(who, usize::from(how), u64::from(much) * MS / 256),
            7 => self.thread(who),
            8 => self.end_thread(who, usize::from(how)),
            9 => self.end(who),
            10 => self.deliver(),
            _ => self.now_ns += u64::from(much) * MS,
        }
    }

    fn spawn(&mut self, pid: usize, cgroup: u64) {
        let pid = u32::try_from(pid).unwrap() % PIDS + 1;
        if self.lives.iter().any(|life| life.key.pid == pid) {
            return;
        }
        let key = ProcessKey {
            pid,
            start_ns: self.now_ns,
        };
        self.lives.push(Life {
            key,
            cgroup,
            threads: vec![0],
            dead_ns: 0,
        });
    }

    fn with(&mut self, who: usize, act: impl FnOnce(&mut Life)) {
        let count = self.lives.len();
        if count > 0 {
            act(&mut self.lives[who % count]);
        }
    }

    fn run(&mut self, who: usize, thread: usize, ns: u64) {
        self.now_ns += ns;
        self.with(who, |life| {
            let count = life.threads.len();
            life.threads[thread % count] += ns;
        });
    }

    fn thread(&mut self, who: usize) {
        self.with(who, |life| life.threads.push(0));
    }

    /// A pass that does not see a thread at its end, in the very first pass, cannot know what it did before.
    fn end_thread(&mut self, who: usize, thread: usize) {
        self.with(who, |life| {
            if life.threads.len() > 1 {
                let thread = 1 + thread % (life.threads.len() - 1);
                life.dead_ns += life.threads.remove(thread);
            }
        });
    }

    fn end(&mut self, who: usize) {
        let count = self.lives.len();
        if count == 0 {
            return;
        }
        let life = self.lives.swap_remove(who % count);
        self.truth.insert(life.key, life.total());
        self.coming.push(Exit {
            tgid: life.key.pid,
            start_ns: life.key.start_ns,
            cpu_ns: life.total(),
            cgroup: life.cgroup,
            ..Exit::default()
        });
    }

    /// Records that were on their way arrive, or find no room.
    fn deliver(&mut self) {
        for exit in std::mem::take(&mut self.coming) {
            if self.ring.len() < self.room {
                self.ring.push(exit);
                continue;
            }
            // The hash has room for two cgroups.
            let total = match exit.cgroup {
                0 | 1 => self.dropped.entry(exit.cgroup).or_default(),
                _ => &mut self.nowhere,
            };
            total.records += 1;
            total.counters.cpu_ns += exit.cpu_ns;
            self.without_name.push(exit.key());
        }
    }

    /// A sample during which `words` happen.
    fn sample(&mut self, words: &[u32]) {
        self.passes += 1;
        self.ledger.begin(Duration::from_nanos(self.now_ns), 1);
        let buckets = self.dropped.iter().map(|(id, total)| (Some(*id), total));
        let all: Vec<(Bucket, Total)> = buckets
            .chain([(None, &self.nowhere)])
            .map(|(bucket, total)| (bucket, *total))
            .collect();
        for (bucket, total) in &all {
            self.ledger.overflow(*bucket, total);
        }
        let mut words = words.iter();
        let mut visited: Vec<(ProcessKey, usize)> = Vec::new();
        while let Some((at, thread)) = self.next(&visited) {
            let life = &self.lives[at];
            visited.push((life.key, thread));
            self.ledger.task(&life.task(thread), None::<&Events>);
            // In the first pass, to start with, nothing moves: a baseline is what it saw.
            if let Some(word) = words.next().filter(|_| self.passes > 1) {
                self.step(*word);
            }
        }
        for exit in self.ring.drain(..) {
            self.ledger.exit(&exit);
        }
        self.ledger.finish(&mut Fake, &mut self.usage);
        if self.passes == 1 {
            self.before = self
                .lives
                .iter()
                .map(|life| (life.key, life.total()))
                .collect();
        }
        self.book();
    }

    /// The next task that a pass has not visited, in the order of pids.
    fn next(&self, visited: &[(ProcessKey, usize)]) -> Option<(usize, usize)> {
        let mut order: Vec<usize> = (0..self.lives.len()).collect();
        order.sort_by_key(|at| self.lives[*at].key.pid);
        order.into_iter().find_map(|at| {
            let life = &self.lives[at];
            let seen = visited.iter().filter(|(key, _)| *key == life.key).count();
            let passed = visited
                .last()
                .is_some_and(|(key, _)| key.pid > life.key.pid);
            (!passed && seen < life.threads.len()).then_some((at, seen))
        })
    }

    fn book(&mut self) {
        for process in &self.usage.processes {
            let key = process.process.key;
            assert!(!self.ended.contains(&key), "{key:?} is told after its end");
            *self.charged.entry(key).or_default() += process.delta.cpu_ns;
            if process.ended {
                self.ended.push(key);
            }
        }
        self.unnamed += self.usage.lost.cpu_ns;
        self.unnamed += self
            .usage
            .unnamed
            .iter()
            .map(|u| u.delta.cpu_ns)
            .sum::<u64>();
        assert_eq!(self.usage.refused_ns, 0);
    }

    /// What a process did since it was first seen.
    fn owed(&self, key: ProcessKey) -> u64 {
        let living = self.lives.iter().find(|life| life.key == key);
        let total = living.map_or_else(|| self.truth[&key], Life::total);
        total - self.before.get(&key).copied().unwrap_or(0)
    }

    fn keys(&self) -> Vec<ProcessKey> {
        let living = self.lives.iter().map(|life| life.key);
        living.chain(self.truth.keys().copied()).collect()
    }

    fn never_too_much(&self) {
        let all: u64 = self.charged.values().sum::<u64>() + self.unnamed;
        let owed: u64 = self.keys().iter().map(|key| self.owed(*key)).sum();
        assert!(all <= owed, "{all} of {owed}");
        let charged = |key| self.charged.get(key).copied().unwrap_or(0);
        let nameless = self
            .without_name
            .iter()
            .map(|key| self.owed(*key) - charged(key));
        let nameless: u64 = nameless.sum();
        assert!(self.unnamed <= nameless, "{} of {nameless}", self.unnamed);
        for (key, charged) in &self.charged {
            assert!(
                *charged <= self.owed(*key),
                "{key:?}: {charged} of {}",
                self.owed(*key)
            );
        }
    }

    fn exact_at_rest(&mut self) {
        self.deliver();
        for _ in 0..2 {
            self.now_ns += MS;
            self.sample(&[]);
        }
        let all: u64 = self.charged.values().sum::<u64>() + self.unnamed;
        let owed: u64 = self.keys().iter().map(|key| self.owed(*key)).sum();
        assert_eq!(all, owed);
        for key in self.keys() {
            let charged = self.charged.get(&key).copied().unwrap_or(0);
            if !self.without_name.contains(&key) {
                assert_eq!(charged, self.owed(key), "{key:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_trace_is_booked_once_and_in_full(
        room in prop_oneof![Just(0usize), Just(1), Just(3), Just(1000)],
        before in prop::collection::vec(any::<u32>(), 0..40),
        rounds in prop::collection::vec(
            (prop::collection::vec(any::<u32>(), 0..40), prop::collection::vec(any::<u32>(), 0..12)),
            0..12,
        ),
    ) {
        let mut world = World::new(room);
        for word in before {
            world.step(word);
        }
        // What ended before the first pass is nobody's.
        world.coming.clear();
        world.ring.clear();
        world.truth.clear();
        world.without_name.clear();
        world.dropped.clear();
        world.nowhere = Total::default();
        world.now_ns += 100 * MS;
        world.sample(&[]);
        for (between, during) in rounds {
            for word in between {
                world.step(word);
            }
            world.sample(&during);
            world.never_too_much();
        }
        world.exact_at_rest();
    }
}
