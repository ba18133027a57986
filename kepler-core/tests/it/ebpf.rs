//! The eBPF source on the running kernel: what tasks did, against what `getrusage` says of them.

use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use kepler_core::usage::ebpf::{Ebpf, Options};
use kepler_core::usage::{Counters, ProcessUsage, Usage, UsageSource};
use kepler_core::{ErrorKind, Host};

/// A source that adds its samples up.
pub(crate) struct Watch {
    source: Ebpf,
    usage: Usage,
}

impl Watch {
    /// `None` only where the kernel refuses `bpf()` itself.
    pub(crate) fn open(options: &Options) -> Option<Self> {
        match Ebpf::open(&Host::default(), options) {
            Ok(source) => Some(Self {
                source,
                usage: Usage::default(),
            }),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                skip(&format!("bpf() is refused: {error}"));
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn sample(&mut self) -> &Usage {
        self.source
            .sample(Host::since_boot(), &mut self.usage)
            .unwrap();
        &self.usage
    }

    pub(crate) fn notes(&self) -> Vec<kepler_core::Note> {
        self.source.notes()
    }

    /// Samples for two seconds and until no process is pending. A process that no pass saw alive is not pending: only time
    /// tells that its record came, and on a busy machine that takes a good part of a second.
    pub(crate) fn settle<T>(&mut self, mut each: impl FnMut(&Usage) -> T) {
        let start = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(100));
            each(self.sample());
            let waited = start.elapsed();
            let settled = self.usage.pending == 0 && waited > Duration::from_secs(2);
            if settled || waited > Duration::from_secs(10) {
                return;
            }
        }
    }
}

/// Whether this machine hides its first process from BPF, as some virtual machines do, and with it what the kernel does on top
/// of it: about one process in 200 is freed in an interrupt of that one and leaves no record. Such a first process is closed to
/// root itself.
pub(crate) fn first_process_is_hidden() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let program = Host::default().link("/proc/1/exe");
    root && program.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
}

/// Says that a test could not be run; in CI, where it can, it fails.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "skipped in CI: {why}");
    eprintln!("skipped: {why}");
}

/// Runs `check` until it passes, three times at most.
pub(crate) fn attempts(check: impl Fn() -> Result<(), String>) {
    let mut failed = Vec::new();
    for _ in 0..3 {
        match check() {
            Ok(()) => return,
            Err(reason) => failed.push(reason),
        }
    }
    panic!("{failed:#?}");
}

/// `Err` with both figures where they differ by more than `share`.
pub(crate) fn near(seen: u64, truth: u64, share: f64) -> Result<(), String> {
    let ratio = seen as f64 / truth as f64;
    if (ratio - 1.0).abs() <= share {
        Ok(())
    } else {
        Err(format!("{seen} of {truth}: {ratio}"))
    }
}

/// Sends `signal` to a child, waits for it, and tells its CPU time in nanoseconds by `getrusage`.
#[expect(unsafe_code, reason = "std has no wait4")]
#[expect(clippy::needless_pass_by_value, reason = "it is over after this")]
pub(crate) fn end(child: Child, signal: libc::c_int) -> u64 {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: the child was not waited for, so the pid is still its own; all zeros is a valid rusage that the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::kill(pid, signal);
        assert_eq!(libc::wait4(pid, &raw mut status, 0, &raw mut usage), pid);
        usage
    };
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|t| u64::try_from(t.tv_sec * 1_000_000_000 + t.tv_usec * 1000).unwrap())
        .sum()
}

fn mine(usage: &Usage) -> Option<&ProcessUsage> {
    usage
        .processes
        .iter()
        .find(|p| p.process.key.pid == std::process::id())
}

#[test]
fn a_busy_process_that_never_sleeps_is_exact() {
    attempts(|| {
        let Some(mut watch) = Watch::open(&Options::default()) else {
            return Ok(());
        };
        watch.sample();
        let child = shell("while :; do :; done");
        let pid = child.id();
        let mut seen = 0;
        for _ in 0..10 {
            std::thread::sleep(Duration::from_secs(1));
            let delta = of_pid(watch.sample(), pid).expect("it lives").delta.cpu_ns;
            assert!(delta > 0, "it never switches out, and still runs");
            seen += delta;
        }
        let truth = end(child, libc::SIGKILL);
        watch.settle(|usage| seen += of_pid(usage, pid).map_or(0, |p| p.delta.cpu_ns));
        near(seen, truth, 0.005)
    });
}

#[test]
fn the_first_slice_of_a_process_counts() {
    let Some(mut watch) = Watch::open(&Options::default()) else {
        return;
    };
    watch.sample();
    let child = shell("while :; do :; done");
    std::thread::sleep(Duration::from_millis(300));
    let usage = watch.sample();
    let seen = of_pid(usage, child.id()).expect("it lives").delta.cpu_ns;
    let shown = schedstat(child.id());
    end(child, libc::SIGKILL);
    // The scheduler's own figure, read a moment later.
    assert!(seen > 10_000_000 && seen <= shown, "{seen} of {shown}");
    assert!(shown - seen < 50_000_000, "{seen} of {shown}");
}

#[test]
fn the_first_sample_is_a_baseline() {
    let Some(mut watch) = Watch::open(&Options::default()) else {
        return;
    };
    let usage = watch.sample();
    assert!(usage.processes.len() > 10);
    assert!(
        usage
            .processes
            .iter()
            .all(|p| p.delta == Counters::default())
    );
    let me = mine(usage).unwrap();
    assert_eq!(
        me.process.exe.as_deref(),
        std::env::current_exe().unwrap().to_str()
    );
}

#[test]
fn what_is_attached_is_told() {
    let Some(watch) = Watch::open(&Options::default()) else {
        return;
    };
    let parts: Vec<_> = watch
        .notes()
        .into_iter()
        .map(|note| (note.part, note.active))
        .collect();
    let on = |part: &str| parts.contains(&(part.to_owned(), true));
    assert!(
        on("iter/task") && on("sched_process_free") && on("cgroup_mkdir"),
        "{parts:?}"
    );
    assert!(
        !parts.iter().any(|(part, _)| part == "sched_switch"),
        "{parts:?}"
    );
}

pub(crate) fn of_pid(usage: &Usage, pid: u32) -> Option<&ProcessUsage> {
    usage.processes.iter().find(|p| p.process.key.pid == pid)
}

pub(crate) fn shell(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).spawn().unwrap()
}

/// Run time of a process' main thread, from the scheduler.
fn schedstat(pid: u32) -> u64 {
    let host = Host::default();
    let text = host.text(host.proc(format!("{pid}/schedstat"))).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}
