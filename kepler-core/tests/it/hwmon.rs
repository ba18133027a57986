//! Power and energy sensors of hwmon, and which sources a machine opens.

use std::fs;
use std::time::Duration;

use kepler_core::ErrorKind;
use kepler_core::energy::{self, Domain, EnergySource, Hwmon, Meters, Rapl, Reading};

use crate::machine_copy::MachineCopy;

fn chip(machine: &MachineCopy, number: u32, name: &str, files: &[(&str, &str)]) {
    machine.set(&format!("sys/class/hwmon/hwmon{number}/name"), name);
    for (file, text) in files {
        machine.set(&format!("sys/class/hwmon/hwmon{number}/{file}"), *text);
    }
}

fn zones(source: &dyn EnergySource) -> Vec<String> {
    source.zones().iter().map(|z| z.name.clone()).collect()
}

fn read(source: &mut dyn EnergySource, seconds: u64) -> Vec<Reading> {
    let mut readings = Vec::new();
    source.read(Duration::from_secs(seconds), &mut readings);
    readings
}

#[track_caller]
fn assert_joules(readings: &[Reading], want: &[f64]) {
    assert_eq!(readings.len(), want.len());
    for (reading, want) in readings.iter().zip(want) {
        match reading {
            Reading::Energy { joules, .. } => {
                assert!((joules.0 - want).abs() < 1e-9, "{joules:?} is not {want}");
            }
            other => panic!("{other:?}"),
        }
    }
}

const POWER: &str = "sys/class/hwmon/hwmon1/device/power1_average";

/// A server whose ACPI power meter shows 100 W.
fn server(window_ms: &str) -> MachineCopy {
    let machine = MachineCopy::empty();
    chip(&machine, 0, "nvme", &[("temp1_input", "40000")]);
    let files = [
        ("device/power1_average", "100000000"),
        ("device/power1_average_interval", window_ms),
    ];
    chip(&machine, 1, "power_meter", &files);
    machine
}

#[test]
fn an_acpi_power_meter_is_the_platform() {
    let machine = server("1000");
    let mut source = Hwmon::open(&machine.host()).unwrap();
    assert_eq!(zones(&source), ["platform"]);
    assert!(matches!(read(&mut source, 0)[0], Reading::Baseline));
    machine.set(POWER, 140_000_000);
    // An average over 1 s says little of 10 s: the mean of 100 W and 140 W, for 10 s.
    assert_joules(&read(&mut source, 10), &[1200.0]);
    // But it says all of 1 s: 140 W for 1 s, then 60 W for 1 s.
    assert_joules(&read(&mut source, 11), &[140.0]);
    machine.set(POWER, 60_000_000);
    assert_joules(&read(&mut source, 12), &[60.0]);
    assert!(source.provenance(0).note.contains("power_meter"));
}

#[test]
fn power_is_not_made_up_for_a_time_that_was_not_seen() {
    let machine = server("0");
    machine.set("sys/power/suspend_stats/success", 0);
    let mut source = Hwmon::open(&machine.host()).unwrap();
    read(&mut source, 0);
    assert_joules(&read(&mut source, 1), &[100.0]);
    machine.set(POWER, "");
    assert!(matches!(read(&mut source, 2)[0], Reading::Failed(_)));
    machine.set(POWER, 100_000_000);
    assert!(matches!(read(&mut source, 100)[0], Reading::Baseline));
    assert_joules(&read(&mut source, 102), &[200.0]);
    // Eight hours asleep.
    machine.set("sys/power/suspend_stats/success", 1);
    assert!(matches!(read(&mut source, 28_902)[0], Reading::Baseline));
    // "Unknown", as older kernels show it.
    machine.set(POWER, 4_294_967_295_000_u64);
    assert!(matches!(read(&mut source, 28_903)[0], Reading::Refused));
    machine.set(POWER, 100_000_000);
    assert!(matches!(read(&mut source, 28_904)[0], Reading::Baseline));
    assert_joules(&read(&mut source, 28_905), &[100.0]);
}

#[test]
fn a_sensor_whose_driver_was_reloaded_is_found_again() {
    let machine = server("0");
    let mut source = Hwmon::open(&machine.host()).unwrap();
    read(&mut source, 0);
    machine.set(POWER, "");
    let class = machine.path("sys/class/hwmon");
    fs::rename(class.join("hwmon1"), class.join("hwmon7")).unwrap();
    machine.set("sys/class/hwmon/hwmon7/device/power1_average", "");
    assert!(matches!(read(&mut source, 1)[0], Reading::Failed(_)));
    fs::remove_file(class.join("hwmon7/device/power1_average")).unwrap();
    machine.set("sys/class/hwmon/hwmon7/device/power1_average", 50_000_000);
    assert!(matches!(read(&mut source, 2)[0], Reading::Baseline));
    assert_joules(&read(&mut source, 3), &[50.0]);
}

#[test]
fn rails_with_clear_labels_are_zones() {
    let machine = MachineCopy::empty();
    let files = [
        ("power1_label", "CPU power"),
        ("power1_input", "20000000"),
        ("power2_label", "IO power"),
        ("power2_input", "8000000"),
    ];
    chip(&machine, 0, "apm_xgene", &files);
    chip(&machine, 2, "ina226", &[("power1_input", "9000000")]);
    let mut source = Hwmon::open(&machine.host()).unwrap();
    assert_eq!(zones(&source), ["package-0", "uncore"]);
    read(&mut source, 5);
    machine.set("sys/class/hwmon/hwmon0/power1_input", 30_000_000);
    assert_joules(&read(&mut source, 7), &[50.0, 16.0]);
}

