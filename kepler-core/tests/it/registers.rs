//! RAPL by register, with sparse files in the place of `/dev/cpu/N/msr`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kepler_core::energy::{EnergySource, Msr, Reading};
use kepler_core::{Error, ErrorKind};

use crate::machine_copy::MachineCopy;

struct Machine(MachineCopy);

impl Machine {
    /// A machine of `vendor`, family and model, with CPUs given by package and core.
    fn new(vendor: &str, family: u32, model: u32, cpus: &[(u32, u32)]) -> Self {
        let machine = MachineCopy::empty();
        let text = format!("vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}");
        machine.set("proc/cpuinfo", text.as_str());
        let online = format!("0-{}", cpus.len() - 1);
        machine.set("sys/devices/system/cpu/online", online.as_str());
        for (cpu, (package, core)) in cpus.iter().enumerate() {
            let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
            machine.set(&format!("{folder}/physical_package_id"), package);
            machine.set(&format!("{folder}/die_id"), 0);
            machine.set(&format!("{folder}/core_id"), core);
            let device = machine.path(&format!("dev/cpu/{cpu}/msr"));
            fs::create_dir_all(device.parent().unwrap()).unwrap();
            // Longer than the highest register's number: the rest of the file is a hole and reads as 0.
            fs::File::create(device).unwrap().set_len(0x1000).unwrap();
        }
        Self(machine)
    }

    fn set(&self, cpu: u32, register: u64, value: u64) {
        let device = self.0.path(&format!("dev/cpu/{cpu}/msr"));
        let device = fs::OpenOptions::new().write(true).open(device).unwrap();
        device.write_all_at(&value.to_ne_bytes(), register).unwrap();
    }

    fn open(&self) -> Msr {
        Msr::open(&self.0.host()).unwrap()
    }
}

