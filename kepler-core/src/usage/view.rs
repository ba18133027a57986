//! How much of the machine a source sees: in a pid namespace below the initial one, the kernel shows only its own processes.

use crate::host::Host;
use crate::note::Note;

/// Whether `/proc` shows every process: only that of the initial pid namespace has the kernel's own threads.
pub(super) fn proc_shows_all(host: &Host) -> bool {
    host.text(host.proc("2/comm"))
        .is_ok_and(|comm| comm.trim_end() == "kthreadd")
}

/// What a source says that sees a part only.
pub(super) fn partial(why: &str) -> Note {
    Note {
        part: "whole machine".into(),
        active: false,
        why: format!("{why}; what others do is shown as unexplained"),
        hint: HINT.into(),
    }
}

pub(super) const HINT: &str =
    "run it in the host's pid namespace: hostPID: true, or docker run --pid=host";
