//! The names of powercap zones. Only they tell what a zone is: directory numbers do not (on Sapphire Rapids psys may stand
//! between two packages).

use crate::energy::Domain;

/// What the name of a zone tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ZoneName {
    pub(super) domain: Domain,
    pub(super) index: Option<u32>,
    pub(super) die: Option<u32>,
}

/// Parses `package-0`, `package-0-die-1`, `psys`, `psys-1`, `core`, `uncore` and `dram`; `None` for anything else.
pub(super) fn parse(name: &str) -> Option<ZoneName> {
    let mut parts = name.trim().split('-');
    let domain = match parts.next()? {
        "package" => Domain::Package,
        "core" => Domain::Core,
        "uncore" => Domain::Uncore,
        "dram" => Domain::Dram,
        "psys" => Domain::Psys,
        _ => return None,
    };
    let index = parts.next().map(str::parse).transpose().ok()?;
    let die = match (parts.next(), parts.next(), parts.next()) {
        (None, None, None) => None,
        (Some("die"), Some(number), None) => Some(number.parse().ok()?),
        _ => return None,
    };
    let known = index.is_some() || domain != Domain::Package;
    known.then_some(ZoneName { domain, index, die })
}

/// A zone's directory, such as `intel-rapl:0:1` or `intel-rapl-mmio:0`: control type and place in its tree. They sort by
/// how much the control type is preferred, then by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Directory {
    pub(super) control: Control,
    pub(super) numbers: Vec<u32>,
}

/// A driver that shows RAPL through powercap. The first is preferred where several show the same counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Control {
    /// By model specific register; since 6.5 also by TPMI under the same name.
    Msr,
    /// By TPMI, where a kernel gives it a name of its own.
    Tpmi,
    /// By memory mapped register. Shows the same package at another refresh rate.
    Mmio,
}

impl Directory {
    /// Parses a directory name with at least one number; `None` for other control types.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (control, numbers) = name.split_once(':')?;
        let control = match control {
            "intel-rapl" => Control::Msr,
            "intel-rapl-tpmi" => Control::Tpmi,
            "intel-rapl-mmio" => Control::Mmio,
            _ => return None,
        };
        let numbers = numbers
            .split(':')
            .map(|n| n.parse().ok())
            .collect::<Option<_>>()?;
        Some(Self { control, numbers })
    }

    /// The directory of the zone that this one is part of.
    pub(super) fn parent(&self) -> Option<Self> {
        let (_, rest) = self.numbers.split_last()?;
        (!rest.is_empty()).then(|| Self {
            control: self.control,
            numbers: rest.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_domain_socket_and_die() {
        let zone = |domain, index, die| Some(ZoneName { domain, index, die });
        for (name, want) in [
            ("package-0\n", zone(Domain::Package, Some(0), None)),
            ("package-12", zone(Domain::Package, Some(12), None)),
            ("package-1-die-3", zone(Domain::Package, Some(1), Some(3))),
            ("psys", zone(Domain::Psys, None, None)),
            ("psys-1", zone(Domain::Psys, Some(1), None)),
            ("core", zone(Domain::Core, None, None)),
            ("uncore", zone(Domain::Uncore, None, None)),
            ("dram", zone(Domain::Dram, None, None)),
        ] {
            assert_eq!(parse(name), want, "{name}");
        }
    }

    #[test]
    fn other_names_are_no_zones() {
        for name in [
            "",
            "package",
            "package-",
            "package-x",
            "package-0-die",
            "package-0-die-",
            "package-0-die-1-2",
            "package-0-tile-1",
            "soc",
            "99999999999-0",
            "package-99999999999",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn directories_sort_by_number_and_know_their_parent() {
        let mut names = [
            "intel-rapl-mmio:0",
            "intel-rapl:10",
            "intel-rapl:2:0",
            "intel-rapl:2",
        ];
        names.sort_by_key(|n| Directory::parse(n));
        let sorted = [
            "intel-rapl:2",
            "intel-rapl:2:0",
            "intel-rapl:10",
            "intel-rapl-mmio:0",
        ];
        assert_eq!(names, sorted);
        let child = Directory::parse("intel-rapl:2:0").unwrap();
        assert_eq!(child.parent(), Directory::parse("intel-rapl:2"));
        assert_eq!(child.parent().unwrap().parent(), None);
        for other in ["intel-rapl", "dtpm:0", "intel-rapl:", "intel-rapl:0:x"] {
            assert_eq!(Directory::parse(other), None, "{other}");
        }
    }
}
