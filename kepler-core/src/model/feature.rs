//! Feature names, their units, and the groups in which the model database offers them.

use serde::{Deserialize, Serialize};

use super::names::{Component, names};

/// One input column of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// The name, such as `bpf_cpu_time_ms`.
    pub name: String,
    /// The unit of a value; see [`unit()`]. Empty when not known.
    #[serde(default)]
    pub unit: String,
    /// This is taken from a value before it is divided.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: f64,
    /// A value is divided by this before the estimators see it. Not 0.
    pub scale: f64,
    /// The smallest value of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl FeatureSpec {
    /// A feature that is used as it is, with the unit that its name tells.
    pub fn raw(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            unit: unit(name).to_owned(),
            offset: 0.0,
            scale: 1.0,
            min: None,
            max: None,
        }
    }

    /// The CPU time of a machine of so many CPUs as a share of the most that it can be.
    pub(crate) fn cpu_time(cpus: Option<u32>) -> Self {
        let full = f64::from(cpus.unwrap_or(1).max(1)) * CPU_FULL;
        Self {
            scale: full,
            min: Some(0.0),
            max: Some(full),
            ..Self::raw(CPU_TIME)
        }
    }
}

/// The CPU time of all that runs.
pub(crate) const CPU_TIME: &str = "bpf_cpu_time_ms";
/// That of one CPU that is never idle, in ms a second.
pub(crate) const CPU_FULL: f64 = 1000.0;

fn is_zero(value: &f64) -> bool {
    value.abs() <= 0.0
}

/// The unit of a known feature's value; empty for others.
///
/// Counted things are per second over the real interval; attributes of the machine are plain numbers.
pub fn unit(name: &str) -> &'static str {
    match name {
        "bpf_cpu_time_ms" => "ms/s",
        "bpf_cpu_time_us"
        | "cgroupfs_cpu_usage_us"
        | "cgroupfs_system_cpu_usage_us"
        | "cgroupfs_user_cpu_usage_us" => "us/s",
        "cache_miss" | "cpu_cycles" | "cpu_instructions" | "cpu_ref_cycles" => "1/s",
        "bpf_page_cache_hit" | "bpf_block_irq" | "bpf_net_rx_irq" | "bpf_net_tx_irq" => "1/s",
        "cpu_scaling_frequency_hertz" => "Hz",
        _ => "",
    }
}

/// A set of features that models of the database share. Columns are in alphabetical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FeatureGroup {
    /// Everything, with frequency and node type.
    Full,
    /// All workload features.
    WorkloadOnly,
    /// Hardware counters.
    CounterOnly,
    /// CPU time and page cache hits.
    #[serde(rename = "BPFOnly")]
    BpfOnly,
    /// Interrupts; has no feature list.
    #[serde(rename = "IRQOnly")]
    IrqOnly,
    /// Hardware counters and interrupts.
    #[serde(rename = "CounterIRQCombined")]
    CounterIrqCombined,
    /// Hardware counters, CPU time and page cache hits.
    Basic,
    /// CPU time, page cache hits and interrupts.
    #[serde(rename = "BPFIRQ")]
    BpfIrq,
    /// An accelerator's use.
    AcceleratorOnly,
    /// Metrics of others; has no fixed feature list.
    ThirdParty,
    /// Anything else.
    Unknown,
}

names!("feature group", FeatureGroup {
    Full => "Full",
    WorkloadOnly => "WorkloadOnly",
    CounterOnly => "CounterOnly",
    BpfOnly => "BPFOnly",
    IrqOnly => "IRQOnly",
    CounterIrqCombined => "CounterIRQCombined",
    Basic => "Basic",
    BpfIrq => "BPFIRQ",
    AcceleratorOnly => "AcceleratorOnly",
    ThirdParty => "ThirdParty",
    Unknown => "Unknown",
});

impl FeatureGroup {
    /// The groups that have a feature list, in the order in which a request is matched with them.
    pub const WITH_FEATURES: [Self; 8] = [
        Self::Full,
        Self::WorkloadOnly,
        Self::CounterOnly,
        Self::BpfOnly,
        Self::BpfIrq,
        Self::CounterIrqCombined,
        Self::Basic,
        Self::AcceleratorOnly,
    ];

