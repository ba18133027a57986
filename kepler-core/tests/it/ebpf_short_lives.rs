//! Processes that live and end between two samples, on the running kernel: at least 99 % of what `getrusage` says of them is
//! in records of processes, by pid and name.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use kepler_core::usage::Usage;
use kepler_core::usage::ebpf::Options;

use crate::ebpf::{Watch, end};

/// Runs `script` under a Python whose children do the work, and returns the CPU time that records of processes named
/// `name` hold, of what `getrusage` says of those children. With `during`, samples are taken while it runs.
fn share(options: &Options, name: &str, script: &str) -> Option<f64> {
    let mut watch = Watch::open(options)?;
    watch.sample();
    let child = Command::new("python3")
        .args([
            "-c",
            &format!("{PRELUDE}NAME = {name:?}\n{script}\n{REPORT}"),
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let told = child.wait_with_output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let truth: f64 = told.trim().parse().unwrap();
    let mut seen = 0;
    let mut pids = HashSet::new();
    watch.settle(|usage| seen += of_name(usage, name, &mut pids));
    assert!(!pids.is_empty(), "no process is named {name}");
    #[expect(clippy::cast_precision_loss, reason = "some seconds in nanoseconds")]
    Some(seen as f64 / 1e9 / truth)
}

fn of_name(usage: &Usage, name: &str, pids: &mut HashSet<u32>) -> u64 {
    let named = usage.processes.iter().filter(|p| &*p.process.comm == name);
    named
        .inspect(|p| {
            pids.insert(p.process.key.pid);
        })
        .map(|p| p.delta.cpu_ns)
        .sum()
}

/// A child renames itself, works, and ends without the interpreter's teardown.
const PRELUDE: &str = "
import ctypes, os, resource, threading, time
libc = ctypes.CDLL(None)
def children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
# Some interpreters start a process of their own.
BEFORE = children()
def rename():
    libc.prctl(15, NAME.encode(), 0, 0, 0)
def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
def child(work):
    pid = os.fork()
    if pid == 0:
        rename()
        work()
        os._exit(0)
    os.waitpid(pid, 0)
";
const REPORT: &str = "
print(children() - BEFORE)
";

fn assert_share(share: Option<f64>) {
    if let Some(share) = share {
        assert!((0.99..1.01).contains(&share), "{share}");
    }
}

#[test]
fn processes_of_20_ms_one_after_another() {
    let script = "for _ in range(300): child(lambda: spin(0.02))";
    assert_share(share(&Options::default(), "short-20ms", script));
}

#[test]
fn processes_of_2_ms() {
    let script = "for _ in range(300): child(lambda: spin(0.002))";
    assert_share(share(&Options::default(), "short-2ms", script));
}

#[test]
fn sixteen_threads_ended_by_exit_group() {
    let script = "
def work():
    def busy():
        while True: spin(1)
    for _ in range(16): threading.Thread(target=busy, daemon=True).start()
    time.sleep(0.3)
for _ in range(4): child(work)";
    assert_share(share(&Options::default(), "short-group", script));
}

#[test]
fn a_leader_that_ends_before_its_threads() {
    let script = "
def work():
    def late():
        spin(0.1)
        libc.syscall(231, 0)
    threading.Thread(target=late, daemon=True).start()
    spin(0.05)
    libc.syscall(60, 0)
for _ in range(5): child(work)";
    assert_share(share(&Options::default(), "short-leader", script));
}

#[test]
fn memory_that_is_given_back_at_the_end() {
    // Teardown of what was touched is a good part of such a life.
    let script = "
import mmap
def work():
    room = mmap.mmap(-1, 512 << 20)
    for at in range(0, 512 << 20, 4096): room[at] = 1
child(work)";
    assert_share(share(&Options::default(), "short-memory", script));
}

#[test]
fn a_ring_that_is_full_loses_names_and_no_time() {
    let mut options = Options::default();
    options.ring_bytes = 4096;
    let Some(mut watch) = Watch::open(&options) else {
        return;
    };
    // One that is known before the storm and ends in it: it must not be charged twice.
    let old = Command::new("sh")
        .args(["-c", "while :; do :; done"])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    watch.sample();
    let marker = "overflow-storm";
    let script = format!(
        "{PRELUDE}NAME = {marker:?}\nfor _ in range(150): child(lambda: spin(0.005))\n{REPORT}"
    );
    let told = Command::new("python3")
        .args(["-c", &script])
        .output()
        .unwrap();
    let storm: f64 = String::from_utf8(told.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let old_pid = old.id();
    let whole = end(old, libc::SIGKILL);
    let (mut named, mut unnamed, mut old_seen) = (0, 0, 0);
    let mut dropped = 0;
    watch.settle(|usage| {
        named += of_name(usage, marker, &mut HashSet::new());
        let old = usage
            .processes
            .iter()
            .find(|p| p.process.key.pid == old_pid);
        old_seen += old.map_or(0, |p| p.delta.cpu_ns);
        unnamed += usage.unnamed.iter().map(|u| u.delta.cpu_ns).sum::<u64>();
        dropped = usage.stats.exit_records_dropped;
    });
    assert!(dropped > 50, "{dropped} records found no room");
    assert!(old_seen < whole, "{old_seen} of {whole}");
    #[expect(clippy::cast_precision_loss, reason = "some seconds in nanoseconds")]
    let (named, unnamed) = (named as f64 / 1e9, unnamed as f64 / 1e9);
    assert!(
        named + unnamed > 0.99 * storm,
        "{named} + {unnamed} of {storm}"
    );
    assert!(unnamed > 0.3 * storm, "{unnamed} of {storm}");
}
