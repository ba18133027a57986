//! What processes did, told by `/proc` alone.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use kepler_core::usage::{Process, ProcessUsage, Procfs, Usage, UsageSource};
use kepler_core::{ErrorKind, Host};
use tempfile::TempDir;

const MS: u64 = 1_000_000;

/// A machine of two CPUs, made of files, whose time is told.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
        };
        machine.write(
            "stat",
            "cpu  9 9 9 900 0 0 0 0 0 0\ncpu0 4 4 4 450\ncpu1 5 5 5 450\nctxt 1\n",
        );
        machine
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.path().join("proc").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Process `pid` after `ticks` of CPU time, started at tick `start`, with its stack at `stack`.
    fn process(&self, pid: u32, comm: &str, ticks: u64, start: u64, stack: u64) {
        self.write(
            &format!("{pid}/stat"),
            &format!(
                "{pid} ({comm}) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {start} 0 0 0 0 0 {stack} 0\n"
            ),
        );
    }

    /// As `process`, of a parent, after `children` ticks of children that it waited for. Started at tick 1.
    fn relative(&self, pid: u32, parent: u32, ticks: u64, children: u64) {
        self.write(
            &format!("{pid}/stat"),
            &format!(
                "{pid} (x) S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 {children} 0 20 0 1 0 1 0 0\n"
            ),
        );
    }

    fn end(&self, pid: u32) {
        fs::remove_dir_all(self.root.path().join(format!("proc/{pid}"))).unwrap();
    }

    fn open(&self) -> Sampler {
        Sampler {
            source: Procfs::open(&Host::at(self.root.path())).unwrap(),
            usage: Usage::default(),
        }
    }
}

struct Sampler {
    source: Procfs,
    usage: Usage,
}

impl Sampler {
    fn at(&mut self, seconds: u64) -> &mut Self {
        self.source
            .sample(Duration::from_secs(seconds), &mut self.usage)
            .unwrap();
        self
    }

    fn all(&self, pid: u32) -> Vec<&ProcessUsage> {
        (self.usage.processes.iter())
            .filter(|p| p.process.key.pid == pid)
            .collect()
    }

    fn one(&self, pid: u32) -> &ProcessUsage {
        let [one] = self.all(pid)[..] else {
            panic!("{:?}", self.usage.processes)
        };
        one
    }

    fn cpu_ms(&self, pid: u32) -> u64 {
        self.one(pid).delta.cpu_ns / MS
    }

    fn process(&self, pid: u32) -> Arc<Process> {
        self.one(pid).process.clone()
    }
}

#[test]
fn the_first_sample_is_a_baseline_and_the_next_counts_what_grew() {
    let machine = Machine::new();
    machine.process(7, "a) b (c", 5_000, 100, 0);
    let mut source = machine.open();
    assert_eq!(source.at(100).cpu_ms(7), 0);
    machine.process(7, "a) b (c", 5_042, 100, 0);
    assert_eq!(source.at(101).cpu_ms(7), 420);
    assert_eq!(&*source.process(7).comm, "a) b (c");
    assert_eq!(source.process(7).key.start_ns, 1_000 * MS);
    assert_eq!(source.usage.node.cpus, 2);
}

#[test]
fn a_sample_that_fails_leaves_the_interval_open_for_tasks_and_machine_alike() {
    let machine = Machine::new();
    let stat = |idle: u64| {
        let half = idle / 2;
        let text = format!(
            "cpu  9 9 9 {idle} 0 0 0 0 0 0\ncpu0 4 4 4 {half}\ncpu1 5 5 5 {half}\nctxt 1\n"
        );
        machine.write("stat", &text);
    };
    machine.process(7, "worker", 0, 100, 0);
    let mut source = machine.open();
    source.at(100);
    // Busy for one second of two.
    stat(900);
    machine.process(7, "worker", 200, 100, 0);
    let (proc, away) = (
        machine.root.path().join("proc"),
        machine.root.path().join("away"),
    );
    fs::rename(&proc, &away).unwrap();
    let Sampler {
        source: procfs,
        usage,
    } = &mut source;
    procfs.sample(Duration::from_secs(101), usage).unwrap_err();
    fs::rename(&away, &proc).unwrap();
    stat(1_100);
    assert_eq!(source.at(102).cpu_ms(7), 2_000);
    let node = &source.usage.node;
    assert_eq!(node.interval, Duration::from_secs(2));
    assert_eq!((node.busy_ns, node.idle_ns), (2_000 * MS, 2_000 * MS));
}

#[test]
fn a_process_counts_whole_only_if_it_started_after_the_previous_sample() {
    let machine = Machine::new();
    machine.process(1, "init", 1, 1, 0);
    let mut source = machine.open();
    source.at(100);
    machine.process(8, "new", 30, 10_050, 0);
    machine.process(9, "old", 30, 9_950, 0);
    source.at(101);
    assert_eq!((source.cpu_ms(8), source.cpu_ms(9)), (300, 0));
}

