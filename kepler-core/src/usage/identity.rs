//! Who a process is, as `/proc/PID` tells it: read once when a process is first seen, and again after it called `exec`.

use std::sync::Arc;

use crate::host::Host;

/// The executable and the command line of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Target of `/proc/PID/exe`; `None` for kernel threads, and where it may not be read.
    pub(crate) exe: Option<Arc<str>>,
    /// `/proc/PID/cmdline`, arguments joined by a space, at most [`COMMAND_LIMIT`] bytes; `None` where it is empty (kernel
    /// threads, zombies) or may not be read.
    pub(crate) command: Option<Arc<str>>,
}

/// Longer command lines are cut: some carry whole class paths, and each is kept as long as its process is.
pub(crate) const COMMAND_LIMIT: usize = 4096;

impl Identity {
    /// Reads what `/proc/PID` tells. What is unreadable, or gone, is `None`: it costs that field and nothing else.
    pub(crate) fn read(host: &Host, pid: u32) -> Self {
        let folder = host.proc(pid.to_string());
        let exe = host.link(folder.join("exe")).ok();
        let command = host.prefix(folder.join("cmdline"), COMMAND_LIMIT as u64);
        Self {
            exe: exe.and_then(|path| parse_exe(&path.to_string_lossy())),
            command: command.ok().and_then(|bytes| parse_command(&bytes)),
        }
    }
}

/// The path without the mark that the kernel puts behind a file that was replaced or removed.
fn parse_exe(target: &str) -> Option<Arc<str>> {
    let path = target.strip_suffix(" (deleted)").unwrap_or(target);
    (!path.is_empty()).then(|| path.into())
}

/// Arguments end in NUL bytes; a process that rewrote its title may have left any number of them.
fn parse_command(bytes: &[u8]) -> Option<Arc<str>> {
    let text = String::from_utf8_lossy(bytes);
    let joined = text.trim_end_matches('\0').replace('\0', " ");
    let command = joined.trim();
    // A character cut in two at the limit was replaced by a longer one.
    let cut = (0..=COMMAND_LIMIT.min(command.len()))
        .rev()
        .find_map(|end| command.get(..end))?;
    (!cut.is_empty()).then(|| cut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_by_a_space() {
        assert_eq!(
            parse_command(b"/bin/sh\0-c\0sleep 1\0").as_deref(),
            Some("/bin/sh -c sleep 1")
        );
        assert_eq!(
            parse_command(b"nginx: worker\0\0\0\0").as_deref(),
            Some("nginx: worker")
        );
    }

    #[test]
    fn a_kernel_thread_has_no_command() {
        assert_eq!(parse_command(b""), None);
        assert_eq!(parse_command(b"\0\0"), None);
    }

    #[test]
    fn a_replaced_executable_keeps_its_name() {
        assert_eq!(
            parse_exe("/usr/bin/x (deleted)").as_deref(),
            Some("/usr/bin/x")
        );
        assert_eq!(parse_exe(""), None);
    }

    #[test]
    fn a_command_cut_within_a_character_stays_within_the_limit() {
        let mut bytes = vec![b'a'; COMMAND_LIMIT - 1];
        bytes.push(0xc3);
        let command = parse_command(&bytes).unwrap();
        assert_eq!(command.len(), COMMAND_LIMIT - 1);
    }

    #[test]
    fn this_process_has_an_executable_and_a_command() {
        let me = Identity::read(&Host::default(), std::process::id());
        assert!(me.exe.is_some_and(|path| path.starts_with('/')));
        assert!(me.command.is_some());
    }

    #[test]
    fn a_process_that_is_gone_has_neither() {
        let host = Host::at("/nowhere");
        assert_eq!(Identity::read(&host, 1), Identity::default());
    }
}
