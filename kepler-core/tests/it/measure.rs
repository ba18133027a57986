//! Blocks of code, processes and commands: their own clocks, the machine's meters.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kepler_core::energy::{Domain, EnergySource, Reading, Scripted, Zone};
use kepler_core::monitor::{EnergyMeter, Monitor, Scope};
use kepler_core::{ErrorKind, Host, Joules, Origin, Provenance, Watts};

fn meter(zones: &[(Domain, f64)]) -> EnergyMeter {
    let zones: Vec<_> = zones
        .iter()
        .map(|(domain, watts)| (*domain, Watts(*watts)))
        .collect();
    Monitor::builder()
        .energy(vec![Box::new(Scripted::constant(&zones))])
        .meter()
        .unwrap()
}

/// Works for so much CPU time of this thread.
fn work(cpu: Duration) {
    let start = Host::thread_cpu_time();
    while Host::thread_cpu_time() - start < cpu {
        std::hint::black_box((0..1000_u64).sum::<u64>());
    }
}

#[test]
fn a_block_is_charged_with_its_share_of_all_cpu_time() {
    let meter = meter(&[(Domain::Package, 30.0), (Domain::Dram, 10.0)]);
    let (_, used) = meter
        .measure(Scope::Thread, || work(Duration::from_millis(120)))
        .unwrap();
    assert!(used.cpu_time >= Duration::from_millis(120), "{used}");
    let cpus =
        f64::from(u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap());
    // 40 W for the whole machine; the block had cpu / (seconds x CPUs) of it.
    let seconds = used.node_joules.unwrap().0 / 40.0;
    assert!(
        (seconds - used.duration.as_secs_f64()).abs() < 0.05,
        "{used}"
    );
    let share = used.cpu_time.as_secs_f64() / (seconds * cpus);
    assert!(
        (used.joules.unwrap().0 - 40.0 * seconds * share).abs() < 1e-3,
        "{used}"
    );
    assert_eq!(used.interval, None, "long enough to be sure of");
    assert_eq!(meter.energy(), ["fake"]);
}

#[test]
fn an_overlap_of_zones_is_not_added_up() {
    let meter = meter(&[
        (Domain::Psys, 100.0),
        (Domain::Package, 30.0),
        (Domain::Core, 20.0),
        (Domain::Dram, 10.0),
    ]);
    let (_, used) = meter
        .measure(Scope::Thread, || work(Duration::from_millis(20)))
        .unwrap();
    let of = |domain| used.zones.iter().find(|z| z.domain == domain).unwrap();
    let (package, dram) = (of(Domain::Package), of(Domain::Dram));
    assert_eq!(
        used.joules.unwrap(),
        package.joules + dram.joules,
        "not psys and core on top"
    );
    assert_eq!(
        used.node_joules.unwrap(),
        package.node_joules + dram.node_joules
    );
    assert_eq!(used.zones.len(), 4);
}

#[test]
fn a_short_block_says_how_unsure_it_is() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    let (_, used) = meter
        .measure(Scope::Thread, || work(Duration::from_millis(2)))
        .unwrap();
    let (low, high) = used
        .interval
        .expect("2 ms is shorter than meters resolve well");
    let joules = used.joules.unwrap();
    assert!(low < joules && joules < high, "{low} {joules} {high}");
}

#[test]
fn nested_and_overlapping_blocks_on_many_threads_keep_their_own_clocks() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    let threads: Vec<_> = (1..=4_u64)
        .map(|n| {
            let meter = meter.clone();
            std::thread::spawn(move || {
                let outer = meter.begin(Scope::Thread).unwrap();
                work(Duration::from_millis(10 * n));
                let (_, inner) = meter
                    .measure(Scope::Thread, || work(Duration::from_millis(10)))
                    .unwrap();
                let outer = meter.end(&outer).unwrap();
                (n, outer.cpu_time, inner.cpu_time)
            })
        })
        .collect();
    for thread in threads {
        let (n, outer, inner) = thread.join().unwrap();
        let slack = Duration::from_millis(5);
        let want = Duration::from_millis(10 * n + 10);
        assert!(
            outer >= want && outer < want + slack,
            "thread {n}: {outer:?}"
        );
        assert!(inner >= Duration::from_millis(10) && inner < Duration::from_millis(10) + slack);
    }
}

/// A meter that tells when it is read from the second time on, and waits until it may answer.
struct Slow {
    meter: Scripted,
    reads: u32,
    reading: Sender<()>,
    answer: Receiver<()>,
}

impl EnergySource for Slow {
    fn name(&self) -> &'static str {
        self.meter.name()
    }

    fn zones(&self) -> &[Zone] {
        self.meter.zones()
    }

    fn provenance(&self, index: usize) -> Provenance {
        self.meter.provenance(index)
    }

    fn read(&mut self, now: Duration, readings: &mut Vec<Reading>) {
        self.reads += 1;
        if self.reads == 3 {
            self.reading.send(()).unwrap();
            self.answer.recv().unwrap();
        }
        self.meter.read(now, readings);
    }
}

