//! The whole machine that a spec stands for: itself, or the host that a guest runs on.

use super::generation::{Generation, HOSTS, NETBURST, Vendor};
use super::processor::{self, Processor};
use crate::host::MachineSpec;

/// A whole machine as the embedded family of models describes it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::model) struct Machine {
    processor: Processor,
    /// Logical CPUs.
    pub(super) cpus: u32,
    /// Physical cores.
    cores: u32,
    chips: u32,
    /// GiB.
    pub(in crate::model) memory: f64,
    /// Base frequency in MHz.
    frequency: f64,
}

/// What a spec stands for: one machine, or several that it may be, and how much of it is this one.
pub(super) struct Place {
    /// The likeliest first.
    pub(super) hosts: Vec<Machine>,
    /// This machine's logical CPUs.
    pub(super) cpus: u32,
    /// Whether it has a share of its host only.
    pub(super) guest: bool,
}

/// The family's inputs besides generations.
#[cfg(feature = "train")]
pub(in crate::model) const INPUTS: [&str; 12] = [
    "year",
    "process",
    "low_power",
    "entry",
    "cores_per_chip",
    "chips",
    "memory_per_core",
    "frequency",
    "amd",
    "arm",
    "rank",
    "tier",
];

/// What cloud providers put beside one logical CPU of a general purpose host, in GiB, where a guest does not tell.
const MEMORY_PER_CPU: f64 = 4.0;
/// Chips of a usual cloud host.
const HOST_CHIPS: u32 = 2;

impl Place {
    pub(super) fn of(spec: &MachineSpec) -> Self {
        let guest = spec.guest;
        if !guest {
            let host = Machine::itself(spec);
            return Self {
                cpus: host.cpus,
                hosts: vec![host],
                guest,
            };
        }
        let known = processor::parse(spec.processor.as_deref().unwrap_or_default());
        let candidates = known.map_or_else(|| possible_hosts(spec), |known| vec![known]);
        let hosts = candidates
            .iter()
            .map(|processor| Machine::under(spec, *processor));
        Self {
            hosts: hosts.collect(),
            cpus: spec.cores.unwrap_or(1).max(1),
            guest,
        }
    }

    /// Whether the host did not tell what it is.
    pub(super) fn hidden(&self) -> bool {
        self.hosts.len() > 1
    }
}

impl Machine {
    /// A machine that tells its own attributes; what it does not tell is taken from its generation.
    pub(in crate::model) fn itself(spec: &MachineSpec) -> Self {
        let name = spec.processor.as_deref().unwrap_or_default();
        let processor = processor::parse(name).unwrap_or_else(|| unnamed(spec));
        let usual = processor.generation.cores;
        let threads = spec.threads_per_core.unwrap_or(1).max(1);
        let cores = spec
            .cores
            .map_or(usual * HOST_CHIPS, |logical| (logical / threads).max(1));
        let chips = spec.chips.unwrap_or(1).clamp(1, cores);
        Self {
            processor,
            cpus: cores * threads,
            cores,
            chips,
            memory: memory(spec.memory, threads * cores),
            frequency: base_frequency(spec.frequency, &processor),
        }
    }

    /// The host under a guest: a usual server of that processor, at least as large as its guest.
    fn under(spec: &MachineSpec, processor: Processor) -> Self {
        let threads = threads(processor.vendor);
        let chips = if processor.entry { 1 } else { HOST_CHIPS };
        let cpus = spec.cores.unwrap_or(1).max(1);
        let host_cpus = (processor.generation.cores * chips * threads).max(cpus);
        // Guests are cut so that a host's memory is used up when its cores are.
        let whole = spec
            .memory
            .map(|gib| f64::from(gib.max(1)) * f64::from(host_cpus) / f64::from(cpus));
        Self {
            processor,
            cpus: host_cpus,
            cores: host_cpus.div_ceil(threads),
            chips,
            memory: whole
                .unwrap_or(MEMORY_PER_CPU * f64::from(host_cpus))
                .clamp(4.0, 4096.0),
            frequency: base_frequency(spec.frequency, &processor),
        }
    }

