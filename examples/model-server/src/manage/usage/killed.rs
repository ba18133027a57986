//! A process that counts is killed again and again. Whatever moment that was, the file is whole and lacks a second at most.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::{Event, Place, Usage};

/// Tells the process that is to be killed where its file is.
const FILE: &str = "KEPLER_TEST_USAGE_FILE";
const ROUNDS: u64 = 20;
/// A second, and what a machine that is busy with other things takes to run a thread that is due.
const LOSS: Duration = Duration::from_secs(3);

/// The process that is killed: counts as fast as it can, and tells now and then how far it is.
#[test]
fn count_until_killed() {
    let Some(path) = std::env::var_os(FILE) else {
        // Nobody asked: the test of this is the one below.
        return;
    };
    let usage = Usage::open(Place::File(PathBuf::from(path))).unwrap();
    let kept = requests(&usage);
    let counters: Vec<_> = (0..500)
        .map(|n| usage.model(&format!("ec2-0.7.11/m{n}")))
        .collect();
    let mut out = std::io::stdout();
    for count in 1_u64.. {
        for counter in &counters {
            counter.count(Event::Request, SystemTime::now());
        }
        writeln!(out, "count {}", kept + count * 500).unwrap();
        out.flush().unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn killed_at_any_moment_the_file_is_whole_and_lacks_a_second_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("usage.db");
    let (mut before, mut worst) = (0, Duration::ZERO);
    for round in 0..ROUNDS {
        let told = count_and_kill(&path, Duration::from_millis(30 + 97 * round % 1100));
        let killed = told.last().map_or_else(Instant::now, |(when, _)| *when);
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
        let lost = told.iter().find(|(_, count)| *count > kept);
        let lost = lost.map_or(Duration::ZERO, |(when, _)| killed.duration_since(*when));
        assert!(lost <= LOSS, "round {round}: {lost:?} are lost");
        (before, worst) = (kept, worst.max(lost));
    }
    assert!(before > 0, "nothing was ever written");
    println!("{before} requests counted; at most {worst:?} were lost");
}

/// What the process told, and when; the last is what it told before it was killed.
fn count_and_kill(path: &Path, life: Duration) -> Vec<(Instant, u64)> {
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
        let Some(count) = line.strip_prefix("count ").and_then(|c| c.parse().ok()) else {
            continue;
        };
        told.push((Instant::now(), count));
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
