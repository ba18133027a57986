//! Loads that whole-process figures are taken under. Each prints what it did as one line of JSON.
//!
//! ```text
//! load wake PROCESSES HZ SECONDS        processes that sleep and wake
//! load threads PROCESSES THREADS SECONDS   processes full of sleeping threads
//! load short COUNT MILLISECONDS [MIB]   processes one after another, each burning CPU (and touching memory) before it ends
//! load churn RATE SECONDS               forks a second, each child ending at once
//! load reads|tcp|switches|forks SECONDS [COUNTER]   one operation again and again: ns each. With the path of a file of eight
//!                                       bytes it runs on the first CPU alone and counts there
//! ```
#![expect(clippy::print_stdout, reason = "a program for a terminal")]
#![expect(unsafe_code, reason = "fork, wait4 and getrusage")]

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use kepler_benches::Shared;

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize, default: u64| -> u64 {
        words.get(at).map_or(default, |word| {
            word.parse()
                .unwrap_or_else(|_| usage(&format!("{word:?} is not a number")))
        })
    };
    let counted = ["reads", "tcp", "switches", "forks"];
    let path = words
        .get(2)
        .filter(|_| counted.contains(&words[0].as_str()));
    let counter = path.map(|path| {
        kepler_benches::pin(0);
        Shared::open(Path::new(path)).unwrap_or_else(|e| usage(&format!("{path}: {e}")))
    });
    match words.first().map(String::as_str) {
        Some("wake") => wake(number(1, 2000), number(2, 10), number(3, 60)),
        Some("threads") => threads(number(1, 2000), number(2, 30), number(3, 60)),
        Some("short") => short(number(1, 845), number(2, 20), number(3, 0)),
        Some("churn") => churn(number(1, 100), number(2, 60)),
        Some("reads") => repeat("reads", number(1, 5), counter.as_ref(), cached_reads()),
        Some("tcp") => repeat("tcp", number(1, 5), counter.as_ref(), tcp_round_trips()),
        Some("switches") => repeat("switches", number(1, 5), counter.as_ref(), switches()),
        Some("forks") => repeat("forks", number(1, 5), counter.as_ref(), forks()),
        _ => usage("no such load"),
    }
}

fn usage(why: &str) -> ! {
    eprintln!("load: {why}; see the head of benches/src/bin/load.rs");
    std::process::exit(2);
}

/// Forks a child that runs `work` and ends. Only called while this process has one thread.
fn fork(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this program has one thread when it forks, so the child may do anything.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => usage(&format!("fork: {}", io::Error::last_os_error())),
        0 => {
            // A child that outlives a killed parent would spoil the next figure.
            // SAFETY: no pointers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            work();
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        child => child,
    }
}

/// Waits for a child and returns its CPU time.
fn wait(pid: libc::pid_t) -> Duration {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid one, and both places outlive the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::wait4(pid, &raw mut status, 0, &raw mut usage);
        usage
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn time(t: libc::timeval) -> Duration {
    Duration::new(
        t.tv_sec.cast_unsigned(),
        u32::try_from(t.tv_usec).unwrap_or(0) * 1000,
    )
}

fn wake(processes: u64, hz: u64, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let pause = Duration::from_secs(1) / u32::try_from(hz.max(1)).unwrap_or(u32::MAX);
    let children: Vec<_> = (0..processes)
        .map(|_| {
            fork(|| {
                while Instant::now() < end {
                    std::thread::sleep(pause);
                }
            })
        })
        .collect();
    let cpu: Duration = children.into_iter().map(wait).sum();
    println!(
        r#"{{"load":"wake","processes":{processes},"cpu_seconds":{:.3}}}"#,
        cpu.as_secs_f64()
    );
}

fn threads(processes: u64, threads: u64, seconds: u64) {
    let children: Vec<_> = (0..processes)
        .map(|_| {
            fork(|| {
                for _ in 1..threads {
                    let sleeper = std::thread::Builder::new().stack_size(16 << 10);
                    let _ = sleeper.spawn(move || std::thread::sleep(Duration::from_secs(seconds)));
                }
                std::thread::sleep(Duration::from_secs(seconds));
            })
        })
        .collect();
    let cpu: Duration = children.into_iter().map(wait).sum();
    println!(
        r#"{{"load":"threads","processes":{processes},"threads":{threads},"cpu_seconds":{:.3}}}"#,
        cpu.as_secs_f64()
    );
}

/// Burns CPU for so long by the process's own clock.
fn burn(cpu: Duration) {
    let mut spent = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        for i in 0..2000_u64 {
            std::hint::black_box(i.wrapping_mul(i));
        }
        // SAFETY: the place outlives the call.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut spent) };
        let nanos = u32::try_from(spent.tv_nsec).unwrap_or(0);
        if Duration::new(spent.tv_sec.cast_unsigned(), nanos) >= cpu {
            return;
        }
    }
}

