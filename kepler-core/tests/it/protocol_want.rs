//! What a client asks of a model server or an estimator, answered by both of ours.

use kepler_core::MachineSpec;
use kepler_core::model::{Component, EnergySourceName, PowerModel, embedded};
use kepler_core::modeled::GivenModel;
use kepler_core::protocol::{Catalog, ModelAnswer, ModelQuery, Rules, Want};
use kepler_core::usage::CounterSet;
use serde_json::{Value, json};

use crate::protocol_replay::public;
use crate::shared;

const FEATURES: [&str; 2] = ["bpf_cpu_time_ms", "bpf_page_cache_hit"];

fn guest(processor: &str) -> MachineSpec {
    MachineSpec {
        processor: Some(processor.into()),
        cores: Some(2),
        memory: Some(8),
        guest: true,
        ..MachineSpec::default()
    }
}

fn served(catalog: &Catalog, want: &Want) -> Option<PowerModel> {
    let query = ModelQuery::parse(want.request().as_bytes(), Rules::default()).unwrap();
    match catalog.answer(&query).unwrap().1 {
        ModelAnswer::Zip { bytes, .. } => want.read(&bytes).unwrap(),
        ModelAnswer::Weights(text) => panic!("a zip was asked for: {text}"),
    }
}

#[test]
fn a_guest_is_given_the_model_of_its_hosts_processor() {
    let Some(catalog) = public() else { return };
    let machine = guest("intel_xeon_platinum_8275cl");
    let want = Want::new(EnergySourceName::RaplSysfs, &machine, &FEATURES);
    let request: Value = serde_json::from_str(&want.request()).unwrap();
    assert_eq!(request["machine_spec"]["cores"], Value::Null);
    let model = served(catalog, &want).unwrap();
    assert_eq!(
        model.file().machine.processor.as_deref(),
        Some("intel_xeon_platinum_8275cl")
    );
    assert_eq!(model.file().machine.cores, Some(96));
    assert_eq!(
        model.file().energy_source,
        Some(EnergySourceName::RaplSysfs)
    );
    let counted = [kepler_core::usage::Counter::PageCacheHits];
    let given = GivenModel::new(model, &machine, counted.into_iter().collect()).unwrap();
    let full = given.model().predict_one(&[2000.0, 0.0]).unwrap();
    let watts = full.watts[&Component::Package];
    assert!((0.5..20.0).contains(&watts), "{watts} W of 2 of 96 CPUs");
}

/// The weights that Kepler's own model server gave, as they were recorded. What they mean at rest is worked out from their
/// text: of a line the bias, of a logarithm `a ln(b 0 + 1) + c` the last number.
#[test]
fn the_older_servers_recorded_answers_are_read_as_they_are() {
    let Some(samples) = shared::conformance("model_server.jsonl") else {
        return;
    };
    let mut seen = [0; 3];
    for sample in samples {
        let name = sample["name"].as_str().unwrap();
        let answer = &sample["response_json"];
        if sample["path"] != "/model" || !answer.is_object() {
            continue;
        }
        let source = match sample["body"]["source"].as_str() {
            Some("acpi") => EnergySourceName::Acpi,
            _ => EnergySourceName::RaplSysfs,
        };
        let want = Want::new(source, &guest("p"), &FEATURES);
        let model = match want.read(answer.to_string().as_bytes()) {
            Ok(model) => model.unwrap(),
            // Without a name nothing tells a logarithm's three numbers from an exponential's.
            Err(error) => {
                assert!(name_of(answer).is_empty(), "{name}: {error}");
                assert!(
                    error.to_string().contains("trainer in the model's name"),
                    "{error}"
                );
                seen[2] += 1;
                continue;
            }
        };
        assert_eq!(model.file().energy_source, Some(source), "{name}");
        let rest = vec![0.0; model.features().count()];
        let rest = model.predict_one(&rest).unwrap().watts;
        for (component, watts) in rest {
            let weights = &answer[component.as_str()]["All_Weights"];
            let curve = weights["CurveFit_Weights"].as_array();
            let wanted = match (weights["Bias_Weight"].as_f64(), curve.map(Vec::as_slice)) {
                (Some(bias), _) => bias,
                (None, Some([_, _, c])) if name_of(answer).starts_with("Logarithmic") => {
                    c.as_f64().unwrap()
                }
                _ => continue,
            };
            let wanted = wanted.max(0.0);
            assert!(
                (watts - wanted).abs() <= 1e-9 * wanted.max(1.0),
                "{name}: {watts}"
            );
            seen[1] += 1;
        }
        seen[0] += 1;
    }
    assert_eq!(seen[0] + seen[2], 62, "{seen:?}");
    assert!(seen[0] >= 46 && seen[1] > 100, "{seen:?}");
}

