//! What a monitor books: on scripted sources, where every joule is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kepler_core::energy::{Domain, EnergySource, Reading, Scripted as Meter};
use kepler_core::monitor::{Monitor, MonitorBuilder, Snapshot, State, UsageChoice, doctor};
use kepler_core::usage::{NodeUsage, ProcessUsage, Scripted, Usage};
use kepler_core::{Error, ErrorKind, Host, Joules, Watts};

use crate::attribution::{process, ran};
use crate::machine_copy::MachineCopy;

/// A monitor on a meter of 20 W (package) and 4 W (dram), fed with `frames`.
fn monitor(frames: Vec<Usage>) -> MonitorBuilder {
    let meter = Meter::constant(&[(Domain::Package, Watts(20.0)), (Domain::Dram, Watts(4.0))]);
    Monitor::builder()
        .energy(vec![Box::new(meter)])
        .usage(UsageChoice::Source(Box::new(Scripted::frames(frames))))
}

fn frame(processes: Vec<ProcessUsage>) -> Usage {
    Usage {
        processes,
        node: NodeUsage {
            cpus: 1,
            interval: Duration::from_secs(1),
            busy_ns: 500_000_000,
            idle_ns: 500_000_000,
            ..NodeUsage::default()
        },
        ..Usage::default()
    }
}

fn ended(mut usage: ProcessUsage) -> ProcessUsage {
    usage.ended = true;
    usage
}

fn samples(mut monitor: Monitor, count: usize) -> Vec<Arc<Snapshot>> {
    (0..count)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            monitor.sample().unwrap()
        })
        .collect()
}

#[test]
fn a_meter_that_stops_to_answer_is_told_with_its_words_until_it_answers_again() {
    let zones = Meter::constant(&[(Domain::Package, Watts(20.0)), (Domain::Dram, Watts(4.0))]);
    let failed = || Reading::Failed(Error::Forked("meter"));
    let used = || Reading::Energy {
        joules: Joules(1.0),
        over: Duration::from_secs(1),
        ambiguous: false,
    };
    // The first is read as the monitor is built.
    let looks = vec![
        vec![Reading::Baseline, Reading::Baseline],
        vec![used(), used()],
        vec![failed(), failed()],
        vec![failed(), used()],
        vec![used(), used()],
    ];
    let meter = Meter::looks(zones.zones().to_vec(), looks);
    let frames: Vec<_> = (0..4).map(|_| frame(Vec::new())).collect();
    let usage = UsageChoice::Source(Box::new(Scripted::frames(frames)));
    let builder = Monitor::builder().energy(vec![Box::new(meter)]);
    let said = samples(builder.usage(usage).build().unwrap(), 4)
        .iter()
        .map(|snapshot| {
            let mut notes = snapshot.sources.notes.iter();
            let note = notes.find(|note| note.part == Meter::NAME);
            note.map(ToString::to_string)
        })
        .collect::<Vec<_>>();
    let on = Some("fake: on (package-0, dram)".to_owned());
    let off = Some(format!("fake: off ({})", Error::Forked("meter")));
    assert_eq!(said, [None, off, on.clone(), on]);
}

#[test]
fn the_first_sample_is_a_baseline() {
    let worker = process(7, "worker", None);
    let monitor = monitor(vec![frame(vec![ran(&worker, 0)])]).build().unwrap();
    let first = &samples(monitor, 1)[0];
    assert_eq!(first.interval, None);
    for domain in &first.node.domains {
        assert_eq!(domain.energy.total, Joules(0.0));
        assert_eq!(domain.power, None);
    }
    assert_eq!(
        first.processes[0].usage.energy[0].watts, None,
        "absent, not 0 W"
    );
}

