//! The Python package `kepler`: conversions around `kepler-core`, no logic of its own.

mod errors;

use pyo3::prelude::*;

#[pymodule]
mod _kepler {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::errors::_raise;

    /// The version of the package, the same as that of the Rust crates and the npm package.
    #[pyfunction]
    fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}
