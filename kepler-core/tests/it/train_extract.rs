//! Extraction and isolation, against what the older software answers for the same dump and against sums by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kepler_core::model::train::{Extraction, IdleProfile, Isolation, PrometheusDump, TrainingData};
use kepler_core::model::{
    Component, EnergySourceName, Estimator, FeatureGroup, FeatureSpec, ModelFile, OutputType,
    PowerModel,
};
use kepler_core::{ErrorKind, Host};

use crate::shared::folder;

const SOURCES: [EnergySourceName; 2] = [EnergySourceName::RaplSysfs, EnergySourceName::Acpi];
const GROUPS: [FeatureGroup; 2] = [FeatureGroup::CounterOnly, FeatureGroup::BpfOnly];

fn dump(shared: &Path) -> PrometheusDump {
    let path = shared.join("data/prometheus/idle.json");
    PrometheusDump::from_json(Host::default().text(path).unwrap().as_bytes(), "idle.json").unwrap()
}

/// The older software's way: joules over the mean time between samples.
fn as_before(source: EnergySourceName, group: FeatureGroup) -> Extraction {
    Extraction {
        mean_step: true,
        ..Extraction::of_group(source, group)
    }
}

fn golden(
    shared: &Path,
    kind: &str,
    source: EnergySourceName,
    group: FeatureGroup,
    level: &str,
) -> TrainingData {
    let path = format!("conformance/extract/{kind}_{source}_{group}{level}.csv");
    TrainingData::read_csv(shared.join(path)).unwrap()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn assert_same(ours: &TrainingData, theirs: &TrainingData, what: &str) {
    assert_eq!(ours.features, theirs.features, "{what}");
    assert_eq!(ours.times, theirs.times, "{what}");
    for (a, b) in ours.rows.iter().zip(&theirs.rows) {
        assert!(close(*a, *b), "{what}: {a} {b}");
    }
    assert_eq!(ours.targets.len(), theirs.targets.len(), "{what}");
    for (component, watts) in &ours.targets {
        for (a, b) in watts.iter().zip(&theirs.targets[component]) {
            assert!(close(*a, *b), "{what} {component}: {a} {b}");
        }
    }
}

#[test]
fn nodes_and_isolation_agree_with_the_older_software() {
    let Some(shared) = folder() else { return };
    let dump = dump(&shared);
    for source in SOURCES {
        for group in GROUPS {
            let activity = as_before(source, group).run(&dump).unwrap();
            let what = format!("{source} {group}");
            let node = activity.node().unwrap();
            assert_same(
                &node,
                &golden(&shared, "extract", source, group, "_abs"),
                &what,
            );
            let none = activity.isolate(&Isolation::None).unwrap();
            assert_same(
                &none,
                &golden(&shared, "isolate_none", source, group, ""),
                &what,
            );
            let min = activity.isolate(&Isolation::Min).unwrap();
            assert_same(
                &min,
                &golden(&shared, "isolate_min", source, group, ""),
                &what,
            );
        }
    }
}

#[test]
fn containers_agree_with_the_older_software() {
    let Some(shared) = folder() else { return };
    let dump = dump(&shared);
    for source in SOURCES {
        for group in GROUPS {
            let activity = as_before(source, group).run(&dump).unwrap();
            let path = format!("conformance/extract/extract_{source}_{group}_dyn.csv");
            let text = Host::default().text(shared.join(path)).unwrap();
            let mut theirs = BTreeMap::new();
            for line in text.lines().skip(1) {
                let mut cells = line.split(',');
                let time: f64 = cells.next().unwrap().parse().unwrap();
                let id = cells.next().unwrap().to_owned();
                let rates: Vec<f64> = cells
                    .take(activity.features.len())
                    .map(|c| c.parse().unwrap())
                    .collect();
                theirs.insert((time.to_bits(), id), rates);
            }
            assert_eq!(activity.entries.len(), theirs.len());
            for row in &activity.entries {
                let rates = &theirs[&(row.time.to_bits(), row.id.clone())];
                assert!(
                    row.rates.iter().zip(rates).all(|(a, b)| close(*a, *b)),
                    "{row:?}"
                );
            }
        }
    }
}

#[test]
fn joules_are_divided_by_the_time_that_passed() {
    let Some(shared) = folder() else { return };
    let dump = dump(&shared);
    let rows =
        Extraction::of_group(EnergySourceName::RaplSysfs, FeatureGroup::CounterOnly).run(&dump);
    let node = rows.unwrap().node().unwrap();
    // From 1702462599 to ..614 both packages, idle and dynamic: 491.211 + 510.095 + 489.233 + 498.51 J in 15 s.
    assert!(close(node.targets[&Component::Package][0], 1989.049 / 15.0));
    // The step to ..650 is 21 s long: the older software's 135.94 W (over 14.5 s) are 93.9 W.
    assert!(close(
        node.targets[&Component::Package][2],
        135.943_241_379_310_08 * 14.5 / 21.0
    ));
}

#[test]
fn an_idle_profile_is_in_watts() {
    let Some(shared) = folder() else { return };
    let dump = dump(&shared);
    let activity = as_before(EnergySourceName::RaplSysfs, FeatureGroup::CounterOnly).run(&dump);
    let profile = IdleProfile::of(&activity.unwrap());
    // profile.json says 11.389 at most: these watts divided by 15 s once more.
    assert!(close(
        profile.watts[&Component::Package].1,
        11.389_154_022_988_52 * 15.0
    ));
    assert_eq!(profile.watts[&Component::Core], (0.0, 0.0));
    assert_eq!(
        profile.containers.len(),
        51 - 8,
        "eight were seen only once"
    );
}

const TWO_CONTAINERS: &str = r#"{
  "kepler_node_platform_joules_total": [
    {"metric": {"source": "acpi", "mode": "idle"}, "values": [[0, "0"], [10, "1000"], [20, "2000"], [30, "3000"]]},
    {"metric": {"source": "acpi", "mode": "dynamic"}, "values": [[0, "0"], [10, "100"], [20, "500"], [30, "1100"]]}],
  "kepler_container_cpu_cycles_total": [
    {"metric": {"container_id": "a"}, "values": [[0, "0"], [10, "50"], [20, "250"], [30, "550"]]},
    {"metric": {"container_id": "back"}, "values": [[0, "0"], [10, "100"], [20, "200"], [30, "300"]]},
    {"metric": {"container_id": "v", "job": "vm"}, "values": [[0, "0"], [10, "9999"], [20, "9999"], [30, "9999"]]}],
  "kepler_node_cpu_scaling_frequency_hertz": [
    {"metric": {"cpu": "0"}, "values": [[10, "100"], [20, "100"], [30, "300"]]},
    {"metric": {"cpu": "1"}, "values": [[10, "300"], [20, "100"], [30, "300"]]}]
}"#;

