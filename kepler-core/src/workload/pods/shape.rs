//! The parts of Kubernetes' pod objects that tell names and ids. Everything else is skipped unread.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};

use super::super::Pod;
use super::{PODS_LIMIT, PodContainer, PodEntry, Qos, Role, bound};

/// What Kubernetes allows a name to be at most.
const NAME_LIMIT: usize = 253;
/// Uids have 36 letters, hashes of static pods 32 or 64; container ids 64 or, with some runtimes, more.
const ID_LIMIT: usize = 128;
/// Containers a pod, the earlier ones of restarts included; further ones are left out.
const CONTAINERS_LIMIT: usize = 1000;

#[derive(Deserialize)]
pub(super) struct List<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(default, deserialize_with = "pods")]
    items: Option<Kept<PodEntry>>,
    /// What an API server answers instead: `Status`.
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct Object<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Metadata<'a>,
    #[serde(default)]
    spec: Option<Spec>,
    #[serde(borrow, default)]
    status: Option<Status<'a>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default, rename = "resourceVersion")]
    pub(super) version: Cow<'a, str>,
    #[serde(borrow, default)]
    annotations: Option<Annotations<'a>>,
}

#[derive(Deserialize)]
struct Annotations<'a> {
    /// On the mirror that the kubelet makes of a static pod: the static pod's own uid.
    #[serde(borrow, default, rename = "kubernetes.io/config.mirror")]
    mirror: Option<Cow<'a, str>>,
    /// Where the kubelet has a pod from: `file`, `http` or `api`.
    #[serde(borrow, default, rename = "kubernetes.io/config.source")]
    source: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Spec {
    /// The names of those that keep running.
    #[serde(default, rename = "initContainers", deserialize_with = "sidecars")]
    sidecars: Vec<Arc<str>>,
}

#[derive(Deserialize)]
struct Declared<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default, rename = "restartPolicy")]
    restart_policy: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Status<'a> {
    #[serde(borrow, default, rename = "qosClass")]
    qos: Option<Cow<'a, str>>,
    #[serde(default, rename = "containerStatuses")]
    #[serde(deserialize_with = "started")]
    app: Vec<PodContainer>,
    #[serde(default, rename = "initContainerStatuses")]
    #[serde(deserialize_with = "started")]
    init: Vec<PodContainer>,
    #[serde(default, rename = "ephemeralContainerStatuses")]
    #[serde(deserialize_with = "started")]
    ephemeral: Vec<PodContainer>,
}

#[derive(Deserialize)]
struct Ran<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default, rename = "containerID")]
    id: Option<Cow<'a, str>>,
    #[serde(default, rename = "restartCount")]
    restarts: u32,
    #[serde(borrow, default)]
    state: Option<State<'a>>,
    #[serde(borrow, default, rename = "lastState")]
    last: Option<State<'a>>,
}

#[derive(Deserialize)]
struct State<'a> {
    #[serde(borrow, default)]
    terminated: Option<Terminated<'a>>,
}

#[derive(Deserialize)]
struct Terminated<'a> {
    #[serde(borrow, default, rename = "containerID")]
    id: Option<Cow<'a, str>>,
}

/// What is kept of a list's items, and how many there were.
struct Kept<K> {
    items: Vec<K>,
    count: usize,
}

/// Reads a list item by item: of the first `limit` no more is held than `keep` makes of each, of the others nothing.
struct Each<T, K> {
    limit: usize,
    keep: fn(T, &mut Vec<K>),
}

impl<'de, T: Deserialize<'de>, K> Visitor<'de> for Each<T, K> {
    type Value = Option<Kept<K>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut count) = (Vec::new(), 0);
        while count < self.limit {
            let Some(item) = list.next_element()? else {
                return Ok(Some(Kept { items, count }));
            };
            (self.keep)(item, &mut items);
            count += 1;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Some(Kept { items, count }))
    }
}

fn pods<'de, D: Deserializer<'de>>(list: D) -> Result<Option<Kept<PodEntry>>, D::Error> {
    list.deserialize_any(Each {
        limit: PODS_LIMIT,
        keep: |object: Object<'de>, pods| pods.extend(entry(object)),
    })
}

