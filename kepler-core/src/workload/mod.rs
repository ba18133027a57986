//! Whose task it is: process to container, pod or virtual machine, told from cgroup paths, command lines and pod lists.

mod cgroup;
mod libvirt;
mod pods;
mod vm;

use std::sync::Arc;

use serde::Serialize;

use crate::host::Host;
use crate::process::Process;

pub use pods::{Change, PodContainer, PodEntry, PodLists, PodTable, Qos, Role};

/// What brought a container up, as its cgroup path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Docker.
    Docker,
    /// containerd.
    Containerd,
    /// CRI-O.
    Crio,
    /// Podman.
    Podman,
    /// A pod's container whose path does not tell the runtime.
    Kubernetes,
    /// Not one alone: of several containers together.
    Unknown,
}

impl Runtime {
    /// The name as the metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
            Self::Unknown => "",
        }
    }
}

/// A container, as its cgroup path tells. Names of pods and containers come from a pod table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    /// The id, 64 hexadecimal digits with the known runtimes.
    pub id: Arc<str>,
    /// What brought it up.
    pub runtime: Runtime,
    /// The uid of the pod it belongs to, dashes restored.
    pub pod_uid: Option<Arc<str>>,
    /// Its name, where something told it.
    pub name: Option<Arc<str>>,
}

/// A Kubernetes pod. A cgroup path tells its uid, a pod table the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its namespace.
    pub namespace: Option<Arc<str>>,
}

/// A virtual machine, as the command line or cgroup of its hypervisor process tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VirtualMachine {
    /// Its uuid where it has one, else its name, else one made from the hypervisor process.
    pub id: Arc<str>,
    /// Its name; the id where it has none.
    pub name: Arc<str>,
    /// `kvm`, `virtualbox`, `firecracker`, `cloud-hypervisor`, ...
    pub hypervisor: &'static str,
}

/// What a process belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// The container it runs in.
    pub container: Option<Arc<Container>>,
    /// The pod it runs in: that of its container, or the pod's own processes outside of every container.
    pub pod: Option<Arc<Pod>>,
    /// The virtual machine that it is.
    pub vm: Option<Arc<VirtualMachine>>,
    /// The systemd unit (service or scope) it runs in: the container's own one inside of a container that has units.
    pub unit: Option<Arc<str>>,
}

/// What a process belongs to, by its cgroup, executable and command line. A hypervisor in a pod (KubeVirt, Kata) has both a
/// container and a virtual machine.
pub fn classify(process: &Process) -> Workload {
    let place = process.cgroup.as_deref().map(cgroup::parse_path);
    let place = place.unwrap_or_default();
    let vm = vm::virtual_machine(process, place.domain.as_deref()).map(Arc::new);
    Workload {
        vm,
        ..placed(place)
    }
}

/// A workload with the name that libvirt keeps for a virtual machine whose command line has none.
pub(crate) fn named_by_libvirt(workload: Workload, host: &Host) -> Workload {
    let unnamed = workload.vm.as_ref().filter(|vm| vm.name == vm.id);
    let Some(name) = unnamed.and_then(|vm| libvirt::name_of(host, &vm.id)) else {
        return workload;
    };
    let vm = workload.vm.map(|vm| {
        Arc::new(VirtualMachine {
            name,
            ..(*vm).clone()
        })
    });
    Workload { vm, ..workload }
}

/// What the processes of a cgroup belong to, as far as its path tells. Where containers are nested (Docker in Docker, kind)
/// the deepest wins; its pod is the deepest on the path.
///
/// ```
/// use kepler_core::workload::{Runtime, classify_cgroup};
///
/// let id = "8c7d".repeat(16);
/// let container = classify_cgroup(&format!("/system.slice/docker-{id}.scope")).container.unwrap();
/// assert_eq!((&*container.id, container.runtime), (&*id, Runtime::Docker));
/// ```
pub fn classify_cgroup(path: &str) -> Workload {
    placed(cgroup::parse_path(path))
}

fn placed(place: cgroup::Place) -> Workload {
    let pod = place.pod.map(|uid| Pod {
        uid,
        name: None,
        namespace: None,
    });
    Workload {
        container: place.container.map(Arc::new),
        pod: pod.map(Arc::new),
        vm: None,
        unit: place.unit,
    }
}
