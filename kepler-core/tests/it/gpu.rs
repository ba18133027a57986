//! Graphics processors, by a library that plays NVIDIA's: it is built here and answers what stands in a file beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use kepler_core::energy::{Domain, EnergySource, Nvml, Reading, Scripted as Meter};
use kepler_core::monitor::{GpuChoice, Monitor, MonitorBuilder, Snapshot, UsageChoice};
use kepler_core::usage::{NodeUsage, Scripted, Usage};
use kepler_core::{Host, Watts};
use tempfile::TempDir;

use crate::attribution::{process, ran};
use crate::machine_copy::MachineCopy;

/// A library of its own for a test, in a folder that lives as long.
struct Library(TempDir);

impl Library {
    /// `None` where there is no C compiler.
    fn new(says: &str) -> Option<Self> {
        static BUILT: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
        let built = BUILT.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let library = folder.path().join("libnvidia-ml.so.1");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml.c");
            let mut compiler = Command::new("cc");
            compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]);
            let done = compiler.arg(&library).arg(source).status().ok()?;
            assert!(done.success());
            Some((folder, library))
        });
        let Some((_, built)) = built else {
            assert!(std::env::var_os("CI").is_none(), "cc is missing");
            eprintln!("skipped: cc is missing");
            return None;
        };
        let library = Self(tempfile::tempdir().unwrap());
        std::fs::copy(built, library.path()).unwrap();
        library.says(says);
        Some(library)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("libnvidia-ml.so.1")
    }

    fn says(&self, text: &str) {
        std::fs::write(self.0.path().join("libnvidia-ml.so.1.txt"), text).unwrap();
    }

    /// A machine with a package of 20 W, these graphics processors, and processes 7, 8 and 9 that use no CPU.
    fn monitor(&self) -> MonitorBuilder {
        let frame = || Usage {
            processes: (7..10)
                .map(|pid| ran(&process(pid, "p", None), 0))
                .collect(),
            node: NodeUsage {
                cpus: 1,
                interval: Duration::from_secs(1),
                busy_ns: 500_000_000,
                idle_ns: 500_000_000,
                ..NodeUsage::default()
            },
            ..Usage::default()
        };
        let frames: Vec<Usage> = (0..10).map(|_| frame()).collect();
        Monitor::builder()
            .energy(vec![Box::new(Meter::constant(&[(
                Domain::Package,
                Watts(20.0),
            )]))])
            .usage(UsageChoice::Source(Box::new(Scripted::frames(frames))))
            .gpu(GpuChoice::Library(self.path()))
    }
}

fn place(snapshot: &Snapshot) -> usize {
    let mut domains = snapshot.node.domains.iter();
    domains.position(|d| d.domain == Domain::Gpu).unwrap()
}

