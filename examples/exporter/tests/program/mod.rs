//! The exporter on a machine made of files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::{NODE, Server};

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
    let mut command = Command::new(env!("CARGO_BIN_EXE_kepler-exporter"));
    command
        .args(["--monitor.usage=procfs", "--fake", "--kube.enable"])
        .arg(format!("--host.procfs={root}/proc"))
        .arg(format!("--host.sysfs={root}/sys"))
        .arg(format!("--node-name={NODE}"))
        .arg(format!("--kube.config={}", server.kubeconfig().display()));
    command
}

/// A running exporter; killed when a test fails.
pub(crate) struct Exporter {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Exporter {
    pub(crate) fn start(machine: &Machine, server: &Server, mode: &str, more: &[&str]) -> Self {
        let mut child = command(machine, server)
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--monitor.interval=100ms",
            ])
            .arg(format!("--kube.pod-informer.mode={mode}"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("it ended before it listened: {}", said.lock().unwrap());
            };
            *said.lock().unwrap() += &format!("{line}\n");
            if let Some(address) = line.split("http://").nth(1) {
                break address.parse().unwrap();
            }
        };
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| *heard.lock().unwrap() += &format!("{line}\n"));
        });
        Self {
            child,
            address,
            said,
        }
    }

    /// The metrics once `wanted` says yes to them.
    pub(crate) fn metrics_once(&self, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let text = self.metrics();
            if wanted(&text) {
                return text;
            }
            let said = self.said.lock().unwrap().clone();
            assert!(begun.elapsed() < Duration::from_secs(60), "{text}\n{said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Ends it; returns all that it said.
    pub(crate) fn stop(self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
