//! The pickle reader, as estimator and as scaler.
#![no_main]

mod zipped;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for name in ["package.pkl", "scaler.pkl"] {
        if let Some(model) = zipped::model(name, data) {
            zipped::check(&model);
        }
    }
});
