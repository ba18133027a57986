//! CPU time by cgroup, the dead included, against the kernel's own accounting of the same groups; and pids used again.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kepler_core::Host;
use kepler_core::monitor::Monitor;
use kepler_core::usage::Usage;
use kepler_core::usage::ebpf::{Hierarchy, Options};

use crate::ebpf::{Watch, attempts, end, first_process_is_hidden, near, shell, skip};

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
                skip(&format!("{}: {error}", folder.display()));
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

/// Adds CPU time in a group, by pid; what lost its name counts as pid 0. Pids that ended go into `ended`.
fn add_group(usage: &Usage, name: &str, seen: &mut HashMap<u32, u64>, ended: &mut HashSet<u32>) {
    let path = format!("/{name}");
    let mine = |cgroup: Option<&str>| cgroup == Some(path.as_str());
    for unnamed in usage.unnamed.iter().filter(|u| mine(u.cgroup.as_deref())) {
        *seen.entry(0).or_default() += unnamed.delta.cpu_ns;
    }
    for process in &usage.processes {
        if mine(process.process.cgroup.as_deref()) {
            let pid = process.process.key.pid;
            *seen.entry(pid).or_default() += process.delta.cpu_ns;
            if process.ended {
                ended.insert(pid);
            }
        }
    }
}

#[test]
fn a_group_gets_what_the_kernel_accounts_to_it() {
    let hierarchy = Group::make("probe").map(|group| group.hierarchy);
    let Some(hierarchy) = hierarchy else { return };
    attempts(|| {
        let Some(mut watch) = Watch::open(&options(hierarchy)) else {
            return Ok(());
        };
        watch.sample();
        // Made after the source was opened, so that its path is learnt when it is made.
        let group = Group::make("work").unwrap();
        let script = format!("{} exec python3 -c '{CHILDREN}'", group.enter());
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut seen, mut ended) = (HashMap::new(), HashSet::new());
        while child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(300));
            add_group(watch.sample(), &group.name, &mut seen, &mut ended);
        }
        watch.settle(|usage| add_group(usage, &group.name, &mut seen, &mut ended));
        let truth = group.cpu_ns();
        assert!(truth > 1_000_000_000, "{truth}");
        let told = child.wait_with_output().unwrap().stdout;
        let told = String::from_utf8(told).unwrap();
        let lives: Vec<u32> = told.lines().map(|pid| pid.parse().unwrap()).collect();
        assert_eq!(lives.len(), 60);
        let lost = lives.iter().filter(|pid| !ended.contains(pid)).count() as u64;
        assert!(
            lost == 0 || first_process_is_hidden(),
            "{lost} have no record"
        );
        if lost > 3 {
            return Err(format!("{lost} of 60 have no record"));
        }
        // A life that left no record is put in at what such lives take.
        near(seen.values().sum::<u64>() + lost * LIFE_NS, truth, 0.005)
    });
}

/// One child spins until the end; sixty others work for [`LIFE_NS`] each, one after another.
const CHILDREN: &str = "
import os, signal, time
def child(work):
    pid = os.fork()
    if pid: return pid
    work()
    os._exit(0)
def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
other = child(lambda: spin(60))
for _ in range(60):
    pid = child(lambda: spin(0.04))
    os.waitpid(pid, 0)
    print(pid)
os.kill(other, signal.SIGKILL)
os.waitpid(other, 0)
";
const LIFE_NS: u64 = 40_000_000;

#[test]
fn a_group_that_was_removed_at_once_is_still_named() {
    let hierarchy = Group::make("probe2").map(|group| group.hierarchy);
    let Some(hierarchy) = hierarchy else { return };
    attempts(|| {
        let Some(mut watch) = Watch::open(&options(hierarchy)) else {
            return Ok(());
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
        let (mut seen, mut ended) = (HashMap::new(), HashSet::new());
        watch.settle(|usage| add_group(usage, &name, &mut seen, &mut ended));
        let seen: u64 = seen.values().sum();
        if seen > 10_000_000 {
            return Ok(());
        }
        Err(format!("{seen}"))
    });
}

/// Under processes that come and go, what belongs to nobody is at most a hundredth, beside those that leave no record.
#[test]
fn busy_time_is_that_of_tasks_and_interrupts() {
    attempts(|| {
        let Some(_) = Watch::open(&Options::default()) else {
            return Ok(());
        };
        let mut monitor = Monitor::builder().fake().build().unwrap();
        let first = monitor.sample().unwrap();
        assert_eq!(first.sources.usage, "ebpf");
        let storm = shell("while :; do (i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done); done");
        std::thread::sleep(Duration::from_secs(10));
        let last = monitor.sample().unwrap();
        end(storm, libc::SIGKILL);
        for domain in &last.node.domains {
            let share = domain.residual.total().0 / domain.energy.active.0;
            if share
                > (if first_process_is_hidden() {
                    0.03
                } else {
                    0.01
                })
            {
                return Err(format!(
                    "{}: {share} of {:?}",
                    domain.domain, domain.residual
                ));
            }
        }
        Ok(())
    });
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
    attempts(|| {
        let Some(mut watch) = Watch::open(&Options::default()) else {
            return Ok(());
        };
        watch.sample();
        let pid = 31_000 + std::process::id() % 900;
        let (Some(first), Some(second)) = (count_as(pid, 900_000), count_as(pid, 400_000)) else {
            skip("pids cannot be chosen here");
            return Ok(());
        };
        let mut seen = Vec::new();
        let mut starts = HashSet::new();
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
        seen.sort_unstable();
        assert!(seen.len() <= 2, "{seen:?} of {second} and {first}");
        if seen.len() < 2 {
            return Err(format!("{seen:?} of {second} and {first}"));
        }
        near(seen[0], second, 0.01).and(near(seen[1], first, 0.01))
    });
}