#[test]
fn a_block_ends_when_it_ends_whoever_reads_the_meters_meanwhile() {
    let (reading, is_reading) = channel();
    let (answer, may_answer) = channel();
    let slow = Slow {
        meter: Scripted::constant(&[(Domain::Package, Watts(10.0))]),
        reads: 0,
        reading,
        answer: may_answer,
    };
    let seconds = Arc::new(AtomicU64::new(1));
    let (asked, is_asked) = channel();
    let (asked, clock) = (Mutex::new(asked), Arc::clone(&seconds));
    let meter = Monitor::builder()
        .energy(vec![Box::new(slow)])
        .clock(move || {
            let now = Duration::from_secs(clock.load(Ordering::Relaxed));
            // Nobody listens at the end.
            let _ = asked.lock().unwrap().send(std::thread::current().id());
            now
        })
        .meter()
        .unwrap();
    let window = meter.begin(Scope::Process).unwrap();
    let other = meter.clone();
    let holder = std::thread::spawn(move || other.begin(Scope::Process).map(drop));
    is_reading.recv().unwrap();
    let ending = std::thread::spawn(move || meter.end(&window).unwrap());
    // It looks at the clock while the other one holds the meters.
    let ends = ending.thread().id();
    while is_asked.recv_timeout(Duration::from_secs(60)).unwrap() != ends {}
    seconds.store(100, Ordering::Relaxed);
    answer.send(()).unwrap();
    holder.join().unwrap().unwrap();
    let used = ending.join().unwrap();
    assert_eq!(used.duration, Duration::ZERO);
}

#[test]
fn another_meter_is_read_beside_those_that_were_given() {
    let platform = Scripted::constant(&[(Domain::Platform, Watts(100.0))]);
    let builder = Monitor::builder().with_energy(Box::new(platform));
    let meter = builder.fake().meter().unwrap();
    let (_, used) = meter.measure(Scope::Thread, || ()).unwrap();
    let domains: Vec<Domain> = used.zones.iter().map(|zone| zone.domain).collect();
    for domain in [Domain::Platform, Domain::Package] {
        assert!(domains.contains(&domain), "{domains:?}");
    }
}

#[test]
fn a_threads_block_does_not_end_on_another_thread() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    let window = meter.begin(Scope::Thread).unwrap();
    let kind = std::thread::spawn(move || meter.end(&window).unwrap_err().kind())
        .join()
        .unwrap();
    assert_eq!(kind, ErrorKind::InvalidInput);
}

#[test]
fn a_command_is_charged_with_its_children_too() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    // The shell waits for a child that works, works itself, and tells its own and its children's time by ticks of 10 ms.
    let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let told = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("sh -c '{script}'; {script}; times")]);
    command.stdout(told.reopen().unwrap());
    let (status, used) = meter.measure_command(&mut command).unwrap();
    assert!(status.success());
    let told = Host::default().text(told.path()).unwrap();
    let seconds = |time: &str| {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    let times: Vec<f64> = told.split_whitespace().map(seconds).collect();
    let (own, children) = (times[0] + times[1], times[2] + times[3]);
    assert!(own.min(children) > 0.1, "too short to tell apart: {told}");
    let cpu = used.cpu_time.as_secs_f64();
    // What the shell does after it told, its exit, may wait for others but takes little time of its own.
    let (least, most) = (own + children - 0.04, own + children + 0.09);
    assert!(least <= cpu && cpu <= most, "{cpu}: {told}");
}

#[test]
fn a_command_that_does_not_exist_is_not_found() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    let error = meter
        .measure_command(&mut Command::new("/nowhere/command"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("/nowhere/command"), "{error}");
}

#[test]
fn a_folder_that_a_command_cannot_run_in_is_named() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    let mut command = Command::new("true");
    let error = meter
        .measure_command(command.current_dir("/nowhere/folder"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("/nowhere/folder"), "{error}");
}

#[test]
fn a_command_that_is_stopped_gets_the_signal_and_is_killed_when_it_is_stopped_again() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    let stopped = |script: &str, times: usize| {
        let mut left = times;
        let stop = || {
            left = left.checked_sub(1)?;
            Some(libc::SIGTERM)
        };
        let mut command = Command::new("sh");
        let used = meter.measure_command_until(command.args(["-c", script]), stop);
        used.unwrap().0.signal()
    };
    assert_eq!(stopped("exec sleep 600", 1), Some(libc::SIGTERM));
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    assert_eq!(stopped(deaf, 2), Some(libc::SIGKILL));
    assert_eq!(stopped("exit 0", 0), None);
}

#[test]
fn another_process_is_measured_by_its_own_clock() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    let mut child = Command::new("sh")
        .args(["-c", "while :; do :; done"])
        .spawn()
        .unwrap();
    let window = meter.begin(Scope::Pid(child.id())).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = meter.end(&window).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        used.cpu_time > Duration::ZERO && used.cpu_time <= used.duration,
        "{used}"
    );
    assert_eq!(
        meter.begin(Scope::Pid(child.id())).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn a_cgroup_outside_of_the_tree_is_refused() {
    let meter = meter(&[(Domain::Package, 30.0)]);
    let kind = |path: &str| meter.begin(Scope::Cgroup(path.into())).unwrap_err().kind();
    assert_eq!(kind("/../../etc"), ErrorKind::InvalidInput);
    assert_eq!(kind("/no/such/group"), ErrorKind::NotFound);
}

#[test]
fn without_any_meter_or_model_there_is_no_figure() {
    let meter = Monitor::builder().energy(Vec::new()).meter().unwrap();
    let (_, used) = meter.measure(Scope::Process, || ()).unwrap();
    assert_eq!((used.joules, used.watts()), (None, None), "absent, not 0 J");
}

#[test]
fn a_machine_without_meters_gets_a_modeled_figure_for_every_block_however_short() {
    let meter = Monitor::builder().meter().unwrap();
    std::thread::sleep(Duration::from_millis(30));
    for cpu in [1, 20, 150] {
        let (_, used) = meter
            .measure(Scope::Thread, || work(Duration::from_millis(cpu)))
            .unwrap();
        let joules = used.joules.unwrap();
        assert!(joules > Joules::ZERO, "never a silent zero: {used}");
        let provenance = used.provenance().unwrap();
        assert!(provenance.model.is_some() == (provenance.origin == Origin::Modeled));
    }
}
