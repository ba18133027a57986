//! Models given to a monitor while it runs.

use std::path::Path;
use std::time::Duration;

use kepler_core::energy::Domain;
use kepler_core::model::{
    Component, EnergySourceName, Estimator, FeatureSpec, ModelFile, OutputType, PowerModel,
};
use kepler_core::modeled::{GivenModel, features};
use kepler_core::monitor::{Monitor, UsageChoice};
use kepler_core::usage::{Counter, CounterSet, NodeUsage, Scripted};
use kepler_core::{Host, MachineSpec};

const CPU: &str = "bpf_cpu_time_ms";
const PAGES: &str = "bpf_page_cache_hit";

/// A line over these features.
fn line(
    source: EnergySourceName,
    component: Component,
    rest: f64,
    slopes: &[(&str, f64)],
) -> ModelFile {
    let specs = slopes.iter().map(|(name, _)| FeatureSpec::raw(name));
    let mut file = ModelFile::new("line", OutputType::AbsPower, specs.collect());
    file.energy_source = Some(source);
    let weights = slopes.iter().map(|(_, slope)| *slope).collect();
    let line = Estimator::Linear {
        intercept: rest,
        weights,
    };
    file.components.insert(component, line.into());
    file
}

fn platform(rest: f64, slopes: &[(&str, f64)]) -> ModelFile {
    line(EnergySourceName::Acpi, Component::Platform, rest, slopes)
}

fn machine(cores: u32, guest: bool) -> MachineSpec {
    MachineSpec {
        processor: Some("intel_xeon".into()),
        cores: Some(cores),
        guest,
        ..MachineSpec::default()
    }
}

fn given(file: ModelFile, machine: &MachineSpec) -> Result<GivenModel, String> {
    let model = PowerModel::new(file).unwrap();
    GivenModel::new(model, machine, CounterSet::EMPTY).map_err(|e| e.to_string())
}

/// A machine of two CPUs without any meter.
fn host(root: &Path) -> Host {
    let stat = "cpu  9 0 9 99 0 0 0 0 0 0\ncpu0 5 0 4 50 0 0 0 0 0 0\ncpu1 4 0 5 49 0 0 0 0 0 0\n";
    std::fs::write(root.join("stat"), stat).unwrap();
    std::fs::write(root.join("cpuinfo"), "processor\t: 0\n\nprocessor\t: 1\n").unwrap();
    Host::default().with_proc(root).with_sys(root.join("sys"))
}

#[test]
fn what_can_be_told_to_a_model_is_what_is_counted() {
    assert_eq!(features(CounterSet::EMPTY), [CPU]);
    let counted = CounterSet::EMPTY.with(Counter::PageCacheHits);
    assert_eq!(features(counted), [CPU, PAGES]);
    let all: CounterSet = Counter::ALL.into_iter().collect();
    assert_eq!(features(all).len(), 8);
}

