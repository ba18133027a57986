//! What kind of machine this is: the attributes that power models are chosen by.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::Host;
use super::cpuinfo::{parse_cpuinfo, processor_name};

/// Attributes of a machine, as the model database indexes them.
///
/// Read from `/proc/cpuinfo`, `/proc/meminfo` and `/sys/devices/system/cpu`. What a machine does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineSpec {
    /// Vendor, lower case, such as `intel` or `amd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Processor in the index's spelling, such as `intel_xeon_platinum_8275cl`.
    pub processor: Option<String>,
    /// Logical CPUs.
    pub cores: Option<u32>,
    /// Sockets.
    pub chips: Option<u32>,
    /// Memory in GiB.
    pub memory: Option<u32>,
    /// Highest frequency in MHz, rounded to 100.
    pub frequency: Option<u32>,
    /// Hardware threads a physical core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads_per_core: Option<u32>,
    /// Whether this is a guest of a hypervisor, which then hides how much of the host it may use.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guest: bool,
}

impl MachineSpec {
    /// Finds out what `host` is.
    ///
    /// Cores are online logical CPUs, memory is `MemTotal` in whole GiB, the frequency is the highest that cpufreq or
    /// `/proc/cpuinfo` name. Arm machines do not name their processor: it is told by the cloud's product name, the system
    /// on chip's id or the core's part number, in this order.
    ///
    /// ```
    /// use kepler_core::{Host, MachineSpec};
    ///
    /// let machine = MachineSpec::discover(&Host::default())?;
    /// assert!(machine.cores.unwrap() > 0);
    /// # Ok::<(), kepler_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Read`] when `/proc/cpuinfo` cannot be read. Anything else that is missing is `None`.
    pub fn discover(host: &Host) -> Result<Self> {
        let info = parse_cpuinfo(&host.text(host.proc("cpuinfo"))?);
        let topology = Topology::read(host);
        let dmi = |name| optional(host, &format!("class/dmi/id/{name}")).unwrap_or_default();
        let (maker, product) = (dmi("sys_vendor"), dmi("product_name"));

        let known = |count: u32| (count > 0).then_some(count);
        let cores = known(topology.cpus).or(known(info.cpus));
        let named = info
            .arm
            .and_then(|(_, part)| arm_product(&maker, part).or_else(|| arm_chip(host)));
        Ok(Self {
            guest: info.hypervisor || is_guest(host, &maker, &product),
            vendor: info.vendor,
            processor: named.map(Into::into).or(info.processor),
            cores,
            chips: known(topology.packages).or(known(info.sockets)),
            memory: host
                .text(host.proc("meminfo"))
                .ok()
                .and_then(|text| parse_memory(&text)),
            frequency: topology.khz.max(info.khz).and_then(round_mhz),
            threads_per_core: (topology.cpus.checked_div(topology.cores)).and_then(known),
        })
    }

    /// A processor's brand string in the index's spelling, such as `intel_xeon_e5_2686v4` for
    /// `Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz`; `None` when no name is in it.
    pub fn processor_name(brand: &str) -> Option<String> {
        processor_name(brand)
    }
}

/// What `/sys/devices/system/cpu` tells of the online CPUs. Zero is unknown.
#[derive(Default)]
struct Topology {
    cpus: u32,
    cores: u32,
    packages: u32,
    khz: Option<u64>,
}

