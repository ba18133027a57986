//! The parts of Kubernetes' pod objects that tell names and ids. Everything else is skipped unread.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Error, Result};

use super::super::Pod;
use super::{PodContainer, PodEntry, Qos, Role};

/// What Kubernetes allows a name to be at most.
const NAME_LIMIT: usize = 253;
/// Uids have 36 letters, hashes of static pods 32 or 64; container ids 64 or, with some runtimes, more.
const ID_LIMIT: usize = 128;
/// Containers a pod, the earlier ones of restarts included.
const CONTAINERS_LIMIT: usize = 1000;

#[derive(Deserialize)]
pub(super) struct List<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    #[serde(borrow, default)]
    items: Option<Vec<Object<'a>>>,
    /// What an API server answers instead: `Status`.
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct Object<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow, default)]
    spec: Option<Spec<'a>>,
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
struct Spec<'a> {
    #[serde(borrow, default, rename = "initContainers")]
    init: Option<Vec<Declared<'a>>>,
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
    #[serde(borrow, default, rename = "containerStatuses")]
    app: Option<Vec<Ran<'a>>>,
    #[serde(borrow, default, rename = "initContainerStatuses")]
    init: Option<Vec<Ran<'a>>>,
    #[serde(borrow, default, rename = "ephemeralContainerStatuses")]
    ephemeral: Option<Vec<Ran<'a>>>,
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

/// The version and the pods of a list.
pub(super) fn list(json: &[u8]) -> Result<(Arc<str>, Vec<PodEntry>)> {
    let list: List<'_> = read(json, "a pod list")?;
    let Some(items) = list.items else {
        // Go writes an empty list as null, and leaves out nothing else of a list.
        return match list.kind.as_deref() {
            None | Some("PodList") => Ok((version(&list.metadata), Vec::new())),
            Some(kind) => Err(Error::malformed("answer", "a pod list", kind)),
        };
    };
    let entries = items.iter().filter_map(entry).collect();
    Ok((version(&list.metadata), entries))
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
pub(super) fn entry(object: &Object<'_>) -> Option<PodEntry> {
    let metadata = &object.metadata;
    let annotations = metadata.annotations.as_ref();
    let mirror = annotations.and_then(|a| a.mirror.as_deref());
    let source = annotations.and_then(|a| a.source.as_deref());
    let pod = Pod {
        uid: id(mirror.unwrap_or(&metadata.uid))?,
        name: Some(name(&metadata.name)?),
        namespace: name(&metadata.namespace),
    };
    let status = object.status.as_ref();
    let sidecars: Vec<&str> = object
        .spec
        .iter()
        .flat_map(|spec| spec.init.iter().flatten())
        .filter(|declared| declared.restart_policy.as_deref() == Some("Always"))
        .map(|declared| &*declared.name)
        .collect();
    let mut containers = Vec::new();
    let lists = status.map(|status| {
        [
            (Role::App, &status.app),
            (Role::Init, &status.init),
            (Role::Ephemeral, &status.ephemeral),
        ]
    });
    for (role, list) in lists.into_iter().flatten() {
        for ran in list.iter().flatten() {
            let sidecar = role == Role::Init && sidecars.contains(&&*ran.name);
            let role = if sidecar { Role::Sidecar } else { role };
            started(ran, role, &mut containers);
        }
    }
    Some(PodEntry {
        pod: Arc::new(pod),
        qos: status.and_then(|status| match status.qos.as_deref()? {
            "Guaranteed" => Some(Qos::Guaranteed),
            "Burstable" => Some(Qos::Burstable),
            "BestEffort" => Some(Qos::BestEffort),
            _ => None,
        }),
        is_static: mirror.is_some() || source.is_some_and(|source| source != "api"),
        containers,
    })
}

/// A container as it runs, and as it ran before its last restart.
fn started(ran: &Ran<'_>, role: Role, containers: &mut Vec<PodContainer>) {
    let Some(container) = name(&ran.name) else {
        return;
    };
    let ended = |state: &Option<State<'_>>| {
        let terminated = state.as_ref()?.terminated.as_ref()?;
        container_id(terminated.id.as_deref()?)
    };
    let now = ran.id.as_deref().and_then(container_id);
    let now = now.or_else(|| ended(&ran.state));
    let before = ended(&ran.last).filter(|before| now.as_ref() != Some(before));
    let ids = [
        (now, ran.restarts),
        (before, ran.restarts.saturating_sub(1)),
    ];
    for (id, restarts) in ids {
        if let Some(id) = id.filter(|_| containers.len() < CONTAINERS_LIMIT) {
            containers.push(PodContainer {
                name: Arc::clone(&container),
                id,
                role,
                restarts,
            });
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
