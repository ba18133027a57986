//! The program for who is not root or not in the host's pid namespace: what it then uses, sees and says.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{Folder, Killed, Running, figure, is_root, skip};

const NOBODY: &[&str] = &[
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];
const TWO_CAPABILITIES: &[&str] = &[
    "--inh-caps=-all,+bpf,+perfmon",
    "--ambient-caps=-all,+bpf,+perfmon",
    "--bounding-set=-all,+bpf,+perfmon",
];
const NAMESPACE: &[&str] = &["unshare", "--pid", "--fork", "--kill-child"];

#[test]
fn an_ordinary_user_sees_every_process_and_is_told_what_would_give_more() {
    let user: &[&str] = if is_root() { NOBODY } else { &[] };
    let exporter = Exporter::start(user, &[]).unwrap();
    let ebpf = exporter.running.says("ebpf: off");
    assert!(ebpf.contains("setcap cap_bpf,cap_perfmon=ep"), "{ebpf}");
    assert_eq!(ebpf.matches("run as root").count(), 1, "{ebpf}");
    exporter.running.says("usage by procfs");
    // One of this test's user, which is another one's where the test is run by root.
    let busy = busy();
    let series = format!("kepler_process_cpu_joules_total{{pid=\"{}\"", busy.0.id());
    exporter.running.metrics_once(|text| {
        text.contains("\nkepler_node_cpu_watts{")
            && figure(text, &series).is_some_and(|joules| joules > 0.0)
    });
}

#[test]
fn two_capabilities_are_all_that_ebpf_needs() {
    if !is_root() || !Exporter::start(&[], &[]).unwrap().uses("ebpf") {
        skip("even root may not use eBPF here, or this is not root");
        return;
    }
    let exporter = Exporter::start(&[NOBODY, TWO_CAPABILITIES].concat(), &[]).unwrap();
    assert!(exporter.uses("ebpf"), "{}", exporter.running.said());
}

#[test]
fn in_a_pid_namespace_it_says_that_it_sees_a_part() {
    for usage in ["auto", "procfs"] {
        let flag = format!("--monitor.usage={usage}");
        let wrapper = [NAMESPACE, &["--mount-proc"]].concat();
        let Some(exporter) = Exporter::start(&wrapper, &[&flag]) else {
            skip("no pid namespace may be made here");
            return;
        };
        let part = exporter.running.says("whole machine: off");
        assert!(part.contains("hostPID: true"), "{part}");
        let text = exporter
            .running
            .metrics_once(|text| text.contains("kepler_node_cpu_watts{"));
        let own = text
            .lines()
            .filter(|l| l.starts_with("kepler_process_cpu_seconds_total{"));
        assert!(own.clone().count() > 0, "{text}");
        let series = format!("pid=\"{}\"", std::process::id());
        assert!(own.clone().all(|l| !l.contains(&series)), "{text}");
    }
}

#[test]
fn hardened_in_a_pid_namespace_it_measures_what_it_sees() {
    let wrapper = [NAMESPACE, &["--mount-proc"]].concat();
    let Some(exporter) = Exporter::start(&wrapper, &["--harden", "--fake"]) else {
        skip("no pid namespace may be made here");
        return;
    };
    exporter.running.says("whole machine: off");
    exporter.running.metrics_once(|text| {
        let own = "kepler_process_cpu_seconds_total{pid=\"1\"";
        figure(text, own).is_some_and(|seconds| seconds > 0.0)
    });
}

#[test]
fn the_hosts_proc_shows_the_machine_from_within_a_pid_namespace() {
    let Some(exporter) = Exporter::start(NAMESPACE, &[]) else {
        skip("no pid namespace may be made here");
        return;
    };
    // A test that runs in a namespace itself has no such view to lose.
    let comm = Command::new("cat").arg("/proc/2/comm").output().unwrap();
    if comm.stdout != b"kthreadd\n" {
        skip("/proc does not show the machine here");
        return;
    }
    exporter.running.says("usage by procfs");
    let series = format!("\"{}\"", std::process::id());
    exporter
        .running
        .metrics_once(|text| text.contains(&format!("{{pid={series}")));
}

/// A running exporter that is run through another program.
struct Exporter {
    running: Running,
    // Where any user may run it, which a home folder is not.
    _folder: Folder,
}

impl Exporter {
    /// `None` where the other program is refused what it does.
    fn start(wrapper: &[&str], flags: &[&str]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Folder::new(&format!("users-{count}"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("kepler-exporter");
        fs::copy(env!("CARGO_BIN_EXE_kepler-exporter"), &program).unwrap();
        let mut words = wrapper.to_vec();
        words.push(program.to_str().unwrap());
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--monitor.interval=200ms",
            ])
            .args(flags);
        match Running::listening(&mut command, 1) {
            Ok(running) => Some(Self {
                running,
                _folder: folder,
            }),
            Err(said) => {
                assert!(said.contains("not permitted"), "{said}");
                None
            }
        }
    }

    fn uses(&self, usage: &str) -> bool {
        let line = format!("usage by {usage}");
        self.running
            .said()
            .lines()
            .any(|said| said.ends_with(&line))
    }
}

/// A process that does nothing but burn CPU time.
fn busy() -> Killed {
    let mut shell = Command::new("sh");
    Killed(shell.args(["-c", "while :; do :; done"]).spawn().unwrap())
}
