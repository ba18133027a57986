//! The parts of Kubernetes' pod objects that tell names and ids. Everything else is skipped unread.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::{Error, Result};

use super::super::Pod;
use super::json::Json;
use super::lists::Listed;
use super::{PODS_LIMIT, PodContainer, PodEntry, Qos, Role, TEXT_LIMIT, bound};

/// What Kubernetes allows a name to be at most.
const NAME_LIMIT: usize = 253;
/// Uids have 36 letters, hashes of static pods 32 or 64; container ids 64 or, with some runtimes, more.
const ID_LIMIT: usize = 128;
/// Containers a pod, the earlier ones of restarts included; further ones are left out.
const CONTAINERS_LIMIT: usize = 1000;

/// A pod, or what an API server gives instead.
#[derive(Default)]
pub(super) struct Object<'a> {
    metadata: Metadata<'a>,
    /// The names of the init containers that keep running.
    sidecars: Vec<Arc<str>>,
    qos: Option<Qos>,
    app: Vec<PodContainer>,
    init: Vec<PodContainer>,
    ephemeral: Vec<PodContainer>,
    /// Of a `Status`.
    pub(super) code: u16,
    pub(super) message: Cow<'a, str>,
}

#[derive(Default)]
struct Metadata<'a> {
    name: Cow<'a, str>,
    namespace: Cow<'a, str>,
    uid: Cow<'a, str>,
    version: Cow<'a, str>,
    /// On the mirror that the kubelet makes of a static pod: the static pod's own uid.
    mirror: Cow<'a, str>,
    /// Where the kubelet has a pod from: `file`, `http` or `api`.
    source: Cow<'a, str>,
}

/// A container's status.
#[derive(Default)]
struct Ran<'a> {
    name: Cow<'a, str>,
    id: Cow<'a, str>,
    restarts: u32,
    /// The id of a container that ended, where it is told as a part of its end.
    ended: Cow<'a, str>,
    ended_before: Cow<'a, str>,
}

/// The version of a list and its pods, but for those that `known` knows: it is given the text from each pod on, and tells the length
/// of a pod that need not be read.
pub(super) fn list(
    json: &[u8],
    mut known: impl FnMut(&[u8]) -> Option<usize>,
) -> Result<(Arc<str>, Vec<Listed>)> {
    bound("a pod list", json.len(), TEXT_LIMIT)?;
    let (mut metadata, mut kind) = (Metadata::default(), Cow::Borrowed(""));
    let (mut pods, mut count, mut listed) = (Vec::new(), 0, false);
    let mut json = Json::new(json, "a pod list");
    json.whole(|json, name| match name {
        "metadata" => metadata.read(json),
        "kind" => json.text().map(|text| kind = text),
        "items" => {
            listed = json.list(|json| {
                count += 1;
                // Of those above the limit nothing is kept.
                if count > PODS_LIMIT {
                    return json.skip();
                }
                let (start, text) = json.rest();
                if let Some(length) = known(text) {
                    json.step(length);
                    return Ok(());
                }
                let entry = Object::read(json)?.entry();
                pods.extend(entry.map(|entry| Listed {
                    place: start..json.place(),
                    entry: Arc::new(entry),
                }));
                Ok(())
            })?;
            Ok(())
        }
        _ => json.skip(),
    })?;
    // Go writes an empty list as null, and leaves out nothing else of a list.
    if !listed && !matches!(&*kind, "" | "PodList") {
        return Err(Error::malformed("answer", "a pod list", kind));
    }
    bound("the number of pods", count, PODS_LIMIT)?;
    Ok((metadata.version(), pods))
}

impl<'a> Object<'a> {
    pub(super) fn read(json: &mut Json<'a>) -> Result<Self> {
        let mut object = Self::default();
        json.object(|json, name| match name {
            "metadata" => object.metadata.read(json),
            "spec" => json.object(|json, name| match name {
                "initContainers" => sidecars(json).map(|names| object.sidecars = names),
                _ => json.skip(),
            }),
            // A `Status` has a word there.
            "status" if json.is_object() => json.object(|json, name| {
                match name {
                    "qosClass" => object.qos = qos(&json.text()?),
                    "containerStatuses" => object.app = started(json)?,
                    "initContainerStatuses" => object.init = started(json)?,
                    "ephemeralContainerStatuses" => object.ephemeral = started(json)?,
                    _ => json.skip()?,
                }
                Ok(())
            }),
            "code" => json.number().map(|code| object.code = code),
            "message" => json.text().map(|text| object.message = text),
            _ => json.skip(),
        })?;
        Ok(object)
    }

    /// What watches go on from; one that is no version is left out.
    pub(super) fn version(&self) -> Arc<str> {
        self.metadata.version()
    }

