//! RAPL's counters by powercap: that wrap, fail, go back, are stepped over, or come back.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::time::Duration;

use kepler_core::energy::{EnergySource, Reading};
use kepler_core::{ErrorKind, Host};
use proptest::prelude::*;

use crate::machine_copy::MachineCopy;
use crate::powercap_bench::{Bench, energy, joules};

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
