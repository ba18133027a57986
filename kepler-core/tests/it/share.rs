//! What a host hands to its virtual machines, and a guest that reads it as a meter.

use std::fs;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kepler_core::energy::{Domain, EnergySource, Powercap, Reading, Scripted as Meter};
use kepler_core::monitor::{Monitor, UsageChoice};
use kepler_core::share::VmShare;
use kepler_core::usage::{NodeUsage, Process, ProcessKey, ProcessUsage, Scripted, Usage};
use kepler_core::{Host, Watts};

use crate::attribution::ran;

fn machine(pid: u32, name: &str) -> Arc<Process> {
    Arc::new(Process {
        key: ProcessKey { pid, start_ns: 7 },
        comm: "qemu-system-x86".into(),
        exe: Some("/usr/bin/qemu-system-x86_64".into()),
        command: Some(
            format!("/usr/bin/qemu-system-x86_64 -name guest={name} -uuid u-{pid}").into(),
        ),
        cgroup: None,
        cgroup_id: 0,
        kernel: false,
    })
}

fn frame(processes: Vec<ProcessUsage>) -> Usage {
    Usage {
        processes,
        node: NodeUsage {
            cpus: 1,
            interval: Duration::from_secs(1),
            busy_ns: 1_000_000_000,
            idle_ns: 0,
            ..NodeUsage::default()
        },
        ..Usage::default()
    }
}

fn monitor(frames: Vec<Usage>) -> Monitor {
    let meter = Meter::constant(&[(Domain::Package, Watts(20.0)), (Domain::Dram, Watts(4.0))]);
    Monitor::builder()
        .energy(vec![Box::new(meter)])
        .usage(UsageChoice::Source(Box::new(Scripted::frames(frames))))
        .retention(Duration::ZERO)
        .build()
        .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    Host::default().names(folder).unwrap()
}

#[test]
fn a_guest_reads_as_its_meter_what_its_host_charged_it() {
    let folder = tempfile::tempdir().unwrap();
    let (web, db) = (machine(7, "web"), machine(8, "../db"));
    let mut host = monitor(vec![
        frame(vec![ran(&web, 0), ran(&db, 0)]),
        frame(vec![ran(&web, 750_000_000), ran(&db, 250_000_000)]),
    ]);
    let mut share = VmShare::open(folder.path()).unwrap();
    share.write(&host.sample().unwrap()).unwrap();
    assert_eq!(names(folder.path()), ["%2e.%2fdb", "web"]);
    let mut guest = Powercap::open(&Host::default().with_sys(folder.path().join("web"))).unwrap();
    let zones: Vec<Domain> = guest.zones().iter().map(|zone| zone.domain).collect();
    let (package, dram) = (
        zones.iter().position(|d| *d == Domain::Package).unwrap(),
        zones.iter().position(|d| *d == Domain::Dram).unwrap(),
    );
    let mut readings = Vec::new();
    guest.read(Host::since_boot(), &mut readings);
    std::thread::sleep(Duration::from_millis(50));
    let snapshot = host.sample().unwrap();
    share.write(&snapshot).unwrap();
    guest.read(Host::since_boot(), &mut readings);
    let read = |place: usize| match readings[place] {
        Reading::Energy { joules, .. } => joules.0,
        ref other => panic!("{other:?}"),
    };
    // Three quarters of the busy time; counters have steps of a microjoule.
    let whole = snapshot.node.domains[0].energy.active.0;
    assert!(
        (read(package) - 0.75 * whole).abs() <= 1e-6,
        "{} of {whole}",
        read(package)
    );
    assert!((read(dram) - 0.75 * snapshot.node.domains[1].energy.active.0).abs() <= 1e-6);
}

