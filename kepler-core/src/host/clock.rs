//! The kernel's clocks: since boot, and the CPU time of threads and processes.

use std::time::Duration;

use super::Host;

impl Host {
    /// Time since boot, suspend included (`CLOCK_BOOTTIME`): the clock of process start times.
    pub fn since_boot() -> Duration {
        clock(libc::CLOCK_BOOTTIME).unwrap_or_default()
    }

    /// How much of the time since boot this machine was suspended.
    pub fn suspended() -> Duration {
        let awake = clock(libc::CLOCK_MONOTONIC).unwrap_or_default();
        Self::since_boot().saturating_sub(awake)
    }

    /// CPU time of the calling thread.
    pub fn thread_cpu_time() -> Duration {
        clock(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default()
    }

    /// CPU time of this process: its threads, those that ended included, without its children.
    pub fn process_cpu_time() -> Duration {
        clock(libc::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default()
    }

    /// CPU time of another process, its ended threads included, to the nanosecond. `None` when there is no such process in
    /// this process's pid namespace.
    pub fn other_cpu_time(pid: u32) -> Option<Duration> {
        let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0)?;
        // A process's CPU clock is the complement of its pid, shifted by three, with the scheduler's clock in the low bits.
        clock((!pid).wrapping_shl(3) | 2)
    }

    /// CPU time of this process's children that ended and were waited for, and of theirs.
    pub fn children_cpu_time() -> Duration {
        // SAFETY: an all-zero rusage is a valid one; the call only writes there.
        #[expect(unsafe_code, reason = "std has no getrusage")]
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
            usage
        };
        cpu_time(&usage)
    }
}

/// User and system time together.
#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "CPU times are positive and their microseconds are below a million"
)]
pub(crate) fn cpu_time(usage: &libc::rusage) -> Duration {
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "these clocks are positive and their nanoseconds are below a billion"
)]
fn clock(id: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "std has none of these clocks")]
    // SAFETY: the pointer is to a timespec that lives through the call, and the call only writes there.
    let failed = unsafe { libc::clock_gettime(id, &raw mut time) };
    (failed == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