    /// A pod, unless it has no uid or name.
    pub(super) fn entry(self) -> Option<PodEntry> {
        let metadata = &self.metadata;
        let uid = match &*metadata.mirror {
            "" => &metadata.uid,
            mirror => mirror,
        };
        let pod = Pod {
            uid: id(uid)?,
            name: Some(name(&metadata.name)?),
            namespace: name(&metadata.namespace),
        };
        let mut containers = self.app;
        containers.extend(self.init.into_iter().map(|container| PodContainer {
            role: if self.sidecars.contains(&container.name) {
                Role::Sidecar
            } else {
                Role::Init
            },
            ..container
        }));
        containers.extend(self.ephemeral.into_iter().map(|container| PodContainer {
            role: Role::Ephemeral,
            ..container
        }));
        containers.truncate(CONTAINERS_LIMIT);
        Some(PodEntry {
            pod: Arc::new(pod),
            qos: self.qos,
            is_static: !metadata.mirror.is_empty() || !matches!(&*metadata.source, "" | "api"),
            containers,
        })
    }
}

impl<'a> Metadata<'a> {
    fn read(&mut self, json: &mut Json<'a>) -> Result<()> {
        json.object(|json, name| {
            match name {
                "name" => self.name = json.text()?,
                "namespace" => self.namespace = json.text()?,
                "uid" => self.uid = json.text()?,
                "resourceVersion" => self.version = json.text()?,
                "annotations" => json.object(|json, name| {
                    match name {
                        "kubernetes.io/config.mirror" => self.mirror = json.text()?,
                        "kubernetes.io/config.source" => self.source = json.text()?,
                        _ => json.skip()?,
                    }
                    Ok(())
                })?,
                _ => json.skip()?,
            }
            Ok(())
        })
    }

    fn version(&self) -> Arc<str> {
        name(&self.version).unwrap_or_default()
    }
}

impl<'a> Ran<'a> {
    fn read(json: &mut Json<'a>) -> Result<Self> {
        let mut ran = Self::default();
        json.object(|json, name| {
            match name {
                "name" => ran.name = json.text()?,
                "containerID" => ran.id = json.text()?,
                "restartCount" => ran.restarts = json.number()?,
                "state" => ran.ended = ended(json)?,
                "lastState" => ran.ended_before = ended(json)?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(ran)
    }

    /// Adds the container as it runs, and as it ran before its last restart. What it is for tells the list that it is in.
    fn add_to(&self, containers: &mut Vec<PodContainer>) {
        let Some(name) = name(&self.name) else {
            return;
        };
        let now = container_id(&self.id).or_else(|| container_id(&self.ended));
        let before = container_id(&self.ended_before);
        let before = before.filter(|before| now.as_ref() != Some(before));
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

/// The id in a container's state, where that is its end.
fn ended<'a>(json: &mut Json<'a>) -> Result<Cow<'a, str>> {
    let mut id = Cow::Borrowed("");
    json.object(|json, name| match name {
        "terminated" => json.object(|json, name| match name {
            "containerID" => json.text().map(|text| id = text),
            _ => json.skip(),
        }),
        _ => json.skip(),
    })?;
    Ok(id)
}

fn started(json: &mut Json<'_>) -> Result<Vec<PodContainer>> {
    let (mut containers, mut count) = (Vec::new(), 0);
    json.list(|json| {
        count += 1;
        match count > CONTAINERS_LIMIT {
            true => json.skip(),
            false => Ran::read(json).map(|ran| ran.add_to(&mut containers)),
        }
    })?;
    Ok(containers)
}

/// Those of a pod's init containers that keep running.
fn sidecars(json: &mut Json<'_>) -> Result<Vec<Arc<str>>> {
    let (mut names, mut count) = (Vec::new(), 0);
    json.list(|json| {
        count += 1;
        if count > CONTAINERS_LIMIT {
            return json.skip();
        }
        let (mut declared, mut always) = (Cow::Borrowed(""), false);
        json.object(|json, name| {
            match name {
                "name" => declared = json.text()?,
                "restartPolicy" => always = json.text()? == "Always",
                _ => json.skip()?,
            }
            Ok(())
        })?;
        if always {
            names.extend(name(&declared));
        }
        Ok(())
    })?;
    Ok(names)
}

fn qos(text: &str) -> Option<Qos> {
    match text {
        "Guaranteed" => Some(Qos::Guaranteed),
        "Burstable" => Some(Qos::Burstable),
        "BestEffort" => Some(Qos::BestEffort),
        _ => None,
    }
}

/// The id in `containerd://4e12...`.
fn container_id(text: &str) -> Option<Arc<str>> {
    id(text.rsplit_once('/').map_or(text, |(_, id)| id))
}

fn id(text: &str) -> Option<Arc<str>> {
    (!text.is_empty() && text.len() <= ID_LIMIT).then(|| text.into())
}

fn name(text: &str) -> Option<Arc<str>> {
    (!text.is_empty() && text.len() <= NAME_LIMIT).then(|| text.into())
}
