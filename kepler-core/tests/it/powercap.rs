//! RAPL by powercap on twelve machines: exact joules on each, worked out by hand.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use kepler_core::energy::{self, EnergySource, Meters, Powercap, Reading};
use kepler_core::{ErrorKind, Host};
use proptest::prelude::*;

use crate::machine_copy::MachineCopy;

/// A machine with an open [`Powercap`] and a clock of its own.
struct Bench {
    machine: MachineCopy,
    rapl: Powercap,
    now: Duration,
    readings: Vec<Reading>,
}

impl Bench {
    /// Opens the machine and takes the baseline.
    fn new(name: &str) -> Self {
        let mut bench = Self::unread(MachineCopy::of(&format!("powercap-{name}")));
        let first = bench.after(0);
        assert!(
            first.iter().all(|r| matches!(r, Reading::Baseline)),
            "{first:?}"
        );
        bench
    }

    fn unread(machine: MachineCopy) -> Self {
        Self {
            rapl: Powercap::open(&machine.host()).unwrap(),
            machine,
            now: Duration::from_secs(1000),
            readings: Vec::new(),
        }
    }

    fn set(&self, zone: &str, energy_uj: u64) {
        self.machine.set(&energy(zone), energy_uj);
    }

    /// Lets seconds pass and reads.
    fn after(&mut self, seconds: u64) -> &[Reading] {
        self.now += Duration::from_secs(seconds);
        self.rapl.read(self.now, &mut self.readings);
        &self.readings
    }

    fn names(&self) -> Vec<String> {
        let zones = self.rapl.zones().iter();
        zones
            .map(|z| {
                let number = |n: Option<u32>| n.map_or("-".into(), |n| n.to_string());
                format!(
                    "{} {} {} {}",
                    z.name,
                    z.domain,
                    number(z.index),
                    number(z.die)
                )
            })
            .collect()
    }
}

fn energy(zone: &str) -> String {
    format!("sys/class/powercap/{zone}/energy_uj")
}

