//! The eBPF source on whatever kernel this runs on. As an ordinary program it checks the kernel at hand; as the first process
//! of a machine it mounts what it needs and powers off at the end, so that one static binary is all that a kernel needs.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]
#![expect(clippy::print_stdout, reason = "its report is what it prints")]

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use kepler_core::usage::ebpf::{Ebpf, Options};
use kepler_core::usage::{Counter, Usage, UsageSource};
use kepler_core::{ErrorKind, Host};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("spin"), Some(milliseconds)) => {
            spin(milliseconds.parse().unwrap());
            ExitCode::SUCCESS
        }
        // A test runner that asks for the list of tests.
        (Some("--list"), _) => ExitCode::SUCCESS,
        _ if std::process::id() == 1 => as_init(),
        _ => check(),
    }
}

fn check() -> ExitCode {
    let release = Host::default().text("/proc/sys/kernel/osrelease").unwrap();
    let mut options = Options::default();
    options.counters = Counter::ALL.into_iter().collect();
    options.stand_ins = true;
    let mut source = match Ebpf::open(&Host::default(), &options) {
        Ok(source) => source,
        Err(error)
            if error.kind() == ErrorKind::PermissionDenied && std::env::var_os("CI").is_none() =>
        {
            println!("skipped: {error}");
            return ExitCode::SUCCESS;
        }
        Err(error) => panic!("{error}"),
    };
    println!("kernel {}", release.trim());
    for note in source.notes() {
        println!("  {note}");
    }
    let mut usage = Usage::default();
    source.sample(Host::since_boot(), &mut usage).unwrap();
    let (lives, short) = share(&mut source, &mut usage, 60, 20);
    let (_, busy) = share(&mut source, &mut usage, 1, 3000);
    println!(
        "  {lives} of 60 short lives have records, {short:.4} of their getrusage; a busy process {busy:.4}"
    );
    let least = if first_process_is_hidden() { 56 } else { 60 };
    assert!(lives >= least, "{lives} of 60, where {least} must have one");
    assert!((0.99..1.01).contains(&short), "{short}");
    assert!((0.995..1.005).contains(&busy), "{busy}");
    println!("PASS");
    ExitCode::SUCCESS
}

/// Whether BPF does not see the first process, which root cannot look into either: what is freed in an interrupt of that one
/// leaves no record.
fn first_process_is_hidden() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let program = Host::default().link("/proc/1/exe");
    root && program.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
}

/// Runs `count` processes of so many milliseconds: how many have a record, and the CPU time in these, of what `getrusage` says
/// of all, or, where the first process is hidden, of those alone; there, another round of three is taken when none has one.
#[expect(clippy::cast_precision_loss, reason = "some seconds in nanoseconds")]
fn share(source: &mut Ebpf, usage: &mut Usage, count: usize, milliseconds: u32) -> (usize, f64) {
    let hidden = first_process_is_hidden();
    for _ in 0..3 {
        let mut truth: HashMap<u32, u64> = (0..count).map(|_| run(milliseconds)).collect();
        let mut seen = HashMap::new();
        let start = Instant::now();
        // Records come within a second; on a slow machine later.
        let over = |seen: usize| match start.elapsed().as_secs() {
            0..3 => false,
            3..20 => hidden || seen == count,
            _ => true,
        };
        while !over(seen.len()) {
            std::thread::sleep(Duration::from_millis(250));
            source.sample(Host::since_boot(), usage).unwrap();
            for process in usage.processes.iter().filter(|p| p.ended) {
                let pid = process.process.key.pid;
                if truth.contains_key(&pid) {
                    *seen.entry(pid).or_insert(0) += process.delta.cpu_ns;
                }
            }
        }
        if hidden {
            truth.retain(|pid, _| seen.contains_key(pid));
        }
        if !truth.is_empty() {
            let share = seen.values().sum::<u64>() as f64 / truth.values().sum::<u64>() as f64;
            return (seen.len(), share);
        }
    }
    (0, 0.0)
}

fn spin(milliseconds: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(milliseconds) {
        std::hint::black_box(0);
    }
}

/// Pid and CPU time in nanoseconds, by `getrusage`, of a process that works for so long.
#[expect(unsafe_code, reason = "std has no wait4")]
#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
fn run(milliseconds: u32) -> (u32, u64) {
    let child = Command::new("/proc/self/exe")
        .args(["spin", &milliseconds.to_string()])
        .spawn()
        .unwrap();
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: the child was not waited for; all zeros is a valid rusage that the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let mut status = 0;
        assert_eq!(libc::wait4(pid, &raw mut status, 0, &raw mut usage), pid);
        usage
    };
    let times = [usage.ru_utime, usage.ru_stime];
    let cpu_ns = times
        .iter()
        .map(|t| u64::try_from(t.tv_sec * 1_000_000_000 + t.tv_usec * 1000).unwrap());
    (child.id(), cpu_ns.sum())
}

/// Mounts, checks, powers off. A panic of the first process would stop the machine with no word of it.
#[expect(unsafe_code, reason = "std can neither mount nor power off")]
fn as_init() -> ExitCode {
    for (kind, place) in [
        (c"proc", c"/proc"),
        (c"sysfs", c"/sys"),
        (c"cgroup2", c"/sys/fs/cgroup"),
    ] {
        // SAFETY: the strings end in NUL and outlive the calls.
        unsafe {
            libc::mkdir(place.as_ptr(), 0o755);
            libc::mount(
                kind.as_ptr(),
                place.as_ptr(),
                kind.as_ptr(),
                0,
                std::ptr::null(),
            );
        }
    }
    if std::panic::catch_unwind(check).is_err() {
        println!("FAIL");
    }
    // SAFETY: no pointers.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    ExitCode::FAILURE
}