#[test]
fn a_total_that_falls_is_not_counted_again_on_its_way_back() {
    let machine = Machine::new();
    machine.process(7, "x", 500, 1, 0);
    let mut source = machine.open();
    source.at(100);
    machine.process(7, "x", 480, 1, 0);
    assert_eq!(source.at(101).cpu_ms(7), 0);
    machine.process(7, "x", 510, 1, 0);
    assert_eq!(source.at(102).cpu_ms(7), 100);
}

#[test]
fn a_rise_that_two_cpus_cannot_make_is_refused_and_counted() {
    let machine = Machine::new();
    machine.process(7, "x", 0, 1, 0);
    let mut source = machine.open();
    source.at(100);
    machine.process(7, "x", 1_000, 1, 0); // 10 s in 1 s
    assert_eq!(source.at(101).cpu_ms(7), 0);
    assert_eq!(source.usage.refused_ns, 10_000 * MS);
    assert_eq!(source.usage.stats.refused, 1);
    machine.process(7, "x", 1_150, 1, 0);
    assert_eq!(source.at(102).cpu_ms(7), 1_500);
    assert_eq!(source.usage.refused_ns, 0);
    assert_eq!(source.usage.stats.refused, 1);
}

#[test]
fn a_process_that_vanished_ends_once() {
    let machine = Machine::new();
    machine.process(1, "init", 1, 1, 0);
    machine.process(7, "x", 5, 1, 0);
    let mut source = machine.open();
    source.at(100);
    machine.end(7);
    source.at(101);
    assert!(source.one(7).ended);
    assert_eq!(source.cpu_ms(7), 0);
    assert!(!source.one(1).ended);
    assert!(source.at(102).all(7).is_empty());
}

#[test]
fn what_ended_unseen_is_booked_to_the_cgroup_of_the_parent_that_waited_for_it() {
    let machine = Machine::new();
    machine.relative(1, 0, 0, 7_000);
    machine.relative(6, 1, 0, 300);
    machine.write("6/cgroup", "0::/build\n");
    machine.relative(7, 6, 1_000, 50);
    let mut source = machine.open();
    source.at(100);
    // 7 used 0.2 s more, which is seen, then 0.1 s, which is not. Others lived 0.4 s that nobody saw.
    machine.relative(7, 6, 1_020, 50);
    assert_eq!(source.at(101).cpu_ms(7), 200);
    assert!(source.usage.unnamed.is_empty());
    machine.end(7);
    machine.relative(6, 1, 0, 300 + 1_030 + 50 + 40);
    source.at(102);
    let [unnamed] = &source.usage.unnamed[..] else {
        panic!("{:?}", source.usage.unnamed)
    };
    assert_eq!(unnamed.cgroup.as_deref(), Some("/build"));
    assert_eq!(unnamed.delta.cpu_ns, 500 * MS);
    assert!(source.at(103).usage.unnamed.is_empty());
}

#[test]
fn an_old_orphan_that_ends_is_not_booked_again_where_it_was_taken_in() {
    let machine = Machine::new();
    machine.relative(1, 0, 0, 0);
    machine.relative(6, 1, 0, 0);
    machine.relative(7, 6, 150, 0);
    let mut source = machine.open();
    source.at(100);
    machine.end(6);
    machine.end(7);
    machine.relative(1, 0, 0, 150);
    assert!(
        source.at(101).usage.unnamed.is_empty(),
        "{:?}",
        source.usage.unnamed
    );
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let machine = Machine::new();
    machine.process(7, "old", 900, 1, 0);
    let mut source = machine.open();
    source.at(100);
    machine.process(7, "new", 20, 10_050, 0);
    source.at(101);
    let [old, new] = source.all(7)[..] else {
        panic!("{:?}", source.usage.processes)
    };
    assert_eq!(
        (&*old.process.comm, old.ended, old.delta.cpu_ns),
        ("old", true, 0)
    );
    assert_eq!(
        (&*new.process.comm, new.ended, new.delta.cpu_ns),
        ("new", false, 200 * MS)
    );
}

#[test]
fn a_process_that_cannot_be_read_costs_only_its_own_figures() {
    let machine = Machine::new();
    machine.process(1, "init", 1, 1, 0);
    machine.process(7, "x", 5, 1, 0);
    let mut source = machine.open();
    source.at(100);
    // A folder in the place of the file: the read fails with another error than "not found".
    machine.end(7);
    fs::create_dir_all(machine.root.path().join("proc/7/stat")).unwrap();
    machine.process(1, "init", 11, 1, 0);
    source.at(101);
    assert_eq!(source.cpu_ms(1), 100);
    assert_eq!((source.one(7).ended, source.cpu_ms(7)), (false, 0));
    machine.end(7);
    machine.process(7, "x", 25, 1, 0);
    assert_eq!(
        source.at(102).cpu_ms(7),
        200,
        "the time in between is not lost"
    );
}

