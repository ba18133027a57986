//! The exporter on a machine made of files.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::cluster::{NODE, Server};
use crate::support::{self, Running};

/// A machine of two CPUs with a control group tree.
pub(crate) struct Machine(TempDir);

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.write("proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 400 0 0 0 0 0 0\n");
        machine.write("proc/cpuinfo", "processor\t: 0\n\nprocessor\t: 1\n");
        machine.write("proc/meminfo", "MemTotal:        8000000 kB\n");
        machine.write(
            "proc/1/stat",
            &format!("1 (init) S 0 {}\n", " 0".repeat(48)),
        );
        machine.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
        machine
    }

    /// A process of a container of a pod. Uids and ids are made of what is given.
    pub(crate) fn process(&self, pid: u32, pod: &str, container: char) {
        let cgroup = format!(
            "0::/kubepods/burstable/pod{}/{}\n",
            crate::cluster::uid(pod),
            crate::cluster::id(container)
        );
        self.write(&format!("proc/{pid}/cgroup"), &cgroup);
        self.write(
            &format!("proc/{pid}/stat"),
            &format!("{pid} (app) S 1 {}\n", " 0".repeat(48)),
        );
    }

    /// A process that runs a virtual machine.
    pub(crate) fn virtual_machine(&self, pid: u32, name: &str) {
        let command = format!("/usr/bin/qemu-system-x86_64\0-name\0guest={name}\0-uuid\0u-{pid}\0");
        self.write(&format!("proc/{pid}/cmdline"), &command);
        self.write(
            &format!("proc/{pid}/stat"),
            &format!("{pid} (qemu-system-x86) S 1 {}\n", " 0".repeat(48)),
        );
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The program on that machine, which asks that server for its pods.
pub(crate) fn command(machine: &Machine, server: &Server) -> Command {
    let root = machine.path().display();
    let mut command = support::command();
    command
        .args(["--monitor.usage=procfs", "--fake", "--kube.enable"])
        .arg(format!("--host.procfs={root}/proc"))
        .arg(format!("--host.sysfs={root}/sys"))
        .arg(format!("--node-name={NODE}"))
        .arg(format!("--kube.config={}", server.kubeconfig().display()));
    command
}

/// The same, running, with the pods from there.
pub(crate) fn exporter(machine: &Machine, server: &Server, mode: &str, more: &[&str]) -> Running {
    let mut command = command(machine, server);
    command
        .arg("--monitor.interval=100ms")
        .arg(format!("--kube.pod-informer.mode={mode}"))
        .args(more);
    Running::of(&mut command)
}
