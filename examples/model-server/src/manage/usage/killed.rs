//! A process that counts is killed again and again. Whatever moment that was, the file is whole, and at most the last second is lost.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::beside::Beside;
use super::{Event, Place, Usage};

/// Tells the process that is to be killed where its file is.
const FILE: &str = "KEPLER_TEST_USAGE_FILE";
const ROUNDS: u64 = 20;
/// What may be lost on a machine that runs a thread when it is due. What a thread beside the store's is late by comes on top,
/// twice: a batch waits for the write before it, and for its own.
const LOSS: Duration = Duration::from_secs(1);

/// The process that is killed: counts as fast as it can, and tells now and then how far it is.
#[test]
fn count_until_killed() {
    let Some(path) = std::env::var_os(FILE) else {
        // Nobody asked: the test of this is the one below.
        return;
    };
    let path = PathBuf::from(path);
    let beside = Beside::start(path.with_extension("beside"));
    let usage = Usage::open(Place::File(path)).unwrap();
    let kept = requests(&usage);
    let counters: Vec<_> = (0..500)
        .map(|n| usage.model(&format!("ec2-0.7.11/m{n}")))
        .collect();
    let mut out = std::io::stdout();
    for count in 1_u64.. {
        for counter in &counters {
            counter.count(Event::Request, SystemTime::now());
        }
        let (count, (at, late)) = (kept + count * 500, beside.look());
        writeln!(out, "count {count} {at} {late}").unwrap();
        out.flush().unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn killed_at_any_moment_the_file_is_whole_and_at_most_the_last_second_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usage.db");
    let (mut before, mut worst) = (0, Duration::ZERO);
    for round in 0..ROUNDS {
        let told = count_and_kill(&path, Duration::from_millis(30 + 97 * round % 1100));
        let last = told.last().expect("it counts before it is killed");
        let (killed, late) = (last.at, last.late);
        let usage = Usage::open(Place::File(path.clone())).unwrap();
        let kept = requests(&usage);
        assert!(kept >= before, "round {round}: {kept} of {before} are left");
        // All models were counted alike: a batch is there as a whole or not at all, but for the round that it was taken in.
        let each: Vec<u64> = usage.view().models.values().map(|f| f.requests).collect();
        let (least, most) = (each.iter().min().copied(), each.iter().max().copied());
        assert!(
            most <= least.map(|least| least + round + 1),
            "round {round}: {least:?} to {most:?}"
        );
        let lost = told.iter().find(|told| told.count > kept);
        let lost = lost.map_or(Duration::ZERO, |told| killed.saturating_sub(told.at));
        assert!(
            lost <= LOSS + 2 * late,
            "round {round}: {lost:?} are lost, where a thread was late by {late:?}"
        );
        (before, worst) = (kept, worst.max(lost));
    }
    assert!(before > 0, "nothing was ever written");
    println!("{before} requests counted; at most {worst:?} were lost");
}

/// What the process told, by its own clock.
struct Told {
    count: u64,
    at: Duration,
    /// By how much a thread was late until then.
    late: Duration,
}

impl Told {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("count ")?.split(' ').map(str::parse);
        let mut next = || words.next()?.ok();
        Some(Self {
            count: next()?,
            at: Duration::from_micros(next()?),
            late: Duration::from_micros(next()?),
        })
    }
}

/// What the process told until it was killed.
fn count_and_kill(path: &Path, life: Duration) -> Vec<Told> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "manage::usage::killed::count_until_killed",
            "--nocapture",
        ])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut told, mut begun) = (Vec::new(), None);
    for line in lines.map_while(Result::ok) {
        let Some(now) = Told::parse(&line) else {
            continue;
        };
        told.push(now);
        if begun.get_or_insert_with(Instant::now).elapsed() >= life {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    told
}

fn requests(usage: &Usage) -> u64 {
    usage.view().models.values().map(|f| f.requests).sum()
}
