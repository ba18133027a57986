//! Workloads of a snapshot for people: one list a level, the largest first.

use std::borrow::Cow;

use super::snapshot::{Snapshot, WorkloadEnergy, WorkloadUsage};
use crate::units::{Joules, Watts, ns_to_seconds};
use crate::usage::Counters;
use crate::workload::{Container, Pod};

/// A level of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// Processes; ended ones that have no entry of their own, together by container and name.
    Process,
    /// Containers.
    Container,
    /// Pods.
    Pod,
    /// Virtual machines.
    Vm,
}

/// One workload of any level.
#[derive(Clone, Debug)]
pub struct Ranked<'a> {
    /// Its pid, container id, uid of the pod or id of the machine; empty for ended processes together.
    pub id: Cow<'a, str>,
    /// Its name, as far as it is known.
    pub name: &'a str,
    /// What it belongs to, by names as far as they are known: a process's `namespace/pod/container`, machine or unit, a
    /// container's `namespace/pod`, a pod's namespace.
    pub within: Cow<'a, str>,
    /// What it used.
    pub usage: &'a WorkloadUsage,
}

impl Snapshot {
    /// The workloads of a level by their power in the first domain, then by their energy, the largest first.
    ///
    /// ```
    /// use kepler_core::monitor::{Monitor, WorkloadKind};
    ///
    /// let snapshot = Monitor::builder().fake().build()?.sample()?;
    /// for workload in snapshot.ranked(WorkloadKind::Process).iter().take(10) {
    ///     println!("{} {}", workload.id, workload.name);
    /// }
    /// # Ok::<(), kepler_core::Error>(())
    /// ```
    pub fn ranked(&self, kind: WorkloadKind) -> Vec<Ranked<'_>> {
        let mut all: Vec<Ranked<'_>> = match kind {
            WorkloadKind::Process => {
                let living = self.processes.iter().map(|p| {
                    let work = &p.workload;
                    let vm = work.vm.as_ref().map(|v| &*v.name);
                    let within = match &work.container {
                        Some(container) => within_container(container, work.pod.as_deref()),
                        None => vm.or(work.unit.as_deref()).unwrap_or_default().into(),
                    };
                    Ranked {
                        id: p.process.key.pid.to_string().into(),
                        name: &p.process.comm,
                        within,
                        usage: &p.usage,
                    }
                });
                let ended = self.ended.iter().map(|e| Ranked {
                    id: "".into(),
                    name: &e.comm,
                    within: e.container.as_ref().map_or("", |c| &c.id).into(),
                    usage: &e.usage,
                });
                living.chain(ended).collect()
            }
            WorkloadKind::Container => {
                let all = self.containers.iter().map(|c| Ranked {
                    id: (&*c.container.id).into(),
                    name: c.container.name.as_deref().unwrap_or_default(),
                    within: match c.pod.as_deref() {
                        Some(pod) => named(pod),
                        None => c.container.pod_uid.as_deref().unwrap_or_default().into(),
                    },
                    usage: &c.usage,
                });
                all.collect()
            }
            WorkloadKind::Pod => {
                let all = self.pods.iter().map(|p| Ranked {
                    id: (&*p.pod.uid).into(),
                    name: p.pod.name.as_deref().unwrap_or_default(),
                    within: p.pod.namespace.as_deref().unwrap_or_default().into(),
                    usage: &p.usage,
                });
                all.collect()
            }
            WorkloadKind::Vm => {
                let all = self.vms.iter().map(|v| Ranked {
                    id: (&*v.vm.id).into(),
                    name: &v.vm.name,
                    within: v.vm.hypervisor.into(),
                    usage: &v.usage,
                });
                all.collect()
            }
        };
        all.sort_by(|a, b| {
            let watts = b.usage.watts().0.total_cmp(&a.usage.watts().0);
            watts.then(b.usage.size().total_cmp(&a.usage.size()))
        });
        all
    }
}

/// A container by its names; by its id where it has none.
fn within_container<'a>(container: &'a Container, pod: Option<&'a Pod>) -> Cow<'a, str> {
    match (
        &container.name,
        pod.and_then(|pod| pod.name.as_ref().map(|_| named(pod))),
    ) {
        (Some(name), Some(pod)) => format!("{pod}/{name}").into(),
        _ => (&*container.id).into(),
    }
}

/// A pod by its names; by its uid where it has none.
fn named(pod: &Pod) -> Cow<'_, str> {
    match (&pod.namespace, &pod.name) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}").into(),
        (None, Some(name)) => (&**name).into(),
        _ => (&*pod.uid).into(),
    }
}

impl WorkloadUsage {
    /// Power in the first domain; 0 where it is not known.
    fn watts(&self) -> Watts {
        let watts = self.energy.first().and_then(|e| e.watts);
        watts.unwrap_or(Watts::ZERO)
    }

    /// Size for ranking.
    pub(super) fn size(&self) -> f64 {
        size(&self.counters, &self.energy)
    }
}

/// Size for ranking: the first domain's energy, CPU time where there is no energy at all.
pub(super) fn size(counters: &Counters, energy: &[WorkloadEnergy]) -> f64 {
    match energy.first() {
        Some(first) if first.joules > Joules::ZERO => first.joules.0,
        _ => ns_to_seconds(counters.cpu_ns) * 1e-9,
    }
}
