//! The table of metric families: every name, type, help and label that can be exported, in the order of export.

use crate::energy::Domain;
use crate::usage::Counter;

/// What a family's figures do over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
}

impl Kind {
    /// The name as the text formats spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Which families belong together: what `--metrics.families` chooses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// `kepler_*_cpu_*` with `zone` and `state`, the names of Kepler 0.10 and later.
    Cpu,
    /// `kepler_*_joules_total` with `mode` and `source`, the names of Kepler 0.7, without the process level.
    Joules,
    /// The process level of [`Group::Joules`].
    ProcessJoules,
    /// `bpf_*` and hardware counters. Choosing them makes the monitor collect them.
    Counters,
    /// Names of older guides for the same totals.
    Aliases,
    /// Where the figures come from, how sure they are, and what measuring costs.
    Own,
}

/// Whose figures a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The machine.
    Node,
    /// Processes.
    Process,
    /// Containers.
    Container,
    /// Virtual machines.
    Vm,
    /// Pods whose names are known.
    Pod,
}

/// One metric family.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it tells, in one line.
    pub help: &'static str,
    /// The names of its labels, in the order of export.
    pub labels: &'static [&'static str],
    /// What it belongs to.
    pub group: Group,
    /// Whose figures it holds.
    pub level: Level,
    pub(super) series: Series,
}

/// How the series of a family are made of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Series {
    /// One of the few series about the machine or about ourselves.
    Node(NodeSeries),
    /// For each workload and domain, its joules.
    Joules,
    /// For each workload and domain, its watts.
    Watts,
    /// For each workload, its joules of the graphics processors, where it has any.
    GpuJoules,
    /// For each workload, its watts of the graphics processors, where it has any.
    GpuWatts,
    /// For each workload, its CPU time in seconds.
    Seconds,
    /// For each workload and mode, the joules of a component.
    Component(Component),
    /// For each workload, a count, where it is collected.
    Count(Counter),
    /// For each workload, its CPU time in milliseconds.
    Milliseconds,
    /// For each workload, active energy of all components in millijoules.
    Millijoules,
}

/// Parts of the machine as Kepler 0.7 divided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    /// The zones of a domain.
    Of(Domain),
    /// What the platform used beyond package and memory.
    Other,
    /// Package, memory, other and graphics together.
    Total,
}

/// Series about the machine or about ourselves; [`super::node`] makes them.
#[derive(Clone, Copy, Debug)]
pub(super) enum NodeSeries {
    Joules(Part),
    Watts(Part),
    GpuJoules(Part),
    GpuWatts(Part),
    GpuInfo,
    PlatformParts,
    Component(Component),
    UsageRatio,
    CpuInfo,
    Build,
    ExporterBuild,
    PowerSources,
    Attribution,
    Provenance,
    ExpectedError,
    InRange,
    Residual,
    Unexplained,
    ZoneFailures,
    ZoneRefused,
    ZoneAmbiguous,
    Cost(Cost),
    Parts,
    ModelFetches,
    ModelSuccess,
}

/// Which share of a zone's energy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Total,
    Active,
    Idle,
}

/// What measuring costs and what went wrong in it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cost {
    OwnCpu,
    OwnMemory,
    Samples,
    SampleWall,
    SampleCpu,
    Tasks,
    ExitRecords,
    ExitRecordsDropped,
    ExitRecordsLost,
    PendingExpired,
    Refused,
    CountersRunning,
}

const fn row(
    kind: Kind,
    group: Group,
    level: Level,
    name: &'static str,
    labels: &'static [&'static str],
    series: Series,
    help: &'static str,
) -> Family {
    Family {
        name,
        kind,
        help,
        labels,
        group,
        level,
        series,
    }
}