#[test]
fn a_counter_goes_on_when_the_host_begins_anew_and_goes_with_its_machine() {
    let folder = tempfile::tempdir().unwrap();
    let counter = || {
        let path = folder
            .path()
            .join("web/class/powercap/intel-rapl:0/energy_uj");
        let text = Host::default().text(path).unwrap();
        assert_eq!(text.len(), 21);
        text.trim().parse::<u64>().unwrap()
    };
    let web = machine(7, "web");
    let mut last = 0;
    for _ in 0..2 {
        let mut host = monitor(vec![
            frame(vec![ran(&web, 0)]),
            frame(vec![ran(&web, 900_000_000)]),
            frame(vec![]),
            frame(vec![]),
        ]);
        let mut share = VmShare::open(folder.path()).unwrap();
        share.write(&host.sample().unwrap()).unwrap();
        assert_eq!(counter(), last);
        std::thread::sleep(Duration::from_millis(20));
        share.write(&host.sample().unwrap()).unwrap();
        assert!(counter() > last);
        last = counter();
    }
    let mut host = monitor(vec![
        frame(vec![ran(&web, 0)]),
        frame(vec![]),
        frame(vec![]),
        frame(vec![]),
    ]);
    let mut share = VmShare::open(folder.path()).unwrap();
    for _ in 0..4 {
        share.write(&host.sample().unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_folder_that_cannot_be_written_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = VmShare::open(file.path().join("x"))
        .unwrap_err()
        .to_string();
    assert!(error.contains(file.path().to_str().unwrap()), "{error}");
}

fn counter(folder: &Path, vm: &str) -> u64 {
    let path = folder
        .join(vm)
        .join("class/powercap/intel-rapl:0/energy_uj");
    let text = Host::default().text(path).unwrap();
    text.trim().parse().unwrap()
}

/// A guest that has its folder mounted holds on to that folder, not to its name.
#[test]
fn a_guest_goes_on_reading_the_folder_that_it_holds_when_the_host_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let web = machine(7, "web");
    let begin = || {
        let mut host = monitor(vec![
            frame(vec![ran(&web, 0)]),
            frame(vec![ran(&web, 900_000_000)]),
        ]);
        let mut share = VmShare::open(folder.path()).unwrap();
        share.write(&host.sample().unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        share.write(&host.sample().unwrap()).unwrap();
    };
    begin();
    let held = fs::OpenOptions::new()
        .read(true)
        .open(folder.path().join("web"))
        .unwrap();
    let held = Host::default().with_sys(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let mut guest = Powercap::open(&held).unwrap();
    let mut readings = Vec::new();
    guest.read(Host::since_boot(), &mut readings);
    let before = counter(folder.path(), "web");
    begin();
    let after = counter(folder.path(), "web");
    assert!(after > before);
    let again = held.text(held.sys("class/powercap/intel-rapl:0/energy_uj"));
    assert_eq!(again.unwrap().trim().parse::<u64>().unwrap(), after);
    guest.read(Host::since_boot(), &mut readings);
    assert!(
        readings
            .iter()
            .any(|r| matches!(r, Reading::Energy { joules, .. } if joules.0 > 0.0)),
        "{readings:?}"
    );
}

#[test]
fn a_folder_that_was_made_ahead_to_be_mounted_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("web");
    fs::create_dir(&at).unwrap();
    let inode = Host::default().inode(&at).unwrap();
    let web = machine(7, "web");
    let mut host = monitor(vec![
        frame(vec![ran(&web, 0)]),
        frame(vec![ran(&web, 1_000_000_000)]),
        frame(vec![]),
        frame(vec![]),
    ]);
    let mut share = VmShare::open(folder.path()).unwrap();
    for _ in 0..2 {
        share.write(&host.sample().unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        Host::default().inode(&at).unwrap(),
        inode,
        "what is mounted"
    );
    assert!(counter(folder.path(), "web") > 0);
    for _ in 0..2 {
        share.write(&host.sample().unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_folder_of_somebody_else_is_told_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir_all(at("backups/class/powercap/intel-rapl:0")).unwrap();
    for path in [
        "backups/monday.tar",
        "backups/class/powercap/intel-rapl:0/energy_uj",
    ] {
        fs::write(at(path), "17\n").unwrap();
    }
    fs::write(at("file"), "x").unwrap();
    let machines: Vec<_> = ["backups", "file", "web"]
        .iter()
        .zip(7..)
        .map(|(name, pid)| machine(pid, name))
        .collect();
    let ran: Vec<_> = machines.iter().map(|vm| ran(vm, 100)).collect();
    let mut host = monitor(vec![frame(ran), frame(vec![]), frame(vec![])]);
    let mut share = VmShare::open(folder.path()).unwrap();
    let error = share.write(&host.sample().unwrap()).unwrap_err();
    assert_eq!(error.kind(), kepler_core::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("move it away"), "{error}");
    assert!(at("web/class").exists());
    // Something of somebody else's in a folder of ours.
    fs::write(at("web/class/note"), "keep").unwrap();
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(5));
        let _ = share.write(&host.sample().unwrap());
    }
    assert_eq!(names(folder.path()), ["backups", "file", "web"]);
    let text = |path| Host::default().text(at(path)).unwrap();
    assert_eq!(text("backups/monday.tar"), "17\n");
    assert_eq!(
        text("backups/class/powercap/intel-rapl:0/energy_uj"),
        "17\n"
    );
    assert_eq!(text("file"), "x");
    assert_eq!(names(&at("web/class")), ["note"]);
}

/// The descriptor of this process that is open on a path.
fn descriptor(path: &Path) -> RawFd {
    let mut open = Host::default().names("/proc/self/fd").unwrap().into_iter();
    let found =
        open.find(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).ok().as_deref() == Some(path));
    found.unwrap().parse().unwrap()
}

#[test]
fn a_write_that_fails_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let web = machine(7, "web");
    let busy = || frame(vec![ran(&web, 900_000_000)]);
    let mut host = monitor(vec![frame(vec![ran(&web, 0)]), busy(), busy(), busy()]);
    let mut share = VmShare::open(folder.path()).unwrap();
    let mut sample = || {
        std::thread::sleep(Duration::from_millis(5));
        host.sample().unwrap()
    };
    share.write(&sample()).unwrap();
    share.write(&sample()).unwrap();
    // The disk is full for one write.
    let path = folder
        .path()
        .canonicalize()
        .unwrap()
        .join("web/class/powercap/intel-rapl:0/energy_uj");
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    #[expect(unsafe_code, reason = "std cannot put one file in another's place")]
    // SAFETY: both are open descriptors; the one that is replaced stays its owner's to close.
    let put = unsafe { libc::dup2(full.as_raw_fd(), descriptor(&path)) };
    assert!(put >= 0);
    let before = counter(folder.path(), "web");
    let error = share.write(&sample()).unwrap_err().to_string();
    assert!(error.contains("energy_uj"), "{error}");
    assert_eq!(counter(folder.path(), "web"), before);
    let last = sample();
    share.write(&last).unwrap();
    let used = last.vms[0].usage.energy[0].joules.microjoules().0;
    assert_eq!(counter(folder.path(), "web"), used);
}
