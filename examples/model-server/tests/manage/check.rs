//! `check` against hosts that have models, lack them, or are away.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::standin::{Reply, Request, Standin};
use crate::{program, run};

fn check(args: &[&str], settings: &[(&str, &str)]) -> (i32, String) {
    run(program()
        .arg("check")
        .args(args)
        .envs(settings.iter().copied()))
}

/// Speaks as an Ollama host does; what is pulled is there afterwards.
fn ollama(present: &[&str]) -> Standin {
    let present: Mutex<Vec<String>> = Mutex::new(present.iter().map(|n| (*n).to_owned()).collect());
    Standin::start(move |_, request| host(&present, request))
}

fn host(present: &Mutex<Vec<String>>, request: &Request) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let mut present = present.lock().unwrap();
    match (&*request.method, &*request.path) {
        ("GET", "/api/tags") => {
            let model =
                |name: &String| json!({"name": name, "model": name, "size": 1, "digest": "d"});
            Reply::ok(json!({"models": present.iter().map(model).collect::<Vec<_>>()}).to_string())
        }
        ("POST", "/api/pull") if body["model"] == "gone:latest" => Reply::ok(
            "{\"status\":\"pulling manifest\"}\n{\"error\":\"pull model manifest: file does not exist\"}\n",
        ),
        ("POST", "/api/pull") => {
            assert_eq!(body["stream"], true);
            present.push(body["model"].as_str().unwrap().to_owned());
            Reply::ok(
                "{\"status\":\"pulling manifest\"}\n{\"status\":\"downloading\",\"total\":9,\"completed\":9}\n{\"status\":\"success\"}\n",
            )
        }
        ("POST", "/api/generate") => {
            assert_eq!(body["stream"], false);
            let name = body["model"].as_str().unwrap();
            if !present.iter().any(|p| p == name) {
                return Reply {
                    body: br#"{"error":"model not found"}"#.to_vec(),
                    ..Reply::status(404)
                };
            }
            Reply::ok(json!({"model": name, "response": "yes", "done": true}).to_string())
        }
        _ => Reply::status(404),
    }
}

/// Tells what Ollama hosts should have, and takes reports.
fn manager(expected: &'static str) -> Standin {
    Standin::start(move |_, request| match (&*request.method, &*request.path) {
        ("GET", "/api/ollama/models") => Reply::ok(expected),
        ("POST", "/api/health/report") => Reply::ok("{}"),
        _ => Reply::status(404),
    })
}

#[test]
fn a_missing_model_of_an_ollama_host_is_pulled_tried_and_reported() {
    let manager = manager(r#"{"models":[{"name":"llama3.2:1b"},"all-minilm"]}"#);
    let host = ollama(&["all-minilm:latest"]);
    let settings = [
        ("OLLAMA_URL", &*host.url),
        ("MODEL_MANAGER_URL", &*manager.url),
        ("TEST_INFERENCE", "true"),
        ("REPORT_STATUS", "True"),
    ];
    let (code, text) = check(&["--kind", "ollama"], &settings);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 of 2 models present; missing: llama3.2:1b; pulled: llama3.2:1b; inference: llama3.2:1b: \"yes\""), "{text}");
    let report: Value = serde_json::from_slice(&manager.heard()[1].body).unwrap();
    assert_eq!(
        (&report["kind"], &report["healthy"]),
        (&json!("ollama"), &json!(true))
    );
    assert_eq!(report["replicas"][0]["pulled"], json!(["llama3.2:1b"]));
    let (code, text) = check(&["--kind", "ollama"], &settings);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 of 2 models present; inference"), "{text}");
}