#[test]
fn a_process_keeps_its_identity_until_it_calls_exec() {
    let machine = Machine::new();
    machine.process(7, "sh", 0, 1, 1000);
    machine.write("7/cmdline", "sh\0-c\0x\0");
    machine.write("7/cgroup", "0::/a\n");
    let mut source = machine.open();
    let first = source.at(100).process(7);
    assert_eq!(first.command.as_deref(), Some("sh -c x"));
    machine.process(7, "sh", 10, 1, 1000);
    assert!(Arc::ptr_eq(&first, &source.at(101).process(7)));

    // The same name, but another stack: another program.
    machine.process(7, "sh", 20, 1, 2000);
    machine.write("7/cmdline", "sh\0y\0");
    let second = source.at(102).process(7);
    assert_eq!(second.command.as_deref(), Some("sh y"));
    assert_eq!(source.cpu_ms(7), 100, "totals continue");

    // A zombie has neither command line nor stack: who it was stays known.
    machine.process(7, "sh", 20, 1, 0);
    machine.write("7/cmdline", "");
    assert!(Arc::ptr_eq(&second, &source.at(103).process(7)));
}

#[test]
fn a_process_that_works_is_found_in_its_new_cgroup_within_eight_samples() {
    let machine = Machine::new();
    machine.process(7, "x", 0, 1, 0);
    machine.write("7/cgroup", "0::/old\n");
    let mut source = machine.open();
    assert_eq!(source.at(100).process(7).cgroup.as_deref(), Some("/old"));
    machine.write("7/cgroup", "0::/new\n");
    // It sleeps, so it is not looked at.
    for second in 101..150 {
        source.at(second);
    }
    assert_eq!(source.process(7).cgroup.as_deref(), Some("/old"));
    machine.process(7, "x", 1, 1, 0);
    assert_eq!(source.at(150).process(7).cgroup.as_deref(), Some("/new"));
    let mut ticks = 1;
    for second in 151..180 {
        ticks += 1;
        machine.process(7, "x", ticks, 1, 0);
        source.at(second);
    }
    machine.write("7/cgroup", "0::/newer\n");
    for second in 180..188 {
        ticks += 1;
        machine.process(7, "x", ticks, 1, 0);
        source.at(second);
    }
    assert_eq!(source.process(7).cgroup.as_deref(), Some("/newer"));
}

#[test]
fn a_cgroup_has_the_id_of_its_folder_in_its_own_hierarchy() {
    use std::os::unix::fs::MetadataExt;
    let machine = Machine::new();
    let folder = |name: &str| {
        let folder = machine.root.path().join("sys/fs/cgroup").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::metadata(folder).unwrap().ino()
    };
    let (unified, cpu) = (folder("a"), folder("cpu,cpuacct/b"));
    for (pid, cgroup) in [
        (7, "0::/a\n"),
        (8, "4:cpu,cpuacct:/b\n0::/a\n"),
        (9, "0::/gone\n"),
    ] {
        machine.process(pid, "x", 0, 1, 0);
        machine.write(&format!("{pid}/cgroup"), cgroup);
    }
    let mut source = machine.open();
    source.at(100);
    let ids = [7, 8, 9].map(|pid| source.process(pid).cgroup_id);
    assert_eq!(ids, [unified, cpu, 0]);
}

#[test]
fn hidden_processes_are_reported_and_an_empty_proc_is_an_error() {
    let machine = Machine::new();
    let error = Procfs::open(&Host::at(machine.root.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("hidepid"), "{error}");

    machine.process(4242, "mine", 1, 1, 0);
    let notes = machine.open().source.notes();
    assert!(
        notes.iter().any(|n| !n.active && n.why.contains("hidepid")),
        "{notes:?}"
    );

    machine.process(1, "init", 1, 1, 0);
    assert!(machine.open().source.notes().iter().all(|n| n.active));

    let error = Procfs::open(&Host::at("/nowhere")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn the_live_kernel_tells_this_process_its_own_cpu_time() {
    let own_ns = || {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        #[expect(unsafe_code, reason = "std has no process CPU clock")]
        // SAFETY: the pointer is to a timespec that lives through the call.
        unsafe {
            libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time);
        }
        u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
    };
    let mut source = Procfs::open(&Host::default()).unwrap();
    let mut usage = Usage::default();
    let outer = own_ns();
    source.sample(Host::since_boot(), &mut usage).unwrap();
    let inner = own_ns();
    while own_ns() < inner + 300 * MS {}
    let inner = own_ns() - inner;
    source.sample(Host::since_boot(), &mut usage).unwrap();
    let outer = own_ns() - outer;

    let me = std::process::id();
    let mine = usage
        .processes
        .iter()
        .find(|p| p.process.key.pid == me)
        .unwrap();
    // Two columns, each cut to a tick of 10 ms, at both ends.
    let (least, most) = (inner - 20 * MS, outer + 20 * MS);
    let seen = mine.delta.cpu_ns;
    assert!(
        (least..=most).contains(&seen),
        "{seen} not in {least}..={most}"
    );
    assert!(usage.node.busy_ns + 150 * MS > seen, "{:?}", usage.node);
}
