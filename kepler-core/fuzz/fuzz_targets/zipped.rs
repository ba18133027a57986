//! A model zip around one file of arbitrary bytes, and what must hold of a model that was read from it.

use std::io::{Cursor, Write};

use kepler_core::model::PowerModel;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A model of one component over the features `a` and `b`, whose file `name` holds `bytes`.
pub fn model(name: &str, bytes: &[u8]) -> Option<PowerModel> {
    let metadata = br#"{"model_name":"Trainer_1","model_class":"scikit","model_file":"Trainer_1.json",
        "features":["a","b"],"fe_files":[],"output_type":"AbsPower","mae":1.0,"package_mae":1.0}"#;
    let steps = if name == "scaler.pkl" { r#""scaler.pkl""# } else { "" };
    let file = if name == "scaler.pkl" { "package.pkl" } else { name };
    let parts = format!(
        r#"{{"package":{{"model_file":"{file}","features":["a","b"],"fe_files":[{steps}]}}}}"#
    );
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [
        ("metadata.json", &metadata[..]),
        ("Trainer_1.json", parts.as_bytes()),
        (name, bytes),
    ] {
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(name, stored).ok()?;
        zip.write_all(bytes).ok()?;
    }
    PowerModel::from_bytes(&zip.finish().ok()?.into_inner()).ok()
}

/// A model that was read predicts, and its own file reads back as the same model.
pub fn check(model: &PowerModel) {
    let row = vec![0.5; model.features().count()];
    let prediction = model.predict_one(&row).expect("the row is finite numbers, as many as the model wants");
    for watts in prediction.watts.values() {
        assert!(watts.is_nan() || *watts >= 0.0);
    }
    let json = model.file().to_json().expect("a checked model has finite numbers only");
    assert_eq!(PowerModel::from_json(json.as_bytes()).expect("what was written reads").file(), model.file());
}