    /// When its generation came out.
    pub(super) fn year(&self) -> u16 {
        self.processor.generation.year
    }

    /// One of the family's inputs; 0 for the name of a generation that this machine is not of.
    pub(in crate::model) fn input(&self, name: &str) -> f64 {
        let Processor {
            vendor,
            generation,
            low_power,
            entry,
            rank,
            tier,
        } = self.processor;
        let flag = |is: bool| f64::from(u8::from(is));
        let [cores, chips] = [self.cores, self.chips].map(f64::from);
        match name {
            "year" => (f64::from(generation.year) - 2014.0) / 5.0,
            "process" => (f64::from(generation.nm) / 22.0).ln(),
            "low_power" => flag(low_power),
            "entry" => flag(entry),
            "cores_per_chip" => (cores / chips / 8.0).ln(),
            "chips" => chips.min(8.0).ln(),
            "memory_per_core" => (self.memory / cores / 3.0).ln(),
            "frequency" => (self.frequency / 2500.0).ln(),
            "amd" => flag(vendor == Vendor::Amd),
            "arm" => flag(vendor == Vendor::Arm),
            "rank" => rank,
            "tier" => tier,
            generation_name => flag(generation_name == generation.name),
        }
    }

    /// The name of its generation: an input that is 1 for machines of it.
    #[cfg(feature = "train")]
    pub(in crate::model) fn generation(&self) -> &'static str {
        self.processor.generation.name
    }
}

fn threads(vendor: Vendor) -> u32 {
    if vendor == Vendor::Arm { 1 } else { 2 }
}

fn memory(told: Option<u32>, cpus: u32) -> f64 {
    told.map_or(MEMORY_PER_CPU * f64::from(cpus), |gib| {
        f64::from(gib.max(1))
    })
}

/// The family was trained on base frequencies, machines tell their highest: turbo is some 40 % above base on servers.
fn base_frequency(told: Option<u32>, processor: &Processor) -> f64 {
    let told = f64::from(told.unwrap_or(2500).max(500));
    let highest_base = if processor.entry { 3800.0 } else { 3100.0 };
    let has_turbo = processor.generation.year > 2008;
    if has_turbo && told > highest_base {
        told * 0.75
    } else {
        told
    }
}

/// A bare machine without a model number: the makers' first 64-bit servers, before numbers came, or else a current one.
fn unnamed(spec: &MachineSpec) -> Processor {
    let vendor = processor::vendor(
        spec.processor.as_deref().unwrap_or_default(),
        spec.vendor.as_deref().unwrap_or_default(),
    );
    let old = vendor == Vendor::Intel
        && spec.frequency.unwrap_or(0) >= 3400
        && spec.cores.is_some_and(|cores| cores <= 2);
    let generation = if old { NETBURST } else { usual(vendor)[0] };
    server(vendor, generation)
}

/// What a guest without a model number may run on.
fn possible_hosts(spec: &MachineSpec) -> Vec<Processor> {
    let vendor = processor::vendor(
        spec.processor.as_deref().unwrap_or_default(),
        spec.vendor.as_deref().unwrap_or_default(),
    );
    usual(vendor)
        .iter()
        .map(|generation| server(vendor, *generation))
        .collect()
}

fn server(vendor: Vendor, generation: Generation) -> Processor {
    Processor {
        vendor,
        generation,
        low_power: false,
        entry: false,
        rank: 0.0,
        tier: 0.0,
    }
}

fn usual(vendor: Vendor) -> &'static [Generation] {
    HOSTS
        .iter()
        .find(|(of, _)| *of == vendor)
        .map_or(HOSTS[0].1, |(_, generations)| generations)
}
