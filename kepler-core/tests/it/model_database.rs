//! The public model database: read whole, predicted as the original predicts.

use std::collections::BTreeMap;

use std::io::Read;

use kepler_core::Host;
use kepler_core::model::{Component, ModelRegistry, PowerModel};
use ndarray::Array2;
use serde_json::Value;

use crate::shared;

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap_or(f64::NAN))
        .collect()
}

#[test]
fn predictions_are_the_originals() {
    let Some(samples) = shared::conformance("inference.jsonl") else {
        return;
    };
    let database = shared::database().unwrap();
    let mut registries = BTreeMap::new();
    let mut worst = BTreeMap::<String, f64>::new();
    for sample in samples {
        let pipeline = sample["pipeline"].as_str().unwrap();
        let registry = registries.entry(pipeline.to_owned()).or_insert_with(|| {
            ModelRegistry::open(database.join(format!("v0.7/{pipeline}.zip"))).unwrap()
        });
        let path = sample["model_path"].as_str().unwrap();
        let (_, within) = path.split_once(&format!("{pipeline}/")).unwrap();
        let entry = registry
            .entries()
            .iter()
            .find(|e| e.path() == within)
            .unwrap();
        let model = registry.model(entry).unwrap();

        let features: Vec<&str> = sample["features"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f.as_str().unwrap())
            .collect();
        let inputs: Vec<f64> = sample["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(numbers)
            .collect();
        let rows = Array2::from_shape_vec((16, features.len()), inputs).unwrap();
        let predicted = model.bind(&features).unwrap().predict(rows.view()).unwrap();

        // Curves as trained: the original's estimator reads another column for some feature groups.
        let expected = sample
            .get("expected_stored_index")
            .unwrap_or(&sample["expected"]);
        let tolerance = if sample["model_class"] == "xgboost" {
            1e-6
        } else {
            1e-9
        };
        for (component, wanted) in expected.as_object().unwrap() {
            let got = &predicted.watts[&component.parse::<Component>().unwrap()];
            for (row, (got, wanted)) in got.iter().zip(numbers(wanted)).enumerate() {
                let off = (got - wanted).abs() / wanted.abs().max(1e-3);
                assert!(
                    off <= tolerance || (got.is_nan() && wanted.is_nan()),
                    "{path} {component} row {row}: {got}, wanted {wanted}"
                );
                let trainer = sample["trainer"].as_str().unwrap().to_owned();
                let worst = worst.entry(trainer).or_default();
                *worst = worst.max(off);
            }
        }
    }
    println!("largest relative differences: {worst:?}");
}

#[test]
fn the_whole_database_is_indexed_and_its_models_read() {
    let Some(database) = shared::database() else {
        return;
    };
    let mut total = 0;
    for pipeline in ["ec2-0.7.11", "specpower-0.7.11"] {
        let registry = ModelRegistry::open(database.join(format!("v0.7/{pipeline}.zip"))).unwrap();
        total += registry.entries().len();
        // Each 40th: all of them are read in the release build of the benches.
        for entry in registry.entries().iter().step_by(40) {
            let model = registry.model(entry).unwrap();
            assert_eq!(model.name(), entry.name());
            assert!(model.features().eq(entry.features()));
            assert!(model.file().machine.cores.is_some(), "{}", entry.path());
            let ones = vec![1.0; model.features().count()];
            for (component, watts) in model.predict_one(&ones).unwrap().watts {
                assert!(watts >= 0.0, "{} {component}: {watts}", entry.path());
            }
        }
    }
    assert_eq!(total, 5449);
}

#[test]
fn weights_and_the_zip_beside_them_say_the_same() {
    let Some(database) = shared::database() else {
        return;
    };
    let path = database.join("v0.7/ec2-0.7.11.zip");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(
        Host::default().bytes(path, 100 << 20).unwrap(),
    ))
    .unwrap();
    let mut bytes = |name: &str| {
        let mut bytes = Vec::new();
        zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let folder = tempfile::tempdir().unwrap();
    for (group, trainer) in [
        ("Basic", "SGDRegressorTrainer_1"),
        ("Basic", "LogarithmicRegressionTrainer_1"),
        ("BPFIRQ", "ExponentialRegressionTrainer_1"),
    ] {
        let at = format!("rapl-sysfs/AbsPower/{group}/{trainer}");
        let json = folder.path().join(format!("{trainer}.json"));
        std::fs::write(&json, bytes(&format!("{at}.json"))).unwrap();
        let weights = PowerModel::load(&json).unwrap();
        let zipped = PowerModel::from_bytes(&bytes(&format!("{at}.zip"))).unwrap();
        assert!(weights.features().eq(zipped.features()));
        for share in [0.0, 0.3, 1.0] {
            let row: Vec<f64> = zipped
                .file()
                .features
                .iter()
                .map(|f| f.scale * share)
                .collect();
            let (a, b) = (
                weights.predict_one(&row).unwrap(),
                zipped.predict_one(&row).unwrap(),
            );
            for (component, watts) in &a.watts {
                assert!(
                    (watts - b.watts[component]).abs() < 1e-9,
                    "{trainer} {component}"
                );
            }
        }
    }
}

#[test]
fn the_older_generation_is_read_too() {
    let Some(database) = shared::database() else {
        return;
    };
    let registry = ModelRegistry::open(database.join("v0.6/nx12/std_v0.6")).unwrap();
    assert!(registry.skipped().is_empty());
    for entry in registry.entries() {
        let model = registry.model(entry).unwrap();
        let row: Vec<f64> = model
            .file()
            .features
            .iter()
            .map(|f| f.max.unwrap_or(1.0))
            .collect();
        model.predict_one(&row).unwrap();
    }
    assert_eq!(registry.entries().len(), 126);
}

#[test]
fn support_vectors_at_the_end_of_a_pipeline_predict_as_scikit_learn_does() {
    let Some(database) = shared::database() else {
        return;
    };
    let folder = "v0.6/nx12/std_v0.6/rapl/AbsPower/CounterIRQCombined";
    let model = PowerModel::load(database.join(folder).join("SVRRegressorTrainer_1.zip")).unwrap();
    let rows = [
        [0.0; 6],
        [1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0],
        [1e9, 1e9 / 2.0, 1e9 / 3.0, 1e9 / 4.0, 1e9 / 5.0, 1e9 / 6.0],
    ];
    // By scikit-learn 1.9.1 from the same files.
    let package = [31.526983135102505, 31.5270019823219, 39.11967497433382];
    let dram = [38.23933200784881, 38.239341548698995, 39.23205414716435];
    for (row, (package, dram)) in rows.iter().zip(package.into_iter().zip(dram)) {
        let watts = model.predict_one(row).unwrap().watts;
        assert!((watts[&Component::Package] - package).abs() < 1e-9 * package);
        assert!((watts[&Component::Dram] - dram).abs() < 1e-9 * dram);
    }
}
