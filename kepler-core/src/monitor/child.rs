//! Waiting for a child with its own resource usage, its ended children included.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::host::cpu_time;

/// Waits for `child` and returns its status and the CPU time of it and of its children that it waited for.
#[expect(clippy::cast_possible_wrap, reason = "pids are below 2^22")]
pub(super) fn wait(child: &Child) -> io::Result<(ExitStatus, Duration)> {
    let mut status = 0;
    #[expect(unsafe_code, reason = "std cannot wait with resource usage")]
    // SAFETY: an all-zero rusage is a valid one, and wait4 writes only to the two places given, which outlive the call.
    let (waited, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        loop {
            let waited = libc::wait4(
                child.id() as libc::pid_t,
                &raw mut status,
                0,
                &raw mut usage,
            );
            if waited != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break (waited, usage);
            }
        }
    };
    if waited == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok((ExitStatus::from_raw(status), cpu_time(&usage)))
}

/// How often it is asked whether to stop, where no signal wakes the wait before.
const LOOK_MS: libc::c_int = 100;
/// A terminal sends an interrupt to the child as well: so long it has to end by that.
const OWN_ACCORD: Duration = Duration::from_millis(250);
/// So long it has to end by the signal that it is sent.
const MERCY: Duration = Duration::from_secs(5);

/// Returns when `child` has ended, which is left to be waited for. When `stop` names a signal, the child is sent it, and killed
/// where it stays or when `stop` names one again.
pub(super) fn until_ended(child: &Child, stop: &mut dyn FnMut() -> Option<i32>) {
    // Where the kernel has none (before Linux 5.3), the wait ends by itself or by a signal.
    let Some(process) = handle(child) else { return };
    let mut asked: Option<(Instant, i32, bool)> = None;
    while !has_ended(&process) {
        asked = match (asked, stop()) {
            (None, None) => None,
            (None, Some(signal)) => Some((Instant::now(), signal, false)),
            (Some(_), Some(_)) => {
                send(child, libc::SIGKILL);
                asked
            }
            (Some((since, signal, false)), None) if since.elapsed() >= OWN_ACCORD => {
                send(child, signal);
                Some((since, signal, true))
            }
            (Some((since, _, true)), None) if since.elapsed() >= MERCY => {
                send(child, libc::SIGKILL);
                asked
            }
            (asked, None) => asked,
        };
    }
}

#[expect(
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    reason = "pids and descriptors are small"
)]
fn handle(child: &Child) -> Option<OwnedFd> {
    #[expect(unsafe_code, reason = "std has no handle of a child")]
    // SAFETY: the call takes two numbers, and the descriptor that it gives is nobody else's.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, child.id() as libc::pid_t, 0);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Waits for the end, a signal or [`LOOK_MS`].
fn has_ended(process: &OwnedFd) -> bool {
    let mut entry = libc::pollfd {
        fd: process.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    #[expect(unsafe_code, reason = "std cannot poll")]
    // SAFETY: one entry, which outlives the call.
    let ready = unsafe { libc::poll(&raw mut entry, 1, LOOK_MS) };
    ready == 1
}

#[expect(clippy::cast_possible_wrap, reason = "pids are below 2^22")]
fn send(child: &Child, signal: i32) {
    #[expect(unsafe_code, reason = "std sends SIGKILL alone")]
    // SAFETY: the child was not waited for yet, so that its pid is still its own.
    unsafe {
        libc::kill(child.id() as libc::pid_t, signal);
    }
}
