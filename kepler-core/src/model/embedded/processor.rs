//! What a processor's name tells: vendor, generation and market, for machines that no model was trained on.

use super::generation::{
    BARCELONA, BROADWELL, BULLDOZER, CASCADE_LAKE, COOPER_LAKE, CORE, CORTEX, EMERALD_RAPIDS,
    GRANITE_RAPIDS, Generation, HASWELL, ICE_LAKE, ISTANBUL, IVY_BRIDGE, K8, MAGNY_COURS, NEHALEM,
    NEOVERSE_N1, NEOVERSE_V1, NEOVERSE_V2, NETBURST, PENRYN, PILEDRIVER, SANDY_BRIDGE,
    SAPPHIRE_RAPIDS, SHANGHAI, SKYLAKE, Vendor, WESTMERE, ZEN, ZEN_2, ZEN_3, ZEN_4, ZEN_4C, ZEN_5,
    made,
};
use super::name::{Name, rank};

/// What a processor's name tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Processor {
    pub(super) vendor: Vendor,
    pub(super) generation: Generation,
    /// Sold as saving power: Intel's L and N, AMD's HE and EE, mobile parts.
    pub(super) low_power: bool,
    /// For desktops and the smallest servers.
    pub(super) entry: bool,
    /// Where the model number stands in its series, -0.5 to 0.5: higher numbers draw more.
    pub(super) rank: f64,
    /// The maker's class of power and price, from -1 (low power) to 1.
    pub(super) tier: f64,
}

/// [`Processor::tier`] of parts sold as saving power.
const LOW_POWER: f64 = -1.0;

/// The vendor that a name or a vendor string tells; Intel when neither does, as most machines are.
pub(super) fn vendor(processor: &str, vendor: &str) -> Vendor {
    let has = |words: &[&str]| {
        words
            .iter()
            .any(|w| processor.contains(w) || vendor.contains(w))
    };
    if has(&["amd", "opteron", "epyc", "ryzen"]) {
        Vendor::Amd
    } else if has(&["arm", "ampere", "neoverse", "cortex", "graviton", "apple"]) {
        Vendor::Arm
    } else {
        Vendor::Intel
    }
}

/// What a normalised name such as `intel_xeon_e5_2660v2` tells; `None` when it names no model.
pub(super) fn parse(processor: &str) -> Option<Processor> {
    match vendor(processor, "") {
        Vendor::Arm => Some(arm(processor)),
        Vendor::Amd => amd(&Name::split(processor)?),
        Vendor::Intel => intel(&Name::split(processor)?),
    }
}

fn intel(name: &Name<'_>) -> Option<Processor> {
    let processor = |generation, low_power, entry| {
        let tier = if low_power { LOW_POWER } else { tier(name) };
        Some(Processor {
            vendor: Vendor::Intel,
            generation,
            low_power,
            entry,
            rank: name.rank(),
            tier,
        })
    };
    let low = name.suffix.starts_with('l');
    if name.has("pentium") || name.has("celeron") {
        let generation = if name.digits.len() == 3 {
            NETBURST
        } else {
            core_i(name)?
        };
        return processor(generation, false, true);
    }
    if name.has("e3") {
        return processor(entry_xeon(name.version()), low, true);
    }
    if name.has("e5") || name.has("e7") {
        let generation = match name.version() {
            None if name.has("e7") => WESTMERE,
            None => SANDY_BRIDGE,
            Some(b'2') => IVY_BRIDGE,
            Some(b'3') => HASWELL,
            Some(_) => BROADWELL,
        };
        return processor(generation, low, false);
    }
    if name.has("core") || name.has("ultra") {
        return processor(
            core_i(name)?,
            name.suffix.contains(['u', 'y', 'e', 'g', 't']),
            true,
        );
    }
    if name.has("e") {
        let generation = match name.digit(1) {
            b'1' => made("coffee_lake", 2018, 14, 6),
            b'2' => made("coffee_lake", 2019, 14, 8),
            b'3' => made("rocket_lake", 2021, 14, 8),
            _ => made("raptor_lake", 2023, 10, 8),
        };
        return processor(generation, false, true);
    }
    if name.has("d") {
        let generation = match name.series() {
            "15" | "16" => BROADWELL,
            "21" => SKYLAKE,
            _ => made("ice_lake", 2022, 10, 16),
        };
        return processor(generation, true, false);
    }
    let tiered = ["platinum", "gold", "silver", "bronze", "max", "w"];
    let unnamed_tier = name.prefix.is_empty() && matches!(name.digit(0), b'8' | b'9');
    if unnamed_tier || tiered.iter().any(|tier| name.has(tier)) {
        return processor(scalable(name)?, name.suffix.ends_with('n'), false);
    }
    if name.digit(0) == b'6' && matches!(name.suffix, "p" | "e") {
        return processor(GRANITE_RAPIDS, name.suffix == "e", false);
    }
    let generation = match name.series() {
        "30" | "32" | "51" | "53" | "73" => CORE,
        "31" | "33" | "52" | "54" | "74" => PENRYN,
        "34" | "35" | "55" | "65" | "75" => NEHALEM,
        "36" | "56" => WESTMERE,
        "50" | "70" | "71" => NETBURST,
        _ => return None,
    };
    processor(generation, name.prefix == "l", name.digit(0) == b'3')
}

