//! The one place where errors of the core become exceptions, and the one place where the GIL is released.

use kepler_core::{Error, ErrorKind};
use pyo3::prelude::*;

mod classes {
    use pyo3::import_exception;

    import_exception!(kepler.errors, NotFound);
    import_exception!(kepler.errors, PermissionDenied);
    import_exception!(kepler.errors, Malformed);
    import_exception!(kepler.errors, InvalidInput);
    import_exception!(kepler.errors, TooLarge);
    import_exception!(kepler.errors, Unsupported);
    import_exception!(kepler.errors, Io);
    import_exception!(kepler.errors, Forked);
    import_exception!(kepler.errors, Cancelled);
}

/// The exception for an error of the core: class by kind, text as it stands.
pub(crate) fn to_py(error: Error) -> PyErr {
    let text = error.to_string();
    let exception = match error.kind() {
        ErrorKind::NotFound => classes::NotFound::new_err(text),
        ErrorKind::PermissionDenied => classes::PermissionDenied::new_err(text),
        ErrorKind::Malformed => classes::Malformed::new_err(text),
        ErrorKind::InvalidInput => classes::InvalidInput::new_err(text),
        ErrorKind::TooLarge => classes::TooLarge::new_err(text),
        ErrorKind::Unsupported => classes::Unsupported::new_err(text),
        ErrorKind::Io => classes::Io::new_err(text),
        ErrorKind::Forked => classes::Forked::new_err(text),
        ErrorKind::Cancelled => classes::Cancelled::new_err(text),
    };
    if error.is_temporary() {
        Python::attach(|py| exception.value(py).setattr("is_temporary", true).ok());
    }
    exception
}

/// Runs `work` without the GIL.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> kepler_core::Result<T> + Send,
) -> PyResult<T> {
    py.detach(work).map_err(to_py)
}

/// Raises an error of one kind: lets the tests see the mapping of kinds that no machine shows at will.
#[pyfunction]
pub(crate) fn _raise(kind: &str) -> PyResult<()> {
    let io = |code| Error::Kernel {
        call: kind.to_owned(),
        source: std::io::Error::from_raw_os_error(code),
        hint: String::new(),
    };
    Err(to_py(match kind {
        "NotFound" => Error::NotFound {
            what: "model",
            name: kind.to_owned(),
            hint: String::new(),
        },
        "PermissionDenied" => io(1),
        "Malformed" => Error::Malformed {
            place: kind.to_owned(),
            want: "a number".to_owned(),
            found: "x".to_owned(),
        },
        "TooLarge" => Error::TooLarge {
            what: kind.to_owned(),
            size: 2,
            limit: 1,
        },
        "Unsupported" => Error::Unsupported {
            what: kind.to_owned(),
            why: "asked for".to_owned(),
            hint: String::new(),
        },
        "Io" => io(5),
        "Forked" => Error::Forked("monitor"),
        "Cancelled" => Error::Cancelled("asked for"),
        _ => Error::InvalidInput {
            what: "kind".to_owned(),
            why: format!("{kind} is none"),
        },
    }))
}
