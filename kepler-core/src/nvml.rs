//! The door to NVIDIA's management library, which the driver brings along.

use std::path::Path;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::error::{Error, Result};

pub(crate) use nvml_wrapper::Device;

/// The opened library; closed with its last copy.
#[derive(Clone, Debug)]
pub(crate) struct Library(Arc<Nvml>);

/// Where drivers put it; the name without a number comes only with the tools for developers.
const NAMES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// More than any machine has.
const DEVICES: u32 = 256;

impl Library {
    /// Opens the driver's library, or the one at `path`.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let mut last = None;
        let given = path.map(|path| vec![path.as_os_str()]);
        for name in given.unwrap_or_else(|| NAMES.map(str::as_ref).into()) {
            match Nvml::builder().lib_path(name).init() {
                Ok(nvml) => return Ok(Self(Arc::new(nvml))),
                Err(error) => last = last.or(Some(error)),
            }
        }
        Err(unsupported(last))
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.device_count().unwrap_or(0).min(DEVICES)
    }

    pub(crate) fn device(&self, index: u32) -> Result<Device<'_>> {
        self.0
            .device_by_index(index)
            .map_err(|error| call("device", &error))
    }
}

fn unsupported(error: Option<NvmlError>) -> Error {
    let why = match error {
        None | Some(NvmlError::LibloadingError(_)) => "there is no libnvidia-ml.so.1".to_owned(),
        Some(error) => error.to_string(),
    };
    Error::Unsupported {
        what: "NVML".into(),
        why,
        hint: "install NVIDIA's driver; in a container, run it with the NVIDIA runtime and the capability `utility`".into(),
    }
}

/// A call that the library refused.
pub(crate) fn call(what: &str, error: &NvmlError) -> Error {
    Error::Kernel {
        call: format!("NVML {what}"),
        source: std::io::Error::other(error.to_string()),
        hint: String::new(),
    }
}
