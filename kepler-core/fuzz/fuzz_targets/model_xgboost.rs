//! The reader of XGBoost's JSON.
#![no_main]

mod zipped;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(model) = zipped::model("package.json", data) {
        zipped::check(&model);
    }
});
