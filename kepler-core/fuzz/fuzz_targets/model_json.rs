//! Weights and the own format: whatever begins as JSON.
#![no_main]

mod zipped;

use kepler_core::model::PowerModel;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(model) = PowerModel::from_bytes(data) {
        zipped::check(&model);
    }
});
