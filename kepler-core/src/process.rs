//! Who a process is: what the readers of usage find out and the classifier of workloads asks for.

use std::sync::Arc;

use serde::Serialize;

/// Identity of a process: a pid is reused, a pid with its start time is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ProcessKey {
    /// The process id (thread group id) in the namespace that is read.
    pub pid: u32,
    /// Start time in nanoseconds since boot. `/proc` only tells it to 10 ms.
    pub start_ns: u64,
}

/// Who a process is. Read when it is first seen and again after it called `exec`; a field that may not be read is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its identity.
    pub key: ProcessKey,
    /// The thread group leader's name, at most 15 bytes.
    pub comm: Arc<str>,
    /// The executable's path; `None` for kernel threads and where `/proc/PID/exe` may not be read.
    pub exe: Option<Arc<str>>,
    /// The command line, arguments joined by a space, cut to 4 KiB; `None` as for `exe`.
    pub command: Option<Arc<str>>,
    /// The cgroup's path below its hierarchy's root, such as `/kubepods/burstable/pod.../...`; `None` when unknown.
    pub cgroup: Option<Arc<str>>,
    /// The cgroup's id in the chosen hierarchy; 0 when unknown.
    pub cgroup_id: u64,
    /// Whether it is a thread of the kernel itself.
    pub kernel: bool,
}
