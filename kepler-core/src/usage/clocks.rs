//! CPU time of one process or one cgroup, as the kernel totals it.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::Host;

/// CPU time of a process, its ended threads included: by its own clock, or on another host's `/proc` from the user and
/// system columns of `/proc/PID/stat` (10 ms steps).
pub(crate) fn group_cpu_time(host: &Host, pid: u32) -> Result<Duration> {
    if *host == Host::default()
        && let Some(time) = Host::other_cpu_time(pid)
    {
        return Ok(time);
    }
    let path = host.proc(format!("{pid}/stat"));
    let text = host.text(&path)?;
    parse_cpu_ticks(&text)
        .map(|ticks| Duration::from_millis(ticks.saturating_mul(10)))
        .ok_or_else(|| Error::malformed(path.display(), "52 fields of a process", &text))
}

/// CPU time of a cgroup since it was made: `cpu.stat` of the unified hierarchy, or `cpuacct.usage`.
pub(crate) fn cgroup_cpu_time(host: &Host, cgroup: &str) -> Result<Duration> {
    let below = cgroup.trim_start_matches('/');
    if below.contains('\0') || below.split('/').any(|part| part == "..") {
        return Err(Error::invalid(
            "cgroup",
            "a path below the hierarchy's root, without `..` and NUL",
        ));
    }
    for root in ["fs/cgroup", "fs/cgroup/unified"] {
        let path = host.sys(root).join(below).join("cpu.stat");
        if let Some(text) = host.optional(&path)?
            && let Some(micros) = parse_usage_usec(&text)
        {
            return Ok(Duration::from_micros(micros));
        }
    }
    for root in ["fs/cgroup/cpuacct", "fs/cgroup/cpu,cpuacct"] {
        let path = host.sys(root).join(below).join("cpuacct.usage");
        if let Some(text) = host.optional(&path)? {
            let nanos = text
                .parse()
                .map_err(|_| Error::malformed(path.display(), "nanoseconds", &text))?;
            return Ok(Duration::from_nanos(nanos));
        }
    }
    Err(Error::NotFound {
        what: "cgroup with CPU accounting",
        name: cgroup.to_owned(),
        hint: "give its path below the hierarchy's root, such as /system.slice/nginx.service"
            .into(),
    })
}

/// utime + stime, in ticks of 10 ms. The name in parentheses may hold anything, so fields count from the last `)`.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

fn parse_usage_usec(stat: &str) -> Option<u64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("usage_usec "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_hides_no_field() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 1 0 5 6";
        assert_eq!(parse_cpu_ticks(stat), Some(200));
        assert_eq!(parse_cpu_ticks("7 (x"), None);
        assert_eq!(parse_cpu_ticks("7 (x) S 1"), None);
    }

    #[test]
    fn usage_is_found_by_name() {
        assert_eq!(parse_usage_usec("user_usec 1\nusage_usec 123\n"), Some(123));
        assert_eq!(parse_usage_usec("user_usec 1\n"), None);
    }
}
