//! What tells long work to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::bindgen_prelude::External;
use napi_derive::napi;

/// Nothing is stopped yet.
#[napi(js_name = "_going", skip_typescript)]
pub fn going() -> External<Arc<AtomicBool>> {
    External::new(Arc::default())
}

/// The work stops soon.
#[napi(js_name = "_stop", skip_typescript)]
pub fn stop(going: &External<Arc<AtomicBool>>) {
    going.store(true, Ordering::Relaxed);
}