fn names(source: &dyn EnergySource) -> Vec<String> {
    source
        .zones()
        .iter()
        .map(|z| format!("{} {:?}", z.name, z.index))
        .collect()
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

const SKYLAKE_SERVER: u32 = 85;
const KABY_LAKE: u32 = 142;

#[test]
fn an_intel_server_has_package_and_memory_in_units_of_their_own() {
    let machine = Machine::new(
        "GenuineIntel",
        6,
        SKYLAKE_SERVER,
        &[(0, 0), (1, 0), (0, 1), (1, 1)],
    );
    for cpu in [0, 1] {
        machine.set(cpu, 0x606, 0x000A_0E03); // 2^-14 J
        machine.set(cpu, 0x611, 1000);
        machine.set(cpu, 0x619, 1000);
    }
    let mut msr = machine.open();
    let zones = [
        "package-0 Some(0)",
        "dram Some(0)",
        "package-1 Some(1)",
        "dram Some(1)",
    ];
    assert_eq!(names(&msr), zones);
    // (2^32 - 1) x 61.03515625 µJ and x 15.3 µJ.
    assert_eq!(msr.zones()[0].max.unwrap().0, 262_143_999_938);
    assert_eq!(msr.zones()[1].max.unwrap().0, 65_712_999_613);
    let mut readings = Vec::new();
    msr.read(Duration::ZERO, &mut readings);
    machine.set(0, 0x611, 1000 + 163_840); // 10 J
    machine.set(0, 0x619, 1000 + 100_000); // 100,000 x 15.3 µJ
    machine.set(1, 0x611, 1000 + 16_384);
    msr.read(Duration::from_secs(1), &mut readings);
    assert_joules(&readings, &[10.0, 1.53, 1.0, 0.0]);
}

#[test]
fn a_laptop_has_psys_once_and_no_counter_that_stands_at_zero() {
    let machine = Machine::new("GenuineIntel", 6, KABY_LAKE, &[(0, 0)]);
    machine.set(0, 0x606, 0x000A_0E03);
    for register in [0x611, 0x639, 0x619, 0x64D] {
        machine.set(0, register, 5);
    }
    let mut msr = machine.open();
    assert_eq!(
        names(&msr),
        [
            "package-0 Some(0)",
            "core Some(0)",
            "dram Some(0)",
            "psys None"
        ]
    );
    let mut readings = Vec::new();
    msr.read(Duration::ZERO, &mut readings);
    machine.set(0, 0x619, 5 + 16_384);
    msr.read(Duration::from_secs(1), &mut readings);
    // Memory of a laptop obeys the unit register.
    assert_joules(&readings, &[0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn a_register_wraps_at_32_bits() {
    let machine = Machine::new("GenuineIntel", 6, KABY_LAKE, &[(0, 0)]);
    machine.set(0, 0x606, 0x000A_0E03);
    // The upper half of the register is reserved, and not a part of the counter.
    machine.set(0, 0x611, 0xFFFF_0000_FFFF_FFFF);
    let mut msr = machine.open();
    let mut readings = Vec::new();
    msr.read(Duration::ZERO, &mut readings);
    machine.set(0, 0x611, 16_383);
    msr.read(Duration::from_secs(1), &mut readings);
    assert_joules(&readings, &[1.0]);
}

/// AMD's registers lie one number apart, and cannot stand beside each other in a file.
#[derive(Clone, Default)]
struct Registers(Arc<Mutex<HashMap<(u32, u64), u64>>>);

impl Registers {
    fn set(&self, cpu: u32, register: u64, value: u64) {
        self.0.lock().unwrap().insert((cpu, register), value);
    }

    fn open(&self, machine: &Machine) -> Msr {
        let registers = self.clone();
        let read = move |cpu, register| {
            let value = registers.0.lock().unwrap().get(&(cpu, register)).copied();
            value.ok_or_else(|| Error::Kernel {
                call: "rdmsr".into(),
                source: std::io::Error::from_raw_os_error(libc::EIO),
                hint: String::new(),
            })
        };
        Msr::open_with(&machine.0.host(), read).unwrap()
    }
}

#[test]
fn amd_cores_are_read_once_each_and_added_up() {
    // Two packages of two cores with two threads each; core numbers repeat from package to package.
    let cpus = [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ];
    let machine = Machine::new("AuthenticAMD", 0x17, 49, &cpus);
    let registers = Registers::default();
    for cpu in 0..8 {
        registers.set(cpu, 0xC001_0299, 0x000A_1003); // 2^-16 J
        registers.set(cpu, 0xC001_029B, 1);
        registers.set(cpu, 0xC001_029A, u64::from(u32::MAX));
    }
    let mut msr = registers.open(&machine);
    let zones = [
        "package-0 Some(0)",
        "core Some(0)",
        "package-1 Some(1)",
        "core Some(1)",
    ];
    assert_eq!(names(&msr), zones);
    let mut readings = Vec::new();
    msr.read(Duration::ZERO, &mut readings);
    registers.set(0, 0xC001_029B, 1 + 65_536 * 8);
    // Each core wraps by itself: 1 to 0 and 65,535 more are 1 J; and 2 J. The threads 4 and 5 are the same cores.
    for (cpu, value) in [
        (0, 65_535),
        (1, 131_071),
        (4, 65_535),
        (5, 131_071),
        (2, 65_535),
    ] {
        registers.set(cpu, 0xC001_029A, value);
    }
    msr.read(Duration::from_secs(1), &mut readings);
    assert_joules(&readings, &[8.0, 3.0, 0.0, 1.0]);
}

#[test]
fn when_one_core_fails_none_moves_on() {
    let machine = Machine::new("AuthenticAMD", 0x19, 33, &[(0, 0), (0, 1)]);
    let registers = Registers::default();
    for cpu in 0..2 {
        registers.set(cpu, 0xC001_0299, 0x000A_1003);
        registers.set(cpu, 0xC001_029A, 65_536);
    }
    let mut msr = registers.open(&machine);
    assert_eq!(names(&msr), ["core Some(0)"]);
    let mut readings = Vec::new();
    msr.read(Duration::ZERO, &mut readings);
    registers.set(0, 0xC001_029A, 65_536 * 3);
    registers.0.lock().unwrap().remove(&(1, 0xC001_029A));
    msr.read(Duration::from_secs(1), &mut readings);
    assert!(matches!(readings[0], Reading::Failed(_)), "{readings:?}");
    registers.set(1, 0xC001_029A, 65_536 * 2);
    msr.read(Duration::from_secs(2), &mut readings);
    assert_joules(&readings, &[3.0]);
    assert!(matches!(readings[0], Reading::Energy { over, .. } if over == Duration::from_secs(2)));
}

#[test]
fn what_is_missing_is_said() {
    let machine = Machine::new("GenuineIntel", 6, KABY_LAKE, &[(0, 0)]);
    let kind = |machine: &Machine| Msr::open(&machine.0.host()).unwrap_err().kind();
    // Every counter stands at 0, as in a guest.
    assert_eq!(kind(&machine), ErrorKind::Unsupported);
    fs::remove_file(machine.0.path("dev/cpu/0/msr")).unwrap();
    let error = Msr::open(&machine.0.host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("modprobe msr"), "{error}");
    assert_eq!(
        kind(&Machine::new("VIA", 6, 15, &[(0, 0)])),
        ErrorKind::Unsupported
    );
}