fn sidecars<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Arc<str>>, D::Error> {
    let keep = |declared: Declared<'de>, names: &mut Vec<_>| {
        if declared.restart_policy.as_deref() == Some("Always") {
            names.extend(name(&declared.name));
        }
    };
    let limit = CONTAINERS_LIMIT;
    let names = list.deserialize_any(Each { limit, keep })?;
    Ok(names.map(|names| names.items).unwrap_or_default())
}

fn started<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<PodContainer>, D::Error> {
    let containers = list.deserialize_any(Each {
        limit: CONTAINERS_LIMIT,
        keep: |ran: Ran<'de>, containers| ran.add_to(containers),
    })?;
    Ok(containers.map(|c| c.items).unwrap_or_default())
}

/// The version and the pods of a list.
pub(super) fn list(json: &[u8]) -> Result<(Arc<str>, Vec<PodEntry>)> {
    let list: List<'_> = read(json, "a pod list")?;
    let Some(pods) = list.items else {
        // Go writes an empty list as null, and leaves out nothing else of a list.
        return match list.kind.as_deref() {
            None | Some("PodList") => Ok((version(&list.metadata), Vec::new())),
            Some(kind) => Err(Error::malformed("answer", "a pod list", kind)),
        };
    };
    bound("the number of pods", pods.count, PODS_LIMIT)?;
    Ok((version(&list.metadata), pods.items))
}

pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a [u8], want: &str) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Error::malformed(place, want, error.to_string())
    })
}

/// What watches go on from; one that is no version is left out.
pub(super) fn version(metadata: &Metadata<'_>) -> Arc<str> {
    name(&metadata.version).unwrap_or_default()
}

/// A pod, unless it has no uid or name.
pub(super) fn entry(object: Object<'_>) -> Option<PodEntry> {
    let metadata = &object.metadata;
    let annotations = metadata.annotations.as_ref();
    let mirror = annotations.and_then(|a| a.mirror.as_deref());
    let source = annotations.and_then(|a| a.source.as_deref());
    let pod = Pod {
        uid: id(mirror.unwrap_or(&metadata.uid))?,
        name: Some(name(&metadata.name)?),
        namespace: name(&metadata.namespace),
    };
    let sidecars = object.spec.map(|spec| spec.sidecars).unwrap_or_default();
    let status = object.status.unwrap_or_default();
    let mut containers = status.app;
    containers.extend(status.init.into_iter().map(|container| PodContainer {
        role: if sidecars.contains(&container.name) {
            Role::Sidecar
        } else {
            Role::Init
        },
        ..container
    }));
    containers.extend(status.ephemeral.into_iter().map(|container| PodContainer {
        role: Role::Ephemeral,
        ..container
    }));
    containers.truncate(CONTAINERS_LIMIT);
    Some(PodEntry {
        pod: Arc::new(pod),
        qos: match status.qos.as_deref() {
            Some("Guaranteed") => Some(Qos::Guaranteed),
            Some("Burstable") => Some(Qos::Burstable),
            Some("BestEffort") => Some(Qos::BestEffort),
            _ => None,
        },
        is_static: mirror.is_some() || source.is_some_and(|source| source != "api"),
        containers,
    })
}

impl Ran<'_> {
    /// Adds the container as it runs, and as it ran before its last restart. What it is for tells the list that it is in.
    fn add_to(self, containers: &mut Vec<PodContainer>) {
        let Some(name) = name(&self.name) else {
            return;
        };
        let ended = |state: &Option<State<'_>>| {
            let terminated = state.as_ref()?.terminated.as_ref()?;
            container_id(terminated.id.as_deref()?)
        };
        let now = self.id.as_deref().and_then(container_id);
        let now = now.or_else(|| ended(&self.state));
        let before = ended(&self.last).filter(|before| now.as_ref() != Some(before));
        let ids = [
            (now, self.restarts),
            (before, self.restarts.saturating_sub(1)),
        ];
        for (id, restarts) in ids {
            containers.extend(id.map(|id| PodContainer {
                name: Arc::clone(&name),
                id,
                role: Role::App,
                restarts,
            }));
        }
    }
}

/// The id in `containerd://4e12...`.
fn container_id(text: &str) -> Option<Arc<str>> {
    id(text.split_once("://").map_or(text, |(_, id)| id))
}

fn id(text: &str) -> Option<Arc<str>> {
    (!text.is_empty() && text.len() <= ID_LIMIT).then(|| text.into())
}

fn name(text: &str) -> Option<Arc<str>> {
    (!text.is_empty() && text.len() <= NAME_LIMIT).then(|| text.into())
}