const ZONE: &[&str] = &["zone", "path", "node_name"];
const PROCESS: &[&str] = &[
    "pid",
    "container_id",
    "vm_id",
    "comm",
    "exe",
    "type",
    "node_name",
];
const PROCESS_ZONE: &[&str] = &[
    "pid",
    "container_id",
    "vm_id",
    "comm",
    "exe",
    "type",
    "state",
    "zone",
    "node_name",
];
const PROCESS_STATE: &[&str] = &[
    "pid",
    "container_id",
    "vm_id",
    "comm",
    "exe",
    "type",
    "state",
    "node_name",
];
const PLATFORM: &[&str] = &[
    "source",
    "node_name",
    "bmc_id",
    "chassis_id",
    "source_id",
    "source_name",
    "source_type",
];
const GPU: &[&str] = &["gpu", "gpu_uuid", "gpu_name", "vendor", "node_name"];
const CONTAINER: &[&str] = &[
    "container_id",
    "container_name",
    "runtime",
    "pod_id",
    "state",
    "node_name",
];
const CONTAINER_ZONE: &[&str] = &[
    "container_id",
    "container_name",
    "runtime",
    "pod_id",
    "state",
    "zone",
    "node_name",
];
const VM: &[&str] = &["vm_id", "vm_name", "hypervisor", "state", "node_name"];
const VM_ZONE: &[&str] = &[
    "vm_id",
    "vm_name",
    "hypervisor",
    "state",
    "zone",
    "node_name",
];
const POD: &[&str] = &["pod_id", "pod_name", "pod_namespace", "state", "node_name"];
const POD_ZONE: &[&str] = &[
    "pod_id",
    "pod_name",
    "pod_namespace",
    "state",
    "zone",
    "node_name",
];
const OLD_NODE: &[&str] = &["package", "instance", "mode", "source"];
const OLD_PROCESS: &[&str] = &["command", "pid", "container_id", "vm_id", "source"];
const OLD_PROCESS_MODE: &[&str] = &["command", "pid", "container_id", "vm_id", "mode", "source"];
const OLD_CONTAINER: &[&str] = &[
    "pod_name",
    "container_namespace",
    "container_id",
    "container_name",
    "source",
];
const OLD_CONTAINER_MODE: &[&str] = &[
    "pod_name",
    "container_namespace",
    "container_id",
    "container_name",
    "mode",
    "source",
];
const OLD_VM: &[&str] = &["vm_id", "source"];
const OLD_VM_MODE: &[&str] = &["vm_id", "mode", "source"];

use Component::{Of, Other, Total};
use Domain::{Core, Dram, Gpu, Package, Platform, Uncore};
use Group::{Aliases, Counters, Cpu, Own, ProcessJoules};
use Kind::{Counter as C, Gauge as G};
use Level::{Container, Node, Pod, Process, Vm};
use Series::Node as N;

