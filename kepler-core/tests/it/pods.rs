//! Pods by their lists: what the kubelet and the API server tell, what of it is believed, and what a monitor makes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kepler_core::monitor::{Monitor, Snapshot, State, UsageChoice};
use kepler_core::usage::{NodeUsage, ProcessUsage, Scripted, UnnamedUsage, Usage};
use kepler_core::workload::{Change, PodEntry, PodLists, PodTable, Qos, Role};
use kepler_core::{ErrorKind, Host};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::attribution::{process, ran};

const UID: &str = "6c2b6f94-1f0c-4f9e-8a11-0b2d8e7c5a33";

fn id(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn status(name: &str, letter: char, restarts: u32) -> Value {
    json!({
        "name": name, "containerID": format!("containerd://{}", id(letter)), "restartCount": restarts,
        "image": "registry.k8s.io/x:1", "ready": true, "state": {"running": {"startedAt": "2026-11-25T10:00:00Z"}},
    })
}

/// A pod with a container of each kind, of which the ordinary one was restarted.
fn pod() -> Value {
    let mut app = status("app", 'b', 3);
    app["lastState"] =
        json!({"terminated": {"exitCode": 1, "containerID": format!("containerd://{}", id('a'))}});
    json!({
        "metadata": {"name": "web-7f", "namespace": "shop", "uid": UID, "resourceVersion": "41", "labels": {"app": "web"}},
        "spec": {
            "nodeName": "node1",
            "initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "app", "env": [{"name": "A", "value": "{\"not\": \"json of ours\"}"}]}],
        },
        "status": {
            "phase": "Running", "qosClass": "Burstable", "containerStatuses": [app],
            "initContainerStatuses": [
                {"name": "setup", "restartCount": 0, "state": {"terminated": {"containerID": format!("cri-o://{}", id('c'))}}},
                status("proxy", 'd', 0),
            ],
            "ephemeralContainerStatuses": [status("debugger", 'e', 0)],
        },
    })
}

fn list(pods: &[Value]) -> Vec<u8> {
    json!({"kind": "PodList", "metadata": {"resourceVersion": "42"}, "items": pods})
        .to_string()
        .into()
}

#[test]
fn containers_of_every_kind_are_found_by_id_and_keep_their_name_over_a_restart() {
    let table = PodTable::parse(&list(&[pod()])).unwrap();
    assert_eq!((table.len(), table.version()), (1, "42"));
    for (letter, name, role, restarts) in [
        ('b', "app", Role::App, 3),
        ('a', "app", Role::App, 2),
        ('c', "setup", Role::Init, 0),
        ('d', "proxy", Role::Sidecar, 0),
        ('e', "debugger", Role::Ephemeral, 0),
    ] {
        let (entry, container) = table.container(&id(letter)).unwrap();
        assert_eq!(&*container.name, name);
        assert_eq!((container.role, container.restarts), (role, restarts));
        assert_eq!(&*entry.pod.uid, UID);
    }
    let entry = table.pod(UID).unwrap();
    assert_eq!(entry.pod.namespace.as_deref(), Some("shop"));
    assert_eq!((entry.qos, entry.is_static), (Some(Qos::Burstable), false));
    assert!(table.container(&id('f')).is_none());
}

#[test]
fn a_static_pod_has_one_uid_whoever_tells_of_it() {
    let hash = "1f2e3d4c5b6a79880a1b2c3d4e5f6071";
    let mut mirror = pod();
    mirror["metadata"]["annotations"] =
        json!({"kubernetes.io/config.mirror": hash, "kubernetes.io/config.source": "file"});
    let mut own = pod();
    own["metadata"]["uid"] = hash.into();
    own["metadata"]["annotations"] =
        json!({"kubernetes.io/config.hash": hash, "kubernetes.io/config.source": "file"});
    for pod in [mirror, own] {
        let table = PodTable::parse(&list(&[pod])).unwrap();
        assert!(table.pod(hash).unwrap().is_static);
        assert!(table.pod(UID).is_none());
    }
}

