//! CPU time by cgroup, the dead included, against the kernel's own accounting of the same groups; and pids used again.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kepler_core::Host;
use kepler_core::usage::Usage;
use kepler_core::usage::ebpf::{Hierarchy, Options};

use crate::ebpf::{Watch, end, shell};

/// A group in the unified hierarchy, or on hosts of version 1 the same in `cpu` and `cpuacct`; removed when dropped.
struct Group {
    folders: Vec<PathBuf>,
    hierarchy: Hierarchy,
    name: String,
}

impl Group {
    /// `None` where cgroups may not be made.
    fn make(name: &str) -> Option<Self> {
        let name = format!("kepler-test-{}-{name}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let (hierarchy, parents) = if root.join("cgroup.controllers").exists() {
            (Hierarchy::Unified, vec![root.to_owned()])
        } else {
            (Hierarchy::Cpu, vec![root.join("cpu"), root.join("cpuacct")])
        };
        let mut folders: Vec<PathBuf> = parents.iter().map(|parent| parent.join(&name)).collect();
        folders.dedup();
        for folder in &folders {
            if let Err(error) = fs::create_dir(folder) {
                eprintln!("skipped: {}: {error}", folder.display());
                return None;
            }
        }
        Some(Self {
            folders,
            hierarchy,
            name,
        })
    }

    /// Shell words that put the shell itself into the group.
    fn enter(&self) -> String {
        let files = self
            .folders
            .iter()
            .map(|f| format!("echo $$ >{}/cgroup.procs;", f.display()));
        files.collect()
    }

    /// CPU time that the kernel accounted to the group.
    fn cpu_ns(&self) -> u64 {
        let host = Host::default();
        let folder = self.folders.last().unwrap();
        if let Some(usage) = host.optional(folder.join("cpuacct.usage")).unwrap() {
            return usage.parse().unwrap();
        }
        let stat = host.text(folder.join("cpu.stat")).unwrap();
        let usage = stat
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        usage.unwrap().parse::<u64>().unwrap() * 1000
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn options(hierarchy: Hierarchy) -> Options {
    let mut options = Options::default();
    options.hierarchy = Some(hierarchy);
    options
}

fn in_group(usage: &Usage, name: &str) -> u64 {
    let path = format!("/{name}");
    let mine = |cgroup: Option<&str>| cgroup == Some(path.as_str());
    let processes = usage
        .processes
        .iter()
        .filter(|p| mine(p.process.cgroup.as_deref()));
    let unnamed = usage.unnamed.iter().filter(|u| mine(u.cgroup.as_deref()));
    processes
        .map(|p| p.delta.cpu_ns)
        .chain(unnamed.map(|u| u.delta.cpu_ns))
        .sum()
}

#[test]
fn a_group_gets_what_the_kernel_accounts_to_it() {
    let hierarchy = Group::make("probe").map(|group| group.hierarchy);
    let Some(hierarchy) = hierarchy else { return };
    let Some(mut watch) = Watch::open(&options(hierarchy)) else {
        return;
    };
    watch.sample();
    // Made after the source was opened, so that its path is learnt when it is made.
    let group = Group::make("work").unwrap();
    let script = format!(
        "{} (while :; do :; done) & other=$!; i=0; while [ $i -lt 60 ]; do i=$((i+1)); \
         (j=0; while [ $j -lt 40000 ]; do j=$((j+1)); done); done; kill $other; wait",
        group.enter()
    );
    let mut child = shell(&script);
    let mut seen = 0;
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(300));
        seen += in_group(watch.sample(), &group.name);
    }
    watch.settle(|usage| seen += in_group(usage, &group.name));
    let truth = group.cpu_ns();
    assert!(truth > 100_000_000, "{truth}");
    #[expect(clippy::cast_precision_loss, reason = "some seconds in nanoseconds")]
    let ratio = seen as f64 / truth as f64;
    // The shell's first moments, before it entered, are in its own record.
    assert!((0.995..1.005).contains(&ratio), "{seen} of {truth}");
}

#[test]
fn a_group_that_was_removed_at_once_is_still_named() {
    let hierarchy = Group::make("probe2").map(|group| group.hierarchy);
    let Some(hierarchy) = hierarchy else { return };
    let Some(mut watch) = Watch::open(&options(hierarchy)) else {
        return;
    };
    watch.sample();
    let group = Group::make("brief").unwrap();
    let name = group.name.clone();
    let script = format!(
        "{} i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done",
        group.enter()
    );
    shell(&script).wait().unwrap();
    drop(group);
    let mut seen = 0;
    for _ in 0..3 {
        watch.settle(|usage| seen += in_group(usage, &name));
    }
    assert!(seen > 10_000_000, "{seen}");
}

/// A process with this pid counts to `count`: the kernel's last pid is written before each fork, until it is so.
fn count_as(pid: u32, count: u32) -> Option<u64> {
    let script = format!("i=0; while [ $i -lt {count} ]; do i=$((i+1)); done");
    for _ in 0..200 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let child = shell(&script);
        if child.id() == pid {
            return Some(end(child, 0));
        }
        end(child, libc::SIGKILL);
    }
    None
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let Some(mut watch) = Watch::open(&Options::default()) else {
        return;
    };
    watch.sample();
    let pid = 31_000 + std::process::id() % 900;
    let (Some(first), Some(second)) = (count_as(pid, 900_000), count_as(pid, 400_000)) else {
        eprintln!("skipped: pids cannot be chosen here");
        return;
    };
    let mut seen = Vec::new();
    let mut starts = HashSet::new();
    for _ in 0..3 {
        watch.settle(|usage| {
            let ended = usage
                .processes
                .iter()
                .filter(|p| p.ended && p.process.key.pid == pid);
            for process in ended.filter(|p| p.delta.cpu_ns > 50_000_000) {
                assert!(starts.insert(process.process.key.start_ns));
                seen.push(process.delta.cpu_ns);
            }
        });
    }
    seen.sort_unstable();
    assert_eq!(seen.len(), 2, "{seen:?} of {second} and {first}");
    for (seen, truth) in seen.iter().zip([second, first]) {
        assert!(seen.abs_diff(truth) <= truth / 100, "{seen} of {truth}");
    }
}
