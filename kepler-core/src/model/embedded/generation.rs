//! Generations of processors: when they came out, how small their process is, and how large their servers usually are.

/// Who made the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    Intel,
    Amd,
    Arm,
}

/// A micro-architecture and its process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Generation {
    pub(super) name: &'static str,
    /// When its servers came out.
    pub(super) year: u16,
    /// What its maker calls the process, in nanometres.
    pub(super) nm: u16,
    /// Physical cores of a chip in a usual server of that generation: the host that a guest is taken to run on.
    pub(super) cores: u32,
}

pub(super) const fn made(name: &'static str, year: u16, nm: u16, cores: u32) -> Generation {
    Generation {
        name,
        year,
        nm,
        cores,
    }
}

// SOURCE: the makers' public product lists (ark.intel.com, amd.com): first server parts of each generation.
pub(super) const NETBURST: Generation = made("netburst", 2005, 90, 1);
pub(super) const CORE: Generation = made("core", 2007, 65, 4);
pub(super) const PENRYN: Generation = made("penryn", 2008, 45, 4);
pub(super) const NEHALEM: Generation = made("nehalem", 2009, 45, 4);
pub(super) const WESTMERE: Generation = made("westmere", 2010, 32, 6);
pub(super) const SANDY_BRIDGE: Generation = made("sandy_bridge", 2012, 32, 8);
pub(super) const IVY_BRIDGE: Generation = made("ivy_bridge", 2013, 22, 10);
pub(super) const HASWELL: Generation = made("haswell", 2014, 22, 12);
pub(super) const BROADWELL: Generation = made("broadwell", 2016, 14, 18);
pub(super) const SKYLAKE: Generation = made("skylake", 2017, 14, 24);
pub(super) const CASCADE_LAKE: Generation = made("cascade_lake", 2019, 14, 24);
pub(super) const COOPER_LAKE: Generation = made("cooper_lake", 2020, 14, 28);
pub(super) const ICE_LAKE: Generation = made("ice_lake", 2021, 10, 32);
pub(super) const SAPPHIRE_RAPIDS: Generation = made("sapphire_rapids", 2023, 7, 48);
pub(super) const EMERALD_RAPIDS: Generation = made("emerald_rapids", 2024, 7, 48);
pub(super) const GRANITE_RAPIDS: Generation = made("granite_rapids", 2024, 3, 96);
pub(super) const K8: Generation = made("k8", 2006, 90, 2);
pub(super) const BARCELONA: Generation = made("barcelona", 2008, 65, 4);
pub(super) const SHANGHAI: Generation = made("shanghai", 2009, 45, 4);
pub(super) const ISTANBUL: Generation = made("istanbul", 2009, 45, 6);
pub(super) const MAGNY_COURS: Generation = made("magny_cours", 2010, 45, 12);
pub(super) const BULLDOZER: Generation = made("bulldozer", 2011, 32, 16);
pub(super) const PILEDRIVER: Generation = made("piledriver", 2012, 32, 16);
pub(super) const ZEN: Generation = made("zen", 2017, 14, 32);
pub(super) const ZEN_2: Generation = made("zen_2", 2019, 7, 48);
pub(super) const ZEN_3: Generation = made("zen_3", 2021, 7, 48);
pub(super) const ZEN_4: Generation = made("zen_4", 2023, 5, 96);
pub(super) const ZEN_4C: Generation = made("zen_4c", 2023, 5, 96);
pub(super) const ZEN_5: Generation = made("zen_5", 2024, 4, 96);
pub(super) const NEOVERSE_N1: Generation = made("neoverse_n1", 2021, 7, 64);
pub(super) const NEOVERSE_V1: Generation = made("neoverse_v1", 2022, 5, 64);
pub(super) const NEOVERSE_V2: Generation = made("neoverse_v2", 2023, 4, 96);
pub(super) const CORTEX: Generation = made("cortex", 2016, 16, 4);

/// The generations that cloud hosts run on today, by vendor: what a guest may be on when its host hides its name.
pub(super) const HOSTS: [(Vendor, &[Generation]); 3] = [
    (
        Vendor::Intel,
        &[
            ICE_LAKE,
            SKYLAKE,
            CASCADE_LAKE,
            SAPPHIRE_RAPIDS,
            EMERALD_RAPIDS,
        ],
    ),
    (Vendor::Amd, &[ZEN_3, ZEN, ZEN_2, ZEN_4, ZEN_5]),
    (Vendor::Arm, &[NEOVERSE_N1, NEOVERSE_V1, NEOVERSE_V2]),
];