fn name_of(answer: &Value) -> &str {
    answer["model_name"].as_str().unwrap_or_default()
}

#[test]
fn of_the_embedded_family_nothing_is_taken() {
    let machine = guest("intel_xeon_platinum_8259cl");
    for source in Want::SOURCES {
        let want = Want::new(source, &machine, &FEATURES[..1]);
        assert!(served(&Catalog::embedded(), &want).is_none());
    }
}

#[test]
fn an_estimators_answers_show_its_model() {
    let machine = guest("intel_xeon_platinum_8259cl");
    let want = Want::new(EnergySourceName::Acpi, &machine, &FEATURES[..1]);
    let reply = Catalog::embedded().reply(&machine, want.question(1.0).as_bytes());
    let learnt = want.learn(reply.text.as_bytes(), 1.0).unwrap();
    assert_eq!(learnt.core_ratio, Some(1.0));
    let given = GivenModel::new(learnt.model, &machine, CounterSet::EMPTY).unwrap();
    let truth = embedded::for_machine(&machine);
    for load in [0.0, 0.3, 0.5, 1.0] {
        let got = given.model().predict_one(&[2000.0 * load]).unwrap();
        let wanted = truth.watts(Component::Platform, load).0;
        assert!((got.watts[&Component::Platform] - wanted).abs() < 1e-6 * wanted);
    }
}

#[test]
fn an_estimator_of_a_larger_machine_is_asked_as_if_this_were_one() {
    let machine = guest("p");
    let want = Want::new(EnergySourceName::Acpi, &machine, &FEATURES);
    // 4 times as many CPUs: full load is 8000 ms a second, and the answers are 4 times this guest's.
    let question: Value = serde_json::from_str(&want.question(4.0)).unwrap();
    let rows = question["values"].as_array().unwrap();
    assert_eq!(rows.first(), Some(&json!([0.0, 0.0])));
    assert_eq!(rows.last(), Some(&json!([8000.0, 0.0])));
    let watts: Vec<f64> = rows
        .iter()
        .map(|row| 40.0 + row[0].as_f64().unwrap() / 100.0)
        .collect();
    let reply = json!({"powers": {"platform": watts}, "msg": "", "core_ratio": 0.25}).to_string();
    let learnt = want.learn(reply.as_bytes(), 4.0).unwrap();
    assert_eq!(learnt.core_ratio, Some(0.25));
    let half = learnt.model.predict_one(&[1000.0]).unwrap();
    // (40 + 4000 / 100) / 4
    assert!((half.watts[&Component::Platform] - 20.0).abs() < 1e-9);
}

#[test]
fn what_is_no_model_is_refused_with_the_estimators_words() {
    let want = Want::new(EnergySourceName::Acpi, &guest("p"), &FEATURES);
    for (reply, why) in [
        (
            r#"{"powers": {}, "msg": "no model for you"}"#,
            "no model for you",
        ),
        (
            r#"{"powers": [], "msg": "boom\n", "core_ratio": 1}"#,
            "boom",
        ),
        (r#"{"powers": {"platform": [1, 2]}}"#, "expected powers"),
        (r#"{"powers": {"platform": "x"}}"#, "expected powers"),
        ("<html>", "expected powers"),
    ] {
        let error = want.learn(reply.as_bytes(), 1.0).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    for answer in [
        "",
        "<html>",
        "{}",
        "PK\u{3}\u{4}nonsense",
        r#"{"platform": {}}"#,
    ] {
        assert!(want.read(answer.as_bytes()).is_err(), "{answer}");
    }
}
