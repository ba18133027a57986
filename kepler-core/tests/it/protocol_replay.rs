//! What the older model server was asked and answered, asked again.

use std::io::{Cursor, Read};
use std::sync::OnceLock;

use kepler_core::model::ModelRegistry;
use kepler_core::protocol::{BestQuery, Catalog, ModelAnswer, ModelQuery, Refusal, Rules};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::shared;

/// Both pipelines of the public database.
pub(crate) fn public() -> Option<&'static Catalog> {
    static CATALOG: OnceLock<Option<Catalog>> = OnceLock::new();
    let open = || {
        let folder = shared::database()?.join("v0.7");
        let mut registry = ModelRegistry::open(folder.join("ec2-0.7.11.zip")).unwrap();
        registry.add(&folder.join("specpower-0.7.11.zip")).unwrap();
        Some(Catalog::new(registry))
    };
    CATALOG.get_or_init(open).as_ref()
}

/// The older server's rules: node type 0 is one.
const OLD: Rules = Rules {
    strict: false,
    compat_node_type: true,
};

fn ask(catalog: &Catalog, body: &[u8], rules: Rules) -> Result<ModelAnswer, Refusal> {
    let (_, answer) = catalog.answer(&ModelQuery::parse(body, rules)?)?;
    Ok(answer)
}

/// Samples of a path and method; those with bodies that are no JSON are of the server, not of the protocol.
fn samples(method: &str, path: &str) -> Option<Vec<Value>> {
    let mut samples = shared::conformance("model_server.jsonl")?;
    samples.retain(|s| s["method"] == method && s["path"] == path && s["status"] != 415);
    Some(samples)
}

#[test]
fn models_are_answered_as_before_and_slips_are_refused_with_reasons() {
    let (Some(catalog), Some(samples)) = (public(), samples("POST", "/model")) else {
        return;
    };
    let mut seen = [0; 4];
    for sample in samples {
        let name = sample["name"].as_str().unwrap();
        let body = match sample["raw_body"].as_str() {
            Some(raw) => raw.to_owned(),
            None => sample["body"].to_string(),
        };
        let answer = ask(catalog, body.as_bytes(), OLD);
        match (sample["quirk"].as_str(), sample["status"].as_u64().unwrap()) {
            // Filters refused every model; the one that makes sense finds one, the other is refused as nonsense.
            (Some("filter_bug"), _) if name.contains("features:bpf_cpu_time_ms") => {
                let Ok(ModelAnswer::Zip { bytes, .. }) = answer else {
                    panic!("{name}: {answer:?}")
                };
                let features = &member(&bytes, "metadata.json")["features"];
                assert!(
                    features
                        .as_array()
                        .unwrap()
                        .contains(&json!("bpf_cpu_time_ms"))
                );
                seen[0] += 1;
            }
            // What the older server died of is a bad request.
            (Some(_), 500) => {
                let refusal = answer.unwrap_err();
                assert_eq!(refusal.status, 400, "{name}: {refusal}");
                assert!(!refusal.reason.is_empty() && !refusal.known);
                seen[0] += 1;
            }
            (None, 400) => {
                let refusal = answer.unwrap_err();
                let wanted = sample["response_text"].as_str().unwrap();
                assert_eq!(refusal.status, 400);
                assert!(refusal.known, "{name}");
                // serde_json sorts the keys of samples, and long ones are cut: the end tells enough there.
                if let Some(body) = wanted.strip_suffix(" at the moment") {
                    let mut said: Vec<char> = refusal.reason.chars().collect();
                    let mut wanted: Vec<char> = format!("{body} at the moment").chars().collect();
                    said.sort_unstable();
                    wanted.sort_unstable();
                    assert_eq!(said, wanted, "{name}: {refusal}");
                }
                seen[1] += 1;
            }
            (None, 200) if sample["content_type"] == "application/json" => {
                let Ok(ModelAnswer::Weights(text)) = answer else {
                    panic!("{name}: {answer:?}")
                };
                let got: Value = serde_json::from_str(&text).unwrap();
                assert!(same(&got, &sample["response_json"]), "{name}: {got}");
                seen[2] += 1;
            }
            (None, 200) => {
                let Ok(ModelAnswer::Zip { name: file, bytes }) = answer else {
                    panic!("{name}: {answer:?}")
                };
                zip_is(&sample, &file, &bytes);
                seen[3] += 1;
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(seen, [10, 16, 62, 58]);
}

fn zip_is(sample: &Value, file: &str, bytes: &[u8]) {
    let name = sample["name"].as_str().unwrap();
    let wanted = sample["content_disposition"].as_str().unwrap();
    if wanted != format!("attachment; filename={file}") {
        let acceptable = sample["acceptable_models"].as_array();
        let acceptable = acceptable.unwrap_or_else(|| panic!("{name}: {file}"));
        let model = json!(file.trim_end_matches(".zip"));
        assert!(acceptable.contains(&model), "{name}: {file}");
        return;
    }
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let wanted = sample["zip_members"].as_object().unwrap();
    assert_eq!(zip.len(), wanted.len(), "{name}");
    for (member, facts) in wanted {
        let mut content = Vec::new();
        let mut entry = zip.by_name(member).unwrap();
        entry.read_to_end(&mut content).unwrap();
        if member == "metadata.json" {
            let metadata: Value = serde_json::from_slice(&content).unwrap();
            assert!(
                same(&metadata, &sample["zip_metadata"]),
                "{name}: {metadata}"
            );
        } else {
            let hash: String = Sha256::digest(&content)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(json!(hash), facts["sha256"], "{name}: {member}");
        }
    }
}

fn member(zip: &[u8], name: &str) -> Value {
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    serde_json::from_reader(zip.by_name(name).unwrap()).unwrap()
}

/// Equal, where 96 and 96.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(v, w)| same(v, w))
        }
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() <= 0.0
        }
        _ => a == b,
    }
}

