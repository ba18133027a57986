//! What a server without arguments answers: the embedded models, and all that is told about them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::server::{JSON, Server};

fn request(weight: bool) -> Value {
    json!({
        "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "output_type": "AbsPower", "source": "acpi",
        "weight": weight, "node_type": 0, "machine_spec": { "processor": "intel_xeon_gold_6248", "cores": 40 },
    })
}

#[test]
fn without_arguments_the_embedded_models_are_served() {
    let server = Server::start(&[]);
    let best = server.get("/best-models?energy-source=acpi").json();
    assert_eq!(best["AbsPower"]["BPFOnly"], "SGDRegressorTrainer_0");
    let weights = server.post("/model", &request(true)).json();
    assert_eq!(weights["model_name"], "SGDRegressorTrainer_0");
    assert_eq!(weights["machine_spec"]["cores"], 40);
    let all = &weights["platform"]["All_Weights"];
    assert!(all["Bias_Weight"].as_f64().unwrap() > 10.0, "{weights}");

    let zip = server.post("/model", &request(false));
    assert_eq!(zip.header("content-type"), "application/zip");
    let wanted = "attachment; filename=SGDRegressorTrainer_0.zip";
    assert_eq!(zip.header("content-disposition"), wanted);
    assert_eq!(zip.header("cache-control"), "no-cache");
    assert!(zip.body.starts_with(b"PK"));
    let again = server.post("/model", &request(false));
    assert_eq!(
        (again.header("etag"), &again.body),
        (zip.header("etag"), &zip.body)
    );

    let list = server.get("/models").json();
    assert_eq!(list["total"], 4);
    for model in list["models"].as_array().unwrap() {
        let part = |key: &str| model[key].as_str().unwrap().to_owned();
        let place = ["pipeline", "source", "output_type", "group", "name"].map(part);
        let place = place.join("/");
        let card = server.get(&format!("/models/{place}")).json();
        assert_eq!(card["name"], model["name"]);
        let max = card["inputs"][0]["max"].as_f64().unwrap();
        let body =
            json!({ "model": place, "features": ["bpf_cpu_time_ms"], "rows": [[0.0], [max]] });
        let estimate = server.post("/estimate", &body).json();
        for figures in estimate["components"].as_object().unwrap().values() {
            let watts = |key: &str, row: usize| figures[key][row].as_f64().unwrap();
            assert!(watts("watts", 1) > watts("watts", 0), "{estimate}");
            assert!(watts("low", 1) <= watts("watts", 1) && watts("watts", 1) <= watts("high", 1));
        }
    }
    assert_eq!(
        server.get("/node-types").json(),
        json!({ "node_types": [] })
    );
    assert!(server.stop().success());
}

#[test]
fn errors_are_json_for_those_who_ask_for_it_and_pages_without_markup_otherwise() {
    let server = Server::start(&[]);
    let path = "/best-models?energy-source=%3Cscript%3E";
    let page = server.get(path);
    assert_eq!(
        (page.status, page.header("content-type")),
        (400, "text/html; charset=utf-8")
    );
    assert_eq!(
        page.text(),
        "failed to get best model list: '&lt;script&gt;'"
    );
    let json = server.ask("GET", path, "Accept: application/json\r\n", b"");
    assert_eq!(
        json.json()["error"],
        "failed to get best model list: '<script>'"
    );
    for (method, path, body, status) in [
        ("GET", "/nothing", "", 404),
        ("GET", "/model/", "", 404),
        ("DELETE", "/models", "", 405),
        ("POST", "/model", "{", 400),
        ("POST", "/model", "[]", 400),
        ("POST", "/estimate", "{\"rows\": 1}", 400),
        ("GET", "/models/a/acpi/AbsPower/b/c", "", 404),
        ("GET", "/models/a/b/c/d/%FF", "", 400),
        ("GET", "/models?limit=-1", "", 400),
    ] {
        let headers = format!("Accept: application/json\r\n{JSON}");
        let answer = server.ask(method, path, &headers, body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(!answer.json()["error"].as_str().unwrap().is_empty());
    }
    let answer = server.ask("POST", "/model", "Content-Type: text/plain\r\n", b"{}");
    assert_eq!(answer.status, 415);
    let vendor = "Content-Type: application/vnd.a+json; charset=utf-8\r\n";
    let answer = server.ask(
        "POST",
        "/model",
        vendor,
        request(true).to_string().as_bytes(),
    );
    assert_eq!(answer.status, 200);
}

#[test]
fn strict_and_compatible_rules_are_flags() {
    let server = Server::start(&["--strict", "--compat-node-type"]);
    let mut body = request(true);
    // Node type 0 is one, so that the client is not told what was chosen.
    let weights = server.post("/model", &body).json();
    assert!(weights.get("model_name").is_none(), "{weights}");
    body["colour"] = "red".into();
    let refused = server.post("/model", &body);
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("not known: colour"),
        "{}",
        refused.text()
    );
}

