//! RAPL by powercap on twelve machines: which zones there are, and exact joules on each, worked out by hand.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use kepler_core::ErrorKind;
use kepler_core::energy::{self, EnergySource, Meters, Powercap, Reading};

use crate::machine_copy::MachineCopy;
use crate::powercap_bench::{Bench, energy, joules};

#[test]
fn two_sockets_stay_apart_with_their_memory() {
    let mut bench = Bench::new("two-sockets");
    let zones = [
        "package-0 package 0 -",
        "dram dram 0 -",
        "package-1 package 1 -",
        "dram dram 1 -",
    ];
    assert_eq!(bench.names(), zones);
    assert_eq!(bench.rapl.zones()[3].max.unwrap().0, 65_712_999_613);
    // 100,000,000,000 + 750,000,000 and so on; 750 J in 5 s are 150 W.
    bench.set("intel-rapl:0", 100_750_000_000);
    bench.set("intel-rapl:0:0", 20_012_500_000);
    bench.set("intel-rapl:1", 200_000_000_001);
    assert_eq!(joules(bench.after(5)), [750.0, 12.5, 0.000_001, 0.0]);
    assert!(
        matches!(bench.readings[0], Reading::Energy { over, .. } if over == Duration::from_secs(5))
    );
}

#[test]
fn two_dies_of_a_socket_have_a_counter_each() {
    let mut bench = Bench::new("dies");
    let zones = [
        "package-0-die-0 package 0 0",
        "dram dram 0 0",
        "package-0-die-1 package 0 1",
        "dram dram 0 1",
    ];
    assert_eq!(bench.names(), zones);
    bench.set("intel-rapl:0", 1_100_000_000);
    bench.set("intel-rapl:0:0", 500_000_000);
    bench.set("intel-rapl:1", 7_300_000_000);
    bench.set("intel-rapl:1:0", 604_000_000);
    // 100 J and 300 J: the socket used 400 J.
    assert_eq!(joules(bench.after(4)), [100.0, 0.0, 300.0, 4.0]);
}

#[test]
fn a_laptop_shows_psys_beside_its_package() {
    let mut bench = Bench::new("psys");
    let zones = [
        "package-0 package 0 -",
        "core core 0 -",
        "uncore uncore 0 -",
        "dram dram 0 -",
        "psys psys - -",
    ];
    assert_eq!(bench.names(), zones);
    for (zone, energy) in [
        ("intel-rapl:0", 50_030_000_000),
        ("intel-rapl:0:0", 30_020_000_000),
        ("intel-rapl:0:1", 4_001_500_000),
        ("intel-rapl:0:2", 6_002_250_000),
        ("intel-rapl:1", 90_055_000_000),
    ] {
        bench.set(zone, energy);
    }
    assert_eq!(joules(bench.after(3)), [30.0, 20.0, 1.5, 2.25, 55.0]);
}

#[test]
fn psys_between_two_packages_is_no_package() {
    let mut bench = Bench::new("psys-between-packages");
    let zones = [
        "package-0 package 0 -",
        "dram dram 0 -",
        "psys psys - -",
        "package-1 package 1 -",
        "dram dram 1 -",
    ];
    assert_eq!(bench.names(), zones);
    bench.set("intel-rapl:0", 11_200_000_000);
    bench.set("intel-rapl:1", 40_600_000_000);
    bench.set("intel-rapl:2", 12_250_000_000);
    assert_eq!(joules(bench.after(1)), [200.0, 0.0, 600.0, 250.0, 0.0]);
}

#[test]
fn a_package_shown_by_two_drivers_is_counted_once() {
    let mut bench = Bench::new("mmio-twins");
    let zones = [
        "package-0 package 0 -",
        "core core 0 -",
        "uncore uncore 0 -",
    ];
    assert_eq!(bench.names(), zones);
    let notes = bench.rapl.notes();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].part.contains("intel-rapl-mmio:0"), "{}", notes[0]);
    bench.set("intel-rapl:0", 8_012_000_000);
    bench.set("intel-rapl:0:0", 5_009_000_000);
    bench.set("intel-rapl-mmio:0", 8_011_990_000);
    assert_eq!(joules(bench.after(1)), [12.0, 9.0, 0.0]);
}

#[test]
fn a_twin_stands_in_for_a_zone_that_cannot_be_opened() {
    let machine = MachineCopy::of("powercap-mmio-twins");
    fs::remove_file(machine.path(&energy("intel-rapl:0"))).unwrap();
    let mut bench = Bench::unread(machine);
    bench.after(0);
    bench.set("intel-rapl-mmio:0", 8_001_000_000);
    // 8,001,000,000 - 7,999,000,000.
    assert_eq!(joules(bench.after(1)), [0.0, 0.0, 2.0]);
    assert_eq!(bench.names()[2], "package-0 package 0 -");
}

