//! Which cgroup hierarchy names the containers of this host, and where it is mounted.

use std::path::PathBuf;

use crate::host::Host;

/// A hierarchy that can tell containers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// Version 2: one tree for all.
    Unified,
    /// Version 1, of the controller `cpu`.
    Cpu,
    /// Version 1, of the controller `memory`.
    Memory,
    /// Version 1, of the controller `pids`.
    Pids,
}

/// A hierarchy as it is found on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) hierarchy: Hierarchy,
    /// Its number in `/proc/PID/cgroup`.
    pub(super) id: i32,
    /// Where it is mounted, where it is.
    pub(super) folder: Option<PathBuf>,
    /// What the mounted folder's own path is in the hierarchy: empty for its root.
    pub(super) prefix: String,
}

impl Hierarchy {
    /// In the order of choice: on hosts of version 1 and on hybrid ones every runtime makes a container's groups where the
    /// controllers are, and the unified tree beside them may know nothing but units, or nothing at all.
    const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Pids, Self::Unified];

    /// How the kernel side knows it.
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    /// The controller's name; empty for the unified hierarchy.
    pub(super) fn controller(self) -> &'static str {
        match self {
            Self::Unified => "",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }
}

impl Tree {
    /// The hierarchy `wanted`, or else the first of [`Hierarchy::ALL`] that is mounted.
    pub(super) fn choose(host: &Host, wanted: Option<Hierarchy>) -> Self {
        let own = host.text(host.proc("self/cgroup")).unwrap_or_default();
        let mounts = host.text(host.proc("self/mountinfo")).unwrap_or_default();
        let mut trees: Vec<Self> = Hierarchy::ALL
            .into_iter()
            .filter(|hierarchy| wanted.is_none_or(|wanted| wanted == *hierarchy))
            .filter_map(|hierarchy| Self::find(host, hierarchy, &own, &mounts))
            .collect();
        if trees.is_empty() {
            return Self {
                hierarchy: Hierarchy::Unified,
                id: 0,
                folder: None,
                prefix: String::new(),
            };
        }
        let mounted = trees.iter().position(|tree| tree.folder.is_some());
        trees.swap_remove(mounted.unwrap_or(trees.len() - 1))
    }

    fn find(host: &Host, hierarchy: Hierarchy, own: &str, mounts: &str) -> Option<Self> {
        let (id, _) = membership(own, hierarchy)?;
        let mount = mount(mounts, hierarchy);
        let folder = mount
            .as_ref()
            .map(|(_, point)| match point.strip_prefix("/sys/") {
                Some(rest) => host.sys(rest),
                None => PathBuf::from(point),
            });
        let prefix = mount.map(|(root, _)| root).unwrap_or_default();
        Some(Self {
            hierarchy,
            id,
            folder,
            prefix,
        })
    }
}

/// The number and the path of a process in a hierarchy, from `/proc/PID/cgroup`.
pub(super) fn membership(text: &str, hierarchy: Hierarchy) -> Option<(i32, &str)> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let is_it = match hierarchy {
            Hierarchy::Unified => id == "0",
            _ => controllers
                .split(',')
                .any(|name| name == hierarchy.controller()),
        };
        // A group that was removed while the process still ends has this mark behind it.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        Some((id.parse().ok()?, path)).filter(|_| is_it)
    })
}

/// The root (empty for the hierarchy's own) and the mount point, from `/proc/self/mountinfo`.
fn mount(text: &str, hierarchy: Hierarchy) -> Option<(String, String)> {
    let mounts = text.lines().filter_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let (root, point) = (front.next()?, front.next()?);
        let mut back = back.split(' ');
        let (kind, options) = (back.next()?, back.nth(1)?);
        let is_it = match hierarchy {
            Hierarchy::Unified => kind == "cgroup2",
            _ => {
                kind == "cgroup"
                    && options
                        .split(',')
                        .any(|name| name == hierarchy.controller())
            }
        };
        // Outside of the reader's cgroup namespace: the path of that root cannot be known.
        let root = if root == "/" || root.starts_with("/..") {
            ""
        } else {
            root
        };
        is_it.then(|| (root.to_owned(), point.to_owned()))
    });
    // The same hierarchy may be mounted more than once; the mount of its root shows all of it.
    mounts.min_by_key(|(root, _)| root.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
9:name=systemd:/
8:pids:/user
4:memory,hugetlb:/docker/4e
1:cpu,cpuacct:/docker/4e (deleted)
0::/init.scope
";

    #[test]
    fn each_hierarchy_has_its_own_number_and_path() {
        assert_eq!(
            membership(HYBRID, Hierarchy::Unified),
            Some((0, "/init.scope"))
        );
        assert_eq!(membership(HYBRID, Hierarchy::Cpu), Some((1, "/docker/4e")));
        assert_eq!(
            membership(HYBRID, Hierarchy::Memory),
            Some((4, "/docker/4e"))
        );
        assert_eq!(membership("0::/\n", Hierarchy::Pids), None);
    }

    #[test]
    fn the_mount_of_the_root_is_preferred() {
        let text = "\
30 25 0:26 /docker/4e /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
31 25 0:26 / /host/sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
32 25 0:27 /../.. /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
";
        let memory = mount(text, Hierarchy::Memory);
        assert_eq!(
            memory,
            Some((String::new(), "/host/sys/fs/cgroup/memory".into()))
        );
        let unified = mount(text, Hierarchy::Unified);
        assert_eq!(
            unified,
            Some((String::new(), "/sys/fs/cgroup/unified".into()))
        );
        assert_eq!(mount(text, Hierarchy::Cpu), None);
    }
}