#[test]
fn a_model_that_does_not_fit_is_refused_with_why() {
    let two = machine(2, false);
    let dynamic = ModelFile {
        output_type: OutputType::DynPower,
        ..platform(10.0, &[(CPU, 0.01)])
    };
    let core = line(EnergySourceName::RaplSysfs, Component::Core, 5.0, &[]);
    let unknown_size = platform(10.0, &[(CPU, 0.01)]);
    let long = ModelFile {
        name: "x".repeat(300),
        ..platform(10.0, &[(CPU, 0.01)])
    };
    for (file, machine, why) in [
        (long, &two, "names of more than 256 bytes"),
        (dynamic, &two, "predicts DynPower, not AbsPower"),
        (core, &two, "neither package, dram nor platform"),
        (
            platform(10.0, &[(PAGES, 0.1)]),
            &two,
            "bpf_page_cache_hit, which is not counted",
        ),
        (
            platform(10.0, &[("cgroupfs_cpu", 0.1)]),
            &two,
            "cgroupfs_cpu, which is not counted",
        ),
        // 2 CPUs that are never idle run 2000 ms a second: 10 + 2000 x 2 W.
        (
            platform(10.0, &[(CPU, 2.0)]),
            &two,
            "platform is 4010 W under full load of 2 CPUs",
        ),
        (platform(2500.0, &[]), &two, "platform is 2500 W at rest"),
        (platform(0.0, &[(CPU, -1.0)]), &two, "0 W whatever is done"),
        (
            unknown_size,
            &machine(2, true),
            "does not say how many CPUs",
        ),
    ] {
        let error = given(file, machine).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_model_of_a_larger_machine_is_cut_to_this_ones_share() {
    let mut file = platform(100.0, &[(CPU, 0.002)]);
    file.machine = machine(96, false);
    for guest in [true, false] {
        let model = given(file.clone(), &machine(2, guest)).unwrap();
        // At full load the whole machine draws 100 + 96,000 x 0.002 = 292 W, of which 2/96 is 6.08 W.
        let full = model.model().predict_one(&[2000.0]).unwrap();
        assert!((full.watts[&Component::Platform] - 292.0 / 48.0).abs() < 1e-9);
    }
    file.machine = machine(2, false);
    let own = given(file, &machine(2, false)).unwrap();
    let full = own.model().predict_one(&[2000.0]).unwrap();
    assert!((full.watts[&Component::Platform] - 104.0).abs() < 1e-9);
}

#[test]
fn a_given_model_takes_over_without_a_jump_and_a_wrong_one_does_not() {
    let root = tempfile::tempdir().unwrap();
    // Always half busy; 500 pages in each second.
    let usage = Scripted::new(|_, usage| {
        usage.collected = CounterSet::EMPTY.with(Counter::PageCacheHits);
        usage.node = NodeUsage {
            cpus: 2,
            interval: Duration::from_secs(1),
            busy_ns: 1_000_000_000,
            idle_ns: 1_000_000_000,
            ..NodeUsage::default()
        };
        usage.node.counters.page_cache_hits = 500;
        Ok(())
    });
    let clock = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(1));
    let seconds = clock.clone();
    let mut monitor = Monitor::builder()
        .host(host(root.path()))
        .usage(UsageChoice::Source(Box::new(usage)))
        .clock(move || Duration::from_secs(seconds.load(std::sync::atomic::Ordering::Relaxed)))
        .build()
        .unwrap();
    let models = monitor.models().unwrap();
    let mut second = 0;
    let mut stat = |monitor: &mut Monitor| {
        // Each second adds 100 ticks of work and 100 of rest over both CPUs.
        second += 1;
        clock.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let cpu =
            |name: &str, busy: u64, idle: u64| format!("{name} {busy} 0 0 {idle} 0 0 0 0 0 0\n");
        let text = cpu("cpu ", 100 * second, 100 * second)
            + &cpu("cpu0", 50 * second, 50 * second)
            + &cpu("cpu1", 50 * second, 50 * second);
        std::fs::write(root.path().join("stat"), text).unwrap();
        monitor.sample().unwrap()
    };
    let total = |snapshot: &kepler_core::monitor::Snapshot, domain| {
        let mut all = snapshot.node.domains.iter();
        all.find(|d| d.domain == domain).unwrap().energy.total.0
    };
    stat(&mut monitor);
    let before = stat(&mut monitor);
    let fetches = before.model_fetches;
    assert_eq!(fetches, None, "nobody fetches");
    assert_eq!(models.features(), [CPU, PAGES]);

    // Half of 2 CPUs is 1000 ms a second: 10 + 1000 x 0.02 + 500 x 0.01 = 35 W.
    let model = PowerModel::new(platform(10.0, &[(CPU, 0.02), (PAGES, 0.01)])).unwrap();
    models.give(model).unwrap();
    models.answered("http://server");
    let after = stat(&mut monitor);
    let grown = total(&after, Domain::Platform) - total(&before, Domain::Platform);
    assert!((grown - 35.0).abs() < 1e-9, "{grown}");
    let of = |domain| {
        let mut zones = after.node.zones.iter();
        zones
            .find(|z| z.zone.domain == domain)
            .unwrap()
            .provenance
            .clone()
    };
    assert_eq!(of(Domain::Platform).model.as_deref(), Some("line"));
    let package = of(Domain::Package).model.clone().unwrap();
    assert!(
        package.starts_with("kepler-"),
        "{package} is still embedded"
    );
    let sources = after.sources.to_string();
    let said = "models: on (by http://server: line of acpi)";
    assert!(sources.contains(said), "{sources}");

    let poison = PowerModel::new(platform(1e9, &[])).unwrap();
    models.failed("http://server", models.give(poison).unwrap_err());
    let still = stat(&mut monitor);
    let grown = total(&still, Domain::Platform) - total(&after, Domain::Platform);
    assert!((grown - 35.0).abs() < 1e-9, "{grown}");
    let sources = still.sources.to_string();
    assert!(
        sources.contains("models: off (http://server: "),
        "{sources}"
    );
    assert!(sources.contains("; meanwhile line of acpi"), "{sources}");
    let fetches = still.model_fetches.unwrap();
    assert_eq!((fetches.successes, fetches.failures), (1, 1));
}

#[test]
fn where_energy_is_measured_no_model_is_wanted() {
    let monitor = Monitor::builder().fake().build().unwrap();
    assert!(monitor.models().is_none());
}