fn joules(snapshot: &Snapshot, pid: u32) -> f64 {
    let mut processes = snapshot.processes.iter();
    let process = processes.find(|p| p.process.key.pid == pid).unwrap();
    process.usage.energy[place(snapshot)].joules.0
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

#[test]
fn active_energy_goes_to_processes_by_their_time_on_the_multiprocessors() {
    let Some(library) = Library::new("gpu GPU-a H100 1000 70000 0\n") else {
        return;
    };
    let mut monitor = library.monitor().gpu_idle(Watts(0.0)).build().unwrap();
    monitor.sample().unwrap();
    // 100 J; 60 + 15 percent for 7 and 25 for 8, in the driver's samples.
    library.says("gpu GPU-a H100 101000 90000 0\nholds 0 7\nholds 0 8\nran 0 7 10 60\nran 0 7 20 15\nran 0 8 20 25\n");
    let snapshot = monitor.sample().unwrap();
    let gpu = &snapshot.node.domains[place(&snapshot)];
    assert!(near(gpu.energy.total.0, 100.0) && near(gpu.energy.active.0, 100.0));
    assert!(near(joules(&snapshot, 7), 75.0) && near(joules(&snapshot, 8), 25.0));
    assert!(near(joules(&snapshot, 9), 0.0) && near(gpu.residual.total().0, 0.0));
    let zone = snapshot
        .node
        .zones
        .iter()
        .find(|z| z.zone.domain == Domain::Gpu)
        .unwrap();
    assert_eq!(
        (zone.zone.name.as_str(), zone.zone.path.as_str()),
        ("H100", "GPU-a")
    );
    assert_eq!(&*zone.provenance.source, "nvml");
    // The same samples again are none: who holds it is all that is known. A stranger's part stays visible.
    library.says("gpu GPU-a H100 131000 90000 0\nholds 0 7\nholds 0 8\nholds 0 99\nran 0 7 10 60\nran 0 7 20 15\nran 0 8 20 25\n");
    let snapshot = monitor.sample().unwrap();
    assert!(near(joules(&snapshot, 7), 85.0) && near(joules(&snapshot, 8), 35.0));
    let gpu = &snapshot.node.domains[place(&snapshot)];
    assert!(near(gpu.residual.unexplained.0, 10.0));
    // The CPU's energy knows nothing of all this.
    assert!(near(snapshot.processes[0].usage.energy[0].joules.0, 0.0));
}

#[test]
fn what_it_draws_while_nobody_uses_it_is_idle_also_later() {
    let Some(library) = Library::new("gpu GPU-a A100 0 70000 0\n") else {
        return;
    };
    let mut monitor = library.monitor().build().unwrap();
    monitor.sample().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    library.says("gpu GPU-a A100 10000 70000 0\n");
    let unused = monitor.sample().unwrap();
    let place = place(&unused);
    let gpu = &unused.node.domains[place];
    assert!(near(gpu.energy.idle.0, 10.0) && near(gpu.energy.active.0, 0.0));
    let idle = gpu.power.unwrap().idle.0;
    std::thread::sleep(Duration::from_millis(200));
    library.says("gpu GPU-a A100 110000 70000 0\nholds 0 8\nran 0 8 5 90\n");
    let used = monitor.sample().unwrap();
    let power = used.node.domains[place].power.unwrap();
    assert!(near(power.idle.0, idle), "{power:?} {idle}");
    let delta = used.node.domains[place].delta;
    assert!(near(delta.active.0, joules(&used, 8)) && near(delta.active.0 + delta.idle.0, 100.0));
    assert!(delta.active.0 > 0.0);
}

#[test]
fn instances_count_by_their_multiprocessors() {
    let Some(library) = Library::new("gpu GPU-a H100 0 70000 1\n") else {
        return;
    };
    let mut monitor = library.monitor().gpu_idle(Watts(0.0)).build().unwrap();
    monitor.sample().unwrap();
    library.says("gpu GPU-a H100 80000 70000 1\nholds 0 7\nholds 0 8\nholds 0 9\nslice 0 42 7\nslice 0 14 8 9\n");
    let snapshot = monitor.sample().unwrap();
    // 42 of the 56 multiprocessors in use; 14 for two.
    assert!(near(joules(&snapshot, 7), 60.0));
    assert!(near(joules(&snapshot, 8), 10.0) && near(joules(&snapshot, 9), 10.0));
}

#[test]
fn several_processors_are_charged_apart_and_one_without_a_counter_by_its_power() {
    let Some(library) = Library::new(
        "gpu GPU-a old -1 50000 -1\ngpu GPU-b H100 0 70000 0\ngpu GPU-c mute -1 -1 0\n",
    ) else {
        return;
    };
    let mut monitor = library.monitor().gpu_idle(Watts(0.0)).build().unwrap();
    let first = monitor.sample().unwrap();
    assert_eq!(
        first
            .node
            .zones
            .iter()
            .filter(|z| z.zone.domain == Domain::Gpu)
            .count(),
        2
    );
    std::thread::sleep(Duration::from_millis(100));
    library.says("gpu GPU-a old -1 50000 -1\ngpu GPU-b H100 40000 70000 0\ngpu GPU-c mute -1 -1 0\nholds 0 7\nholds 1 8\nran 1 8 3 50\n");
    let snapshot = monitor.sample().unwrap();
    let zone = snapshot
        .node
        .zones
        .iter()
        .find(|z| z.zone.path == "GPU-a")
        .unwrap();
    assert!(
        (zone.power.unwrap().total.0 - 50.0).abs() < 0.01,
        "{:?}",
        zone.power
    );
    assert!(near(joules(&snapshot, 7), zone.energy.total.0) && near(joules(&snapshot, 8), 40.0));
}

#[test]
fn a_processor_that_falls_off_the_bus_is_a_failure_and_comes_back() {
    let Some(library) = Library::new("gpu GPU-a H100 1000 70000 0\n") else {
        return;
    };
    let mut monitor = library.monitor().build().unwrap();
    monitor.sample().unwrap();
    library.says("");
    let lost = monitor.sample().unwrap();
    let zone = lost
        .node
        .zones
        .iter()
        .find(|z| z.zone.domain == Domain::Gpu)
        .unwrap();
    assert_eq!((zone.failures, zone.power), (1, None));
    library.says("gpu GPU-a H100 3000 70000 0\n");
    let back = monitor.sample().unwrap();
    let zone = back
        .node
        .zones
        .iter()
        .find(|z| z.zone.domain == Domain::Gpu)
        .unwrap();
    assert!(near(zone.energy.total.0, 2.0));
}

#[test]
fn power_is_not_made_up_for_a_time_that_was_not_seen() {
    const OLD: &str = "gpu GPU-a old -1 50000 -1\n";
    let Some(library) = Library::new(OLD) else {
        return;
    };
    let machine = MachineCopy::empty();
    machine.set("sys/power/suspend_stats/success", 0);
    let mut source = Nvml::open(&machine.host(), Some(&library.path())).unwrap();
    let mut read = |seconds| {
        let mut readings = Vec::new();
        source.read(Duration::from_secs(seconds), &mut readings);
        readings.remove(0)
    };
    assert!(matches!(read(0), Reading::Baseline));
    let joules = |reading| match reading {
        Reading::Energy { joules, .. } => joules.0,
        other => panic!("{other:?}"),
    };
    assert!(near(joules(read(2)), 100.0));
    // It falls off the bus, and comes back.
    library.says("");
    assert!(matches!(read(4), Reading::Failed(_)));
    library.says(OLD);
    assert!(matches!(read(100), Reading::Baseline));
    assert!(near(joules(read(101)), 50.0));
    // It is there, and does not tell its power for once.
    library.says("gpu GPU-a old -1 -1 -1\n");
    assert!(matches!(read(102), Reading::Failed(_)));
    library.says(OLD);
    assert!(matches!(read(200), Reading::Baseline));
    assert!(near(joules(read(201)), 50.0));
    // Eight hours asleep.
    machine.set("sys/power/suspend_stats/success", 1);
    assert!(matches!(read(29_000), Reading::Baseline));
    assert!(near(joules(read(29_001)), 50.0));
}

#[test]
fn without_a_driver_there_is_no_graphics_processor_and_no_error() {
    let monitor = Monitor::builder()
        .host(Host::default())
        .usage(UsageChoice::Procfs)
        .gpu(GpuChoice::Library("/nowhere/libnvidia-ml.so.1".into()))
        .build()
        .unwrap();
    assert!(!monitor.domains().contains(&Domain::Gpu));
    let note = monitor
        .sources()
        .notes
        .iter()
        .find(|n| n.part == "nvml")
        .unwrap();
    assert!(
        !note.active && note.hint.is_empty() && note.why.contains("install NVIDIA's driver"),
        "{note}"
    );
}
