//! Whose a cgroup is, by its path.

use std::sync::Arc;

use super::{Container, Runtime};

/// What the folders of a cgroup path say, the deepest word winning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) container: Option<Container>,
    /// The uid of the deepest pod.
    pub(super) pod: Option<Arc<str>>,
    /// The systemd unit inside of the container, or of the host where there is none.
    pub(super) unit: Option<Arc<str>>,
    /// Name of the libvirt domain whose machine scope it is.
    pub(super) domain: Option<String>,
}

/// Prefixes of a container's own folder: `<prefix><id>` (cgroupfs driver) or `<prefix><id>.scope` (systemd driver). The
/// monitors `crio-conmon-` and `libpod-conmon-` live next to their containers, not in them.
const PREFIXES: [(&str, Runtime); 6] = [
    ("docker-", Runtime::Docker),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::Crio),
    ("libpod-payload-", Runtime::Podman),
    ("libpod-", Runtime::Podman),
];

/// Names of the folder above a folder that is a bare container id.
const PARENTS: [(&str, Runtime); 5] = [
    ("docker", Runtime::Docker),
    ("containerd", Runtime::Containerd),
    // Namespaces of containerd: the kubelet's, and that of `ctr` and `nerdctl`.
    ("k8s.io", Runtime::Containerd),
    ("default", Runtime::Containerd),
    ("libpod_parent", Runtime::Podman),
];

/// The middle of `<slice>:<name>:<id>`, which runc makes a folder of where a systemd path reaches a cgroupfs driver.
const MIDDLES: [(&str, Runtime); 4] = [
    ("cri-containerd", Runtime::Containerd),
    ("docker", Runtime::Docker),
    ("crio", Runtime::Crio),
    ("libpod", Runtime::Podman),
];

/// Reads a cgroup path, of any hierarchy version and driver.
pub(super) fn parse_path(path: &str) -> Place {
    let mut place = Place::default();
    let (mut pod, mut parent) = (None, "");
    for folder in path.split('/').filter(|folder| !folder.is_empty()) {
        pod = pod_uid(folder.split(':').next().unwrap_or(folder), parent).or(pod);
        if let Some((id, runtime)) = container(folder, parent, pod.is_some()) {
            place = Place {
                container: Some(Container {
                    id: id.into(),
                    runtime,
                    pod_uid: pod.clone(),
                    name: None,
                }),
                ..Place::default()
            };
        } else if folder.ends_with(".service") || folder.ends_with(".scope") {
            place.unit = Some(folder.into());
        }
        place.domain = domain(folder, parent).or(place.domain);
        parent = folder;
    }
    place.pod = pod;
    place
}

/// The container whose own folder this is.
fn container<'a>(folder: &'a str, parent: &str, in_pod: bool) -> Option<(&'a str, Runtime)> {
    let of = |names: &[(&str, Runtime)], wanted: &str| {
        (names.iter().find(|(name, _)| *name == wanted)).map(|(_, runtime)| *runtime)
    };
    if is_id(folder) {
        // Docker alone puts bare ids below a parent that its user names.
        let unknown = if in_pod {
            Runtime::Kubernetes
        } else {
            Runtime::Docker
        };
        return Some((folder, of(&PARENTS, parent).unwrap_or(unknown)));
    }
    let name = folder.strip_suffix(".scope").unwrap_or(folder);
    if let Some((before, id)) = name.rsplit_once(':') {
        let middle = before.rsplit(':').next().unwrap_or(before);
        return is_id(id).then_some((id, of(&MIDDLES, middle)?));
    }
    PREFIXES.iter().find_map(|(prefix, runtime)| {
        let id = name.strip_prefix(prefix)?;
        is_id(id).then_some((id, *runtime))
    })
}

/// 64 hexadecimal digits: what Docker, containerd, CRI-O and Podman make ids of.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The pod whose folder this is: `kubepods-burstable-pod<uid>.slice`, its dashes written as underscores (systemd driver),
/// or `pod<uid>` (cgroupfs driver). A static pod's uid has no dashes.
fn pod_uid(folder: &str, parent: &str) -> Option<Arc<str>> {
    let uid = match folder.strip_suffix(".slice") {
        Some(slice) if slice.contains("kubepods") => slice.rsplit_once("-pod")?.1,
        Some(_) => return None,
        None if ["kubepods", "burstable", "besteffort"].contains(&parent) => {
            folder.strip_prefix("pod")?
        }
        None => return None,
    };
    let uid = uid.replace('_', "-");
    let is_uid = [32, 36].contains(&uid.len())
        && (uid.bytes()).all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uid.then(|| uid.into())
}

/// The libvirt domain whose folder this is: `machine-qemu\x2d7\x2dname.scope`, or `qemu-7-name.libvirt-qemu` without
/// systemd. libvirt cuts and escapes the name.
fn domain(folder: &str, parent: &str) -> Option<String> {
    let machine = match folder.strip_suffix(".libvirt-qemu") {
        Some(machine) if parent == "machine" => machine.to_owned(),
        Some(_) => return None,
        None => unescape(folder.strip_prefix("machine-")?.strip_suffix(".scope")?),
    };
    let (number, name) = machine.strip_prefix("qemu-")?.split_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !name.is_empty()).then(|| name.to_owned())
}

/// Resolves systemd's `\xNN` in the name of a unit.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend(before.as_bytes());
        match after.get(..2).map(|code| u8::from_str_radix(code, 16)) {
            Some(Ok(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.extend(b"\\x");
                rest = after;
            }
        }
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_of_unit_names_are_resolved() {
        assert_eq!(unescape(r"qemu\x2d1\x2dweb"), "qemu-1-web");
        assert_eq!(unescape(r"caf\xc3\xa9"), "café");
        assert_eq!(unescape(r"a\x2"), r"a\x2");
        assert_eq!(unescape(r"a\xzz\x2d"), r"a\xzz-");
    }

    proptest! {
        #[test]
        fn no_path_panics(path in r"(/|pod|kubepods|docker-|\.slice|\.scope|:|\\x|[0-9a-f]{0,64}|é){0,20}") {
            parse_path(&path);
        }
    }
}
