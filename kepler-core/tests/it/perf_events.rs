//! RAPL by perf events, with pipes in the place of the kernel's counters.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use kepler_core::energy::{EnergySource, Perf, PerfEvent, Reading};
use kepler_core::{Error, ErrorKind};

use crate::machine_copy::MachineCopy;

/// Counts a joule of the kernel's scale, 2^-32.
const JOULE: u64 = 1 << 32;
const SCALE: &str = "2.3283064365386962890625e-10";

fn pmu(machine: &MachineCopy, name: &str, kind: u32, cpumask: &str, events: &[(&str, u64)]) {
    let folder = format!("sys/bus/event_source/devices/{name}");
    machine.set(&format!("{folder}/type"), kind);
    machine.set(&format!("{folder}/cpumask"), cpumask);
    for (event, config) in events {
        let event = format!("{folder}/events/{event}");
        machine.set(&event, format!("event=0x{config:02x}").as_str());
        machine.set(&format!("{event}.scale"), SCALE);
        machine.set(&format!("{event}.unit"), "Joules");
    }
}

fn cpu(machine: &MachineCopy, cpu: u32, package: u32, die: u32, core: u32) {
    let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
    machine.set(&format!("{folder}/physical_package_id"), package);
    machine.set(&format!("{folder}/die_id"), die);
    machine.set(&format!("{folder}/core_id"), core);
}

/// The kernel's side: a pipe for each event that was opened.
#[derive(Default)]
struct Kernel {
    pipes: BTreeMap<(String, u32), PipeWriter>,
    opened: Vec<PerfEvent>,
}

impl Kernel {
    fn open(&mut self, event: &PerfEvent) -> kepler_core::Result<File> {
        let (reader, writer) = std::io::pipe().unwrap();
        self.opened.push(event.clone());
        self.pipes.insert((event.name.clone(), event.cpu), writer);
        Ok(File::from(OwnedFd::from(reader)))
    }

    /// What the event shows at the next look.
    fn show(&mut self, event: &str, cpu: u32, count: u64) {
        let pipe = self.pipes.get_mut(&(event.to_owned(), cpu)).unwrap();
        pipe.write_all(&count.to_ne_bytes()).unwrap();
    }
}

fn names(source: &dyn EnergySource) -> Vec<String> {
    source
        .zones()
        .iter()
        .map(|z| format!("{} {:?} {:?}", z.name, z.index, z.die))
        .collect()
}

fn joules(readings: &[Reading]) -> Vec<f64> {
    let joules = readings.iter().map(|reading| match reading {
        Reading::Energy { joules, .. } => joules.0,
        other => panic!("{other:?}"),
    });
    joules.collect()
}

#[test]
fn each_package_has_its_own_events() {
    let machine = MachineCopy::empty();
    pmu(
        &machine,
        "power",
        22,
        "0,28",
        &[("energy-pkg", 2), ("energy-ram", 3)],
    );
    // A server numbers its CPUs as it likes.
    cpu(&machine, 0, 1, 0, 0);
    cpu(&machine, 28, 0, 0, 0);
    let mut kernel = Kernel::default();
    let mut perf = Perf::open_with(&machine.host(), |event| kernel.open(event)).unwrap();
    let zones = [
        "package-0 Some(0) None",
        "dram Some(0) None",
        "package-1 Some(1) None",
        "dram Some(1) None",
    ];
    assert_eq!(names(&perf), zones);
    // One event counts both packages; what tells them apart is the CPU that it is opened on.
    let mut paths: Vec<_> = perf.zones().iter().map(|z| (&z.path, &z.name)).collect();
    paths.sort();
    paths.dedup_by_key(|(path, _)| *path);
    assert_eq!(paths.len(), 4, "{paths:?}");
    let package = kernel.opened.iter().find(|e| e.cpu == 28 && e.config == 2);
    assert_eq!(package.unwrap().kind, 22);
    let mut readings = Vec::new();
    // The first look is the baseline, whatever the counter shows.
    for (seconds, counts) in [
        (0, [5, 0, 0, 0]),
        (2, [5 + 100 * JOULE, JOULE / 2, 40 * JOULE, 3 * JOULE]),
    ] {
        kernel.show("power/energy-pkg/", 28, counts[0]);
        kernel.show("power/energy-ram/", 28, counts[1]);
        kernel.show("power/energy-pkg/", 0, counts[2]);
        kernel.show("power/energy-ram/", 0, counts[3]);
        perf.read(Duration::from_secs(seconds), &mut readings);
    }
    assert_eq!(joules(&readings), [100.0, 0.5, 40.0, 3.0]);
}

#[test]
fn dies_of_a_socket_stay_apart_on_intel_alone() {
    for (vendor, zones) in [
        (
            "GenuineIntel",
            vec![
                "package-0-die-0 Some(0) Some(0)",
                "package-0-die-1 Some(0) Some(1)",
            ],
        ),
        ("AuthenticAMD", vec!["package-0 Some(0) None"]),
    ] {
        let machine = MachineCopy::empty();
        machine.set(
            "proc/cpuinfo",
            format!("vendor_id\t: {vendor}\ncpu family\t: 23").as_str(),
        );
        pmu(&machine, "power", 22, "0,8", &[("energy-pkg", 2)]);
        cpu(&machine, 0, 0, 0, 0);
        cpu(&machine, 8, 0, 1, 0);
        let mut kernel = Kernel::default();
        let perf = Perf::open_with(&machine.host(), |event| kernel.open(event)).unwrap();
        assert_eq!(names(&perf), zones, "{vendor}");
    }
}