/// The joules of each zone, where every one of them has some and is sure of them.
#[track_caller]
fn joules(readings: &[Reading]) -> Vec<f64> {
    readings
        .iter()
        .map(|reading| match reading {
            Reading::Energy {
                joules,
                ambiguous: false,
                ..
            } => joules.0,
            other => panic!("{other:?}"),
        })
        .collect()
}

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
fn a_counter_that_nothing_feeds_measures_nothing() {
    let machine = MachineCopy::of("powercap-psys");
    machine.set(&energy("intel-rapl:1"), 0);
    machine.set(&energy("intel-rapl:0:1"), 0);
    let mut bench = Bench::unread(machine);
    bench.after(0);
    bench.set("intel-rapl:0", 50_030_000_000);
    let readings = bench.after(3);
    let Reading::Failed(error) = &readings[4] else {
        panic!("{readings:?}")
    };
    assert!(error.to_string().contains("has not moved"), "{error}");
    // The integrated GPU may well be off.
    assert!(matches!(readings[2], Reading::Energy { joules, .. } if joules.0 == 0.0));
    // One that begins late loses nothing.
    bench.set("intel-rapl:1", 7_000_000);
    assert!(
        matches!(bench.after(3)[4], Reading::Energy { joules, .. } if (joules.0 - 7.0).abs() < 1e-9)
    );
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
fn without_a_maximum_a_counter_that_goes_back_is_refused() {
    let mut bench = Bench::new("no-max");
    assert_eq!(bench.rapl.zones()[0].max, None);
    bench.set("intel-rapl:0", 1_100_000_000);
    bench.set("intel-rapl:0:0", 2_001_000_000);
    assert_eq!(joules(bench.after(2)), [100.0, 1.0]);
    bench.set("intel-rapl:0", 40_000_000);
    let readings = bench.after(2);
    assert!(matches!(readings[0], Reading::Refused), "{readings:?}");
    // What was refused is the new baseline: 65 - 40.
    bench.set("intel-rapl:0", 65_000_000);
    assert_eq!(joules(bench.after(2)), [25.0, 0.0]);
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
fn a_counter_that_fails_for_a_while_remembers() {
    let mut bench = Bench::new("eio");
    let file = bench.machine.path(&energy("intel-rapl:0"));
    let kept = descriptor_of(&file);
    let good = open(&file);
    // Reading address 0 of a process gives EIO: both for the kept descriptor and for one opened anew.
    let broken = open("/proc/self/mem");
    replace(kept, &broken);
    fs::rename(&file, file.with_extension("away")).unwrap();
    symlink("/proc/self/mem", &file).unwrap();
    bench.set("intel-rapl:0:0", 2_010_000_000);
    for _ in 0..3 {
        let readings = bench.after(10);
        let Reading::Failed(error) = &readings[0] else {
            panic!("{readings:?}");
        };
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.is_temporary(), "{error}");
    }
    fs::rename(file.with_extension("away"), &file).unwrap();
    replace(kept, &good);
    // 3 x 10 s failed and 10 s more: all the 1,000 J since the last good look, over 40 s.
    bench.set("intel-rapl:0", 2_000_000_000);
    let readings = bench.after(10);
    assert_eq!(joules(&readings[..1]), [1000.0]);
    assert!(matches!(readings[0], Reading::Energy { over, .. } if over == Duration::from_secs(40)));
    assert_eq!(joules(&readings[1..]), [0.0]);
}

#[test]
fn a_zone_that_fails_from_the_start_has_its_baseline_when_it_first_answers() {
    let machine = MachineCopy::of("powercap-eio");
    let file = machine.path(&energy("intel-rapl:0"));
    fs::remove_file(&file).unwrap();
    symlink("/proc/self/mem", &file).unwrap();
    let mut bench = Bench::unread(machine);
    assert!(matches!(bench.after(1)[0], Reading::Failed(_)));
    fs::remove_file(&file).unwrap();
    bench.set("intel-rapl:0", 5_000_000_000);
    assert!(matches!(bench.after(1)[0], Reading::Baseline));
    bench.set("intel-rapl:0", 5_001_000_000);
    assert_eq!(joules(&bench.after(1)[..1]), [1.0]);
}

#[test]
fn a_zone_that_comes_back_under_another_number_is_found_by_name() {
    let mut bench = Bench::new("psys-between-packages");
    // Package 1 was unplugged: its kept descriptor is dead, and package 1 is now number 3.
    let class = bench.machine.path("sys/class/powercap");
    let kept = descriptor_of(&class.join("intel-rapl:2/energy_uj"));
    replace(kept, &open("/proc/self/mem"));
    fs::rename(class.join("intel-rapl:2"), class.join("away")).unwrap();
    assert!(matches!(bench.after(1)[3], Reading::Failed(_)));
    fs::rename(class.join("away"), class.join("intel-rapl:3")).unwrap();
    bench.set("intel-rapl:3", 12_090_000_000);
    assert_eq!(joules(&bench.after(1)[3..4]), [90.0]);
    // A driver that was loaded anew starts at 0: that is no wrap.
    replace(
        descriptor_of(&class.join("intel-rapl:3/energy_uj")),
        &open("/proc/self/mem"),
    );
    bench.set("intel-rapl:3", 1_000);
    assert!(matches!(bench.after(1)[3], Reading::Refused));
}

fn open(path: impl Into<std::path::PathBuf>) -> kepler_core::KeptFile {
    Host::default().open(path).unwrap()
}

/// The descriptor that this process keeps on `path`.
fn descriptor_of(path: &std::path::Path) -> i32 {
    let live = Host::default();
    let names = live.names("/proc/self/fd").unwrap();
    let kept = names.iter().find(|fd| {
        live.link(format!("/proc/self/fd/{fd}"))
            .is_ok_and(|to| to == path)
    });
    kept.unwrap().parse().unwrap()
}

/// Makes the descriptor `kept` one on `file`.
fn replace(kept: i32, file: &kepler_core::KeptFile) {
    #[expect(
        unsafe_code,
        reason = "std cannot put another file behind a descriptor"
    )]
    // SAFETY: both descriptors are open, and the owner of `kept` goes on owning it.
    let done = unsafe { libc::dup2(file.file().as_raw_fd(), kept) };
    assert_eq!(done, kept);
}

#[test]
fn a_wrap_is_counted_once_by_the_zones_own_maximum() {
    let mut bench = Bench::new("wrap");
    // The package stood 500,000 below its maximum: 500,000 to it, 1 to 0, and 1,499,999 more. The memory 1 below its own:
    // 1 + 1 + 99,998.
    bench.set("intel-rapl:0", 1_499_999);
    bench.set("intel-rapl:0:0", 99_998);
    assert_eq!(joules(bench.after(1)), [2.0, 0.1]);
    bench.set("intel-rapl:0", 2_499_999);
    assert_eq!(joules(bench.after(1)), [1.0, 0.0]);
}

#[test]
fn a_step_above_what_the_part_can_draw_is_refused() {
    let mut bench = Bench::new("wrap");
    // Its limits are 150, 180 and 376 W, so at most 4 x 376 W x (2 s + 1 s of refresh) = 4,512 J are believed.
    bench.set("intel-rapl:0", 4_512_000_000 - 500_001);
    assert_eq!(joules(&bench.after(2)[..1]), [4512.0]);
    bench.set("intel-rapl:0", 4_511_499_999 + 4_512_000_001);
    assert!(matches!(bench.after(2)[0], Reading::Refused));
    // A wrap that would take 258 kJ in 2 s is none.
    bench.set("intel-rapl:0", 7);
    assert!(matches!(bench.after(2)[0], Reading::Refused));
    bench.set("intel-rapl:0", 1_000_007);
    assert_eq!(joules(&bench.after(2)[..1]), [1.0]);
}

#[test]
fn a_limit_that_was_raised_since_is_seen_before_a_step_is_refused() {
    let mut bench = Bench::new("wrap");
    bench.set("intel-rapl:0", 0);
    bench.after(1);
    bench.machine.set(
        "sys/class/powercap/intel-rapl:0/constraint_1_power_limit_uw",
        500_000_000,
    );
    // 4 x 500 W x (1 s + 1 s).
    bench.set("intel-rapl:0", 4_000_000_000);
    assert_eq!(joules(&bench.after(1)[..1]), [4000.0]);
}