fn short(count: u64, milliseconds: u64, mib: u64) {
    let mut cpu = Duration::ZERO;
    for _ in 0..count {
        cpu += wait(fork(|| {
            let mut memory = vec![0_u8; usize::try_from(mib << 20).unwrap_or(0)];
            for page in memory.chunks_mut(4096) {
                page[0] = 1;
            }
            std::hint::black_box(&memory);
            burn(Duration::from_millis(milliseconds));
        }));
    }
    println!(
        r#"{{"load":"short","processes":{count},"cpu_seconds":{:.6}}}"#,
        cpu.as_secs_f64()
    );
}

fn churn(rate: u64, seconds: u64) {
    let start = Instant::now();
    let (mut done, mut cpu) = (0_u64, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) {
        cpu += wait(fork(|| ()));
        done += 1;
        let due = Duration::from_secs_f64(
            f64::from(u32::try_from(done).unwrap_or(u32::MAX))
                / f64::from(u32::try_from(rate.max(1)).unwrap_or(u32::MAX)),
        );
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    println!(
        r#"{{"load":"churn","processes":{done},"cpu_seconds":{:.3}}}"#,
        cpu.as_secs_f64()
    );
}

/// Repeats one operation for so long and tells nanoseconds each.
fn repeat(name: &str, seconds: u64, counter: Option<&Shared>, mut operation: impl FnMut()) {
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut done = 0_u32;
    while start.elapsed() < limit {
        for _ in 0..16 {
            operation();
        }
        done += 16;
        if let Some(counter) = counter {
            counter.add(16);
        }
    }
    let nanos = start.elapsed().as_secs_f64() * 1e9 / f64::from(done.max(1));
    println!(r#"{{"load":"{name}","operations":{done},"ns_each":{nanos:.1}}}"#);
}

fn cached_reads() -> impl FnMut() {
    let path = env::temp_dir().join(format!("kepler-load-{}", std::process::id()));
    std::fs::write(&path, vec![7_u8; 1 << 20])
        .unwrap_or_else(|e| usage(&format!("{}: {e}", path.display())));
    #[expect(clippy::disallowed_methods, reason = "a file of this program's own")]
    let file = File::open(&path).unwrap_or_else(|e| usage(&e.to_string()));
    let _ = std::fs::remove_file(&path);
    let (mut block, mut at) = (vec![0_u8; 4096], 0_u64);
    move || {
        let _ = file.read_at(&mut block, at);
        at = (at + 4096) & ((1 << 20) - 1);
    }
}

fn tcp_round_trips() -> impl FnMut() {
    let fail = |e: io::Error| -> ! { usage(&e.to_string()) };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| fail(e));
    let address = listener.local_addr().unwrap_or_else(|e| fail(e));
    fork(move || {
        let Ok((mut peer, _)) = listener.accept() else {
            return;
        };
        let _ = peer.set_nodelay(true);
        let mut byte = [0_u8; 1];
        while peer.read_exact(&mut byte).is_ok() && peer.write_all(&byte).is_ok() {}
    });
    let mut peer = TcpStream::connect(address).unwrap_or_else(|e| fail(e));
    let _ = peer.set_nodelay(true);
    let mut byte = [1_u8; 1];
    move || {
        let _ = peer.write_all(&byte);
        let _ = peer.read_exact(&mut byte);
    }
}

/// Two processes on one CPU that wake each other by pipes: two switches an operation.
fn switches() -> impl FnMut() {
    kepler_benches::pin(0);
    let fail = |e: io::Error| -> ! { usage(&e.to_string()) };
    let (mut here_in, mut there_out) = io::pipe().unwrap_or_else(|e| fail(e));
    let (mut there_in, mut here_out) = io::pipe().unwrap_or_else(|e| fail(e));
    fork(move || {
        let mut byte = [0_u8; 1];
        while there_in.read_exact(&mut byte).is_ok() && there_out.write_all(&byte).is_ok() {}
    });
    let mut byte = [1_u8; 1];
    move || {
        let _ = here_out.write_all(&byte);
        let _ = here_in.read_exact(&mut byte);
    }
}

fn forks() -> impl FnMut() {
    || {
        wait(fork(|| ()));
    }
}
