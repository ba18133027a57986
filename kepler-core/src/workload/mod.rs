//! Whose task it is: process to container or virtual machine, told from cgroup paths and command lines.

use std::sync::Arc;

use serde::Serialize;

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
    /// The virtual machine that it is.
    pub vm: Option<Arc<VirtualMachine>>,
    /// The systemd unit (service or scope) it runs in.
    pub unit: Option<Arc<str>>,
}
