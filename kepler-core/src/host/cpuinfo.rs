//! `/proc/cpuinfo`: every architecture writes its own.

/// What `/proc/cpuinfo` tells of the processor.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CpuInfo {
    /// Vendor, lower case.
    pub(super) vendor: Option<String>,
    /// Processor in the spelling of the model index.
    pub(super) processor: Option<String>,
    /// Logical CPUs listed.
    pub(super) cpus: u32,
    /// Distinct sockets listed (x86).
    pub(super) sockets: u32,
    /// Highest clock listed, in kHz.
    pub(super) khz: Option<u64>,
    /// The processor says that a hypervisor is under it (x86).
    pub(super) hypervisor: bool,
    /// Arm's numbers of who designed the core, and which it is.
    pub(super) arm: Option<(u32, u32)>,
}

/// Parses the text, of x86, Arm, IBM Z or POWER.
pub(super) fn parse_cpuinfo(text: &str) -> CpuInfo {
    let mut info = CpuInfo::default();
    let mut sockets = Vec::new();
    let (mut implementer, mut part) = (None, None);
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "processor" => info.cpus += 1,
            "vendor_id" => info.vendor = info.vendor.or_else(|| vendor(value)),
            "model name" | "cpu" => {
                info.processor = info.processor.or_else(|| processor_name(value));
                info.khz = info.khz.max(brand_khz(value));
            }
            "physical id" if !sockets.contains(&value) => sockets.push(value),
            "cpu MHz" | "cpu MHz static" | "clock" => {
                info.khz = info.khz.max(parse_khz(value.trim_end_matches("MHz"), 1000));
            }
            "flags" => info.hypervisor |= value.split(' ').any(|flag| flag == "hypervisor"),
            "CPU implementer" => implementer = implementer.or_else(|| hexadecimal(value)),
            "CPU part" => part = part.or_else(|| hexadecimal(value)),
            // IBM Z: "processor 0: version = 00,  identification = 0123AB,  machine = 3931"
            key if key.starts_with("processor ") => {
                info.cpus += 1;
                let machine = value.rsplit_once("machine = ").map(|(_, machine)| machine);
                info.processor = info.processor.or_else(|| machine.map(ibm_z));
            }
            _ => {}
        }
    }
    info.sockets = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
    info.arm = implementer.zip(part);
    if let Some((implementer, part)) = info.arm {
        let designer = arm_designer(implementer);
        info.vendor = info.vendor.or(designer.map(Into::into));
        // Some boards put a name there; where not, the core's own name is what there is.
        info.processor = (info.processor).or_else(|| arm_core(implementer, part).map(Into::into));
    }
    info
}

/// A processor's brand string in the spelling of the model index, such as `intel_xeon_e5_2686v4` for
/// `Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz`; `None` when nothing is left.
pub(super) fn processor_name(brand: &str) -> Option<String> {
    let mut brand = brand.to_owned();
    for mark in ["(R)", "(r)", "(TM)", "(tm)", "®", "™", ","] {
        brand = brand.replace(mark, "");
    }
    let brand = brand.split(['@', '(', '[']).next().unwrap_or_default();
    let words: Vec<String> = brand
        .split_whitespace()
        .filter(|word| !is_noise(word))
        .map(|word| word.to_lowercase().replace('-', "_"))
        .collect();
    let mut name = String::new();
    for word in words {
        // "E5-2686 v4" is one name: e5_2686v4.
        let version = word.strip_prefix('v').is_some_and(is_number);
        if !name.is_empty() && !version {
            name.push('_');
        }
        name.push_str(&word);
    }
    (name.len() >= 2).then_some(name)
}

/// Words that say nothing about which processor it is.
fn is_noise(word: &str) -> bool {
    let counts = |unit: &str| word.strip_suffix(unit).is_some_and(is_number);
    let clock = ["GHz", "MHz"].into_iter().any(|unit| {
        word.strip_suffix(unit)
            .is_some_and(|number| number.is_empty() || number.parse::<f64>().is_ok())
    });
    matches!(word, "CPU" | "Processor" | "processor" | "Multi-Core")
        || ["-Core", "-core", "-Bit", "-bit"].into_iter().any(counts)
        || clock
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The clock at the end of Intel's brand strings, in kHz: all that some guests are told.
fn brand_khz(brand: &str) -> Option<u64> {
    let clock = brand.rsplit_once('@')?.1.trim();
    match clock.strip_suffix("GHz") {
        Some(number) => parse_khz(number, 1_000_000),
        None => parse_khz(clock.strip_suffix("MHz")?, 1000),
    }
}

/// A decimal number of `unit` kHz.
fn parse_khz(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number
        .trim()
        .split_once('.')
        .unwrap_or((number.trim(), "0"));
    let size = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = fraction.parse().ok()?;
    whole
        .checked_mul(unit)?
        .checked_add(fraction.checked_mul(unit)? / size)
}

fn vendor(id: &str) -> Option<String> {
    let vendor = match id {
        "GenuineIntel" => "intel",
        "AuthenticAMD" => "amd",
        "HygonGenuine" => "hygon",
        "IBM/S390" => "ibm",
        _ => id.split_whitespace().next()?,
    };
    Some(
        vendor
            .to_lowercase()
            .replace('-', "_")
            .replace([',', '\''], ""),
    )
}

/// Machine types, as <https://www.ibm.com/docs/en/linux-on-systems> lists them.
fn ibm_z(machine: &str) -> String {
    let name = match machine.trim() {
        "2964" | "2965" => "z13",
        "3906" | "3907" => "z14",
        "8561" | "8562" => "z15",
        "3931" | "3932" => "z16",
        "9175" | "9176" => "z17",
        other => return format!("ibm_{}", other.to_lowercase()),
    };
    format!("ibm_{name}")
}

/// `MIDR_EL1.Implementer`, as the kernel's `arch/arm64/include/asm/cputype.h` lists them.
fn arm_designer(implementer: u32) -> Option<&'static str> {
    Some(match implementer {
        0x41 => "arm",
        0x42 => "broadcom",
        0x43 => "cavium",
        0x46 => "fujitsu",
        0x48 => "hisilicon",
        0x4e => "nvidia",
        0x50 => "apm",
        0x51 => "qualcomm",
        0x61 => "apple",
        0x6d => "microsoft",
        0xc0 => "ampere",
        _ => return None,
    })
}

