//! The modeled energy source: joules from a model and the node's usage.

use std::time::Duration;

use kepler_core::energy::{Domain, EnergySource, Reading};
use kepler_core::model::{Component, embedded};
use kepler_core::modeled::Modeled;
use kepler_core::usage::NodeUsage;
use kepler_core::{MachineSpec, Origin};

const SECOND: Duration = Duration::from_secs(1);

fn guest() -> MachineSpec {
    MachineSpec {
        processor: Some("intel_xeon".to_owned()),
        cores: Some(2),
        memory: Some(8),
        guest: true,
        ..MachineSpec::default()
    }
}

/// An interval in which two CPUs were busy for this share.
fn usage(interval: Duration, busy: f64) -> NodeUsage {
    let total = 2 * u64::try_from(interval.as_nanos()).unwrap();
    let busy_ns = (Duration::from_nanos(total).mul_f64(busy).as_nanos())
        .try_into()
        .unwrap();
    NodeUsage {
        cpus: 2,
        interval,
        busy_ns,
        idle_ns: total - busy_ns,
        ..NodeUsage::default()
    }
}

fn joules(readings: &[Reading]) -> Vec<(f64, Duration)> {
    readings
        .iter()
        .map(|reading| match reading {
            Reading::Energy {
                joules,
                over,
                ambiguous: false,
            } => (joules.0, *over),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn the_first_reading_is_a_baseline() {
    let mut source = Modeled::embedded(&guest());
    let mut readings = Vec::new();
    source.feed(&usage(SECOND, 0.5));
    source.read(SECOND, &mut readings);
    assert_eq!(readings.len(), source.zones().len());
    assert!(
        readings.iter().all(|r| matches!(r, Reading::Baseline)),
        "{readings:?}"
    );
}

#[test]
fn energy_is_power_over_the_real_interval() {
    let model = embedded::for_machine(&guest());
    let expected = |component, busy, seconds: f64| model.watts(component, busy).0 * seconds;
    let mut source = Modeled::new(model.clone());
    let mut readings = Vec::new();
    source.read(SECOND, &mut readings);
    // Two samples of usage before one reading: 2 s at a quarter, 3 s at full load.
    source.feed(&usage(2 * SECOND, 0.25));
    source.feed(&usage(3 * SECOND, 1.0));
    source.read(6 * SECOND, &mut readings);
    let zones = [Component::Package, Component::Dram, Component::Platform];
    for ((joules, over), zone) in joules(&readings).into_iter().zip(zones) {
        let sum = expected(zone, 0.25, 2.0) + expected(zone, 1.0, 3.0);
        assert!(
            (joules - sum).abs() < 1e-6,
            "{zone}: {joules} J, not {sum} J"
        );
        assert_eq!(over, 5 * SECOND);
    }
    source.read(7 * SECOND, &mut readings);
    assert!(
        joules(&readings)
            .iter()
            .all(|got| *got == (0.0, Duration::ZERO)),
        "{readings:?}"
    );
}

#[test]
fn provenance_names_the_model_its_error_and_its_scaling() {
    let mut source = Modeled::embedded(&guest());
    source.feed(&usage(SECOND, 1.0));
    let domains: Vec<_> = source.zones().iter().map(|z| z.domain).collect();
    assert_eq!(domains, [Domain::Package, Domain::Dram, Domain::Platform]);
    let components = [Component::Package, Component::Dram, Component::Platform];
    for (index, component) in components.into_iter().enumerate() {
        let provenance = source.provenance(index);
        assert_eq!(provenance.origin, Origin::Modeled);
        assert_eq!(&*provenance.source, "modeled");
        assert!(
            provenance
                .model
                .is_some_and(|name| name.starts_with("kepler-"))
        );
        let error = provenance.mae.unwrap().0;
        let watts = source.model().watts(component, 1.0).0;
        assert!(
            error > 0.05 * watts && error < watts,
            "{error} W of {watts} W"
        );
        assert_eq!(provenance.in_range, Some(false), "its host is hidden");
        assert!(
            provenance.note.contains("scaled to 2 of"),
            "{}",
            provenance.note
        );
        assert!(
            provenance.note.contains("times this"),
            "{}",
            provenance.note
        );
    }
}
