//! Which package, die and core a CPU belongs to: `/sys/devices/system/cpu/cpuN/topology`.

use crate::error::{Error, Result};
use crate::host::Host;

/// Where a CPU sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) cpu: u32,
    pub(super) package: u32,
    pub(super) die: u32,
    pub(super) core: u32,
}

impl Place {
    pub(super) fn of(host: &Host, cpu: u32) -> Result<Self> {
        let folder = host.sys(format!("devices/system/cpu/cpu{cpu}/topology"));
        let number = |file: &str| {
            let path = folder.join(file);
            let text = host.text(&path)?;
            let number = text.trim().parse();
            number.map_err(|_| Error::malformed(path.display(), "a number", text.trim()))
        };
        Ok(Self {
            cpu,
            package: number("physical_package_id")?,
            // Since Linux 5.2; without it there is one die.
            die: number("die_id").unwrap_or(0),
            core: number("core_id").unwrap_or(0),
        })
    }
}

/// The CPUs of a list such as `0-3,8`, the kernel's way to write a mask.
pub(super) fn cpus(place: impl std::fmt::Display, list: &str) -> Result<Vec<u32>> {
    let malformed = || Error::malformed(&place, "a list of CPUs such as 0-3,8", list);
    let mut cpus = Vec::new();
    for range in list.trim().split(',').filter(|r| !r.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let first: u32 = first.parse().map_err(|_| malformed())?;
        let last: u32 = last.parse().map_err(|_| malformed())?;
        if last >= CPUS || first > last {
            return Err(malformed());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// More than any kernel is built for.
const CPUS: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_lists_ranges_and_single_cpus() {
        assert_eq!(cpus("mask", "0-2,8\n").unwrap(), [0, 1, 2, 8]);
        assert_eq!(cpus("mask", "\n").unwrap(), [0_u32; 0]);
        for wrong in ["x", "3-1", "0-99999999", "-", "1-"] {
            assert!(cpus("mask", wrong).is_err(), "{wrong}");
        }
    }
}
