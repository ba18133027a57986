//! Whose processor this is: `/proc/cpuinfo`, first entry.

use crate::error::Result;
use crate::host::Host;

/// Vendor, family and model, which tell what RAPL registers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cpu {
    pub(super) vendor: Vendor,
    pub(super) family: u32,
    pub(super) model: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    Intel,
    /// AMD, and Hygon whose processors have the same registers.
    Amd,
    Other,
}

impl Cpu {
    pub(super) fn read(host: &Host) -> Result<Self> {
        Ok(parse(&host.text(host.proc("cpuinfo"))?))
    }
}

fn parse(cpuinfo: &str) -> Cpu {
    let field = |name: &str| {
        cpuinfo
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == name)
            .map_or("", |(_, value)| value.trim())
    };
    Cpu {
        vendor: match field("vendor_id") {
            "GenuineIntel" => Vendor::Intel,
            "AuthenticAMD" | "HygonGenuine" => Vendor::Amd,
            _ => Vendor::Other,
        },
        family: field("cpu family").parse().unwrap_or(0),
        model: field("model").parse().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_tells() {
        let text = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 23\nmodel\t\t: 49\nmodel name\t: AMD EPYC 7702\n\nprocessor\t: 1\nvendor_id\t: GenuineIntel\n";
        let want = Cpu {
            vendor: Vendor::Amd,
            family: 23,
            model: 49,
        };
        assert_eq!(parse(text), want);
        assert_eq!(parse("").vendor, Vendor::Other);
    }
}
