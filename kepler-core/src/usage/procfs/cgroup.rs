//! `/proc/PID/cgroup`: which control group a process is in.

/// The path below the hierarchy's root: on hosts with version 1 hierarchies (also next to the unified one, where systemd
/// mirrors only its own part) the one of `cpu`, else `memory`, else `pids`; otherwise the unified one. `None` when the file
/// names none of them. The first of the two is the folders below `/sys/fs/cgroup` where that hierarchy may be mounted.
pub(super) fn parse_cgroup(text: &str) -> Option<(&'static [&'static str], &str)> {
    let of = |wanted: &str| {
        text.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers
                .split(',')
                .any(|name| name == wanted)
                .then_some(path)
        })
    };
    let (folders, path) = HIERARCHIES
        .iter()
        .find_map(|(name, folders)| Some((*folders, of(name)?)))?;
    // The kernel marks a group whose folder is gone already.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.starts_with('/').then_some((folders, path))
}

/// Controllers, and where their hierarchies are mounted. The unified one has no name.
const HIERARCHIES: [(&str, &[&str]); 4] = [
    ("cpu", &["cpu", "cpu,cpuacct"]),
    ("memory", &["memory"]),
    ("pids", &["pids"]),
    ("", &["", "unified"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<&str> {
        parse_cgroup(text).map(|(_, path)| path)
    }

    #[test]
    fn the_unified_hierarchy() {
        assert_eq!(
            path("0::/system.slice/ssh.service\n"),
            Some("/system.slice/ssh.service")
        );
        assert_eq!(path("0::/\n"), Some("/"));
    }

    #[test]
    fn on_hybrid_hosts_the_controllers_tell() {
        let text = "12:pids:/docker/4f\n3:cpu,cpuacct:/docker/4e\n1:name=systemd:/docker/4d\n\
            0::/system.slice/containerd.service\n";
        assert_eq!(path(text), Some("/docker/4e"));
        let text = "3:cpuacct:/no\n12:pids:/docker/4f\n0::/system.slice\n";
        assert_eq!(path(text), Some("/docker/4f"));
    }

    #[test]
    fn a_colon_in_a_path_belongs_to_it_and_the_mark_of_the_dead_does_not() {
        let text =
            "0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ab (deleted)\n";
        assert_eq!(
            path(text),
            Some("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ab")
        );
    }

    #[test]
    fn nothing_to_tell_is_none() {
        for text in ["", "\n", "0::\n", "garbage", "1:name=systemd:/x\n"] {
            assert_eq!(path(text), None, "{text:?}");
        }
    }
}
