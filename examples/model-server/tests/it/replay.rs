//! Every sampled request of the older server, over HTTP: statuses, headers and bodies.

use serde_json::Value;

use crate::server::{Server, shared};

#[test]
fn every_sampled_request_is_answered_as_the_older_server_did() {
    let Some(shared) = shared() else { return };
    let database = shared.join("data/kepler-model-db/v0.7");
    let pipelines = ["ec2-0.7.11.zip", "specpower-0.7.11.zip"].map(|name| {
        let path = database.join(name);
        path.to_str().unwrap().to_owned()
    });
    let server = Server::start(&[
        "--compat-node-type",
        "--models",
        &pipelines[0],
        "--models",
        &pipelines[1],
    ]);
    let samples = kepler_core::Host::default()
        .text(shared.join("conformance/model_server.jsonl"))
        .unwrap();
    let mut checked = 0;
    for line in samples.lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let name = sample["name"].as_str().unwrap();
        let kind = sample["request_content_type"].as_str();
        let headers = format!("Content-Type: {}\r\n", kind.unwrap_or("application/json"));
        // The text as it was sent: errors tell it back in its own order.
        let body = match (sample["raw_body"].as_str(), &sample["body"]) {
            (Some(raw), _) => raw,
            (None, Value::Null) => "",
            (None, _) => body_of(line),
        };
        let query = sample["query"].as_object().into_iter().flatten();
        let query: Vec<String> = query
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap()))
            .collect();
        let path = format!("{}?{}", sample["path"].as_str().unwrap(), query.join("&"));
        let method = sample["method"].as_str().unwrap();
        let answer = server.ask(method, &path, &headers, body.as_bytes());
        checked += 1;
        match sample["quirk"].as_str() {
            // Any filter refused every model; this one is met now.
            Some("filter_bug") if name.ends_with("features:bpf_cpu_time_ms") => {
                assert_eq!(answer.status, 200, "{name}");
                continue;
            }
            // What was not caught is a bad request.
            Some("filter_bug" | "unhandled_exception") => {
                assert_eq!(answer.status, 400, "{name}");
                continue;
            }
            other => assert_eq!(other, None, "{name}"),
        }
        assert_eq!(sample["status"], answer.status, "{name}");
        assert_eq!(
            sample["content_type"],
            answer.header("content-type"),
            "{name}"
        );
        if let Some(allow) = sample["allow"].as_str() {
            let sorted = |list: &str| {
                let mut list: Vec<String> = list.split(", ").map(str::to_owned).collect();
                list.sort();
                list
            };
            assert_eq!(sorted(allow), sorted(answer.header("allow")), "{name}");
        }
        if let Some(text) = sample["response_text"].as_str()
            && !text.starts_with("<!doctype")
        {
            // Samples of long texts are cut.
            assert!(answer.text().starts_with(text), "{name}: {}", answer.text());
        }
        if sample["content_type"] == "application/zip" && sample.get("acceptable_models").is_none()
        {
            let disposition = answer.header("content-disposition");
            assert_eq!(sample["content_disposition"], disposition, "{name}");
            assert!(!answer.header("etag").is_empty());
        }
        if let Some(wanted) = sample.get("response_json") {
            let (wanted, got) = (wanted.as_object().unwrap().clone(), answer.json());
            assert!(
                wanted.keys().eq(got.as_object().unwrap().keys()),
                "{name}: {got}"
            );
        }
    }
    assert_eq!(checked, 175);
}

/// The body's text within a sample's line.
fn body_of(line: &str) -> &str {
    let start = line.find("\"body\": ").unwrap() + "\"body\": ".len();
    let mut end = kepler_core::protocol::estimator::RequestEnd::default();
    let length = end.find(&line.as_bytes()[start..]).unwrap();
    &line[start..start + length]
}