#[test]
fn methods_are_told() {
    let server = Server::start(&[]);
    for (path, allow) in [
        ("/best-models", "GET, HEAD, OPTIONS"),
        ("/model", "POST, OPTIONS"),
    ] {
        let options = server.ask("OPTIONS", path, "", b"");
        assert_eq!((options.status, options.header("allow")), (200, allow));
    }
    let head = server.ask("HEAD", "/best-models", "", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn the_page_and_the_document_are_there_and_the_document_is_true() {
    let server = Server::start(&[]);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, kind));
        // Nothing is fetched from elsewhere.
        assert!(
            !answer
                .text()
                .replace("http://www.w3.org/2000/svg", "")
                .contains("http"),
            "{path}"
        );
    }
    let document = server.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 12);
    for (path, methods) in paths {
        let example = path
            .replace("{pipeline}", "embedded")
            .replace("{source}", "acpi")
            .replace("{output_type}", "AbsPower")
            .replace("{group}", "BPFOnly")
            .replace("{name}", "SGDRegressorTrainer_0");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let status = server.ask(&method, &example, "", b"").status;
            let told = &methods[method.to_lowercase()]["responses"];
            assert!(
                told.get(status.to_string()).is_some(),
                "{method} {path}: {status}"
            );
            assert_ne!(status, 404, "{method} {path}");
        }
    }
}

#[test]
fn metrics_are_told_in_a_form_that_promtool_takes() {
    let server = Server::start(&[]);
    for _ in 0..3 {
        server.get("/best-models?energy-source=acpi");
    }
    server.get("/best-models?energy-source=moon");
    server.post("/model", &request(true));
    let body = json!({ "source": "acpi", "features": ["bpf_cpu_time_ms"], "rows": [[1.0]] });
    server.post("/estimate", &body);
    let metrics = server.get("/metrics");
    assert!(
        metrics
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let text = metrics.text();
    for line in [
        "kepler_model_server_request_duration_seconds_count{route=\"/best-models\",status=\"200\"} 3",
        "kepler_model_server_request_duration_seconds_count{route=\"/best-models\",status=\"400\"} 1",
        "kepler_model_server_models{pipeline=\"embedded\"} 4",
        "kepler_model_server_errors_total{at=\"request\"} 1",
        "kepler_model_server_model_requests_total{model=\"embedded/acpi/AbsPower/BPFOnly/SGDRegressorTrainer_0\",form=\"weights\"} 1",
        "kepler_model_server_model_requests_total{model=\"embedded/acpi/AbsPower/BPFOnly/SGDRegressorTrainer_0\",form=\"estimate\"} 1",
        "kepler_model_server_inference_seconds_total{model=",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // promtool reads the older text format: without the end mark, and with counters named as their samples are.
    let mut older = text.replace("# EOF\n", "");
    for line in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")) {
        if let Some(name) = line.strip_suffix(" counter") {
            for word in ["HELP", "TYPE"] {
                let (om, old) = (
                    format!("# {word} {name} "),
                    format!("# {word} {name}_total "),
                );
                older = older.replace(&om, &old);
            }
        }
    }
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(older.as_bytes()).unwrap();
    drop(stdin);
    let said = promtool.wait_with_output().unwrap();
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
}

#[test]
fn a_place_without_models_is_told_before_anything_is_served() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    let said = Command::new(env!("CARGO_BIN_EXE_kepler-model-server"))
        .args(["--listen", "127.0.0.1:0", "--models", path])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(1), "{text}");
    assert!(
        text.contains("pipeline of models") && text.contains(path),
        "{text}"
    );
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let server = Server::start(&[]);
    for path in [
        "/",
        "/page.js",
        "/openapi.json",
        "/models",
        "/best-models?energy-source=acpi",
    ] {
        let first = server.get(path);
        let tag = first.header("etag").to_owned();
        assert!(tag.len() > 2 && tag.starts_with('"'), "{path}: {tag}");
        for known in [&*tag, &format!("\"other\", W/{tag}"), "*"] {
            let header = format!("If-None-Match: {known}\r\n");
            let again = server.ask("GET", path, &header, b"");
            assert_eq!(
                (again.status, again.body.len()),
                (304, 0),
                "{path}: {known}"
            );
            assert_eq!(again.header("etag"), tag);
        }
        let other = server.ask("GET", path, "If-None-Match: \"other\"\r\n", b"");
        assert_eq!((other.status, other.body), (200, first.body));
        let head = server.ask("HEAD", path, "", b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    let wrong = server.ask("GET", "/models?limit=x", "If-None-Match: *\r\n", b"");
    assert_eq!(wrong.status, 400);
}
