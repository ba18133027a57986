//! Which pods run on a node, as the kubelet or the API server tells. Text in, names out: whoever has the text fetched it.

mod json;
mod lists;
mod shape;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::error::{Error, Result};

use super::{Pod, Workload};

pub use lists::PodLists;
pub use watch::Change;

/// How a pod ranks when resources run short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Qos {
    /// Limits equal requests, for every container.
    Guaranteed,
    /// Some requests or limits.
    Burstable,
    /// Neither.
    BestEffort,
}

/// What a container is for in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An ordinary container.
    App,
    /// It runs before the ordinary ones and ends.
    Init,
    /// An init container that keeps running.
    Sidecar,
    /// It was added to look into a running pod.
    Ephemeral,
}

/// One container of a pod, as it runs now or last ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodContainer {
    /// Its name in the pod; the same after a restart.
    pub name: Arc<str>,
    /// The id that its runtime gave it, without the runtime's name; another one after a restart.
    pub id: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// How often it had been restarted when it got this id.
    pub restarts: u32,
}

/// One pod of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodEntry {
    /// Who it is. The uid is the one in its control group's path: of a static pod the hash of its file, not the uid of its
    /// mirror at the API server.
    #[serde(flatten)]
    pub pod: Arc<Pod>,
    /// How it ranks, where the kubelet has told.
    pub qos: Option<Qos>,
    /// Whether a file of the node describes it rather than the API server.
    pub is_static: bool,
    /// Its containers that have been started. After a restart the earlier one is listed too.
    pub containers: Vec<PodContainer>,
}

/// The pods of a node, found by uid and by container id.
///
/// ```
/// use kepler_core::workload::PodTable;
///
/// let list = br#"{"items": [{"metadata": {"name": "web", "namespace": "shop", "uid": "6c2b6f94-1f0c-4f9e-8a11-0b2d8e7c5a33"},
///     "status": {"containerStatuses": [{"name": "nginx", "containerID": "containerd://4e12", "restartCount": 0}]}}]}"#;
/// let table = PodTable::parse(list)?;
/// let (entry, container) = table.container("4e12").unwrap();
/// assert_eq!((entry.pod.name.as_deref(), &*container.name), (Some("web"), "nginx"));
/// # Ok::<(), kepler_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PodTable {
    pods: HashMap<Arc<str>, Arc<PodEntry>>,
    /// The pod's uid and the container's place in it.
    containers: HashMap<Arc<str>, (Arc<PodEntry>, usize)>,
    version: Arc<str>,
}

/// The largest answer that is read, in bytes: 2,000 pods as API servers show them take some 20 MB.
const TEXT_LIMIT: usize = 64 << 20;
/// Pods a table holds; a node runs some hundred, and no cluster's limit is near.
const PODS_LIMIT: usize = 10_000;

impl PodTable {
    /// The largest answer that [`PodTable::parse`] reads, in bytes.
    pub const TEXT_LIMIT: usize = TEXT_LIMIT;

    /// Reads a pod list: what the kubelet answers at `/pods`, or the API server at `/api/v1/pods`.
    ///
    /// Pods without uid or name, and names longer than Kubernetes allows, are left out. An answer is not trusted.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no pod list; [`Error::TooLarge`] above 64 MiB or 10,000 pods.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let (version, listed) = shape::list(json, |_| None)?;
        let mut table = Self {
            pods: HashMap::with_capacity(listed.len()),
            containers: HashMap::with_capacity(listed.len() * 2),
            version,
        };
        for pod in &listed {
            table.insert(&pod.entry);
        }
        Ok(table)
    }

    /// How many pods there are.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether there is no pod.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// Every pod, in no order.
    pub fn pods(&self) -> impl Iterator<Item = &PodEntry> {
        self.pods.values().map(|entry| &**entry)
    }

    /// The pod of this uid.
    pub fn pod(&self, uid: &str) -> Option<&PodEntry> {
        self.pods.get(uid).map(|entry| &**entry)
    }

    /// The container of this id, with its pod.
    pub fn container(&self, id: &str) -> Option<(&PodEntry, &PodContainer)> {
        let (entry, place) = self.containers.get(id)?;
        Some((entry, entry.containers.get(*place)?))
    }

    /// The API server's version of the list, from which a watch goes on; empty where none was told.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether nothing in the table had its uid or one of its containers: what had them has them no more.
    fn insert(&mut self, entry: &Arc<PodEntry>) -> bool {
        let uid = Arc::clone(&entry.pod.uid);
        let before = self.pods.insert(uid, Arc::clone(entry));
        let mut alone = before.is_none();
        if let Some(before) = before {
            self.forget(&before);
        }
        for (place, container) in entry.containers.iter().enumerate() {
            let found = (Arc::clone(entry), place);
            let id = Arc::clone(&container.id);
            alone &= self.containers.insert(id, found).is_none();
        }
        alone
    }

    fn remove(&mut self, uid: &str) {
        if let Some(entry) = self.pods.remove(uid) {
            self.forget(&entry);
        }
    }

    /// Of two pods that claim one container, the later has it.
    fn forget(&mut self, entry: &Arc<PodEntry>) {
        for container in &entry.containers {
            let holder = self.containers.get(&container.id);
            if holder.is_some_and(|(holder, _)| Arc::ptr_eq(holder, entry)) {
                self.containers.remove(&container.id);
            }
        }
    }

    /// The workload with the names that this table knows; `None` where it knows no more than the workload itself tells.
    pub(crate) fn name(&self, workload: &Workload) -> Option<Workload> {
        let container = workload.container.as_ref();
        let found = container.and_then(|container| self.container(&container.id));
        let pod = match found {
            Some((entry, _)) => Some(entry),
            None => self.pod(&workload.pod.as_ref()?.uid),
        }?;
        let container = container.map(|container| match found {
            Some((entry, named)) if container.name.as_ref() != Some(&named.name) => {
                let mut container = (**container).clone();
                container.name = Some(Arc::clone(&named.name));
                container.pod_uid = Some(Arc::clone(&entry.pod.uid));
                Arc::new(container)
            }
            _ => Arc::clone(container),
        });
        let named = Workload {
            container,
            pod: Some(Arc::clone(&pod.pod)),
            ..workload.clone()
        };
        (named != *workload).then_some(named)
    }
}

fn bound(what: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::TooLarge {
        what: what.to_owned(),
        size: size as u64,
        limit: limit as u64,
    })
}
