//! The embedded default models, on specs of real machines and over a grid of all that may come.

use kepler_core::MachineSpec;
use kepler_core::model::{Basis, Component, embedded};

use Component::{Dram, Package, Platform};

fn machine(processor: &str, cores: u32, chips: u32, memory: u32, frequency: u32) -> MachineSpec {
    MachineSpec {
        processor: Some(processor.to_owned()),
        cores: Some(cores),
        chips: Some(chips),
        memory: Some(memory),
        frequency: Some(frequency),
        ..MachineSpec::default()
    }
}

fn guest(processor: &str, cores: u32, memory: u32) -> MachineSpec {
    MachineSpec {
        guest: true,
        threads_per_core: Some(2),
        ..machine(processor, cores, 1, memory, 2500)
    }
}

/// Machines of every generation and size, known, unknown and nonsensical, bare and as guests.
fn all_sorts() -> Vec<MachineSpec> {
    let processors = [
        "intel_xeon_x5670",
        "intel_xeon_e5_2686v4",
        "intel_xeon_platinum_8275cl",
        "intel_xeon_platinum_8488c",
        "intel_core_i7_8650u",
        "amd_opteron_6276",
        "amd_epyc_9654",
        "amd_ryzen_9_7950x",
        "ampere_altra_max_m128_30",
        "intel_xeon",
        "amd_epyc",
        "ibm_z16",
        "",
    ];
    let shapes = [
        (0, 0, 0, 0),
        (2, 1, 1, 5800),
        (96, 2, 256, 2500),
        (1024, 8, 12_288, 1000),
    ];
    let mut specs = vec![MachineSpec::default()];
    for processor in processors {
        for (cores, chips, memory, frequency) in shapes {
            let bare = machine(processor, cores, chips, memory, frequency);
            let guest = true;
            specs.push(MachineSpec {
                guest,
                ..bare.clone()
            });
            specs.push(bare);
        }
    }
    specs
}

#[test]
fn zones_fit_together_rise_with_load_and_lie_in_their_intervals_on_every_machine() {
    for spec in all_sorts() {
        let model = embedded::for_machine(&spec);
        let mut before = [0.0; 3];
        for load in (0..=200).map(|step| f64::from(step) / 200.0) {
            let now = [Package, Dram, Platform].map(|c| model.watts(c, load).0);
            let [package, dram, platform] = now;
            assert!(
                now.iter().all(|w| w.is_finite() && *w > 0.0),
                "{spec:?} at {load}: {now:?}"
            );
            assert!(platform >= package + dram, "{spec:?} at {load}: {now:?}");
            for (before, now) in before.iter().zip(now) {
                assert!(now >= before - 1e-9, "{spec:?} falls to {now} at {load}");
            }
            before = now;
        }
        for (component, load) in [(Package, 0.0), (Dram, 0.4), (Platform, 1.0)] {
            let watts = model.watts(component, load).0;
            let interval = model.interval(component, load).unwrap();
            let holds = interval.low <= watts && watts <= interval.high;
            assert!(holds, "{spec:?}: {watts} {interval:?}");
        }
        assert_eq!(model.interval(Component::Core, 0.5), None);
    }
}

/// The old Kepler tells 144 W package and 19 W dram for each of these, idle.
#[test]
fn a_small_guest_draws_single_digit_to_low_double_digit_watts() {
    for processor in [
        "intel_xeon",
        "intel_xeon_platinum_8259cl",
        "intel_xeon_e5_2686v4",
        "amd_epyc",
        "amd_epyc_7571",
        "neoverse_n1",
    ] {
        let model = embedded::for_machine(&guest(processor, 2, 8));
        let [idle, busy] = [0.0, 1.0].map(|load| model.watts(Platform, load).0);
        assert!((0.5..8.0).contains(&idle), "{processor}: {idle} W idle");
        assert!((3.0..25.0).contains(&busy), "{processor}: {busy} W busy");
    }
}

#[test]
fn a_guest_on_a_hidden_host_gets_a_wide_interval_and_says_so() {
    let hidden = embedded::for_machine(&guest("intel_xeon", 2, 8));
    let told = embedded::for_machine(&guest("intel_xeon_platinum_8259cl", 2, 8));
    let factor = |model: &embedded::NodeModel| {
        let interval = model.interval(Platform, 0.5).unwrap();
        interval.high / interval.low
    };
    let (unknown, known) = (factor(&hidden), factor(&told));
    assert!(
        unknown > 1.2 * known && unknown > 4.0,
        "{unknown} and {known}"
    );
    assert_eq!(
        hidden.interval(Platform, 0.5).unwrap().basis,
        Basis::UnknownHost
    );
    assert_eq!(
        told.interval(Platform, 0.5).unwrap().basis,
        Basis::Residuals
    );
    assert!(
        hidden.note().contains("hides its processor"),
        "{}",
        hidden.note()
    );
    assert!(!hidden.in_range());
}

#[test]
fn a_guest_of_twice_the_cores_draws_twice_the_watts() {
    let [two, four] = [(2, 8), (4, 16)].map(|(cores, memory)| {
        let spec = guest("intel_xeon_platinum_8259cl", cores, memory);
        embedded::for_machine(&spec).watts(Platform, 0.7).0
    });
    assert!((four / two - 2.0).abs() < 1e-9, "{two} and {four}");
}

#[test]
fn the_embedded_files_are_small_and_tell_where_they_come_from() {
    let mut bytes = 0;
    for model in embedded::models().unwrap() {
        let file = model.file();
        bytes += file.to_json().unwrap().len();
        assert!(!file.training.trainer.is_empty() && !file.training.data.is_empty());
        assert!(file.training.rows.is_some() && file.training.machines.is_some());
        for part in file.components.values() {
            let error = &part.errors[0];
            assert!(error.mae > 0.0 && error.mape.is_some() && error.rows.is_some());
            assert!(part.residuals.is_some());
        }
    }
    assert!(bytes <= 1 << 20, "{bytes} bytes");
}

#[cfg(feature = "train")]
mod trained {
    use std::path::PathBuf;

    use kepler_core::model::train::defaults::{platform_family, wall_machines};
    use kepler_core::model::{ModelRegistry, embedded};

    /// The public tables; `None` where this machine has none, which CI must not.
    fn shared() -> Option<PathBuf> {
        let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let data = std::env::var_os("KEPLER_SHARED")
            .map_or_else(default, PathBuf::from)
            .join("data");
        if data.is_dir() {
            return Some(data);
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "{} is missing",
            data.display()
        );
        eprintln!("skipped: {} is missing", data.display());
        None
    }

    /// Trains on the tables anew: inputs, scales and every weight must be those of the committed files.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its table")]
    fn the_embedded_family_is_what_its_table_gives() {
        let Some(data) = shared() else { return };
        let pipeline = data.join("kepler-model-db/v0.7/specpower-0.7.11.zip");
        let registry = ModelRegistry::open(pipeline).unwrap();
        let index = registry.nodes(&registry.entries()[0]);
        let csv = std::fs::read_to_string(data.join("training/specpower_abs.csv")).unwrap();
        let trained = platform_family(&wall_machines(&csv, index).unwrap()).unwrap();
        let embedded = embedded::models().unwrap();
        assert_eq!(trained.len(), embedded.len() - 1);
        for (trained, embedded) in trained.iter().zip(&embedded) {
            let embedded = embedded.file();
            assert_eq!(trained.features, embedded.features);
            assert_eq!(trained.training, embedded.training);
            for (component, part) in &trained.components {
                assert!(
                    part.estimator == embedded.components[component].estimator,
                    "{}",
                    trained.name
                );
            }
        }
    }
}