#[test]
fn totals_and_powers_of_every_level_fit_together() {
    let (a, b) = (process(7, "a", None), process(8, "b", None));
    let frames = vec![
        frame(vec![ran(&a, 0), ran(&b, 0)]),
        frame(vec![ran(&a, 300_000_000), ran(&b, 150_000_000)]),
        frame(vec![ran(&a, 100_000_000), ran(&b, 350_000_000)]),
    ];
    for snapshot in &samples(monitor(frames).build().unwrap(), 3)[1..] {
        for (d, domain) in snapshot.node.domains.iter().enumerate() {
            let energy = domain.energy;
            let workloads: f64 = snapshot
                .processes
                .iter()
                .map(|p| p.usage.energy[d].joules.0)
                .sum();
            let all = energy.idle.0 + workloads + domain.residual.total().0;
            assert!(
                (all - energy.total.0).abs() <= 1e-9 * energy.total.0,
                "{all} of {energy:?}"
            );
            assert!((energy.active.0 - energy.total.0 / 2.0).abs() <= 1e-9 * energy.total.0);
            let idle: f64 = snapshot
                .processes
                .iter()
                .map(|p| p.usage.energy[d].idle.0)
                .sum();
            assert!(
                (idle - energy.idle.0).abs() <= 1e-9 * energy.total.0,
                "idle is shared whole"
            );
            let power = domain.power.unwrap();
            let watts: f64 = snapshot
                .processes
                .iter()
                .map(|p| p.usage.energy[d].watts.unwrap().0)
                .sum();
            // 450 of 500 ms busy are explained.
            assert!(
                (watts - power.active.0 * 0.9).abs() < 1e-9 * power.total.0,
                "{watts} of {power:?}"
            );
        }
        assert!((snapshot.node.domains[0].power.unwrap().total.0 - 20.0).abs() < 0.01);
        assert!((snapshot.node.unexplained_ratio.unwrap() - 0.1).abs() < 1e-9);
    }
}

#[test]
fn a_container_keeps_what_its_ended_processes_used() {
    let id = "c".repeat(64);
    let cgroup = format!("/docker/{id}");
    let (a, b) = (
        process(7, "a", Some(&cgroup)),
        process(8, "b", Some(&cgroup)),
    );
    let frames = vec![
        frame(vec![ran(&a, 0), ran(&b, 0)]),
        frame(vec![ended(ran(&a, 250_000_000)), ran(&b, 250_000_000)]),
        frame(vec![ran(&b, 500_000_000)]),
        frame(vec![]),
    ];
    let snapshots = samples(monitor(frames).build().unwrap(), 4);
    let joules = |s: &Snapshot| s.containers[0].usage.energy[0].joules.0;
    for snapshot in &snapshots[1..3] {
        assert_eq!(&*snapshot.containers[0].container.id, id);
        let active = snapshot.node.domains[0].energy.active.0;
        assert!((joules(snapshot) - active).abs() <= 1e-9 * active);
        assert_eq!(snapshot.containers[0].usage.state, State::Running);
    }
    assert!((joules(&snapshots[3]) - joules(&snapshots[2])).abs() < f64::EPSILON);
    assert_eq!(snapshots[3].containers[0].usage.state, State::Terminated);
    assert_eq!(
        snapshots[3].containers[0].usage.energy[0].watts,
        Some(Watts(0.0))
    );
}

#[test]
fn a_process_that_moves_takes_no_history_along() {
    let (one, two) = (
        format!("/docker/{}", "1".repeat(64)),
        format!("/docker/{}", "2".repeat(64)),
    );
    let (before, after) = (process(7, "a", Some(&one)), process(7, "a", Some(&two)));
    let frames = vec![
        frame(vec![ran(&before, 0)]),
        frame(vec![ran(&before, 400_000_000)]),
        frame(vec![ran(&after, 100_000_000)]),
    ];
    let snapshots = samples(monitor(frames).build().unwrap(), 3);
    let cpu = |id: &str| {
        let container = snapshots[2]
            .containers
            .iter()
            .find(|c| c.container.id.starts_with(id))
            .unwrap();
        container.usage.counters.cpu_ns
    };
    assert_eq!((cpu("1"), cpu("2")), (400_000_000, 100_000_000));
    assert_eq!(snapshots[2].processes.len(), 1);
    assert_eq!(snapshots[2].processes[0].usage.counters.cpu_ns, 500_000_000);
}

#[test]
fn ended_processes_keep_their_final_totals_for_the_retention() {
    let a = process(7, "a", None);
    let frames = vec![
        frame(vec![ran(&a, 0)]),
        frame(vec![ended(ran(&a, 9))]),
        frame(vec![]),
        frame(vec![]),
    ];
    let mut monitor = monitor(frames)
        .retention(Duration::from_millis(50))
        .build()
        .unwrap();
    let mut take = |pause| {
        std::thread::sleep(Duration::from_millis(pause));
        monitor.sample().unwrap()
    };
    take(1);
    take(1);
    let kept = take(1);
    assert_eq!(kept.processes[0].usage.state, State::Terminated);
    assert_eq!(kept.processes[0].usage.counters.cpu_ns, 9);
    assert_eq!(take(80).processes.len(), 0);
}

