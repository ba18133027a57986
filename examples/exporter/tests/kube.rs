//! Pod names from a server that plays kubelet and API server, also as no healthy cluster does.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod cluster;
mod program;
mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use cluster::{NODE, Server, pod};
use program::{Machine, command};

/// What is written about a pod under `name`.
fn shows(text: &str, name: &str) -> bool {
    text.lines().any(|l| {
        l.starts_with("kepler_pod_cpu_seconds_total") && l.contains(&format!("pod_name=\"{name}\""))
    })
}

fn is_attached(text: &str) -> Option<bool> {
    let line = text
        .lines()
        .find(|l| l.starts_with("kepler_exporter_part_attached{part=\"pod names\"}"))?;
    Some(line.ends_with(" 1"))
}

#[test]
fn the_kubelet_names_pods_and_a_rotated_token_is_read_again() {
    let (machine, server) = (Machine::new(), Server::start());
    machine.process(7, "u1", 'a');
    server.set(|world| world.pods = vec![pod("web", "u1", "nginx", 'a', 1)]);
    let exporter = program::exporter(
        &machine,
        &server,
        "kubelet",
        &["--kube.pod-informer.poll-interval=200ms"],
    );
    let text = exporter.metrics_once(|text| shows(text, "web"));
    assert!(text.contains("container_name=\"nginx\""));
    assert_eq!(is_attached(&text), Some(true));
    // The token that was good is good no longer; sampling goes on, and what is known stays known.
    server.set(|world| world.token = "second".into());
    let text = exporter.metrics_once(|text| is_attached(text) == Some(false));
    assert!(shows(&text, "web"));
    server.write_token("second");
    exporter.metrics_once(|text| is_attached(text) == Some(true));
    let said = exporter.said();
    assert!(
        said.contains("answered 401 the credentials are not accepted"),
        "{said}"
    );
    assert!(said.contains("kubelet answers again"), "{said}");
    server.set(|world| {
        assert!(
            world
                .asked
                .iter()
                .all(|path| path == "/pods" || path == &format!("/api/v1/nodes/{NODE}"))
        );
    });
}

#[test]
fn a_container_that_nobody_knows_is_asked_for_a_few_times_and_no_more() {
    let (machine, server) = (Machine::new(), Server::start());
    let exporter = program::exporter(
        &machine,
        &server,
        "kubelet",
        &["--kube.pod-informer.poll-interval=10m"],
    );
    let polls = || server.get(|world| world.asked.iter().filter(|path| *path == "/pods").count());
    exporter.metrics_once(|_| polls() == 1);
    // One that the kubelet tells of as soon as it is asked, and a sandbox, of which it never tells.
    server.set(|world| world.pods = vec![pod("late", "u1", "app", 'a', 1)]);
    machine.process(7, "u1", 'a');
    machine.process(8, "u1", 'b');
    exporter.metrics_once(|text| shows(text, "late"));
    std::thread::sleep(Duration::from_secs(12));
    assert!((2..=3).contains(&polls()), "{}", polls());
}

#[test]
fn what_is_shown_folded_is_named_and_shared_all_the_same() {
    let (machine, server) = (Machine::new(), Server::start());
    let shared = tempfile::tempdir().unwrap();
    machine.virtual_machine(9, "web");
    let exporter = program::exporter(
        &machine,
        &server,
        "kubelet",
        &[
            "--metrics.top=0",
            "--kube.pod-informer.poll-interval=10m",
            &format!("--vm.share={}", shared.path().display()),
        ],
    );
    let polls = || server.get(|world| world.asked.iter().filter(|path| *path == "/pods").count());
    exporter.metrics_once(|_| polls() == 1);
    machine.process(7, "u1", 'a');
    exporter.metrics_once(|_| polls() > 1);
    let of = |vm: &str| shared.path().join(vm).join("class/powercap/intel-rapl:0");
    exporter.metrics_once(|_| of("web").exists());
    assert_eq!(shared.path().read_dir().unwrap().count(), 1);
}

