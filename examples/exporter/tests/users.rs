//! The program for who is not root or not in the host's pid namespace: what it then uses, sees and says.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

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
    let ebpf = exporter.said("ebpf: off");
    assert!(ebpf.contains("setcap cap_bpf,cap_perfmon=ep"), "{ebpf}");
    assert_eq!(ebpf.matches("run as root").count(), 1, "{ebpf}");
    exporter.said("usage by procfs");
    // One of this test's user, which is another one's where the test is run by root.
    let busy = Busy::start();
    let series = format!("kepler_process_cpu_joules_total{{pid=\"{}\"", busy.0.id());
    exporter.metrics_once(|text| {
        text.contains("\nkepler_node_cpu_watts{")
            && figure(text, &series).is_some_and(|joules| joules > 0.0)
    });
}

#[test]
fn two_capabilities_are_all_that_ebpf_needs() {
    if !is_root() || !Exporter::start(&[], &[]).unwrap().uses("ebpf") {
        eprintln!("skipped: even root may not use eBPF here, or this is not root");
        return;
    }
    let exporter = Exporter::start(&[NOBODY, TWO_CAPABILITIES].concat(), &[]).unwrap();
    assert!(exporter.uses("ebpf"), "{:?}", exporter.said);
}

#[test]
fn in_a_pid_namespace_it_says_that_it_sees_a_part() {
    for usage in ["auto", "procfs"] {
        let flag = format!("--monitor.usage={usage}");
        let wrapper = [NAMESPACE, &["--mount-proc"]].concat();
        let Some(exporter) = Exporter::start(&wrapper, &[&flag]) else {
            eprintln!("skipped: no pid namespace may be made here");
            return;
        };
        let part = exporter.said("whole machine: off");
        assert!(part.contains("hostPID: true"), "{part}");
        let text = exporter.metrics_once(|text| text.contains("kepler_node_cpu_watts{"));
        let own = text
            .lines()
            .filter(|l| l.starts_with("kepler_process_cpu_seconds_total{"));
        assert!(own.clone().count() > 0, "{text}");
        let series = format!("pid=\"{}\"", std::process::id());
        assert!(own.clone().all(|l| !l.contains(&series)), "{text}");
    }
}

#[test]
fn the_hosts_proc_shows_the_machine_from_within_a_pid_namespace() {
    let Some(exporter) = Exporter::start(NAMESPACE, &[]) else {
        eprintln!("skipped: no pid namespace may be made here");
        return;
    };
    // A test that runs in a namespace itself has no such view to lose.
    let comm = Command::new("cat").arg("/proc/2/comm").output().unwrap();
    if comm.stdout != b"kthreadd\n" {
        eprintln!("skipped: /proc does not show the machine here");
        return;
    }
    exporter.said("usage by procfs");
    let series = format!("\"{}\"", std::process::id());
    exporter.metrics_once(|text| text.contains(&format!("{{pid={series}")));
}

/// A running exporter, and what it said up to where it listens.
struct Exporter {
    child: Child,
    folder: PathBuf,
    said: Vec<String>,
    address: String,
}

impl Exporter {
    /// Runs it through another program; `None` where that one is refused what it does.
    fn start(wrapper: &[&str], flags: &[&str]) -> Option<Self> {
        // Where any user may run it, which a home folder is not.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kepler-users-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.join("kepler-exporter");
        fs::copy(env!("CARGO_BIN_EXE_kepler-exporter"), &program).unwrap();
        let mut words = wrapper.to_vec();
        words.push(program.to_str().unwrap());
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--monitor.interval=200ms",
            ])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut exporter = Self {
            child,
            folder,
            said: Vec::new(),
            address: String::new(),
        };
        while exporter.address.is_empty() {
            let Some(line) = lines.next() else {
                let said = exporter.said.join("\n");
                assert!(said.contains("not permitted"), "{said}");
                return None;
            };
            let line = line.unwrap();
            if let Some((_, address)) = line.split_once("http://") {
                exporter.address = address.to_owned();
            }
            exporter.said.push(line);
        }
        std::thread::spawn(move || lines.for_each(drop));
        Some(exporter)
    }

    /// The line in which it said so.
    fn said(&self, what: &str) -> &str {
        let line = self.said.iter().find(|line| line.contains(what));
        line.unwrap_or_else(|| panic!("{what:?} in {:#?}", self.said))
    }

    fn uses(&self, usage: &str) -> bool {
        let line = format!("usage by {usage}");
        self.said.iter().any(|said| said.ends_with(&line))
    }

    /// The metrics once `wanted` says yes to them.
    fn metrics_once(&self, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            write!(stream, "GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            if wanted(&text) {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A process that does nothing but burn CPU time.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        let mut shell = Command::new("sh");
        Self(shell.args(["-c", "while :; do :; done"]).spawn().unwrap())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn figure(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|l| l.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}