#[test]
fn a_socket_counter_that_four_dies_repeat_is_counted_once() {
    let mut bench = Bench::new("mirrored-dies");
    let zones = [
        "package-0 package 0 -",
        "core core 0 0",
        "core core 0 1",
        "core core 0 2",
        "core core 0 3",
    ];
    assert_eq!(bench.names(), zones);
    for die in 0..4 {
        bench.set(&format!("intel-rapl:{die}"), 33_170_000_000);
        bench.set(&format!("intel-rapl:{die}:0"), 1_000_000_000);
    }
    // Cores: 1,000 - 900, 1,000 - 700, 1,000 - 650, 1,000 - 910.
    assert_eq!(joules(bench.after(1)), [170.0, 100.0, 300.0, 350.0, 90.0]);
}

#[test]
fn amd_has_package_and_core_and_the_core_says_what_it_covers() {
    let mut bench = Bench::new("amd");
    assert_eq!(bench.names(), ["package-0 package 0 -", "core core 0 -"]);
    bench.set("intel-rapl:0", 12_400_000_000);
    bench.set("intel-rapl:0:0", 347_500_000);
    assert_eq!(joules(bench.after(1)), [55.0, 2.5]);
    assert_eq!(&*bench.rapl.provenance(0).note, "");
    assert!(bench.rapl.provenance(1).note.contains("one core"));
    assert_eq!(&*bench.rapl.provenance(1).source, "rapl-powercap");
}

#[test]
fn a_file_that_may_not_be_read_says_what_to_do() {
    let machine = MachineCopy::of("powercap-eacces");
    for zone in ["intel-rapl:0", "intel-rapl:0:0"] {
        let path = machine.path(&energy(zone));
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let host = machine.host();
    let error = as_nobody(move || Powercap::open(&host).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let text = error.to_string();
    assert!(text.contains("intel-rapl:0/energy_uj"), "{text}");
    assert!(text.contains("CAP_DAC_READ_SEARCH"), "{text}");
}

#[test]
fn a_zone_that_may_not_be_read_costs_that_zone_alone() {
    let machine = MachineCopy::of("powercap-eacces");
    let path = machine.path(&energy("intel-rapl:0:0"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    let host = machine.host();
    let rapl = as_nobody(move || Powercap::open(&host).unwrap());
    assert_eq!(rapl.zones().len(), 1);
    assert!(
        rapl.notes()[0].why.contains("Permission denied"),
        "{}",
        rapl.notes()[0]
    );
}

/// Runs `task` with the rights of another user on files. `setfsuid` changes the calling thread alone, and takes root's
/// right to read everything from it.
fn as_nobody<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> T {
    let run = move || {
        #[expect(unsafe_code, reason = "std has no setfsuid")]
        // SAFETY: the call takes a number and touches no memory of ours.
        unsafe {
            libc::setfsuid(65_534);
        }
        task()
    };
    std::thread::spawn(run).join().unwrap()
}

#[test]
fn a_machine_without_rapl_says_so() {
    let machine = MachineCopy::empty();
    let error = Powercap::open(&machine.host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    machine.set("sys/class/powercap/dtpm/enabled", 1);
    let error = Powercap::open(&machine.host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("modprobe"), "{error}");
}

#[test]
fn counters_that_all_stand_at_0_are_no_meter() {
    let machine = MachineCopy::of("powercap-psys");
    for zone in [
        "intel-rapl:0",
        "intel-rapl:0:0",
        "intel-rapl:0:1",
        "intel-rapl:0:2",
    ] {
        machine.set(&energy(zone), 0);
    }
    let found = || energy::open(&machine.host(), &Meters::default());
    assert_eq!(found().0.len(), 1, "psys still counts");
    machine.set(&energy("intel-rapl:1"), 0);
    let (sources, notes) = found();
    assert!(sources.is_empty(), "the machine's energy is modeled then");
    assert!(notes[0].why.contains("stand at 0"), "{}", notes[0]);
    // One that a host shares begins at 0, and whoever names it knows that it is one.
    assert!(Powercap::open(&machine.host()).is_ok());
}

#[test]
fn zones_are_found_in_the_device_tree_too() {
    let machine = MachineCopy::empty();
    for (zone, name) in [
        ("intel-rapl/intel-rapl:0", "package-0"),
        ("intel-rapl/intel-rapl:0/intel-rapl:0:0", "dram"),
    ] {
        machine.set(&format!("sys/class/powercap/{zone}/name"), name);
        machine.set(&energy(zone), 5);
    }
    let bench = Bench::unread(machine);
    assert_eq!(bench.names(), ["package-0 package 0 -", "dram dram 0 -"]);
}