#[test]
fn an_energy_counter_is_used_before_a_power_reading_of_the_same_part() {
    let machine = MachineCopy::empty();
    let files = [
        ("power1_label", "Chip 0"),
        ("power1_input", "20000000"),
        ("energy1_label", "Chip 0"),
        ("energy1_input", "5000000"),
        ("power2_label", "System"),
        ("power2_input", "300000000"),
    ];
    chip(&machine, 0, "ibmpowernv", &files);
    chip(
        &machine,
        1,
        "power_meter",
        &[("power1_average", "310000000")],
    );
    let mut source = Hwmon::open(&machine.host()).unwrap();
    // The meter's average is preferred to the reading of the moment: one platform, not two.
    assert_eq!(zones(&source), ["package-0", "platform"]);
    assert_eq!(source.notes().len(), 2);
    read(&mut source, 0);
    machine.set("sys/class/hwmon/hwmon0/energy1_input", 47_000_000);
    assert_joules(&read(&mut source, 2), &[42.0, 620.0]);
}

#[test]
fn graphics_cards_count_apart() {
    let machine = MachineCopy::empty();
    let card = |energy| {
        [
            ("energy1_label", "card"),
            ("energy1_input", energy),
            ("energy2_label", "pkg"),
            ("energy2_input", "1"),
        ]
    };
    chip(&machine, 10, "xe", &card("7000000"));
    chip(&machine, 9, "xe", &card("1000000"));
    let mut source = Hwmon::open(&machine.host()).unwrap();
    assert_eq!(zones(&source), ["gpu-0", "gpu-1"]);
    read(&mut source, 0);
    machine.set("sys/class/hwmon/hwmon10/energy1_input", 8_000_000);
    assert_joules(&read(&mut source, 1), &[0.0, 1.0]);
}

#[test]
fn a_battery_is_no_platform() {
    let machine = MachineCopy::empty();
    chip(
        &machine,
        0,
        "power_meter",
        &[("power1_average", "9000000"), ("power1_is_battery", "1")],
    );
    let error = Hwmon::open(&machine.host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_machine_opens_what_it_has_and_nothing_twice() {
    let machine = MachineCopy::of("powercap-amd");
    chip(
        &machine,
        0,
        "power_meter",
        &[("power1_average", "90000000")],
    );
    chip(
        &machine,
        1,
        "amd_energy",
        &[("energy1_label", "Esocket0"), ("energy1_input", "77")],
    );
    let mut meters = Meters::default();
    meters.rapl.push(Rapl::Perf);
    let (sources, notes) = energy::open(&machine.host(), &meters);
    let names: Vec<_> = sources.iter().map(|s| s.name()).collect();
    assert_eq!(names, ["rapl-powercap", "hwmon"]);
    assert_eq!(zones(&*sources[1]), ["platform"]);
    let notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes[0], "rapl-powercap: on (package-0, core)");
    assert!(
        notes
            .iter()
            .any(|n| n.contains("hwmon1/energy1_input: off")),
        "{notes:?}"
    );
}

#[test]
fn only_the_chosen_zones_of_rapl_are_read() {
    let machine = MachineCopy::of("powercap-two-sockets");
    let mut meters = Meters {
        hwmon: false,
        zones: vec![Domain::Dram],
        ..Meters::default()
    };
    let (mut sources, _) = energy::open(&machine.host(), &meters);
    let source = &mut sources[0];
    assert_eq!(zones(&**source), ["dram", "dram"]);
    read(&mut **source, 1);
    machine.set(
        "sys/class/powercap/intel-rapl:0/energy_uj",
        100_999_000_000_u64,
    );
    machine.set(
        "sys/class/powercap/intel-rapl:0:0/energy_uj",
        20_012_500_000_u64,
    );
    machine.set(
        "sys/class/powercap/intel-rapl:1:0/energy_uj",
        30_007_000_000_u64,
    );
    assert_joules(&read(&mut **source, 2), &[12.5, 7.0]);

    meters.zones = vec![Domain::Psys];
    let (sources, notes) = energy::open(&machine.host(), &meters);
    assert!(sources.is_empty());
    assert_eq!(
        notes[0].to_string(),
        "rapl-powercap: off (it has none of the zones that were chosen)"
    );
}

#[test]
fn a_machine_without_meters_says_why_of_each() {
    let meters = Meters {
        rapl: Rapl::ALL.to_vec(),
        hwmon: true,
        ..Meters::default()
    };
    let machine = MachineCopy::empty();
    machine.set("proc/cpuinfo", "vendor_id : GenuineIntel");
    let (sources, notes) = energy::open(&machine.host(), &meters);
    assert!(sources.is_empty());
    let parts: Vec<_> = notes.iter().map(|n| (n.part.as_str(), n.active)).collect();
    let off = ["rapl-powercap", "rapl-perf", "rapl-msr", "hwmon"].map(|part| (part, false));
    assert_eq!(parts, off);
    assert!(
        notes
            .iter()
            .all(|n| n.why.contains("not available") || n.why.contains("cannot read")),
        "{notes:#?}"
    );
}
