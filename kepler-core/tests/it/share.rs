//! What a host hands to its virtual machines, and a guest that reads it as a meter.

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
