//! Model files of every form, good and hostile: the fuzz targets' corpus, fitted for it by scikit-learn 1.5.2.

use std::path::{Path, PathBuf};
use std::process::Command;

use kepler_core::model::{Component, ModelEntry, ModelRegistry, PowerModel};
use kepler_core::{ErrorKind, Host};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    Host::default().bytes(corpus(name), 1 << 20).unwrap()
}

/// A model folder over the features `a` and `b`, whose one component is the file `name` of the corpus.
fn folder(name: &str, file: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write(
        "metadata.json",
        br#"{"model_name":"T_1","model_class":"scikit","model_file":"T_1.json","features":["a","b"],
            "fe_files":[],"output_type":"AbsPower","mae":1.5,"package_mae":1.5}"#,
    );
    let parts =
        format!(r#"{{"package":{{"model_file":"{file}","features":["a","b"],"fe_files":[]}}}}"#);
    write("T_1.json", parts.as_bytes());
    write(file, &bytes(name));
    folder
}

fn package(model: &PowerModel, row: &[f64]) -> f64 {
    model.predict_one(row).unwrap().watts[&Component::Package]
}

#[test]
fn pickled_estimators_predict_what_scikit_learn_says() {
    let wanted = [
        ("linear", 12.750000000000002),
        ("sgd", 12.145732417747556),
        ("support_vectors", 12.866071393266584),
        ("neighbors_tree", 12.835099015558368),
        ("neighbors_brute", 12.810082300409919),
        ("boosting", 13.160013376568864),
        ("boosting_protocol_5", 13.234944823181213),
        // 1 exp(2 z) + 3, 1 ln(2 z + 1) + 3 and 1 / (1 + exp(-3 (z - 2))) + 4 at b = 0.25.
        ("curve_exponential", 0.5f64.exp() + 3.0),
        ("curve_logarithmic", 1.5f64.ln() + 3.0),
        ("curve_logistic", 1.0 / (1.0 + 5.25f64.exp()) + 4.0),
    ];
    for (name, watts) in wanted {
        let folder = folder(&format!("model_pickle/{name}"), "package.pkl");
        let model = PowerModel::load(folder.path()).unwrap();
        let got = package(&model, &[0.5, 0.25]);
        assert!(
            (got - watts).abs() < 1e-9 * watts,
            "{name}: {got}, wanted {watts}"
        );
    }
}

#[test]
fn boosted_trees_of_xgboost_add_up() {
    let folder = folder("model_xgboost/two_trees", "package.json");
    let model = PowerModel::load(folder.path()).unwrap();
    // 13 and of each tree: b < 0.5 gives -1.5, else 2.25; a < 0.5: b < 0.25 gives 2, else b < 0.125 gives 3, else 4;
    // otherwise 1.
    for (row, watts) in [
        ([0.4, 0.2], 13.0 - 1.5 + 2.0),
        ([0.4, 0.25], 13.0 - 1.5 + 4.0),
        ([0.5, 0.5], 13.0 + 2.25 + 1.0),
    ] {
        let got = package(&model, &row);
        assert!((got - watts).abs() < 1e-6, "{row:?}: {got}, wanted {watts}");
    }
}

#[test]
fn zips_are_read_packed_or_not() {
    for name in ["linear_deflated", "trees_stored"] {
        let model = PowerModel::from_bytes(&bytes(&format!("model_zip/{name}"))).unwrap();
        assert!(package(&model, &[0.5, 0.25]) > 5.0, "{name}");
        assert!(
            model.file().components[&Component::Package].errors[0]
                .mape
                .is_none()
        );
    }
}