// One row a family: a name is found here, and nowhere else.
#[rustfmt::skip]
/// Every family, in the order of export.
pub static FAMILIES: &[Family] = &[
    row(G, Cpu, Node, "kepler_build_info", &["arch", "branch", "revision", "version", "goversion"], N(NodeSeries::Build), "Version of this exporter; always 1."),
    row(C, Cpu, Node, "kepler_node_cpu_joules_total", ZONE, N(NodeSeries::Joules(Part::Total)), "Energy of a zone since the start. Zones overlap: do not add them up."),
    row(C, Cpu, Node, "kepler_node_cpu_active_joules_total", ZONE, N(NodeSeries::Joules(Part::Active)), "Energy of a zone that its work cost, since the start."),
    row(C, Cpu, Node, "kepler_node_cpu_idle_joules_total", ZONE, N(NodeSeries::Joules(Part::Idle)), "Energy of a zone that it would have used without work, since the start."),
    row(G, Cpu, Node, "kepler_node_cpu_watts", ZONE, N(NodeSeries::Watts(Part::Total)), "Mean power of a zone over the last interval."),
    row(G, Cpu, Node, "kepler_node_cpu_active_watts", ZONE, N(NodeSeries::Watts(Part::Active)), "Mean power of a zone that its work cost, over the last interval."),
    row(G, Cpu, Node, "kepler_node_cpu_idle_watts", ZONE, N(NodeSeries::Watts(Part::Idle)), "Mean power of a zone that it would have drawn without work, over the last interval."),
    row(G, Cpu, Node, "kepler_platform_watts", PLATFORM, N(NodeSeries::PlatformParts), "Power of a power supply, or of what else a management controller tells of, as of its last answer."),
    row(G, Cpu, Node, "kepler_node_cpu_usage_ratio", &["node_name"], N(NodeSeries::UsageRatio), "Busy share of the CPU time in the last interval, 0 to 1."),
    row(G, Cpu, Node, "kepler_node_cpu_info", &["processor", "vendor_id", "model_name", "physical_id", "core_id"], N(NodeSeries::CpuInfo), "A logical CPU; always 1."),
    row(C, Cpu, Process, "kepler_process_cpu_joules_total", PROCESS_ZONE, Series::Joules, "Active energy of a process since it was first seen."),
    row(G, Cpu, Process, "kepler_process_cpu_watts", PROCESS_ZONE, Series::Watts, "Mean active power of a process over the last interval."),
    row(C, Cpu, Process, "kepler_process_cpu_seconds_total", PROCESS, Series::Seconds, "CPU time of a process since it was first seen."),
    row(C, Cpu, Container, "kepler_container_cpu_joules_total", CONTAINER_ZONE, Series::Joules, "Active energy of a container since it was first seen."),
    row(G, Cpu, Container, "kepler_container_cpu_watts", CONTAINER_ZONE, Series::Watts, "Mean active power of a container over the last interval."),
    row(C, Cpu, Container, "kepler_container_cpu_seconds_total", CONTAINER, Series::Seconds, "CPU time of a container since it was first seen."),
    row(C, Cpu, Vm, "kepler_vm_cpu_joules_total", VM_ZONE, Series::Joules, "Active energy of a virtual machine since it was first seen."),
    row(G, Cpu, Vm, "kepler_vm_cpu_watts", VM_ZONE, Series::Watts, "Mean active power of a virtual machine over the last interval."),
    row(C, Cpu, Vm, "kepler_vm_cpu_seconds_total", VM, Series::Seconds, "CPU time of a virtual machine since it was first seen."),
    row(C, Cpu, Pod, "kepler_pod_cpu_joules_total", POD_ZONE, Series::Joules, "Active energy of a pod since it was first seen, over restarts of its containers."),
    row(G, Cpu, Pod, "kepler_pod_cpu_watts", POD_ZONE, Series::Watts, "Mean active power of a pod over the last interval."),
    row(C, Cpu, Pod, "kepler_pod_cpu_seconds_total", POD, Series::Seconds, "CPU time of a pod since it was first seen, over restarts of its containers."),
    row(C, Cpu, Node, "kepler_node_gpu_joules_total", GPU, N(NodeSeries::GpuJoules(Part::Total)), "Energy of a graphics processor since the start."),
    row(C, Cpu, Node, "kepler_node_gpu_active_joules_total", GPU, N(NodeSeries::GpuJoules(Part::Active)), "Energy of a graphics processor that its work cost, since the start."),
    row(C, Cpu, Node, "kepler_node_gpu_idle_joules_total", GPU, N(NodeSeries::GpuJoules(Part::Idle)), "Energy of a graphics processor that it would have used without work, since the start."),
    row(G, Cpu, Node, "kepler_node_gpu_watts", GPU, N(NodeSeries::GpuWatts(Part::Total)), "Mean power of a graphics processor over the last interval."),
    row(G, Cpu, Node, "kepler_node_gpu_active_watts", GPU, N(NodeSeries::GpuWatts(Part::Active)), "Mean power of a graphics processor that its work cost, over the last interval."),
    row(G, Cpu, Node, "kepler_node_gpu_idle_watts", GPU, N(NodeSeries::GpuWatts(Part::Idle)), "Mean power of a graphics processor that it would have drawn without work, over the last interval."),
    row(G, Cpu, Node, "kepler_node_gpu_info", GPU, N(NodeSeries::GpuInfo), "A graphics processor; always 1."),
    row(C, Cpu, Process, "kepler_process_gpu_joules_total", PROCESS_STATE, Series::GpuJoules, "Active energy of the graphics processors by process since it was first seen."),
    row(G, Cpu, Process, "kepler_process_gpu_watts", PROCESS_STATE, Series::GpuWatts, "Mean active power of the graphics processors by process over the last interval."),
    row(C, Cpu, Container, "kepler_container_gpu_joules_total", CONTAINER, Series::GpuJoules, "Active energy of the graphics processors by container since it was first seen."),
    row(G, Cpu, Container, "kepler_container_gpu_watts", CONTAINER, Series::GpuWatts, "Mean active power of the graphics processors by container over the last interval."),
    row(C, Cpu, Pod, "kepler_pod_gpu_joules_total", POD, Series::GpuJoules, "Active energy of the graphics processors by pod since it was first seen."),
    row(G, Cpu, Pod, "kepler_pod_gpu_watts", POD, Series::GpuWatts, "Mean active power of the graphics processors by pod over the last interval."),

    row(C, Group::Joules, Node, "kepler_node_package_joules_total", OLD_NODE, N(NodeSeries::Component(Of(Package))), "Energy of a processor package."),
    row(C, Group::Joules, Node, "kepler_node_core_joules_total", OLD_NODE, N(NodeSeries::Component(Of(Core))), "Energy of the cores of a package."),
    row(C, Group::Joules, Node, "kepler_node_uncore_joules_total", OLD_NODE, N(NodeSeries::Component(Of(Uncore))), "Energy of a package outside its cores."),
    row(C, Group::Joules, Node, "kepler_node_dram_joules_total", OLD_NODE, N(NodeSeries::Component(Of(Dram))), "Energy of the memory."),
    row(C, Group::Joules, Node, "kepler_node_other_joules_total", OLD_NODE, N(NodeSeries::Component(Other)), "Energy of the machine beyond package and memory."),
    row(C, Group::Joules, Node, "kepler_node_gpu_joules_total", OLD_NODE, N(NodeSeries::Component(Of(Gpu))), "Energy of a graphics processor."),
    row(C, Group::Joules, Node, "kepler_node_platform_joules_total", OLD_NODE, N(NodeSeries::Component(Of(Platform))), "Energy of the whole machine."),
    row(C, Group::Joules, Node, "kepler_node_info", &["cpu_architecture", "components_power_source", "platform_power_source", "source"], N(NodeSeries::PowerSources), "Where the node's figures come from; always 1."),
    row(G, Group::Joules, Node, "kepler_exporter_build_info", &["branch", "revision", "version", "os", "arch"], N(NodeSeries::ExporterBuild), "Version of this exporter; always 1."),
    row(C, Group::Joules, Container, "kepler_container_package_joules_total", OLD_CONTAINER_MODE, Series::Component(Of(Package)), "Energy of the packages by container."),
    row(C, Group::Joules, Container, "kepler_container_core_joules_total", OLD_CONTAINER_MODE, Series::Component(Of(Core)), "Energy of the cores by container."),
    row(C, Group::Joules, Container, "kepler_container_uncore_joules_total", OLD_CONTAINER_MODE, Series::Component(Of(Uncore)), "Energy of the packages outside their cores by container."),
    row(C, Group::Joules, Container, "kepler_container_dram_joules_total", OLD_CONTAINER_MODE, Series::Component(Of(Dram)), "Energy of the memory by container."),
    row(C, Group::Joules, Container, "kepler_container_other_joules_total", OLD_CONTAINER_MODE, Series::Component(Other), "Energy of the machine beyond package and memory by container."),
    row(C, Group::Joules, Container, "kepler_container_gpu_joules_total", OLD_CONTAINER_MODE, Series::Component(Of(Gpu)), "Energy of graphics processors by container."),
    row(C, Group::Joules, Container, "kepler_container_platform_joules_total", OLD_CONTAINER_MODE, Series::Component(Of(Platform)), "Energy of the whole machine by container."),
    row(C, Group::Joules, Container, "kepler_container_joules_total", OLD_CONTAINER_MODE, Series::Component(Total), "Energy of package, memory, other and graphics by container."),
    row(C, ProcessJoules, Process, "kepler_process_package_joules_total", OLD_PROCESS_MODE, Series::Component(Of(Package)), "Energy of the packages by process."),
    row(C, ProcessJoules, Process, "kepler_process_core_joules_total", OLD_PROCESS_MODE, Series::Component(Of(Core)), "Energy of the cores by process."),
    row(C, ProcessJoules, Process, "kepler_process_uncore_joules_total", OLD_PROCESS_MODE, Series::Component(Of(Uncore)), "Energy of the packages outside their cores by process."),
    row(C, ProcessJoules, Process, "kepler_process_dram_joules_total", OLD_PROCESS_MODE, Series::Component(Of(Dram)), "Energy of the memory by process."),
    row(C, ProcessJoules, Process, "kepler_process_other_joules_total", OLD_PROCESS_MODE, Series::Component(Other), "Energy of the machine beyond package and memory by process."),
    row(C, ProcessJoules, Process, "kepler_process_gpu_joules_total", OLD_PROCESS_MODE, Series::Component(Of(Gpu)), "Energy of graphics processors by process."),
    row(C, ProcessJoules, Process, "kepler_process_platform_joules_total", OLD_PROCESS_MODE, Series::Component(Of(Platform)), "Energy of the whole machine by process."),
    row(C, ProcessJoules, Process, "kepler_process_joules_total", OLD_PROCESS_MODE, Series::Component(Total), "Energy of package, memory, other and graphics by process."),
    row(C, Group::Joules, Vm, "kepler_vm_package_joules_total", OLD_VM_MODE, Series::Component(Of(Package)), "Energy of the packages by virtual machine."),
    row(C, Group::Joules, Vm, "kepler_vm_core_joules_total", OLD_VM_MODE, Series::Component(Of(Core)), "Energy of the cores by virtual machine."),
    row(C, Group::Joules, Vm, "kepler_vm_uncore_joules_total", OLD_VM_MODE, Series::Component(Of(Uncore)), "Energy of the packages outside their cores by virtual machine."),
    row(C, Group::Joules, Vm, "kepler_vm_dram_joules_total", OLD_VM_MODE, Series::Component(Of(Dram)), "Energy of the memory by virtual machine."),
    row(C, Group::Joules, Vm, "kepler_vm_other_joules_total", OLD_VM_MODE, Series::Component(Other), "Energy of the machine beyond package and memory by virtual machine."),
    row(C, Group::Joules, Vm, "kepler_vm_gpu_joules_total", OLD_VM_MODE, Series::Component(Of(Gpu)), "Energy of graphics processors by virtual machine."),
    row(C, Group::Joules, Vm, "kepler_vm_platform_joules_total", OLD_VM_MODE, Series::Component(Of(Platform)), "Energy of the whole machine by virtual machine."),

    row(C, Counters, Container, "kepler_container_bpf_cpu_time_ms_total", OLD_CONTAINER, Series::Milliseconds, "CPU time in milliseconds by container."),
    row(C, Counters, Container, "kepler_container_bpf_page_cache_hit_total", OLD_CONTAINER, Series::Count(Counter::PageCacheHits), "Pages found in or put into the page cache by container."),
    row(C, Counters, Container, "kepler_container_bpf_net_tx_irq_total", OLD_CONTAINER, Series::Count(Counter::NetTxIrq), "Soft interrupts that sent to the network by container."),
    row(C, Counters, Container, "kepler_container_bpf_net_rx_irq_total", OLD_CONTAINER, Series::Count(Counter::NetRxIrq), "Soft interrupts that received from the network by container."),
    row(C, Counters, Container, "kepler_container_bpf_block_irq_total", OLD_CONTAINER, Series::Count(Counter::BlockIrq), "Soft interrupts of block devices by container."),
    row(C, Counters, Container, "kepler_container_cpu_cycles_total", OLD_CONTAINER, Series::Count(Counter::Cycles), "CPU cycles by container."),
    row(C, Counters, Container, "kepler_container_cpu_instructions_total", OLD_CONTAINER, Series::Count(Counter::Instructions), "Instructions by container."),
    row(C, Counters, Container, "kepler_container_cache_miss_total", OLD_CONTAINER, Series::Count(Counter::CacheMisses), "Last-level cache misses by container."),
    row(C, Counters, Process, "kepler_process_bpf_cpu_time_ms_total", OLD_PROCESS, Series::Milliseconds, "CPU time in milliseconds by process."),
    row(C, Counters, Process, "kepler_process_bpf_page_cache_hit_total", OLD_PROCESS, Series::Count(Counter::PageCacheHits), "Pages found in or put into the page cache by process."),
    row(C, Counters, Process, "kepler_process_bpf_net_tx_irq_total", OLD_PROCESS, Series::Count(Counter::NetTxIrq), "Soft interrupts that sent to the network by process."),
    row(C, Counters, Process, "kepler_process_bpf_net_rx_irq_total", OLD_PROCESS, Series::Count(Counter::NetRxIrq), "Soft interrupts that received from the network by process."),
    row(C, Counters, Process, "kepler_process_bpf_block_irq_total", OLD_PROCESS, Series::Count(Counter::BlockIrq), "Soft interrupts of block devices by process."),
    row(C, Counters, Process, "kepler_process_cpu_cycles_total", OLD_PROCESS, Series::Count(Counter::Cycles), "CPU cycles by process."),
    row(C, Counters, Process, "kepler_process_cpu_instructions_total", OLD_PROCESS, Series::Count(Counter::Instructions), "Instructions by process."),
    row(C, Counters, Process, "kepler_process_cache_miss_total", OLD_PROCESS, Series::Count(Counter::CacheMisses), "Last-level cache misses by process."),
    row(C, Counters, Vm, "kepler_vm_bpf_cpu_time_ms_total", OLD_VM, Series::Milliseconds, "CPU time in milliseconds by virtual machine."),
    row(C, Counters, Vm, "kepler_vm_bpf_page_cache_hit_total", OLD_VM, Series::Count(Counter::PageCacheHits), "Pages found in or put into the page cache by virtual machine."),
    row(C, Counters, Vm, "kepler_vm_bpf_net_tx_irq_total", OLD_VM, Series::Count(Counter::NetTxIrq), "Soft interrupts that sent to the network by virtual machine."),
    row(C, Counters, Vm, "kepler_vm_bpf_net_rx_irq_total", OLD_VM, Series::Count(Counter::NetRxIrq), "Soft interrupts that received from the network by virtual machine."),
    row(C, Counters, Vm, "kepler_vm_bpf_block_irq_total", OLD_VM, Series::Count(Counter::BlockIrq), "Soft interrupts of block devices by virtual machine."),
    row(C, Counters, Vm, "kepler_vm_cpu_cycles_total", OLD_VM, Series::Count(Counter::Cycles), "CPU cycles by virtual machine."),
    row(C, Counters, Vm, "kepler_vm_cpu_instructions_total", OLD_VM, Series::Count(Counter::Instructions), "Instructions by virtual machine."),
    row(C, Counters, Vm, "kepler_vm_cache_miss_total", OLD_VM, Series::Count(Counter::CacheMisses), "Last-level cache misses by virtual machine."),

    row(C, Aliases, Process, "kepler_process_cpu_time_ms", OLD_PROCESS, Series::Milliseconds, "CPU time of a process in milliseconds."),
    row(C, Aliases, Process, "kepler_process_total_energy_millijoules", OLD_PROCESS, Series::Millijoules, "Active energy of package, memory, other and graphics by process in millijoules."),

    row(G, Own, Node, "kepler_node_power_source_info", &["zone", "path", "source", "origin", "model"], N(NodeSeries::Provenance), "Where a zone's figures come from; always 1."),
    row(G, Own, Node, "kepler_node_attribution_info", &["idle_split", "idle_share"], N(NodeSeries::Attribution), "How energy is split into active and idle, and how idle energy is handed to workloads; always 1."),
    row(G, Own, Node, "kepler_node_power_expected_error_watts", &["zone", "path", "model"], N(NodeSeries::ExpectedError), "Mean absolute error to expect of a modeled zone."),
    row(G, Own, Node, "kepler_node_power_model_in_range", &["zone", "path", "model"], N(NodeSeries::InRange), "Whether a model's inputs lie in the range that it was trained on: 1 or 0."),
    row(C, Own, Node, "kepler_node_residual_joules_total", &["zone", "cause"], N(NodeSeries::Residual), "Active energy that no process was charged with, by cause."),
    row(G, Own, Node, "kepler_node_unexplained_ratio", &[], N(NodeSeries::Unexplained), "Share of the busy CPU time of the last interval that nothing accounts for; below 0 where tasks account for more."),
    row(C, Own, Node, "kepler_node_zone_failures_total", &["zone", "path"], N(NodeSeries::ZoneFailures), "Intervals in which a zone could not be read."),
    row(C, Own, Node, "kepler_node_zone_refused_total", &["zone", "path"], N(NodeSeries::ZoneRefused), "Steps of a zone's counter that were not believed."),
    row(C, Own, Node, "kepler_node_zone_ambiguous_total", &["zone", "path"], N(NodeSeries::ZoneAmbiguous), "Intervals in which a zone's counter may have wrapped more than once."),
    row(C, Own, Node, "kepler_exporter_samples_total", &[], N(NodeSeries::Cost(Cost::Samples)), "Samples taken."),
    row(G, Own, Node, "kepler_exporter_sample_duration_seconds", &[], N(NodeSeries::Cost(Cost::SampleWall)), "Wall time of the last sample."),
    row(G, Own, Node, "kepler_exporter_sample_cpu_seconds", &[], N(NodeSeries::Cost(Cost::SampleCpu)), "CPU time of the last sample."),
    row(G, Own, Node, "kepler_exporter_tasks", &[], N(NodeSeries::Cost(Cost::Tasks)), "Tasks (threads) looked at by the last sample."),
    row(C, Own, Node, "kepler_exporter_exit_records_total", &[], N(NodeSeries::Cost(Cost::ExitRecords)), "Final totals of ended processes that the kernel handed over."),
    row(C, Own, Node, "kepler_exporter_exit_records_dropped_total", &[], N(NodeSeries::Cost(Cost::ExitRecordsDropped)), "Final totals that lost the process's name and went to its control group."),
    row(C, Own, Node, "kepler_exporter_exit_records_lost_total", &[], N(NodeSeries::Cost(Cost::ExitRecordsLost)), "Final totals that lost even their control group."),
    row(C, Own, Node, "kepler_exporter_pending_expired_total", &[], N(NodeSeries::Cost(Cost::PendingExpired)), "Ended processes whose final total never came."),
    row(C, Own, Node, "kepler_exporter_refused_total", &[], N(NodeSeries::Cost(Cost::Refused)), "Steps of CPU time that were not believed."),
    row(G, Own, Node, "kepler_exporter_hardware_counters_running_ratio", &[], N(NodeSeries::Cost(Cost::CountersRunning)), "Share of the time that hardware counters counted; below 1 they are scaled up by it."),
    row(G, Own, Node, "kepler_exporter_part_attached", &["part"], N(NodeSeries::Parts), "Whether a part of a source (a kernel hook, a meter) is in use: 1 or 0."),
    row(C, Own, Node, "kepler_exporter_model_fetches_total", &["result"], N(NodeSeries::ModelFetches), "Attempts to fetch power models from a server, by their result."),
    row(G, Own, Node, "kepler_exporter_model_fetch_success_timestamp_seconds", &[], N(NodeSeries::ModelSuccess), "When power models were last fetched from a server."),
    row(C, Own, Node, "process_cpu_seconds_total", &[], N(NodeSeries::Cost(Cost::OwnCpu)), "CPU time of this exporter."),
    row(G, Own, Node, "process_resident_memory_bytes", &[], N(NodeSeries::Cost(Cost::OwnMemory)), "Resident memory of this exporter."),
];