fn two_containers() -> kepler_core::model::train::Activity {
    let dump = PrometheusDump::from_json(TWO_CONTAINERS.as_bytes(), "dump").unwrap();
    let mut extraction = Extraction::of_group(EnergySourceName::Acpi, FeatureGroup::CounterOnly);
    extraction.features = vec!["cpu_cycles".into(), "cpu_scaling_frequency_hertz".into()];
    extraction.run(&dump).unwrap()
}

#[test]
fn containers_are_summed_and_features_of_the_node_are_averaged() {
    let data = two_containers().node().unwrap();
    assert_eq!(data.times, [10.0, 20.0, 30.0]);
    assert_eq!(
        data.rows,
        ndarray::array![[15.0, 200.0], [30.0, 100.0], [40.0, 300.0]]
    );
    assert_eq!(data.targets[&Component::Platform], [110.0, 140.0, 160.0]);
}

#[test]
fn a_profile_takes_off_the_middle_of_idle_power_and_its_containers() {
    let activity = two_containers();
    let mut profile = IdleProfile::of(&activity);
    profile.containers = BTreeSet::from(["back///".to_owned()]);
    profile.watts = BTreeMap::from([(Component::Platform, (100.0, 130.0))]);
    let data = activity.isolate(&Isolation::Profile(&profile)).unwrap();
    assert_eq!(data.rows.column(0).to_vec(), [5.0, 20.0, 30.0]);
    assert_eq!(data.targets[&Component::Platform], [0.0, 25.0, 45.0]);
}

#[test]
fn a_trained_model_takes_off_what_the_background_draws() {
    let activity = two_containers();
    let model = |intercept| {
        let features = vec![FeatureSpec::raw("cpu_cycles")];
        let mut file = ModelFile::new("node", OutputType::AbsPower, features);
        let line = Estimator::Linear {
            intercept,
            weights: vec![1.0],
        };
        file.components.insert(Component::Platform, line.into());
        PowerModel::new(file).unwrap()
    };
    let background = BTreeSet::from(["back///".to_owned()]);
    // 10 cycles/s of background: 90 + 10 W of it, and the rest is 10, 40 and 60 W.
    let isolation = Isolation::Trained {
        models: &[model(90.0)],
        background: &background,
    };
    let data = activity.isolate(&isolation).unwrap();
    assert_eq!(data.targets[&Component::Platform], [10.0, 40.0, 60.0]);
    // A model that claims everything leaves nothing that could go along with the containers.
    let isolation = Isolation::Trained {
        models: &[model(900.0)],
        background: &background,
    };
    assert_eq!(
        activity.isolate(&isolation).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn a_missing_metric_is_named() {
    let dump = PrometheusDump::from_json(TWO_CONTAINERS.as_bytes(), "dump").unwrap();
    let missing = |source, group| {
        let error = Extraction::of_group(source, group).run(&dump).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        error.to_string()
    };
    let text = missing(EnergySourceName::Acpi, FeatureGroup::CounterOnly);
    assert!(text.contains("kepler_container_cache_miss_total"), "{text}");
    let text = missing(EnergySourceName::RaplSysfs, FeatureGroup::CounterOnly);
    assert!(text.contains("kepler_node_package_joules_total"), "{text}");
}

#[test]
fn a_server_is_asked_for_activity_and_energy() {
    let queries = PrometheusDump::queries(EnergySourceName::Acpi, &["cpu_cycles"]);
    assert!(queries.contains(&"kepler_container_cpu_cycles_total".to_owned()));
    assert!(queries.contains(&"kepler_node_platform_joules_total".to_owned()));
}
