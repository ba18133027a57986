//! The estimator's socket: requests as the exporter writes them.

use kepler_core::MachineSpec;
use kepler_core::model::Component;
use kepler_core::protocol::Catalog;
use kepler_core::protocol::estimator::RequestEnd;
use serde_json::{Value, json};

use crate::protocol_replay::public;

fn machine(cores: u32) -> MachineSpec {
    MachineSpec {
        cores: Some(cores),
        ..MachineSpec::default()
    }
}

fn ask(catalog: &Catalog, cores: u32, request: &Value) -> Value {
    let reply = catalog.reply(&machine(cores), request.to_string().as_bytes());
    assert_eq!(reply.met, reply.model.is_some());
    serde_json::from_str(&reply.text).unwrap()
}

#[test]
fn powers_of_each_row_and_component_are_told_each_time_with_the_core_ratio() {
    let Some(catalog) = public() else { return };
    // As the exporter writes it: system values are text.
    let request = json!({
        "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "values": [[1000.0, 2.0], [0, 0], [5, 5]],
        "output_type": "DynPower", "source": "rapl-sysfs",
        "system_features": ["cpu_architecture", "cpu_scaling"], "system_values": ["Skylake", "7"],
        "trainer_name": "", "filter": "",
    });
    for _ in 0..2 {
        let reply = ask(catalog, 48, &request);
        assert_eq!(reply["msg"], "");
        let components = reply["powers"].as_object().unwrap();
        assert_eq!(components.len(), 4, "{reply}");
        for watts in components.values() {
            assert_eq!(watts.as_array().unwrap().len(), 3);
        }
        // The model is of a machine of 72, 96 or 48 CPUs.
        let ratio = reply["core_ratio"].as_f64().unwrap();
        assert!(
            [0.5, 1.0, 48.0 / 72.0]
                .iter()
                .any(|r| (r - ratio).abs() < 1e-12),
            "{ratio}"
        );
    }
}

#[test]
fn the_embedded_family_is_of_this_machine() {
    let catalog = Catalog::embedded();
    let request = json!({
        "metrics": ["bpf_cpu_time_ms"], "values": [[8000.0]], "output_type": "AbsPower", "source": "acpi",
    });
    let reply = ask(&catalog, 8, &request);
    assert_eq!(reply["core_ratio"], 1.0);
    let full =
        kepler_core::model::embedded::for_machine(&machine(8)).watts(Component::Platform, 1.0);
    let told = reply["powers"]["platform"][0].as_f64().unwrap();
    assert!((told - full.0).abs() < 1e-9, "{reply}");
}

#[test]
fn what_cannot_be_met_is_answered_with_a_reason() {
    let catalog = Catalog::embedded();
    let good = json!({ "metrics": ["bpf_cpu_time_ms"], "values": [[1.0]], "output_type": "AbsPower", "source": "acpi" });
    assert_eq!(ask(&catalog, 2, &good)["msg"], "");
    for (field, value) in [
        ("source", json!("hmc")),
        ("source", json!("moon")),
        ("output_type", json!("Foo")),
        ("values", json!([[1.0, 2.0]])),
        ("values", json!([["x"]])),
        ("metrics", json!(["cpu_cycles"])),
        ("filter", json!("mae:0.0001")),
        ("filter", json!("nonsense")),
        ("trainer_name", json!("NoSuchTrainer")),
    ] {
        let mut request = good.clone();
        request[field] = value.clone();
        let reply = ask(&catalog, 2, &request);
        assert_eq!(reply["powers"], json!({}), "{field} {value}");
        assert!(!reply["msg"].as_str().unwrap().is_empty());
        assert!(reply.get("core_ratio").is_none());
    }
    for text in ["", "{}", "hello", "{\"metrics\":"] {
        let reply = catalog.reply(&machine(2), text.as_bytes());
        assert!(!reply.met && reply.text.ends_with('}'), "{text}");
    }
}

#[test]
fn no_request_makes_more_of_itself_than_is_bounded() {
    let catalog = Catalog::embedded();
    let names = |count: usize| -> Vec<String> { (0..count).map(|i| format!("f{i}")).collect() };
    let request = |rows: usize, metrics: Vec<String>, system: usize| {
        let row = vec![1; metrics.len()];
        json!({
            "metrics": metrics, "values": vec![row; rows], "output_type": "AbsPower",
            "source": "acpi", "system_features": names(system), "system_values": vec![1; system],
        })
    };
    let cpu = || vec!["bpf_cpu_time_ms".to_owned()];
    assert_eq!(ask(&catalog, 2, &request(1 << 14, cpu(), 255))["msg"], "");
    for (request, why) in [
        (request((1 << 14) + 1, cpu(), 255), "ask for fewer"),
        (request(1, cpu(), 256), "more than 256"),
        (request(0, names(200_000), 200_000), "more than 256"),
        (request(0, cpu(), 200_000), "more than 256"),
        (request(0, names(257), 0), "more than 256"),
    ] {
        let reply = ask(&catalog, 2, &request);
        assert!(reply["msg"].as_str().unwrap().contains(why), "{reply}");
    }
    for (row, count) in [("[],", 4 << 20), ("[1,1,1,1,1,1,1,1],", 1 << 19)] {
        let rows = row.repeat(count + 1);
        let text = format!(
            r#"{{"metrics": ["bpf_cpu_time_ms"], "values": [{rows}[1]], "output_type": "AbsPower"}}"#
        );
        let reply = catalog.reply(&machine(2), text.as_bytes());
        assert!(!reply.met && reply.text.len() < 500, "{}", reply.text);
    }
}

#[test]
fn a_request_ends_where_its_brace_closes_however_it_is_cut() {
    let text = r#"  {"a": ["}", "\"}", {"b": "\\"}], "c": {}}"#;
    for size in 1..text.len() {
        let mut end = RequestEnd::default();
        let mut read = 0;
        let found = text.as_bytes().chunks(size).find_map(|chunk| {
            let found = end.find(chunk).map(|n| read + n);
            read += chunk.len();
            found
        });
        assert_eq!(found, Some(text.len()), "{size}");
    }
}