    /// The features of this group in alphabetical order; empty for a group without a list.
    pub fn features(self) -> &'static [&'static str] {
        match self {
            Self::Full => &[
                "accelerator_intel_qat",
                "bpf_block_irq",
                "bpf_cpu_time_ms",
                "bpf_net_rx_irq",
                "bpf_net_tx_irq",
                "bpf_page_cache_hit",
                "cache_miss",
                "cpu_cycles",
                "cpu_instructions",
                "cpu_scaling_frequency_hertz",
                "node_info",
            ],
            Self::WorkloadOnly => &[
                "accelerator_intel_qat",
                "bpf_block_irq",
                "bpf_cpu_time_ms",
                "bpf_net_rx_irq",
                "bpf_net_tx_irq",
                "bpf_page_cache_hit",
                "cache_miss",
                "cpu_cycles",
                "cpu_instructions",
            ],
            Self::CounterOnly => &["cache_miss", "cpu_cycles", "cpu_instructions"],
            Self::BpfOnly => &["bpf_cpu_time_ms", "bpf_page_cache_hit"],
            Self::BpfIrq => &[
                "bpf_block_irq",
                "bpf_cpu_time_ms",
                "bpf_net_rx_irq",
                "bpf_net_tx_irq",
                "bpf_page_cache_hit",
            ],
            Self::CounterIrqCombined => &[
                "bpf_block_irq",
                "bpf_net_rx_irq",
                "bpf_net_tx_irq",
                "cache_miss",
                "cpu_cycles",
                "cpu_instructions",
            ],
            Self::Basic => &[
                "bpf_cpu_time_ms",
                "bpf_page_cache_hit",
                "cache_miss",
                "cpu_cycles",
                "cpu_instructions",
            ],
            Self::AcceleratorOnly => &["accelerator_intel_qat"],
            Self::IrqOnly | Self::ThirdParty | Self::Unknown => &[],
        }
    }

    /// The groups all of whose features are among `metrics`, in the order of [`FeatureGroup::WITH_FEATURES`].
    pub fn covered_by(metrics: impl Fn(&str) -> bool) -> Vec<Self> {
        Self::WITH_FEATURES
            .into_iter()
            .filter(|group| group.features().iter().all(|f| metrics(f)))
            .collect()
    }

    /// The group with exactly these features, in any order; [`FeatureGroup::Unknown`] when there is none.
    pub fn of(features: &[&str]) -> Self {
        Self::WITH_FEATURES
            .into_iter()
            .find(|group| {
                let wanted = group.features();
                wanted.len() == features.len() && wanted.iter().all(|f| features.contains(f))
            })
            .unwrap_or(Self::Unknown)
    }

    /// The one feature that a curve over this group is drawn against, for one component.
    pub fn main_feature(self, component: Component) -> Option<&'static str> {
        let features = self.features();
        let candidates: [&'static str; 2] = match component {
            Component::Dram => ["cache_miss", "bpf_page_cache_hit"],
            _ => ["cpu_instructions", "bpf_cpu_time_ms"],
        };
        candidates
            .into_iter()
            .find(|f| features.contains(f))
            .or_else(|| features.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_by_their_features_in_any_order() {
        for group in FeatureGroup::WITH_FEATURES {
            let mut features = group.features().to_vec();
            assert!(features.is_sorted());
            features.reverse();
            assert_eq!(FeatureGroup::of(&features), group);
        }
        assert_eq!(FeatureGroup::of(&["cpu_cycles"]), FeatureGroup::Unknown);
    }

    #[test]
    fn a_group_is_valid_when_all_its_features_are_there() {
        let metrics = ["bpf_cpu_time_ms", "bpf_page_cache_hit", "cpu_cycles"];
        let groups = FeatureGroup::covered_by(|name| metrics.contains(&name));
        assert_eq!(groups, [FeatureGroup::BpfOnly]);
    }

    #[test]
    fn memory_follows_cache_misses() {
        let basic = FeatureGroup::Basic;
        assert_eq!(
            basic.main_feature(Component::Package),
            Some("cpu_instructions")
        );
        assert_eq!(basic.main_feature(Component::Dram), Some("cache_miss"));
        assert_eq!(
            FeatureGroup::BpfOnly.main_feature(Component::Dram),
            Some("bpf_page_cache_hit")
        );
    }
}
