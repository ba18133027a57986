//! The server that manages itself: pulls, checks, reports and counts over HTTP.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::standin::{Reply, Standin};
use crate::{bytes, pipeline, program, run, sha256};

/// A running server; killed at the end.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(state: &Path, more: &[&str]) -> Self {
        let mut child = program()
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "-c",
                "/nonexistent",
                "--state",
            ])
            .arg(state)
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("it ended before it listened").unwrap();
            if let Some(at) = line
                .find("http://127.0.0.1:")
                .filter(|_| line.contains("listening"))
            {
                break line[at..].trim().to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        let request = request
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        let body = body.map_or_else(String::new, Value::to_string);
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let body = response.body_mut().read_to_vec().unwrap();
        let text = String::from_utf8_lossy(&body).into_owned();
        (
            response.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "", None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Ends it at once, whatever it does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    fn stop(mut self) {
        assert!(
            Command::new("kill")
                .arg(self.child.id().to_string())
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where models are published, and a manifest that expects `p` from there.
struct Published {
    server: Standin,
    folder: tempfile::TempDir,
}

impl Published {
    fn new(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let server = Standin::start(move |number, _| answer(number));
        let folder = tempfile::tempdir().unwrap();
        let manifest = json!({"models": [{"name": "p", "url": format!("{}/p.zip", server.url), "sha256": sha256(pipeline())}], "ollama": ["llama3.2:1b"]});
        std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
        Self { server, folder }
    }

    fn serve(&self, more: &[&str]) -> Server {
        let manifest = self.folder.path().join("manifest.json");
        let arguments = ["--manifest", manifest.to_str().unwrap(), "--tries", "1"];
        Server::start(
            &self.folder.path().join("state"),
            &[&arguments, more].concat(),
        )
    }
}

/// A request that the one model of the pipeline meets.
pub(crate) fn request() -> Value {
    json!({"metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "output_type": "AbsPower", "source": "rapl-sysfs", "weight": false})
}

#[test]
fn a_server_without_its_model_gets_it_by_a_check_and_tells_so() {
    let published = Published::new(|_| Reply::ok(pipeline()));
    let server = published.serve(&["--admin-token", "secret"]);
    assert_eq!(server.get("/api/models")["models"][0]["present"], false);
    assert_eq!(
        server.get("/api/ollama/models"),
        json!({"models": [{"name": "llama3.2:1b"}]})
    );

    let check = |more: &[&str]| {
        run(program()
            .args([
                "check",
                "--server",
                &server.url,
                "--test-inference",
                "--report-status",
            ])
            .args(more))
    };
    let (code, text) = check(&[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("admin token"), "{text}");
    let usage = server.get("/usage");
    assert_eq!(usage["health"]["kepler"]["healthy"], false);
    let (code, text) = check(&["--admin-token", "secret"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("missing: p; pulled: p; inference: p/rapl-sysfs/AbsPower/BPFOnly/LinearRegressionTrainer_0: package"), "{text}");

    assert_eq!(
        server.get("/models")["models"][0]["pipeline"],
        "p",
        "it is served without a restart"
    );
    let usage = server.get("/usage");
    assert_eq!(
        (
            &usage["models"]["p"]["pulls"],
            &usage["health"]["kepler"]["healthy"]
        ),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        usage["health"]["kepler"]["replicas"][0]["pulled"],
        json!(["p"])
    );
    let metrics = server.get("/metrics");
    assert!(
        metrics
            .as_str()
            .unwrap()
            .contains("check_healthy{kind=\"kepler\"} 1"),
        "{metrics}"
    );

    // It is there after a restart, with nothing fetched again.
    server.stop();
    let server = published.serve(&[]);
    assert_eq!(server.get("/models")["models"][0]["pipeline"], "p");
    assert_eq!(
        (
            server.get("/usage")["models"]["p"]["pulls"].clone(),
            published.server.heard().len()
        ),
        (json!(1), 1)
    );
}

#[test]
fn the_admin_token_goes_beside_a_password() {
    let published = Published::new(|_| Reply::ok(pipeline()));
    let [web, token] = ["web.yml", "token"].map(|name| {
        let path = published.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    });
    // The bcrypt hash of `secret`, by glibc.
    let users =
        "basic_auth_users: {alice: $2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW}";
    std::fs::write(&web, users).unwrap();
    std::fs::write(&token, "open sesame\n").unwrap();
    let server = published.serve(&["--web.config.file", &web, "--admin-token-file", &token]);
    let url = server.url.replace("://", "://alice:secret@");
    let (code, text) = run(program().args(["check", "--server", &url]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("an admin token is needed"), "{text}");
    let (code, text) = run(program().args(["check", "--server", &url, "--admin-token", "guess"]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("this is not the admin token"), "{text}");
    let with_token = ["check", "--server", &url, "--admin-token-file", &token];
    let (code, text) = run(program().args(with_token));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("pulled: p"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    let (code, text) = run(program().args(["check", "--server", &server.url]));
    assert!(code == 1 && text.contains("HTTP 401"), "{text}");
    std::fs::write(&token, " \n").unwrap();
    let (code, text) = run(program().args(with_token));
    assert!(code == 1 && text.contains("expected a token"), "{text}");
}

#[test]
fn what_cannot_be_pulled_leaves_the_old_models_served() {
    // Spoiled on disk after the start, so that it has to be fetched anew; what comes is poisoned, then nothing does.
    let published = Published::new(|number| match number {
        0 => Reply::ok(pipeline()),
        1 => Reply::ok("<html>sign in first</html>"),
        _ => Reply::status(500),
    });
    let server = published.serve(&["--admin-token", "secret"]);
    let pull = || {
        server.ask(
            "POST",
            "/api/models/pull",
            "secret",
            Some(&json!({"name": "p"})),
        )
    };
    assert_eq!(pull().0, 200);
    let file = published.folder.path().join("state/models/p.zip");
    std::fs::remove_file(&file).unwrap();
    for says in ["not", "HTTP 500"] {
        let (status, body) = pull();
        assert_eq!(status, 502, "{body}");
        assert!(body["error"].as_str().unwrap().contains(says), "{body}");
        assert_eq!(server.get("/models")["models"][0]["pipeline"], "p");
        assert_eq!(server.ask("POST", "/model", "", Some(&request())).0, 200);
    }
    assert_eq!(server.get("/usage")["models"]["p"]["errors"], 2);
    assert_eq!(
        server
            .ask(
                "POST",
                "/api/models/pull",
                "secret",
                Some(&json!({"name": "q"}))
            )
            .0,
        404
    );
}

#[test]
fn a_server_is_ready_when_its_first_models_are_there_or_cannot_be_had() {
    for (there, models) in [(true, 1), (false, 0)] {
        let asked = Arc::new(AtomicBool::new(false));
        let wait = Arc::clone(&asked);
        let published = Published::new(move |_| {
            while !wait.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            match there {
                true => Reply::ok(pipeline()),
                false => Reply::status(404),
            }
        });
        let server = published.serve(&["--check-interval", "1h"]);
        let (status, body) = server.ask("GET", "/ready", "", None);
        assert!(
            status == 503 && body.to_string().contains("being fetched"),
            "{body}"
        );
        asked.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        while server.ask("GET", "/ready", "", None).0 != 200 {
            assert!(begun.elapsed() < Duration::from_secs(50));
            std::thread::sleep(Duration::from_millis(50));
        }
        let served = server.get("/models?pipeline=p");
        assert_eq!(served["models"].as_array().unwrap().len(), models);
    }
}

#[test]
fn pipelines_are_named_by_urls_and_one_that_cannot_be_had_is_left_out() {
    let published = Published::new(|number| match number {
        0 => Reply::ok(pipeline()),
        _ => Reply::status(500),
    });
    let state = published.folder.path().join("state");
    let url = format!("{}/p.zip", published.server.url);
    // A port that no program of today listens on.
    let away = "http://127.0.0.1:1/q.zip";
    for _ in 0..2 {
        let server = Server::start(
            &state,
            &["--models", away, "--models", &url, "--tries", "1"],
        );
        let pipelines = server.get("/models")["models"].clone();
        let pipelines = pipelines
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["pipeline"].clone());
        assert_eq!(pipelines.collect::<Vec<_>>(), ["p"]);
        // It is expected, so that a check tells of it; what came once is not fetched again.
        let expected = server.get("/api/models")["models"].clone();
        assert_eq!(
            (&expected[0]["name"], &expected[0]["present"]),
            (&json!("q"), &json!(false))
        );
        assert_eq!(
            (&expected[1]["name"], &expected[1]["present"]),
            (&json!("p"), &json!(true))
        );
        assert_eq!(published.server.heard().len(), 1);
        server.stop();
    }
}

#[test]
fn a_server_checks_itself() {
    let published = Published::new(|number| {
        if number == 0 {
            Reply::status(503)
        } else {
            Reply::ok(pipeline())
        }
    });
    let server = published.serve(&["--check-interval", "1s", "--test-inference"]);
    let begun = Instant::now();
    let health = loop {
        let health = server.get("/usage")["health"]["kepler"].clone();
        if health["healthy"] == true {
            break health;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{health}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(
        health["replicas"][0]["inference"]
            .as_str()
            .unwrap()
            .contains("package"),
        "{health}"
    );
    assert_eq!(server.get("/models")["models"][0]["pipeline"], "p");
}

#[test]
fn use_is_counted_kept_and_forgotten_by_an_administrator_only() {
    let published = Published::new(|_| Reply::ok(pipeline()));
    std::fs::create_dir_all(published.folder.path().join("state/models")).unwrap();
    std::fs::write(
        published.folder.path().join("state/models/p.zip"),
        pipeline(),
    )
    .unwrap();
    let model = "p/rapl-sysfs/AbsPower/BPFOnly/LinearRegressionTrainer_0";
    let server = published.serve(&[]);
    for _ in 0..3 {
        assert_eq!(server.ask("POST", "/model", "", Some(&request())).0, 200);
    }
    let rows = json!({"model": model, "features": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "rows": [[1000, 0]]});
    assert_eq!(server.ask("POST", "/estimate", "", Some(&rows)).0, 200);
    let counts = |server: &Server| {
        let used = server.get("/usage")["models"][model].clone();
        assert!(used.is_null() || used["last_used"].is_string(), "{used}");
        (used["requests"].as_u64(), used["inferences"].as_u64())
    };
    assert_eq!(counts(&server), (Some(4), Some(1)));
    let (status, body) = server.ask("POST", "/usage/reset", "guess", None);
    assert!(
        status == 403
            && body["error"]
                .as_str()
                .unwrap()
                .contains("without an admin token"),
        "{body}"
    );
    server.stop();

    let server = published.serve(&["--admin-token", "secret"]);
    assert_eq!(counts(&server), (Some(4), Some(1)), "kept over a restart");
    let exported = server.get("/usage");
    for (token, code) in [("guess", 403), ("secret", 200)] {
        assert_eq!(server.ask("POST", "/usage/reset", token, None).0, code);
    }
    assert_eq!(counts(&server), (None, None));
    assert_eq!(
        server
            .ask("POST", "/usage/import", "secret", Some(&exported))
            .0,
        200
    );
    assert_eq!(counts(&server), (Some(4), Some(1)));
    assert_eq!(server.ask("DELETE", "/usage", "secret", None).0, 405);
    assert_eq!(
        server
            .ask("POST", "/api/health/report", "", Some(&json!({"kind": 3})))
            .0,
        400
    );
    // One report of each kind, and no more believed than its replicas show.
    for (kind, replicas) in [
        ("kepler", json!([])),
        (
            "ollama",
            json!([{"address": "a", "reachable": true, "pulled": ["llama3.2:1b", "stranger"]}]),
        ),
    ] {
        let report = json!({"kind": kind, "server": "s", "checked": "then", "healthy": true, "replicas": replicas});
        let (status, body) = server.ask("POST", "/api/health/report", "", Some(&report));
        assert_eq!(status, 200, "{body}");
    }
    let usage = server.get("/usage");
    let health = &usage["health"];
    assert_eq!(health["kepler"]["healthy"], false, "{health}");
    assert_eq!(health["ollama"]["healthy"], true, "{health}");
    // Of what an Ollama host pulled, what it was expected to.
    assert_eq!(usage["models"]["llama3.2:1b"]["pulls"], 1, "{usage}");
    assert!(usage["models"]["stranger"].is_null(), "{usage}");
}

#[test]
fn extreme_times_are_times_like_others() {
    let published = Published::new(|_| Reply::ok(pipeline()));
    let server = published.serve(&["--check-interval", "18446744073709551615s"]);
    let begun = Instant::now();
    while server.get("/usage")["health"]["kepler"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(50));
    }
    server.stop();
}

#[test]
fn a_second_server_does_not_share_a_file() {
    let published = Published::new(|_| Reply::ok(pipeline()));
    let _first = published.serve(&[]);
    let state = published.folder.path().join("state");
    let (code, text) = run(program()
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "-c",
            "/nonexistent",
            "--state",
        ])
        .arg(&state));
    assert_eq!(code, 1);
    assert!(text.contains("another process counts here"), "{text}");
    assert!(!bytes(&state.join("usage.db")).is_empty());
}
