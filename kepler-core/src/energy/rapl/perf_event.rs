//! The system call that opens a perf event.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;

use crate::error::{Error, Result};

/// A perf event that counts energy on one CPU's package, die or core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerfEvent {
    /// Its name, such as `power/energy-pkg/`.
    pub name: String,
    /// `perf_event_attr.type`: the number of the PMU.
    pub kind: u32,
    /// `perf_event_attr.config`: the number of the event.
    pub config: u64,
    /// The CPU to open it on.
    pub cpu: u32,
}

/// Opens an event that counts all that happens on a CPU.
pub(super) fn perf_event_open(event: &PerfEvent) -> Result<File> {
    let attributes = Attributes {
        kind: event.kind,
        size: ATTRIBUTES_SIZE,
        config: event.config,
        rest: [0; 6],
    };
    let cpu = libc::c_int::try_from(event.cpu)
        .map_err(|_| Error::invalid("CPU", format!("there is no number {}", event.cpu)))?;
    #[expect(unsafe_code, reason = "libc has no wrapper for perf_event_open")]
    // SAFETY: the kernel reads `size` bytes of the attributes, which live through the call; the rest are numbers.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            -1,
            cpu,
            -1,
            CLOSE_ON_EXEC,
        )
    };
    let Some(descriptor) = libc::c_int::try_from(descriptor).ok().filter(|d| *d >= 0) else {
        return Err(Error::Kernel {
            call: format!("perf_event_open {} on CPU {}", event.name, event.cpu),
            source: io::Error::last_os_error(),
            hint: "needs CAP_PERFMON, or kernel.perf_event_paranoid at 0 or below".into(),
        });
    };
    #[expect(unsafe_code, reason = "takes the kernel's descriptor into a File")]
    // SAFETY: the kernel has just made this descriptor, and nobody else holds it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// The first version of `struct perf_event_attr`; all that is not named is 0.
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    rest: [u64; 6],
}

/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;

const ATTRIBUTES_SIZE: u32 = 64;
const _: () = assert!(size_of::<Attributes>() == ATTRIBUTES_SIZE as usize);