/// [`Processor::tier`] of an Intel part that is not sold as saving power.
fn tier(name: &Name<'_>) -> f64 {
    let letter = name.suffix.is_empty() && name.prefix == "x";
    match () {
        () if name.has("platinum") => 0.3,
        () if name.has("gold") && name.digit(0) == b'5' => -0.4,
        () if name.has("silver") || name.has("bronze") => -0.7,
        () if letter => 0.6,
        () => 0.0,
    }
}

/// The second digit of a Xeon Scalable's number is its generation.
fn scalable(name: &Name<'_>) -> Option<Generation> {
    // The third generation's four-socket parts are another chip.
    let four_sockets = matches!(name.suffix, "h" | "hl");
    Some(match name.digit(1) {
        b'1' => SKYLAKE,
        b'2' => CASCADE_LAKE,
        b'3' if four_sockets => COOPER_LAKE,
        b'3' => ICE_LAKE,
        b'4' => SAPPHIRE_RAPIDS,
        b'5' => EMERALD_RAPIDS,
        _ => return None,
    })
}

fn entry_xeon(version: Option<u8>) -> Generation {
    match version {
        None => made("sandy_bridge", 2011, 32, 4),
        Some(b'2') => made("ivy_bridge", 2012, 22, 4),
        Some(b'3') => made("haswell", 2013, 22, 4),
        Some(b'4') => made("broadwell", 2015, 14, 4),
        Some(b'5') => made("skylake_client", 2015, 14, 4),
        Some(_) => made("kaby_lake", 2017, 14, 4),
    }
}

/// The generation of a Core i: `540` is the first, `8650` the eighth, `1185g7` and `11700` the eleventh.
fn core_i(name: &Name<'_>) -> Option<Generation> {
    let two = name.digits.len() == 5 || (name.digit(0) == b'1' && name.digits.len() == 4);
    let generation: u16 = match name.digits.len() {
        _ if name.has("ultra") => 15,
        3 => 1,
        4 | 5 => name.digits[..if two { 2 } else { 1 }].parse().ok()?,
        _ => return None,
    };
    Some(match generation {
        1 => made("westmere", 2010, 32, 2),
        2 => made("sandy_bridge", 2011, 32, 4),
        3 => made("ivy_bridge", 2012, 22, 4),
        4 => made("haswell", 2013, 22, 4),
        5 | 6 => made("skylake_client", 2015, 14, 4),
        7 => made("kaby_lake", 2017, 14, 4),
        8 => made("coffee_lake", 2018, 14, 6),
        9 => made("coffee_lake", 2019, 14, 8),
        10 | 11 => made("rocket_lake", 2021, 14, 8),
        12..=14 => made("raptor_lake", 2022, 10, 12),
        _ => made("meteor_lake", 2024, 5, 14),
    })
}

fn amd(name: &Name<'_>) -> Option<Processor> {
    let ends = |word: &str| name.has(word) || name.suffix.ends_with(word);
    let mut low_power = ends("he") || ends("ee");
    let mut entry = false;
    let generation = if name.has("ryzen") || name.has("threadripper") {
        low_power = name.suffix.starts_with(['u', 'h']);
        entry = !name.has("threadripper");
        match name.digit(0) {
            b'1' => made("zen", 2017, 14, 8),
            b'2' => made("zen", 2018, 14, 8),
            b'3' => made("zen_2", 2019, 7, 8),
            b'4' | b'5' => made("zen_3", 2020, 7, 8),
            b'6' | b'7' => made("zen_4", 2022, 5, 8),
            _ => made("zen_5", 2024, 4, 8),
        }
    } else if name.has("opteron") {
        match name.series() {
            "12" | "22" | "82" => K8,
            "13" | "23" | "83" if name.digit(2) < b'7' => BARCELONA,
            "13" | "23" | "83" => SHANGHAI,
            "24" | "84" => ISTANBUL,
            "41" | "61" => MAGNY_COURS,
            "32" | "42" | "62" => BULLDOZER,
            _ => PILEDRIVER,
        }
    } else {
        if name.digits.len() != 4 {
            return None;
        }
        low_power = name.suffix.ends_with("pn");
        match name.digit(3) {
            b'1' => ZEN,
            b'2' => ZEN_2,
            b'3' => ZEN_3,
            b'4' if name.digit(0) == b'8' || name.digits.starts_with("97") => ZEN_4C,
            b'4' => ZEN_4,
            _ => ZEN_5,
        }
    };
    let tier = if low_power { LOW_POWER } else { 0.0 };
    // A Zen server's number is series, two digits of rank, generation; an Opteron's ends with its rank.
    let rank = if name.has("epyc") {
        rank(&name.digits[1..3])
    } else {
        name.rank()
    };
    Some(Processor {
        vendor: Vendor::Amd,
        generation,
        low_power,
        entry,
        rank,
        tier,
    })
}

