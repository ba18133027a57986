//! Plain records: read-only attributes, `to_dict()` and a `repr`, all from one list of fields.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Declares a read-only Python class from its fields.
macro_rules! record {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)+ }) => {
        $(#[doc = $doc])*
        #[pyo3::pyclass(frozen, get_all, module = "kepler")]
        pub(crate) struct $name {
            $($(#[doc = $field_doc])* pub(crate) $field: $type,)+
        }

        #[pyo3::pymethods]
        impl $name {
            /// The same figures as plain dictionaries, lists, strings and numbers.
            fn to_dict<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<std::collections::BTreeMap<&'static str, pyo3::Bound<'py, pyo3::PyAny>>> {
                use pyo3::IntoPyObjectExt as _;
                Ok(std::collections::BTreeMap::from([
                    $((stringify!($field), crate::record::plain((&self.$field).into_bound_py_any(py)?)?),)+
                ]))
            }

            fn __repr__(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<String> {
                use pyo3::IntoPyObjectExt as _;
                use pyo3::types::PyAnyMethods as _;
                let fields = [$(format!(
                    concat!(stringify!($field), "={}"),
                    (&self.$field).into_bound_py_any(py)?.repr()?
                ),)+];
                Ok(format!(concat!(stringify!($name), "({})"), fields.join(", ")))
            }
        }
    };
}
pub(crate) use record;

/// Records inside of `value` as dictionaries.
pub(crate) fn plain<'py>(value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(list) = value.cast::<PyList>() {
        let items = list.iter().map(plain).collect::<PyResult<Vec<_>>>()?;
        return items.into_bound_py_any(value.py());
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let copy = PyDict::new(value.py());
        for (key, item) in dict.iter() {
            copy.set_item(key, plain(item)?)?;
        }
        return Ok(copy.into_any());
    }
    match value.getattr_opt("to_dict")? {
        Some(to_dict) => to_dict.call0(),
        None => Ok(value),
    }
}