#[test]
fn without_auto_pull_a_missing_model_is_named_and_left() {
    let (manager, host) = (manager(r#"{"models":["a","b"]}"#), ollama(&["a:latest"]));
    let settings = [
        ("OLLAMA_URL", &*host.url),
        ("MODEL_MANAGER_URL", &*manager.url),
        ("AUTO_PULL", "false"),
    ];
    let (code, text) = check(&["--kind", "ollama", "--json"], &settings);
    assert_eq!(code, 1, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["replicas"][0]["missing"], json!(["b:latest"]));
    assert!(host.heard().iter().all(|r| r.path == "/api/tags"));
    assert_eq!(manager.heard().len(), 1, "nothing was reported");
}

#[test]
fn a_pull_that_fails_and_hosts_that_are_away_are_not_healthy() {
    let (manager, host) = (manager(r#"{"models":["gone"]}"#), ollama(&[]));
    // A port that no program of today listens on, and that nobody is given by chance.
    let away = "127.0.0.1:1".to_owned();
    let known = [
        ("OLLAMA_URL", &*host.url),
        ("MODEL_MANAGER_URL", &*manager.url),
    ];
    let (code, text) = check(&["--kind", "ollama"], &known);
    assert_eq!(code, 1);
    assert!(
        text.contains("pull of gone:latest") && text.contains("file does not exist"),
        "{text}"
    );
    for (settings, says) in [
        (
            [("OLLAMA_URL", &*away), ("MODEL_MANAGER_URL", &*manager.url)],
            &*away,
        ),
        (
            [("OLLAMA_URL", &*host.url), ("MODEL_MANAGER_URL", &*away)],
            &*away,
        ),
        (
            [
                ("OLLAMA_URL", "http://no.such.host.invalid:1"),
                ("MODEL_MANAGER_URL", &*manager.url),
            ],
            "no.such.host.invalid",
        ),
    ] {
        let (code, text) = check(&["--kind", "ollama"], &settings);
        assert_eq!(code, 1, "{text}");
        assert!(
            text.contains(says) && text.contains("not healthy"),
            "{text}"
        );
    }
    let (code, text) = check(&[], &[]);
    assert_eq!(code, 1);
    assert!(text.contains("MODEL_SERVER_URL"), "{text}");
}

/// Speaks as our own server does.
fn kepler(address: &str, has: bool) -> std::io::Result<Standin> {
    let (has, polled) = (Mutex::new(has), Mutex::new(0));
    Standin::at(address, move |_, request| {
        let mut has = has.lock().unwrap();
        match (&*request.method, &*request.path) {
            ("GET", "/api/models") => {
                let model = json!({"name": "ec2", "url": "https://x/ec2.zip", "present": *has});
                Reply::ok(json!({"models": [model]}).to_string())
            }
            ("POST", "/api/models/pull") if request.header("x-admin-token") == Some("secret") => {
                // The first request leaves before the pull is done.
                let mut polled = polled.lock().unwrap();
                *polled += 1;
                if *polled == 1 {
                    return Reply {
                        body: b"{}".to_vec(),
                        ..Reply::status(202)
                    };
                }
                *has = true;
                Reply::ok("{}")
            }
            ("POST", "/api/models/pull") => Reply {
                body: br#"{"error":"needs a token"}"#.to_vec(),
                ..Reply::status(401)
            },
            ("POST", "/api/models/test") => Reply::ok(r#"{"inference":"package 93.1 W"}"#),
            ("POST", "/api/health/report") => Reply::ok("{}"),
            _ => Reply::status(404),
        }
    })
}

#[test]
fn a_model_server_is_asked_to_pull_what_it_lacks() {
    let server = kepler("127.0.0.1:0", false).unwrap();
    let port = server.port.to_string();
    let settings = [
        ("MODEL_SERVER_URL", "127.0.0.1"),
        ("MODEL_SERVER_PORT", &*port),
    ];
    let (code, text) = check(&[], &settings);
    assert_eq!(code, 1);
    assert!(
        text.contains("needs a token") && text.contains("--admin-token"),
        "{text}"
    );
    let (code, text) = check(
        &[
            "--admin-token",
            "secret",
            "--test-inference",
            "--report-status",
        ],
        &settings,
    );
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("missing: ec2; pulled: ec2; inference: package 93.1 W"),
        "{text}"
    );
    assert_eq!(server.heard().last().unwrap().path, "/api/health/report");
}

#[test]
fn every_address_behind_a_name_is_visited() {
    let first = kepler("127.0.0.1:0", true).unwrap();
    let second = kepler(&format!("[::1]:{}", first.port), false);
    let mut both = std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 1)).unwrap();
    let (Ok(second), true) = (second, both.any(|a| a.is_ipv6())) else {
        // Whether the name has both addresses is the machine's choice, also in CI.
        eprintln!("skipped: localhost has one address here; it needs ::1");
        return;
    };
    let url = format!("http://localhost:{}", first.port);
    let (code, text) = check(&["--server", &url, "--auto-pull=false", "--json"], &[]);
    assert_eq!(code, 1, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let present = |n: usize| {
        (
            report["replicas"][n]["address"].clone(),
            report["replicas"][n]["present"].clone(),
        )
    };
    assert_eq!(
        present(0),
        (json!(format!("127.0.0.1:{}", first.port)), json!(1))
    );
    assert_eq!(
        present(1),
        (json!(format!("[::1]:{}", second.port)), json!(0))
    );
    let hosts: Arc<[_]> = [first.heard(), second.heard()].concat().into();
    assert!(
        hosts
            .iter()
            .all(|r| r.header("host").unwrap().starts_with("localhost"))
    );
}