fn arm(processor: &str) -> Processor {
    let small = processor.contains("cortex") || processor.contains("apple");
    let generation = match processor {
        _ if small => CORTEX,
        p if p.contains("v1") || p.contains("graviton3") => NEOVERSE_V1,
        p if p.contains("v2") || p.contains("graviton4") => NEOVERSE_V2,
        _ => NEOVERSE_N1,
    };
    let tier = if small { LOW_POWER } else { 0.0 };
    Processor {
        vendor: Vendor::Arm,
        generation,
        low_power: small,
        entry: small,
        rank: 0.0,
        tier,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_generation() {
        for (name, generation, low_power, entry) in [
            ("intel_xeon_x5670", WESTMERE, false, false),
            ("intel_xeon_l5420", PENRYN, true, false),
            ("xeon_l5420", PENRYN, true, false),
            ("intel_xeon_3075", CORE, false, true),
            ("intel_xeon_e5345", CORE, false, false),
            ("intel_xeon_e7330", CORE, false, false),
            ("intel_xeon_e5_2660", SANDY_BRIDGE, false, false),
            ("intel_xeon_e5_2650l", SANDY_BRIDGE, true, false),
            ("intel_xeon_e5_2686v4", BROADWELL, false, false),
            ("intel_xeon_e7_8870", WESTMERE, false, false),
            ("intel_xeon_e7_4850v2", IVY_BRIDGE, false, false),
            (
                "intel_xeon_e3_1265lv3",
                made("haswell", 2013, 22, 4),
                true,
                true,
            ),
            (
                "intel_xeon_e_2388g",
                made("rocket_lake", 2021, 14, 8),
                false,
                true,
            ),
            ("intel_xeon_platinum_8259cl", CASCADE_LAKE, false, false),
            ("intel_xeon_platinum_8380hl", COOPER_LAKE, false, false),
            ("intel_xeon_platinum_8488c", SAPPHIRE_RAPIDS, false, false),
            ("intel_xeon_gold_6338n", ICE_LAKE, true, false),
            ("intel_xeon_8592+", EMERALD_RAPIDS, false, false),
            ("intel_xeon_6980p", GRANITE_RAPIDS, false, false),
            (
                "intel_core_i7_8650u",
                made("coffee_lake", 2018, 14, 6),
                true,
                true,
            ),
            (
                "11th_gen_intel_core_i7_1185g7",
                made("rocket_lake", 2021, 14, 8),
                true,
                true,
            ),
            (
                "13th_gen_intel_core_i9_13900k",
                made("raptor_lake", 2022, 10, 12),
                false,
                true,
            ),
            ("intel_pentium_d_930", NETBURST, false, true),
            ("quad_core_amd_opteron_8381_he", SHANGHAI, true, false),
            ("amd_opteron_2356", BARCELONA, false, false),
            ("amd_opteron_6276", BULLDOZER, false, false),
            ("amd_epyc_7742", ZEN_2, false, false),
            ("amd_epyc_7742_64_core", ZEN_2, false, false),
            ("amd_epyc_7601_dell_sku", ZEN, false, false),
            ("amd_epyc_8324pn", ZEN_4C, true, false),
            ("amd_epyc_9754", ZEN_4C, false, false),
            (
                "amd_ryzen_7_5800x_8_core",
                made("zen_3", 2020, 7, 8),
                false,
                true,
            ),
        ] {
            let found = parse(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(found.generation, generation, "{name}");
            assert_eq!((found.low_power, found.entry), (low_power, entry), "{name}");
        }
        assert_eq!(
            parse("ampere_altra_max_m128_30").map(|p| p.generation),
            Some(NEOVERSE_N1)
        );
    }

    #[test]
    fn numbers_and_letters_tell_rank_and_tier() {
        for (name, rank, tier) in [
            ("intel_xeon_x5670", 0.2, 0.6),
            ("intel_xeon_l5420", -0.3, -1.0),
            ("intel_xeon_gold_5218", -0.32, -0.4),
            ("intel_xeon_platinum_8280l", 0.3, 0.3),
            ("amd_epyc_7742", 0.24, 0.0),
            ("amd_opteron_6174", 0.24, 0.0),
            ("ampere_altra_q64_30", 0.0, 0.0),
        ] {
            let found = parse(name).unwrap_or_else(|| panic!("{name}"));
            assert!(
                (found.rank - rank).abs() < 1e-9 && (found.tier - tier).abs() < 1e-9,
                "{name}: {found:?}"
            );
        }
    }

    #[test]
    fn a_hidden_name_tells_nothing() {
        for name in [
            "intel_xeon",
            "amd_epyc",
            "",
            "qemu_virtual",
            "intel_xeon_skylake_ibrs",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
