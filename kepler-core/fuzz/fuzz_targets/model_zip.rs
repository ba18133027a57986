//! A model zip of arbitrary bytes.
#![no_main]

mod zipped;

use kepler_core::model::PowerModel;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The reader tells zips by their first two bytes.
    if data.starts_with(b"PK")
        && let Ok(model) = PowerModel::from_bytes(data)
    {
        zipped::check(&model);
    }
});