/// `MIDR_EL1.PartNum` of server cores and of the boards that people measure at home.
fn arm_core(implementer: u32, part: u32) -> Option<&'static str> {
    Some(match (implementer, part) {
        (0x41, 0xd03) => "arm_cortex_a53",
        (0x41, 0xd05) => "arm_cortex_a55",
        (0x41, 0xd07) => "arm_cortex_a57",
        (0x41, 0xd08) => "arm_cortex_a72",
        (0x41, 0xd09) => "arm_cortex_a73",
        (0x41, 0xd0b) => "arm_cortex_a76",
        (0x41, 0xd0c) => "arm_neoverse_n1",
        (0x41, 0xd40) => "arm_neoverse_v1",
        (0x41, 0xd49) => "arm_neoverse_n2",
        (0x41, 0xd4f) => "arm_neoverse_v2",
        (0x41, 0xd83) => "arm_neoverse_v3ae",
        (0x41, 0xd84) => "arm_neoverse_v3",
        (0x41, 0xd8e) => "arm_neoverse_n3",
        (0x43, 0x0af) => "cavium_thunderx2",
        (0x46, 0x001) => "fujitsu_a64fx",
        (0x48, 0xd01) => "hisilicon_kunpeng_920",
        (0x6d, 0xd49) => "microsoft_cobalt_100",
        (0xc0, 0xac3) => "ampere_one",
        (0xc0, 0xac4) => "ampere_one_a",
        _ => return None,
    })
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brands_in_the_spelling_of_the_index() {
        for (brand, name) in [
            (
                "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz",
                "intel_xeon_platinum_8259cl",
            ),
            (
                "Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz",
                "intel_xeon_e5_2686v4",
            ),
            (
                "Intel(R) Xeon(R) Platinum 8488C",
                "intel_xeon_platinum_8488c",
            ),
            ("Intel(R) Xeon(R) Processor", "intel_xeon"),
            (
                "Intel(R) Xeon(R) CPU           E5472  @ 3.00GHz",
                "intel_xeon_e5472",
            ),
            (
                "Intel(R) Core(TM) i3 CPU         540  @ 3.07GHz",
                "intel_core_i3_540",
            ),
            ("AMD EPYC 7702P 64-Core Processor", "amd_epyc_7702p"),
            ("AMD Opteron(tm) Processor 6276", "amd_opteron_6276"),
            (
                "Six-Core AMD Opteron(tm) Processor 8425 HE",
                "six_core_amd_opteron_8425_he",
            ),
            ("Ampere Altra Max M128-30", "ampere_altra_max_m128_30"),
            ("POWER9 (architected), altivec supported", "power9"),
            ("Acme Z9, 64-Bit Multi-Core 3.0 GHz [beta]", "acme_z9_3.0"),
        ] {
            assert_eq!(processor_name(brand).as_deref(), Some(name), "{brand}");
        }
        for nothing in ["", " ", "x", "(R) CPU @ 3GHz"] {
            assert_eq!(processor_name(nothing), None);
        }
    }

    #[test]
    fn a_clock_in_the_brand_is_read() {
        assert_eq!(brand_khz("Intel(R) Xeon(R) CPU @ 2.20GHz"), Some(2_200_000));
        assert_eq!(brand_khz("AMD EPYC 7702P 64-Core Processor"), None);
        assert_eq!(parse_khz("2299.998", 1000), Some(2_299_998));
        for nonsense in ["", ".", "x", "1.", "-1", "1.00000000000000000000000"] {
            assert_eq!(parse_khz(nonsense, 1000), None, "{nonsense}");
        }
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", ":", "processor", "CPU part : zz\nCPU implementer : 0x"] {
            let info = parse_cpuinfo(text);
            assert_eq!((info.processor, info.vendor, info.khz), (None, None, None));
        }
    }
}