#[test]
fn hostile_zips_are_refused_with_what_is_wrong() {
    for (name, kind, says) in [
        ("climbs_out", ErrorKind::Malformed, "names inside the zip"),
        ("absolute", ErrorKind::Malformed, "names inside the zip"),
        ("link", ErrorKind::Malformed, "files, not links"),
        ("bomb", ErrorKind::TooLarge, "for its packed size"),
    ] {
        let error = PowerModel::from_bytes(&bytes(&format!("model_zip/{name}"))).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

#[test]
fn a_zip_that_says_less_than_it_unpacks_is_refused() {
    let mut zip = bytes("model_zip/linear_deflated");
    // The sizes of the first entry: in its own header and in the directory at the end.
    let directory = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    for at in [22, directory + 24] {
        zip[at..at + 4].copy_from_slice(&10u32.to_le_bytes());
    }
    let error = PowerModel::from_bytes(&zip).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Malformed),
        "{error}"
    );
}

#[test]
fn every_cut_of_a_file_is_an_error() {
    for name in [
        "model_zip/trees_stored",
        "model_json/own_blend",
        "model_json/weights_linear",
    ] {
        let whole = bytes(name);
        PowerModel::from_bytes(&whole).unwrap_or_else(|e| panic!("{name}: {e}"));
        for end in 0..whole.len() {
            assert!(
                PowerModel::from_bytes(&whole[..end]).is_err(),
                "{name} cut at {end}"
            );
        }
    }
}

#[test]
fn weights_and_own_files_read_and_predict() {
    for name in [
        "weights_linear",
        "weights_exponential",
        "weights_logarithmic",
        "weights_logistic",
    ] {
        PowerModel::from_bytes(&bytes(&format!("model_json/{name}"))).unwrap();
    }
    // 70.5 + 1.5 x 3 / 2; the second feature's weight is 0.
    let model = PowerModel::from_bytes(&bytes("model_json/weights_linear")).unwrap();
    assert!((package(&model, &[3.0, 1.0]) - 72.75).abs() < 1e-12);
    assert_eq!(model.file().machine.cores, Some(4));
}

#[test]
fn a_pipeline_may_hold_models_of_every_form_and_one_that_is_broken() {
    let root = tempfile::tempdir().unwrap();
    let group = root.path().join("mine/acpi/AbsPower/BPFOnly");
    std::fs::create_dir_all(group.join("Folder_0")).unwrap();
    let own = folder("model_pickle/linear", "package.pkl");
    for name in ["metadata.json", "T_1.json", "package.pkl"] {
        std::fs::copy(own.path().join(name), group.join("Folder_0").join(name)).unwrap();
    }
    std::fs::write(group.join("Zip_1.zip"), bytes("model_zip/linear_deflated")).unwrap();
    std::fs::write(group.join("Own_2.json"), bytes("model_json/own_trees")).unwrap();
    std::fs::write(
        group.join("SGDRegressorTrainer_3.json"),
        bytes("model_json/weights_linear"),
    )
    .unwrap();
    std::fs::write(group.join("Bomb_4.zip"), bytes("model_zip/bomb")).unwrap();

    // By its own path, and found in the folder of pipelines.
    for path in [root.path().join("mine"), root.path().to_owned()] {
        let registry = ModelRegistry::open(path).unwrap();
        let names: Vec<&str> = registry.entries().iter().map(ModelEntry::name).collect();
        assert_eq!(
            names,
            ["Folder_0", "Own_2", "SGDRegressorTrainer_3", "Zip_1"]
        );
        for entry in registry.entries() {
            registry.model(entry).unwrap();
            assert_eq!(registry.pipeline(entry), "mine");
        }
        let [(path, error)] = registry.skipped() else {
            panic!("{:?}", registry.skipped());
        };
        assert!(
            path.ends_with("Bomb_4.zip") && error.kind() == ErrorKind::TooLarge,
            "{error}"
        );
    }
    let error = ModelRegistry::open(group.join("Folder_0")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_pipe_or_device_in_place_of_a_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [pipe.as_path(), Path::new("/dev/zero")] {
        let model = PowerModel::load(path).unwrap_err().to_string();
        let registry = ModelRegistry::open(path).unwrap_err().to_string();
        for error in [model, registry] {
            assert!(error.contains(path.to_str().unwrap()), "{error}");
            assert!(error.contains("not a file"), "{error}");
        }
    }
}