/// What a scraper adds up: the growth of every series it saw twice, by series.
struct Scraper {
    seen: std::collections::HashMap<String, f64>,
    grown: f64,
}

impl Scraper {
    fn scrape(&mut self, snapshot: &Snapshot) {
        let processes = snapshot
            .processes
            .iter()
            .map(|p| (format!("{:?}", p.process.key), p.usage.counters.cpu_ns));
        let ended = snapshot
            .ended
            .iter()
            .map(|e| (format!("ended {}", e.comm), e.usage.counters.cpu_ns));
        for (series, value) in processes.chain(ended).collect::<Vec<_>>() {
            let value = value as f64;
            if let Some(before) = self.seen.insert(series, value) {
                assert!(value >= before, "a counter fell");
                self.grown += value - before;
            }
        }
    }
}

#[test]
fn growth_seen_by_a_scraper_holds_what_was_born_and_died_unseen() {
    // 200 rounds; in each a new process is born, runs 10 ms and dies unseen, while one lives on.
    let live = process(1, "live", None);
    let pid = Arc::new(AtomicU64::new(1000));
    let script = {
        let (live, pid) = (live.clone(), pid.clone());
        Scripted::new(move |_, usage: &mut Usage| {
            let first = pid.fetch_add(1, Ordering::Relaxed) == 1000;
            let next = u32::try_from(pid.load(Ordering::Relaxed)).unwrap();
            let short = process(next, "short", None);
            *usage = frame(vec![ran(&live, if first { 0 } else { 5_000_000 })]);
            if !first {
                usage.processes.push(ended(ran(&short, 10_000_000)));
            }
            Ok(())
        })
    };
    let mut monitor = Monitor::builder()
        .energy(Vec::new())
        .usage(UsageChoice::Source(Box::new(script)))
        .build()
        .unwrap();
    let mark = monitor.export_mark();
    let mut scraper = Scraper {
        seen: Default::default(),
        grown: 0.0,
    };
    for _ in 0..200 {
        let snapshot = monitor.sample().unwrap();
        scraper.scrape(&snapshot);
        mark.exported(&snapshot);
        assert!(
            snapshot.processes.len() <= 2,
            "what nobody saw alive has no series of its own"
        );
    }
    let truth = 199.0 * (10_000_000.0 + 5_000_000.0);
    assert!(
        scraper.grown > 0.98 * truth && scraper.grown <= truth,
        "{} of {truth}",
        scraper.grown
    );
}

#[test]
fn the_largest_ended_processes_stay_apart_and_the_others_are_told_together() {
    let processes: Vec<_> = (1..=20_u64)
        .map(|i| process(u32::try_from(i).unwrap(), "p", None))
        .collect();
    let born: Vec<_> = processes.iter().map(|p| ran(p, 0)).collect();
    let died = processes
        .iter()
        .zip(1..)
        .map(|(p, i)| ended(ran(p, i * 1_000_000)))
        .collect();
    let mut monitor = monitor(vec![frame(born), frame(died), frame(vec![]), frame(vec![])])
        .ended_limit(5)
        .build()
        .unwrap();
    for _ in 0..2 {
        monitor.sample().unwrap();
    }
    let last = monitor.sample().unwrap();
    let mut kept: Vec<u32> = last.processes.iter().map(|p| p.process.key.pid).collect();
    kept.sort_unstable();
    assert_eq!(kept, [16, 17, 18, 19, 20]);
    assert_eq!(last.ended.len(), 1);
    assert_eq!(last.ended[0].count, 15);
    // 1 + 2 + ... + 15 ms
    assert_eq!(last.ended[0].usage.counters.cpu_ns, 120_000_000);
}