#[test]
fn best_models_are_as_before() {
    let (Some(catalog), Some(samples)) = (public(), samples("GET", "/best-models")) else {
        return;
    };
    let mut seen = [0; 2];
    for sample in samples {
        let name = sample["name"].as_str().unwrap();
        let items = sample["query"].as_object().unwrap();
        let items = items.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap()));
        let answer = BestQuery::parse(items).and_then(|query| catalog.best_models(&query));
        match (answer, sample["status"].as_u64()) {
            (Ok(got), Some(200)) => {
                let alternative = sample.get("alternative_json");
                let fits = got == sample["response_json"] || Some(&got) == alternative;
                assert!(fits, "{name}: {got}");
                seen[0] += 1;
            }
            (Err(refusal), Some(400)) => {
                assert_eq!(json!(refusal.reason), sample["response_text"], "{name}");
                seen[1] += 1;
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(seen, [20, 6]);
}

/// The Go exporter sends node type 0 and means that it does not know; the samples have the same requests with -1.
#[test]
fn node_type_0_with_a_machine_means_unknown() {
    let (Some(catalog), Some(samples)) = (public(), samples("POST", "/model")) else {
        return;
    };
    let mut checked = 0;
    for sample in samples {
        let name = sample["name"].as_str().unwrap();
        if !name.starts_with("keplergo-fixed/") {
            continue;
        }
        let mut body = sample["body"].clone();
        assert_eq!(body["node_type"], -1, "{name}");
        body["node_type"] = 0.into();
        let answer = ask(catalog, body.to_string().as_bytes(), Rules::default());
        let Ok(ModelAnswer::Weights(text)) = answer else {
            panic!("{name}: {answer:?}")
        };
        let got: Value = serde_json::from_str(&text).unwrap();
        assert!(same(&got, &sample["response_json"]), "{name}: {got}");
        checked += 1;
    }
    assert!(checked >= 5, "{checked}");
}
