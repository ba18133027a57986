//! Who used what in a sample, as records.

use std::collections::BTreeMap;
use std::sync::Arc;

use kepler_core::monitor as core;
use kepler_core::usage::Counters;

use crate::node::{Counts, counts};
use crate::record::record;

/// Figures by domain name.
type ByDomain = BTreeMap<&'static str, f64>;

record! {
    /// One process. Figures are since it was first seen, watts of the last interval.
    Process {
        /// The process id.
        pid: u32,
        /// Start time in seconds since boot.
        start_seconds: f64,
        /// The main thread's name, at most 15 bytes.
        comm: String,
        /// The executable's path; None for kernel threads and where it may not be read.
        exe: Option<String>,
        /// The command line.
        command: Option<String>,
        /// The cgroup's path; None when unknown.
        cgroup: Option<String>,
        /// The id of its container.
        container: Option<String>,
        /// The uid of its pod.
        pod: Option<String>,
        /// The id of the virtual machine that it is.
        vm: Option<String>,
        /// Its systemd unit.
        unit: Option<String>,
        /// `running` or `terminated`.
        state: &'static str,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Its equal share of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Active power by domain.
        watts: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// One container, the processes that ended included.
    Container {
        /// The id, 64 hexadecimal digits with the known runtimes.
        id: String,
        /// What brought it up: docker, containerd, crio, podman or kubernetes.
        runtime: &'static str,
        /// The uid of its pod.
        pod_uid: Option<String>,
        /// Its name, where something told it.
        name: Option<String>,
        /// `running` or `terminated`.
        state: &'static str,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Its processes' shares of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Active power by domain.
        watts: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// One pod: its containers, those that were restarted or ended included, and its processes outside of them.
    Pod {
        /// The uid.
        uid: String,
        /// Its name, where a pod list told it.
        name: Option<String>,
        /// Its namespace, where a pod list told it.
        namespace: Option<String>,
        /// `running` or `terminated`.
        state: &'static str,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Its processes' shares of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Active power by domain.
        watts: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// One virtual machine.
    VirtualMachine {
        /// Its uuid, else its name.
        id: String,
        /// Its name; the id where it has none.
        name: String,
        /// The hypervisor.
        hypervisor: &'static str,
        /// `running` or `terminated`.
        state: &'static str,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Its share of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Active power by domain.
        watts: ByDomain,
        /// Events.
        counters: Counts,
    }
}

record! {
    /// Ended processes without an entry of their own, together by container and name.
    Ended {
        /// The id of the container they ran in.
        container: Option<String>,
        /// Their name.
        comm: String,
        /// How many.
        count: u64,
        /// CPU time.
        cpu_seconds: f64,
        /// Active energy by domain.
        joules: ByDomain,
        /// Their shares of the machine's idle energy, by domain.
        idle_joules: ByDomain,
        /// Events.
        counters: Counts,
    }
}

impl Process {
    pub(crate) fn new(snapshot: &core::Snapshot, from: &core::ProcessSnapshot) -> Self {
        let (process, workload, usage) = (&from.process, &from.workload, &from.usage);
        Self {
            pid: process.key.pid,
            start_seconds: std::time::Duration::from_nanos(process.key.start_ns).as_secs_f64(),
            comm: process.comm.to_string(),
            exe: text(process.exe.as_ref()),
            command: text(process.command.as_ref()),
            cgroup: text(process.cgroup.as_ref()),
            container: workload.container.as_ref().map(|c| c.id.to_string()),
            pod: workload.pod.as_ref().map(|pod| pod.uid.to_string()),
            vm: workload.vm.as_ref().map(|vm| vm.id.to_string()),
            unit: text(workload.unit.as_ref()),
            state: usage.state.as_str(),
            cpu_seconds: cpu_seconds(&usage.counters),
            joules: by_domain(snapshot, usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, usage, |e| Some(e.idle.0)),
            watts: by_domain(snapshot, usage, |e| e.watts.map(|w| w.0)),
            counters: counts(&usage.counters, snapshot.collected),
        }
    }
}

impl Container {
    pub(crate) fn new(snapshot: &core::Snapshot, from: &core::ContainerSnapshot) -> Self {
        let (container, usage) = (&from.container, &from.usage);
        Self {
            id: container.id.to_string(),
            runtime: container.runtime.as_str(),
            pod_uid: text(container.pod_uid.as_ref()),
            name: text(container.name.as_ref()),
            state: usage.state.as_str(),
            cpu_seconds: cpu_seconds(&usage.counters),
            joules: by_domain(snapshot, usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, usage, |e| Some(e.idle.0)),
            watts: by_domain(snapshot, usage, |e| e.watts.map(|w| w.0)),
            counters: counts(&usage.counters, snapshot.collected),
        }
    }
}

impl Pod {
    pub(crate) fn new(snapshot: &core::Snapshot, from: &core::PodSnapshot) -> Self {
        let (pod, usage) = (&from.pod, &from.usage);
        Self {
            uid: pod.uid.to_string(),
            name: text(pod.name.as_ref()),
            namespace: text(pod.namespace.as_ref()),
            state: usage.state.as_str(),
            cpu_seconds: cpu_seconds(&usage.counters),
            joules: by_domain(snapshot, usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, usage, |e| Some(e.idle.0)),
            watts: by_domain(snapshot, usage, |e| e.watts.map(|w| w.0)),
            counters: counts(&usage.counters, snapshot.collected),
        }
    }
}

impl VirtualMachine {
    pub(crate) fn new(snapshot: &core::Snapshot, from: &core::VmSnapshot) -> Self {
        let (vm, usage) = (&from.vm, &from.usage);
        Self {
            id: vm.id.to_string(),
            name: vm.name.to_string(),
            hypervisor: vm.hypervisor,
            state: usage.state.as_str(),
            cpu_seconds: cpu_seconds(&usage.counters),
            joules: by_domain(snapshot, usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, usage, |e| Some(e.idle.0)),
            watts: by_domain(snapshot, usage, |e| e.watts.map(|w| w.0)),
            counters: counts(&usage.counters, snapshot.collected),
        }
    }
}

impl Ended {
    pub(crate) fn new(snapshot: &core::Snapshot, from: &core::EndedSnapshot) -> Self {
        Self {
            container: from.container.as_ref().map(|c| c.id.to_string()),
            comm: from.comm.to_string(),
            count: from.count,
            cpu_seconds: cpu_seconds(&from.usage.counters),
            joules: by_domain(snapshot, &from.usage, |e| Some(e.joules.0)),
            idle_joules: by_domain(snapshot, &from.usage, |e| Some(e.idle.0)),
            counters: counts(&from.usage.counters, snapshot.collected),
        }
    }
}

fn by_domain(
    snapshot: &core::Snapshot,
    usage: &core::WorkloadUsage,
    pick: impl Fn(&core::WorkloadEnergy) -> Option<f64>,
) -> ByDomain {
    let domains = snapshot.node.domains.iter().map(|d| d.domain.as_str());
    domains
        .zip(&usage.energy)
        .filter_map(|(domain, energy)| Some((domain, pick(energy)?)))
        .collect()
}

fn cpu_seconds(counters: &Counters) -> f64 {
    std::time::Duration::from_nanos(counters.cpu_ns).as_secs_f64()
}

fn text(from: Option<&Arc<str>>) -> Option<String> {
    from.map(|text| text.to_string())
}