#[test]
fn an_interval_with_room_for_two_wraps_is_flagged() {
    let mut bench = Bench::new("wrap");
    // At 1,504 W a full range of 262,143.33 J takes 174.3 s. In 100 s one turn more is not possible; in an hour it is.
    bench.set("intel-rapl:0", 1_499_999);
    assert_eq!(joules(&bench.after(100)[..1]), [2.0]);
    bench.set("intel-rapl:0", 3_499_999);
    let readings = bench.after(3600);
    let Reading::Energy {
        joules,
        ambiguous: true,
        ..
    } = &readings[0]
    else {
        panic!("{readings:?}");
    };
    assert!((joules.0 - 2.0).abs() < 1e-12, "{joules}");
}

#[test]
fn a_counter_that_starts_anew_after_a_sleep_did_not_wrap() {
    let mut bench = Bench::new("suspend");
    // The package stood 328,850 below its maximum; the machine slept 8 hours, so its power alone would allow a wrap.
    bench.machine.set("sys/power/suspend_stats/success", 2);
    bench.set("intel-rapl:0", 200_000);
    bench.set("intel-rapl:0:0", 100_000);
    let readings = bench.after(8 * 3600);
    assert!(
        readings.iter().all(|r| matches!(r, Reading::Refused)),
        "{readings:?}"
    );
    // 20.2 - 0.2 and 12.1 - 0.1.
    bench.set("intel-rapl:0", 20_200_000);
    bench.set("intel-rapl:0:0", 12_100_000);
    assert_eq!(joules(bench.after(2)), [20.0, 12.0]);
}

#[test]
fn without_a_sleep_the_same_step_is_a_wrap() {
    let mut bench = Bench::new("suspend");
    bench.set("intel-rapl:0", 200_000);
    // 328,850 + 1 + 200,000.
    assert_eq!(joules(&bench.after(1)[..1]), [0.528_851]);
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

/// What happens to a counter between two looks.
#[derive(Clone, Debug)]
enum Event {
    /// It grows by some microjoules.
    Grow(u64),
    /// It grows, and its file cannot be read.
    Vanish(u64),
    /// It starts again at 0, over a sleep.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0_u64..900_000_000).prop_map(Event::Grow),
        2 => (0_u64..900_000_000).prop_map(Event::Vanish),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// A counter of 2,000 J a turn on a part of at most 4 x 376 W, looked at each second: at most 900 J a step.
    #[test]
    fn any_walk_of_a_counter_gives_exact_totals_that_never_fall(
        start in 0_u64..2_000_000_000,
        events in prop::collection::vec(event(), 1..40),
    ) {
        const TURN: u64 = 2_000_000_000;
        let machine = MachineCopy::empty();
        let zone = "sys/class/powercap/intel-rapl:0";
        machine.set(&format!("{zone}/name"), "package-0");
        machine.set(&format!("{zone}/max_energy_range_uj"), TURN - 1);
        machine.set(&format!("{zone}/constraint_0_max_power_uw"), 376_000_000);
        machine.set("sys/power/suspend_stats/success", 1);
        machine.set(&energy("intel-rapl:0"), start);
        let mut bench = Bench::unread(machine);
        bench.after(0);
        // `owed` is what the counter holds that was not looked at yet. A restart loses it, and what came since.
        let (mut shown, mut owed, mut want, mut total, mut sleeps) = (start, 0, 0, 0.0, 1);
        for event in events {
            let good = !matches!(event, Event::Vanish(_));
            match event {
                Event::Grow(by) | Event::Vanish(by) => {
                    // More than a turn unseen cannot be known by anyone.
                    let by = by.min((TURN - 1).saturating_sub(owed));
                    owed += by;
                    shown = (shown + by) % TURN;
                }
                Event::Restart => {
                    sleeps += 1;
                    bench.machine.set("sys/power/suspend_stats/success", sleeps);
                    // A counter that stands where it stood, or higher, cannot tell that it was set back.
                    let before = (shown + TURN - owed % TURN) % TURN;
                    owed = 0;
                    shown = 0;
                    prop_assume!(before > 0);
                }
            }
            bench.set("intel-rapl:0", shown);
            if !good {
                fs::write(bench.machine.path(&energy("intel-rapl:0")), "").unwrap();
            }
            let reading = &bench.after(1)[0];
            match reading {
                Reading::Energy { joules, .. } => {
                    prop_assert!(joules.0 >= 0.0);
                    total += joules.0;
                    want += owed;
                    owed = 0;
                }
                Reading::Failed(_) => prop_assert!(!good),
                Reading::Refused => prop_assert!(shown == 0),
                Reading::Baseline => prop_assert!(false, "a second baseline"),
            }
            let want = want as f64 / 1e6;
            prop_assert!((total - want).abs() <= 1e-9 * want.max(1.0), "{} {}", total, want);
        }
    }
}