impl Topology {
    fn read(host: &Host) -> Self {
        let (mut packages, mut cores) = (BTreeSet::new(), BTreeSet::new());
        let mut topology = Self::default();
        let online = optional(host, "devices/system/cpu/online").unwrap_or_default();
        for cpu in parse_list(&online) {
            topology.cpus += 1;
            let of = |name: &str| optional(host, &format!("devices/system/cpu/cpu{cpu}/{name}"));
            // -1 where the firmware does not tell.
            let package = of("topology/physical_package_id").filter(|id| !id.starts_with('-'));
            packages.extend(package);
            // The file was renamed in Linux 5.3.
            cores.extend(
                of("topology/core_cpus_list").or_else(|| of("topology/thread_siblings_list")),
            );
            let khz = of("cpufreq/cpuinfo_max_freq").and_then(|khz| khz.parse().ok());
            topology.khz = topology.khz.max(khz);
        }
        let count = |set: BTreeSet<String>| u32::try_from(set.len()).unwrap_or(u32::MAX);
        (topology.packages, topology.cores) = (count(packages), count(cores));
        topology
    }
}

/// Numbers of a kernel list such as `0-3,8,10-11`.
fn parse_list(list: &str) -> impl Iterator<Item = u32> {
    list.split(',').flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) if last < MOST_CPUS => first..last + 1,
            _ => 0..0,
        }
    })
}

/// The largest `CONFIG_NR_CPUS` of any architecture is 8192.
const MOST_CPUS: u32 = 8192;

/// `MemTotal` in whole GiB.
fn parse_memory(text: &str) -> Option<u32> {
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    u32::try_from(kib >> 20).ok().filter(|gib| *gib > 0)
}

/// In MHz, rounded to 100.
fn round_mhz(khz: u64) -> Option<u32> {
    let hundreds = khz.saturating_add(50_000) / 100_000;
    u32::try_from(hundreds * 100).ok().filter(|mhz| *mhz > 0)
}

/// The processor that a cloud built with a core of Arm's.
fn arm_product(maker: &str, part: u32) -> Option<&'static str> {
    match (maker, part) {
        ("Amazon EC2", 0xd08) => Some("aws_graviton"),
        ("Amazon EC2", 0xd0c) => Some("aws_graviton2"),
        ("Amazon EC2", 0xd40) => Some("aws_graviton3"),
        ("Amazon EC2", 0xd4f) => Some("aws_graviton4"),
        ("Google", 0xd4f) => Some("google_axion"),
        _ => None,
    }
}

/// The system on chip, by the manufacturer number that its firmware gives (SMCCC `SOC_ID`).
fn arm_chip(host: &Host) -> Option<&'static str> {
    let soc = optional(host, "devices/soc0/soc_id")?;
    soc.starts_with("jep106:0a16:").then_some("ampere_altra")
}

/// Whether a hypervisor is under this machine, where the processor itself does not say so (Arm, IBM Z) or hides it.
fn is_guest(host: &Host, maker: &str, product: &str) -> bool {
    let virtual_maker = [
        "QEMU",
        "KVM",
        "Xen",
        "VMware",
        "innotek",
        "Parallels",
        "OpenStack",
        "Google",
        "Alibaba Cloud",
        "DigitalOcean",
        "Hetzner",
        "Apple Virtualization",
    ];
    let virtual_product = [
        "Virtual",
        "KVM",
        "VMware",
        "HVM domU",
        "OpenStack",
        "VM.Standard",
    ];
    let metal =
        product.ends_with(".metal") || product.contains(".metal-") || product.contains("-metal");
    let by_dmi = maker == "Amazon EC2"
        || virtual_maker.iter().any(|name| maker.starts_with(name))
        || virtual_product.iter().any(|name| product.contains(name));
    let type_file = optional(host, "hypervisor/type").is_some_and(|kind| !kind.is_empty());
    let board = optional(host, "firmware/devicetree/base/compatible").unwrap_or_default();
    let sysinfo = host.text(host.proc("sysinfo")).unwrap_or_default();
    (by_dmi && !metal)
        || type_file
        || board.contains("linux,dummy-virt")
        || sysinfo.lines().any(|line| line.starts_with("VM00 "))
}

/// The trimmed text of a small file under `/sys`, `None` for whatever reason it cannot be read.
fn optional(host: &Host, path: &str) -> Option<String> {
    host.optional(host.sys(path)).ok().flatten()
}
