//! `/proc/PID/stat`: who runs, and for how long it ran.

use std::borrow::Cow;

/// The fields of `/proc/PID/stat` that are used, see `proc_pid_stat(5)`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat<'a> {
    /// Name of the thread group's leader. May hold spaces, parentheses, line ends and bytes that are not UTF-8.
    pub(super) comm: Cow<'a, str>,
    /// Whether it is a thread of the kernel.
    pub(super) kernel: bool,
    /// Its parent.
    pub(super) parent: u32,
    /// CPU time in clock ticks of the children it waited for, and of theirs.
    pub(super) children_ticks: u64,
    /// CPU time in clock ticks: user and system, all threads, also those that ended; children not included.
    pub(super) cpu_ticks: u64,
    /// Start time in clock ticks since boot.
    pub(super) start_ticks: u64,
    /// Where its stack starts: another address after each `exec`. 0 or 1 where that may not be known.
    pub(super) stack: u64,
}

/// `PF_KTHREAD` in the kernel's `sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Parses the text of `/proc/PID/stat`.
pub(super) fn parse_stat(bytes: &[u8]) -> Option<Stat<'_>> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    // The name may hold ") " itself, but only numbers follow it.
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let comm = String::from_utf8_lossy(bytes.get(open + 1..close)?);

    // The first word is field 3, the state.
    let mut words = bytes[close + 1..]
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    let mut at = 3;
    let mut field = |number: usize| -> Option<u64> {
        let word = words.nth(number - at)?;
        at = number + 1;
        parse_number(word)
    };
    let parent = field(4)?;
    let flags = field(9)?;
    let user = field(14)?;
    let system = field(15)?;
    let children_user = field(16)?;
    let children_system = field(17)?;
    let start_ticks = field(22)?;
    let stack = field(28).unwrap_or(0);
    Some(Stat {
        comm,
        kernel: flags & KERNEL_THREAD != 0,
        parent: u32::try_from(parent).ok()?,
        children_ticks: children_user.saturating_add(children_system),
        cpu_ticks: user.saturating_add(system),
        start_ticks,
        stack,
    })
}

fn parse_number(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAIL: &str = "S 1 42 42 0 -1 4194560 2203 9000 12 40 150 25 777 888 20 0 7 0 \
        123456 180000000 5000 18446744073709551615 94000000 94100000 140736000000 0 0 0 0 0 4096 \
        0 0 0 0 17 3 0 0 0 0 0";

    #[test]
    fn children_are_not_part_of_the_time() {
        let text = format!("42 (nginx) {TAIL}\n");
        let stat = parse_stat(text.as_bytes()).unwrap();
        assert_eq!(stat.comm, "nginx");
        assert_eq!(stat.cpu_ticks, 175); // utime 150 + stime 25; 777 + 888 are its children's
        assert_eq!((stat.parent, stat.children_ticks), (1, 1665));
        assert_eq!(stat.start_ticks, 123_456);
        assert_eq!(stat.stack, 140_736_000_000);
        assert!(!stat.kernel);
    }

    #[test]
    fn a_kernel_thread_is_one() {
        let text = b"15 (ksoftirqd/0) S 2 0 0 0 -1 69238848 0 0 0 0 0 31 0 0 20 0 1 0 9 0 0 0";
        let stat = parse_stat(text).unwrap();
        assert!(stat.kernel);
        assert_eq!((stat.cpu_ticks, stat.start_ticks, stat.stack), (31, 9, 0));
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let text = format!("42 (nginx) {TAIL}");
        let until_start = text.find("123456").unwrap();
        for end in 0..until_start {
            assert_eq!(parse_stat(&text.as_bytes()[..end]), None);
        }
    }

    proptest! {
        #[test]
        fn any_name_is_read_whole(name in prop::collection::vec(1_u8..=255, 0..16)) {
            let mut text = b"42 (".to_vec();
            text.extend(&name);
            text.extend(format!(") {TAIL}").as_bytes());
            let stat = parse_stat(&text).unwrap();
            prop_assert_eq!(&stat.comm, &String::from_utf8_lossy(&name));
            prop_assert_eq!(stat.cpu_ticks, 175);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_stat(&bytes);
        }
    }
}