#[test]
fn people_see_pods_with_their_names_and_where_containers_are() {
    let (machine, server) = (Machine::new(), Server::start());
    machine.process(7, "u1", 'a');
    server.set(|world| world.pods = vec![pod("web", "u1", "nginx", 'a', 1)]);
    let tables = |level: &str| {
        let mut top = command(&machine, &server);
        top.args(["top", "-d", "200ms", "-n", "2", "--level", level]);
        let output = top.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        text.trim_end().rsplit("\n\n").next().unwrap().to_owned()
    };
    let ends = |text: &str, row: &[&str]| {
        let mut words = text.lines().map(|line| line.split_whitespace());
        let found = words.any(|words| words.collect::<Vec<_>>().ends_with(row));
        assert!(found, "{row:?}: {text}");
    };
    let pods = tables("pod");
    assert!(pods.contains("1 containers, 1 pods"), "{pods}");
    ends(&pods, &["web", "shop"]);
    ends(&tables("container"), &["nginx", "shop/web"]);
    ends(&tables("process"), &["app", "shop/web/nginx"]);
    let prints = |format: &str, wanted: &dyn Fn(&str) -> bool| {
        let mut printing = command(&machine, &server)
            .args(["--no-exporter.prometheus", "--monitor.interval=100ms"])
            .args(["--exporter.stdout", "--exporter.stdout.format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(printing.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok).take(3000);
        let found = lines.any(|line| wanted(&line));
        printing.kill().unwrap();
        printing.wait().unwrap();
        assert!(found, "{format}");
    };
    let uid = cluster::uid("u1");
    prints("table", &|line| {
        line.starts_with("web ") && line.ends_with(&uid)
    });
    prints("json", &|line| {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        sample["pods"][0]["pod"]["name"] == "web"
    });
}

#[test]
fn a_list_that_stops_halfway_is_asked_for_anew() {
    for mode in ["kubelet", "apiserver"] {
        let (machine, server) = (Machine::new(), Server::start());
        machine.process(7, "u1", 'a');
        server.set(|world| {
            world.pods = vec![pod("web", "u1", "nginx", 'a', 1)];
            world.stall = true;
        });
        let exporter = program::exporter(&machine, &server, mode, &[]);
        exporter.metrics_once(|text| shows(text, "web"));
        assert!(!server.get(|world| world.stall), "{mode}");
        assert!(exporter.said().contains("timeout"), "{mode}");
    }
}

#[test]
fn a_server_that_is_not_vouched_for_is_not_shown_the_token() {
    let (machine, server) = (Machine::new(), Server::start());
    let other = Server::start();
    let authority = other.authority();
    let exporter = program::exporter(
        &machine,
        &server,
        "kubelet",
        &["--kube.kubelet-ca", authority.to_str().unwrap()],
    );
    exporter.metrics_once(|text| is_attached(text) == Some(false));
    let said = exporter.said();
    assert!(said.contains("--kube.kubelet-ca"), "{said}");
    assert!(!server.get(|world| world.asked.iter().any(|path| path == "/pods")));
}

#[test]
fn the_api_server_tells_of_changes_and_an_expired_version_is_listed_anew() {
    let (machine, server) = (Machine::new(), Server::start());
    machine.process(7, "u1", 'a');
    machine.process(8, "u2", 'b');
    server.set(|world| world.pods = vec![pod("first", "u1", "app", 'a', 1)]);
    let exporter = program::exporter(&machine, &server, "apiserver", &[]);
    exporter.metrics_once(|text| shows(text, "first"));
    server.event("ADDED", &pod("second", "u2", "app", 'b', 7));
    exporter.metrics_once(|text| shows(text, "second"));
    // The watch ends and goes on from the last version; a version that is too old is told in an event or as an answer.
    let watched = |wanted: usize| {
        let begun = Instant::now();
        while server.get(|world| world.watched.len()) < wanted {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(20));
        }
        server.get(|world| world.watched[wanted - 1].clone())
    };
    assert_eq!(watched(1), "100");
    server.end_watch();
    assert_eq!(watched(2), "7");
    for (place, expire) in [(3, "event"), (4, "answer")] {
        machine.process(
            10 + place,
            &format!("u{place}"),
            char::from_digit(place, 16).unwrap(),
        );
        let name = format!("after-{expire}");
        let listed = pod(
            &name,
            &format!("u{place}"),
            "app",
            char::from_digit(place, 16).unwrap(),
            1,
        );
        server.set(|world| {
            world.pods.push(listed);
            world.gone = expire == "answer";
        });
        match expire {
            "event" => server.event(
                "ERROR",
                &serde_json::json!({"kind": "Status", "code": 410, "message": "too old"}),
            ),
            _ => server.end_watch(),
        }
        exporter.metrics_once(|text| shows(text, &name));
    }
    server.set(|world| {
        for path in world.asked.iter().filter(|path| path.contains("/pods")) {
            assert!(
                path.contains(&format!("fieldSelector=spec.nodeName%3D{NODE}&")),
                "{path}"
            );
        }
    });
}

#[test]
fn answers_that_are_none_do_no_harm() {
    let (machine, server) = (Machine::new(), Server::start());
    let exporter = program::exporter(
        &machine,
        &server,
        "kubelet",
        &["--kube.pod-informer.poll-interval=200ms"],
    );
    exporter.metrics_once(|text| is_attached(text) == Some(true));
    for nonsense in ["<html>", "{\"items\": [", "{\"kind\": \"Status\"}", ""] {
        server.set(|world| world.nonsense = Some(nonsense.to_owned()));
        exporter.metrics_once(|text| is_attached(text) == Some(false));
        server.set(|world| world.nonsense = None);
        exporter.metrics_once(|text| is_attached(text) == Some(true));
    }
}