#[test]
fn what_is_missing_or_unbelievable_is_left_out() {
    let long = "x".repeat(300);
    let pods = [
        json!({}),
        json!({"metadata": {"uid": "1", "name": ""}}),
        json!({"metadata": {"uid": "2", "name": long}}),
        json!({"metadata": {"uid": long, "name": "a"}}),
        json!({"metadata": {"uid": "3", "name": "pending"}, "status": {"containerStatuses": [{"name": "waits"}]}}),
        json!({"metadata": {"uid": "4", "name": "odd"}, "status": {"containerStatuses": [status(&long, 'a', 0)]}}),
    ];
    let table = PodTable::parse(&list(&pods)).unwrap();
    assert_eq!(table.len(), 2);
    assert!(table.pod("3").unwrap().containers.is_empty());
    assert!(table.container(&id('a')).is_none());
    assert!(
        PodTable::parse(br#"{"kind": "PodList", "items": null}"#)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn of_too_many_containers_the_first_are_kept() {
    let statuses = |kind: char| -> Vec<Value> {
        let ran = |i| json!({"name": "a", "containerID": format!("x://{kind}{i}")});
        (0..1_200).map(ran).collect()
    };
    let mut pod = pod();
    pod["status"] = json!({
        "containerStatuses": statuses('a')[..600], "initContainerStatuses": statuses('i'),
        "ephemeralContainerStatuses": statuses('e'),
    });
    let sidecar = |name: &str| json!({"name": name, "restartPolicy": "Always"});
    pod["spec"]["initContainers"] = vec![sidecar("b"); 2_000].into();
    let table = PodTable::parse(&list(&[pod])).unwrap();
    assert_eq!(table.pod(UID).unwrap().containers.len(), 1_000);
    assert!(table.container("i399").is_some() && table.container("i400").is_none());
}

#[test]
fn what_is_no_pod_list_is_an_error_that_says_so() {
    for (answer, kind) in [
        (&b""[..], ErrorKind::Malformed),
        (b"<html>", ErrorKind::Malformed),
        (
            br#"{"kind": "Status", "code": 403, "message": "forbidden"}"#,
            ErrorKind::Malformed,
        ),
        (
            br#"{"items": [{"metadata": {"name": 7}}]}"#,
            ErrorKind::Malformed,
        ),
        (
            br#"{"items": [{"metadata": {"name": "a"#,
            ErrorKind::Malformed,
        ),
    ] {
        let error = PodTable::parse(answer).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().len() < 400, "{error}");
    }
    let error = PodTable::parse(&vec![b' '; (64 << 20) + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let many: Vec<Value> = (0..10_001)
        .map(|i| json!({"metadata": {"name": "a", "uid": i.to_string()}}))
        .collect();
    assert_eq!(
        PodTable::parse(&list(&many)).unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    // Of what is over the limit nothing is kept, whatever it is.
    let empty = format!(r#"{{"items": [{}{{}}]}}"#, "{},".repeat(1 << 22));
    let error = PodTable::parse(empty.as_bytes()).unwrap_err();
    assert!(
        error.to_string().contains("4194305 (limit 10000)"),
        "{error}"
    );
    let deep = [&br#"{"items": "#[..], &vec![b'['; 1 << 20]].concat();
    assert_eq!(
        PodTable::parse(&deep).unwrap_err().kind(),
        ErrorKind::Malformed
    );
}

#[test]
fn a_watch_adds_changes_and_removes_pods_and_moves_the_version_on() {
    let mut table = PodTable::parse(&list(&[])).unwrap();
    let mut event = |kind: &str, object: &Value| {
        table
            .apply(
                json!({"type": kind, "object": object})
                    .to_string()
                    .as_bytes(),
            )
            .map(|change| (change, table.clone()))
    };
    let mut later = pod();
    let (change, table) = event("ADDED", &later).unwrap();
    assert_eq!(
        (change, table.len(), table.version()),
        (Change::Updated, 1, "41")
    );
    later["metadata"]["resourceVersion"] = "50".into();
    later["status"]["containerStatuses"] = json!([status("app", 'f', 4)]);
    let (_, table) = event("MODIFIED", &later).unwrap();
    assert!(table.container(&id('f')).is_some() && table.container(&id('b')).is_none());
    let bookmark = json!({"kind": "Pod", "metadata": {"resourceVersion": "77"}});
    let (change, table) = event("BOOKMARK", &bookmark).unwrap();
    assert_eq!((change, table.version()), (Change::Version, "77"));
    let expired = json!({"kind": "Status", "status": "Failure", "code": 410, "message": "too old resource version"});
    assert_eq!(event("ERROR", &expired).unwrap().0, Change::Expired);
    let broken =
        json!({"kind": "Status", "status": "Failure", "code": 500, "message": "etcd is away"});
    assert!(
        event("ERROR", &broken)
            .unwrap_err()
            .to_string()
            .contains("etcd is away")
    );
    let (change, table) = event("DELETED", &later).unwrap();
    assert_eq!((change, table.len()), (Change::Removed, 0));
    assert!(table.container(&id('f')).is_none());
    assert_eq!(
        event("RENAMED", &later).unwrap_err().kind(),
        ErrorKind::Malformed
    );
}

fn frame(processes: Vec<ProcessUsage>) -> Usage {
    Usage {
        processes,
        node: NodeUsage {
            cpus: 1,
            interval: Duration::from_secs(1),
            busy_ns: 500_000_000,
            idle_ns: 500_000_000,
            ..NodeUsage::default()
        },
        ..Usage::default()
    }
}

fn cgroup(letter: char) -> String {
    format!("/kubepods/burstable/pod{UID}/{}", id(letter))
}

fn the_pod(snapshot: &Snapshot) -> (Option<&str>, u64, State) {
    assert_eq!(snapshot.pods.len(), 1);
    let pod = &snapshot.pods[0];
    (
        pod.pod.name.as_deref(),
        pod.usage.counters.cpu_ns,
        pod.usage.state,
    )
}

#[test]
fn a_pod_goes_on_counting_over_a_restart_and_keeps_its_name_when_it_is_gone() {
    let before = process(7, "app", Some(&cgroup('a')));
    let after = process(8, "app", Some(&cgroup('b')));
    let beside = process(9, "conmon", Some(&format!("/kubepods/burstable/pod{UID}")));
    let mut ended = ran(&before, 20_000_000);
    ended.ended = true;
    let mut unnamed = frame(vec![]);
    unnamed.unnamed.push(UnnamedUsage {
        cgroup: Some(cgroup('b').into()),
        cgroup_id: 0,
        delta: ran(&after, 5_000_000).delta,
    });
    let frames = vec![
        frame(vec![ran(&before, 0)]),
        frame(vec![ran(&before, 100_000_000)]),
        frame(vec![
            ended,
            ran(&after, 30_000_000),
            ran(&beside, 1_000_000),
        ]),
        unnamed,
        frame(vec![]),
    ];
    let mut monitor = Monitor::builder()
        .fake()
        .usage(UsageChoice::Source(Box::new(Scripted::frames(frames))))
        .build()
        .unwrap();
    let names = monitor.pod_names();
    monitor.sample().unwrap();
    let first = monitor.sample().unwrap();
    assert_eq!(the_pod(&first), (None, 100_000_000, State::Running));
    names.set("kubelet", PodTable::parse(&list(&[pod()])).unwrap());
    let second = monitor.sample().unwrap();
    assert_eq!(
        the_pod(&second),
        (Some("web-7f"), 151_000_000, State::Running)
    );
    for container in &second.containers {
        assert_eq!(container.container.name.as_deref(), Some("app"));
        assert_eq!(
            container.pod.as_ref().unwrap().namespace.as_deref(),
            Some("shop")
        );
    }
    assert_eq!(second.containers.len(), 2);
    let named =
        |p: &kepler_core::monitor::ProcessSnapshot| p.workload.pod.as_ref().unwrap().name.is_some();
    assert!(second.processes.iter().all(named));
    // An empty list, as a kubelet that starts gives: nothing is forgotten.
    names.set("kubelet", PodTable::parse(&list(&[])).unwrap());
    let third = monitor.sample().unwrap();
    assert_eq!(
        the_pod(&third),
        (Some("web-7f"), 156_000_000, State::Terminated)
    );
    names.fail("kubelet", "connection refused");
    let sources = monitor.sample().unwrap().sources.to_string();
    assert!(
        sources.contains("pod names: off (kubelet: connection refused)"),
        "{sources}"
    );
}

/// 2,000 pods as a kubelet tells them, with what charts usually put into them.
fn crowd() -> Vec<u8> {
    let pods: Vec<Value> = (0..2000_u32)
        .map(|i| {
            let mut pod = pod();
            pod["metadata"]["uid"] = format!("{i:08x}-1f0c-4f9e-8a11-0b2d8e7c5a33").into();
            pod["status"]["containerStatuses"][0]["containerID"] =
                format!("containerd://{i:064x}").into();
            pod
        })
        .collect();
    list(&pods)
}

#[test]
fn two_thousand_pods_are_read_whole() {
    let list = crowd();
    let before = Host::thread_cpu_time();
    let wall = Instant::now();
    let table = PodTable::parse(&list).unwrap();
    let cost = (
        Host::thread_cpu_time().saturating_sub(before),
        wall.elapsed(),
    );
    eprintln!("{} bytes, {cost:?}", list.len());
    assert_eq!(table.len(), 2000);
    assert!(table.container(&format!("{:064x}", 1999)).is_some());
}

#[test]
fn a_pod_that_stands_in_two_lists_is_read_once() {
    let named = |number: u32, restarts| {
        let mut pod = pod();
        pod["metadata"]["uid"] = format!("{number:08x}-1f0c-4f9e-8a11-0b2d8e7c5a33").into();
        let letter = char::from_digit(10 + number, 16).unwrap();
        pod["status"]["containerStatuses"] = json!([status("app", letter, restarts)]);
        pod["status"]["initContainerStatuses"] = json!([]);
        pod["status"]["ephemeralContainerStatuses"] = json!([]);
        pod
    };
    let mut lists = PodLists::default();
    let before = lists.next(&list(&[named(1, 0), named(2, 0), named(3, 0)]));
    let after = lists.next(&list(&[named(3, 0), named(2, 1), named(1, 0)]));
    let (before, after) = (before.unwrap(), after.unwrap());
    let same = [1, 2, 3].map(|number| {
        let uid = format!("{number:08x}-1f0c-4f9e-8a11-0b2d8e7c5a33");
        let of = |table: &PodTable| Arc::clone(&table.pod(&uid).unwrap().pod);
        Arc::ptr_eq(&of(&before), &of(&after))
    });
    assert_eq!(same, [true, false, true]);
}

/// A table's version and pods in order, and in which pod each of these containers is found.
fn told(table: &PodTable, letters: &str) -> (String, Vec<PodEntry>, Vec<Option<String>>) {
    let mut pods: Vec<PodEntry> = table.pods().cloned().collect();
    pods.sort_by(|a, b| a.pod.uid.cmp(&b.pod.uid));
    let holder = |letter| {
        let found = table.container(&id(letter));
        found.map(|(entry, _)| entry.pod.uid.to_string())
    };
    let holders = letters.chars().map(holder).collect();
    (table.version().to_owned(), pods, holders)
}

proptest! {
    /// Pods come and go, change, stand elsewhere in the next list, and begin alike; a list is broken in between.
    #[test]
    fn one_list_after_another_is_read_as_if_each_were_the_first(
        rounds in prop::collection::vec(
            (
                prop::collection::vec((0_u32..5, 0_u32..3, any::<bool>()), 0..6).prop_shuffle(),
                prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())),
                any::<bool>(),
            ),
            1..6,
        ),
    ) {
        let (mut lists, mut text) = (PodLists::default(), Vec::new());
        for (pods, damage, pretty) in rounds {
            let made = pods.into_iter().map(|(number, restarts, long)| {
                let mut pod = pod();
                pod["metadata"]["uid"] = format!("{number:08x}-1f0c-4f9e-8a11-0b2d8e7c5a33").into();
                let letter = char::from_digit(10 + number, 16).unwrap();
                pod["status"]["containerStatuses"] = json!([status("app", letter, restarts)]);
                if long {
                    pod["metadata"]["name"] = "x".repeat(200).into();
                }
                pod
            });
            let made = json!({"metadata": {"resourceVersion": "42"}, "items": made.collect::<Vec<_>>()});
            text.clear();
            let json = if pretty { format!("{made:#}") } else { made.to_string() };
            text.extend_from_slice(json.as_bytes());
            if let Some((at, byte)) = damage {
                let length = text.len();
                text[at.index(length)] = byte;
            }
            let alone = PodTable::parse(&text).map(|table| told(&table, "abcdef"));
            let after = lists.next(&text).map(|table| told(&table, "abcdef"));
            prop_assert_eq!(alone.map_err(|e| e.to_string()), after.map_err(|e| e.to_string()));
        }
    }

    #[test]
    fn no_answer_panics(
        cut in 0_usize..4000,
        at in 0_usize..4000,
        byte in any::<u8>(),
    ) {
        let mut text = list(&[pod(), pod()]);
        let at = at % text.len();
        text[at] = byte;
        text.truncate(cut.max(at));
        let _ = PodTable::parse(&text);
        let _ = PodTable::default().apply(&text);
    }
}