#[test]
fn cores_that_are_counted_one_by_one_are_added_up() {
    let machine = MachineCopy::empty();
    pmu(&machine, "power", 22, "0", &[("energy-pkg", 2)]);
    pmu(&machine, "power_core", 23, "0-2", &[("energy-core", 1)]);
    for core in 0..3 {
        cpu(&machine, core, 0, 0, core);
    }
    let mut kernel = Kernel::default();
    let mut perf = Perf::open_with(&machine.host(), |event| kernel.open(event)).unwrap();
    assert_eq!(
        names(&perf),
        ["package-0 Some(0) None", "core Some(0) None"]
    );
    let mut readings = Vec::new();
    for look in 0..2 {
        kernel.show("power/energy-pkg/", 0, look * 20 * JOULE);
        for core in 0..3 {
            kernel.show(
                "power_core/energy-core/",
                core,
                look * u64::from(core + 1) * JOULE,
            );
        }
        perf.read(Duration::from_secs(look), &mut readings);
    }
    // 1 + 2 + 3.
    assert_eq!(joules(&readings), [20.0, 6.0]);
}

#[test]
fn a_counter_that_nothing_feeds_is_no_zero() {
    // As a guest shows it: psys alone, and it stands at 0.
    let machine = MachineCopy::empty();
    pmu(&machine, "power", 9, "0", &[("energy-psys", 5)]);
    cpu(&machine, 0, 0, 0, 0);
    let mut kernel = Kernel::default();
    let mut perf = Perf::open_with(&machine.host(), |event| kernel.open(event)).unwrap();
    assert_eq!(names(&perf), ["psys None None"]);
    let mut readings = Vec::new();
    for (seconds, count) in [(0, 0), (1, 0), (2, 7 * JOULE)] {
        kernel.show("power/energy-psys/", 0, count);
        perf.read(Duration::from_secs(seconds), &mut readings);
        match seconds {
            0 => assert!(matches!(readings[0], Reading::Baseline), "{readings:?}"),
            1 => assert!(matches!(readings[0], Reading::Failed(_)), "{readings:?}"),
            _ => assert_eq!(joules(&readings), [7.0]),
        }
    }
}

#[test]
fn what_the_kernel_adds_over_a_sleep_is_not_booked() {
    let machine = MachineCopy::empty();
    machine.set("sys/power/suspend_stats/success", 3);
    pmu(&machine, "power", 22, "0", &[("energy-pkg", 2)]);
    cpu(&machine, 0, 0, 0, 0);
    let mut kernel = Kernel::default();
    let mut perf = Perf::open_with(&machine.host(), |event| kernel.open(event)).unwrap();
    let mut readings = Vec::new();
    let mut look = |seconds, joules| {
        kernel.show("power/energy-pkg/", 0, joules * JOULE);
        perf.read(Duration::from_secs(seconds), &mut readings);
        format!("{:?}", readings[0])
    };
    assert_eq!(look(0, 0), "Baseline");
    assert!(look(1, 10).contains("Joules(10.0)"));
    // Eight hours asleep; the register was set back, and the kernel took that for a wrap of 262 kJ.
    machine.set("sys/power/suspend_stats/success", 4);
    assert_eq!(look(28_801, 262_000), "Baseline");
    assert!(look(28_802, 262_007).contains("Joules(7.0)"));
}

#[test]
fn an_event_that_may_not_be_opened_costs_its_zone_alone() {
    let machine = MachineCopy::empty();
    pmu(
        &machine,
        "power",
        22,
        "0",
        &[("energy-pkg", 2), ("energy-ram", 3)],
    );
    cpu(&machine, 0, 0, 0, 0);
    let refused = |event: &PerfEvent| Error::Kernel {
        call: event.name.clone(),
        source: std::io::Error::from_raw_os_error(libc::EACCES),
        hint: String::new(),
    };
    let mut kernel = Kernel::default();
    let perf = Perf::open_with(&machine.host(), |event| match event.config {
        3 => Err(refused(event)),
        _ => kernel.open(event),
    });
    let perf = perf.unwrap();
    assert_eq!(names(&perf), ["package-0 Some(0) None"]);
    assert_eq!(perf.notes().len(), 1);
    let error = Perf::open_with(&machine.host(), |event| Err(refused(event))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_host_without_the_events_says_so() {
    let error = Perf::open(&MachineCopy::empty().host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let machine = MachineCopy::empty();
    pmu(&machine, "power", 22, "0", &[("energy-pkg", 2)]);
    cpu(&machine, 0, 0, 0, 0);
    machine.set(
        "sys/bus/event_source/devices/power/events/energy-pkg.unit",
        "furlongs",
    );
    let error = Perf::open(&machine.host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

#[test]
fn this_machine_opens_its_events_or_says_why_not() {
    match Perf::open(&kepler_core::Host::default()) {
        Ok(mut perf) => {
            let mut readings = Vec::new();
            perf.read(Duration::from_secs(1), &mut readings);
            assert_eq!(readings.len(), perf.zones().len());
            assert!(
                readings.iter().all(|r| matches!(r, Reading::Baseline)),
                "{readings:?}"
            );
        }
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::NotFound
            ),
            "{error}"
        ),
    }
}
