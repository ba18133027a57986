//! Waiting for a child with its own resource usage, its ended children included.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

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
