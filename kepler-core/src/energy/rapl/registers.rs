//! RAPL's model specific registers: numbers and units (Intel SDM volume 4 and the data sheets of servers; AMD PPR).

use crate::energy::Domain;
use crate::energy::rapl::cpu::{Cpu, Vendor};

/// The registers of one kind of processor.
pub(super) struct Registers {
    /// Holds the exponent of the energy unit in bits 8 to 12.
    pub(super) unit: u64,
    pub(super) zones: &'static [Register],
}

/// An energy counter, in the low 32 bits.
pub(super) struct Register {
    pub(super) domain: Domain,
    pub(super) number: u64,
    pub(super) scope: Scope,
}

/// What one counter covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Machine,
    Package,
    Core,
}

/// The registers of `cpu`; `None` where its maker has none.
pub(super) fn registers(cpu: Cpu) -> Option<Registers> {
    match cpu.vendor {
        Vendor::Intel => Some(Registers {
            unit: 0x606,
            zones: INTEL,
        }),
        Vendor::Amd if cpu.family >= 0x17 => Some(Registers {
            unit: 0xC001_0299,
            zones: AMD,
        }),
        _ => None,
    }
}

/// Counts in a joule of a domain, from the unit register's value.
pub(super) fn per_joule(cpu: Cpu, domain: Domain, unit: u64) -> f64 {
    let two_to_the_unit = f64::from(1_u32 << (unit >> 8 & 0x1F));
    let model = (cpu.vendor == Vendor::Intel && cpu.family == 6).then_some(cpu.model);
    match (model, domain) {
        // 15.3 µJ whatever the unit register says. The kernel's powercap driver uses this figure; its perf driver uses
        // 2^-16 J, 0.3 % less.
        (Some(model), Domain::Dram) if FIXED_DRAM_UNIT.contains(&model) => 1e6 / 15.3,
        (Some(model), Domain::Psys) if PSYS_IN_JOULES.contains(&model) => 1.0,
        (Some(model), _) if UNIT_UPSIDE_DOWN.contains(&model) => 1e6 / two_to_the_unit,
        _ => two_to_the_unit,
    }
}

const INTEL: &[Register] = &[
    register(Domain::Package, 0x611, Scope::Package),
    register(Domain::Core, 0x639, Scope::Package),
    register(Domain::Uncore, 0x641, Scope::Package),
    register(Domain::Dram, 0x619, Scope::Package),
    register(Domain::Psys, 0x64D, Scope::Machine),
];

const AMD: &[Register] = &[
    register(Domain::Package, 0xC001_029B, Scope::Package),
    register(Domain::Core, 0xC001_029A, Scope::Core),
];

const fn register(domain: Domain, number: u64, scope: Scope) -> Register {
    Register {
        domain,
        number,
        scope,
    }
}

/// Haswell, Broadwell, Skylake to Cooper Lake and Ice Lake (two) servers, Knights Landing and Mill; as the kernel's powercap
/// driver has it. Sapphire Rapids obeys the unit register.
const FIXED_DRAM_UNIT: [u32; 7] = [0x3F, 0x4F, 0x55, 0x6A, 0x6C, 0x57, 0x85];

/// Sapphire and Emerald Rapids count psys in whole joules.
const PSYS_IN_JOULES: [u32; 2] = [0x8F, 0xCF];

/// Atoms from Silvermont to Airmont: the unit is 2^n µJ, not 2^-n J.
const UNIT_UPSIDE_DOWN: [u32; 5] = [0x37, 0x4A, 0x4C, 0x5A, 0x5D];

#[cfg(test)]
mod tests {
    use super::*;

    fn intel(model: u32) -> Cpu {
        Cpu {
            vendor: Vendor::Intel,
            family: 6,
            model,
        }
    }

    #[test]
    fn the_unit_is_two_to_the_minus_n_joules() {
        // 0xA0E03: n = 14, 61 µJ, the usual one.
        let counts = per_joule(intel(158), Domain::Package, 0x000A_0E03);
        assert!((counts - 16_384.0).abs() < 1e-9);
    }

    #[test]
    fn servers_count_memory_in_units_of_their_own() {
        let counts = per_joule(intel(0x55), Domain::Dram, 0x000A_0E03);
        assert!((1e6 / counts - 15.3).abs() < 1e-9);
        let laptop = per_joule(intel(158), Domain::Dram, 0x000A_0E03);
        assert!((laptop - 16_384.0).abs() < 1e-9);
        let psys = per_joule(intel(0x8F), Domain::Psys, 0x000A_0E03);
        assert!((psys - 1.0).abs() < 1e-12);
    }

    #[test]
    fn silvermont_turns_the_unit_upside_down() {
        // n = 5: 32 µJ.
        let counts = per_joule(intel(0x37), Domain::Package, 0x505);
        assert!((counts - 31_250.0).abs() < 1e-9);
    }
}