#[test]
fn an_ended_process_below_the_least_energy_is_told_together_with_others() {
    let (small, large) = (process(7, "small", None), process(8, "large", None));
    let died = vec![ended(ran(&small, 1_000)), ended(ran(&large, 400_000_000))];
    let born = frame(vec![ran(&small, 0), ran(&large, 0)]);
    let mut monitor = monitor(vec![born, frame(died)])
        .ended_least(Joules(1e-3))
        .build()
        .unwrap();
    monitor.sample().unwrap();
    // 20 W, half of it active: 5 ms of it are 50 mJ, of which the small one used some 100 nJ.
    std::thread::sleep(Duration::from_millis(5));
    let last = monitor.sample().unwrap();
    let kept: Vec<_> = last.processes.iter().map(|p| &*p.process.comm).collect();
    assert_eq!(kept, ["large"]);
    assert_eq!(&*last.ended[0].comm, "small");
    assert_eq!(last.ended[0].usage.counters.cpu_ns, 1_000);
}

#[test]
fn a_hostile_process_cannot_fill_memory_by_renaming_itself() {
    let pid = Arc::new(AtomicU64::new(0));
    let script = Scripted::new(move |_, usage: &mut Usage| {
        let from = pid.fetch_add(500, Ordering::Relaxed);
        *usage = frame(
            (from..from + 500)
                .map(|i| {
                    ended(ran(
                        &process(u32::try_from(i).unwrap(), &format!("n{i}"), None),
                        1,
                    ))
                })
                .collect(),
        );
        Ok(())
    });
    let mut monitor = Monitor::builder()
        .energy(Vec::new())
        .usage(UsageChoice::Source(Box::new(script)))
        .build()
        .unwrap();
    let mut last = monitor.sample().unwrap();
    for _ in 0..20 {
        monitor.export_mark().exported(&last);
        last = monitor.sample().unwrap();
    }
    assert!(
        last.ended.len() <= 2001 && last.processes.len() <= 500,
        "{}",
        last.ended.len()
    );
}

#[test]
fn a_monitor_does_not_cross_a_fork() {
    let mut monitor = monitor(vec![frame(vec![]), frame(vec![])]).build().unwrap();
    monitor.sample().unwrap();
    // SAFETY: the child only samples (no lock is held by this thread) and ends at once.
    #[expect(unsafe_code, reason = "fork is what is tested")]
    let status = unsafe {
        let child = libc::fork();
        if child == 0 {
            let kind = monitor.sample().err().map(|e| e.kind());
            libc::_exit(i32::from(kind != Some(ErrorKind::Forked)));
        }
        let mut status = -1;
        libc::waitpid(child, &raw mut status, 0);
        status
    };
    assert_eq!(status, 0, "the child was told");
    monitor.sample().unwrap();
}

#[test]
fn the_doctor_names_every_source_and_what_would_help() {
    let found = doctor(&Host::default()).unwrap();
    let text = found.to_string();
    for part in [
        "rapl-powercap",
        "rapl-perf",
        "rapl-msr",
        "hwmon",
        "power model",
        "procfs",
    ] {
        assert!(
            found.notes.iter().any(|n| n.part.contains(part)),
            "{part} in {text}"
        );
    }
    for note in found.notes.iter().filter(|n| !n.active) {
        assert!(!note.why.is_empty(), "{note}");
    }
}

#[test]
fn the_doctor_tells_a_guest_what_was_stolen_and_from_whom_it_is_taken() {
    let machine = MachineCopy::empty();
    machine.set(
        "proc/stat",
        "cpu  600 0 0 350 0 0 0 50\ncpu0 600 0 0 350 0 0 0 50\nctxt 1",
    );
    machine.set(
        "proc/cpuinfo",
        "processor\t: 0\nflags\t\t: fpu hypervisor\n",
    );
    let guest = |machine: &MachineCopy| {
        let found = doctor(&machine.host()).unwrap();
        let note = found.notes.iter().find(|n| n.part == "guest");
        note.unwrap_or_else(|| panic!("{found}")).why.clone()
    };
    let unknown = guest(&machine);
    assert!(unknown.contains("5.0 %"), "{unknown}");
    assert!(!unknown.contains("scaled down"), "{unknown}");
    machine.set("sys/kernel/btf/vmlinux", "\0rq\0prev_irq_time\0");
    assert!(guest(&machine).contains("scaled down"));
    machine.set("sys/kernel/btf/vmlinux", "\0rq\0prev_steal_time_rq\0");
    assert!(!guest(&machine).contains("scaled down"));
}

#[test]
fn a_host_that_is_not_there_is_an_error_with_its_path() {
    let error = Monitor::builder()
        .host(Host::at("/nowhere"))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("/nowhere/proc"), "{error}");
}
