//! The protocol where there is nothing older to compare with.

use std::fmt::Write;

use kepler_core::MachineSpec;
use kepler_core::model::{Component, EnergySourceName, OutputType, PowerModel, embedded};
use kepler_core::protocol::{
    BestQuery, Catalog, EstimateQuery, ModelAnswer, ModelId, ModelQuery, Refusal, Rules,
};
use serde_json::{Value, json};

use crate::protocol_replay::public;

fn refusal(body: &Value, rules: Rules) -> Refusal {
    ModelQuery::parse(body.to_string().as_bytes(), rules).unwrap_err()
}

#[test]
fn wrong_fields_are_named() {
    for (field, value) in [
        ("metrics", json!(5)),
        ("output_type", json!("Power")),
        ("output_type", json!(null)),
        ("source", json!(["acpi"])),
        ("node_type", json!("one")),
        ("node_type", json!([1])),
        ("trainer_name", json!(null)),
        ("filter", json!("mae")),
        ("machine_spec", json!("big")),
        ("machine_spec", json!({ "cores": "many" })),
    ] {
        let mut body = json!({ "metrics": ["bpf_cpu_time_ms"], "output_type": "AbsPower" });
        body[field] = value.clone();
        let refusal = refusal(&body, Rules::default());
        assert_eq!(refusal.status, 400);
        let named = [field, "cores", "output type", "filter"];
        let named = named.iter().any(|name| refusal.reason.contains(name));
        assert!(named, "{field} {value}: {refusal}");
    }
    for body in ["", "{", "[]", "null", "{\"metrics\": NaN}"] {
        let refusal = ModelQuery::parse(body.as_bytes(), Rules::default()).unwrap_err();
        assert_eq!(refusal.status, 400, "{body}");
    }
}

#[test]
fn unknown_names_are_refused_only_when_strict() {
    let body = json!({ "metrics": [], "output_type": "AbsPower", "weights": true, "a": 1 });
    assert!(ModelQuery::parse(body.to_string().as_bytes(), Rules::default()).is_ok());
    let strict = Rules {
        strict: true,
        ..Rules::default()
    };
    assert_eq!(refusal(&body, strict).reason, "not known: a, weights");
}

#[test]
fn deep_and_long_requests_are_refused_or_read_without_harm() {
    let deep = "[".repeat(200_000);
    assert!(ModelQuery::parse(deep.as_bytes(), Rules::default()).is_err());
    let mut body = r#"{"output_type": "AbsPower", "metrics": ["#.to_owned();
    for i in 0..200_000 {
        write!(body, "\"m{i}\",").unwrap();
    }
    body.push_str("\"bpf_cpu_time_ms\"]}");
    let query = ModelQuery::parse(body.as_bytes(), Rules::default()).unwrap();
    assert_eq!(query.request().metrics, ["bpf_cpu_time_ms"]);
}

#[test]
fn a_zip_is_the_same_bytes_each_time_and_a_model_again() {
    let Some(catalog) = public() else { return };
    let ask = |catalog: &Catalog, weight: bool| {
        let body = json!({
            "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"],
            "output_type": "AbsPower", "source": "acpi", "weight": weight,
        });
        let query = ModelQuery::parse(body.to_string().as_bytes(), Rules::default()).unwrap();
        let bytes = |answer| match answer {
            ModelAnswer::Zip { bytes, .. } => bytes.to_vec(),
            ModelAnswer::Weights(text) => text.into_bytes(),
        };
        let answer = bytes(catalog.answer(&query).unwrap().1);
        // From now on it need not be read again; embedded models are packed each time.
        let at_hand = catalog.answer_at_hand(&query).unwrap();
        match at_hand {
            Some((_, again)) => assert_eq!(bytes(again), answer),
            None => assert!(catalog.registry().is_none() && !weight),
        }
        answer
    };
    let first = json!({"metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "output_type": "AbsPower", "source": "acpi"});
    let first = ModelQuery::parse(first.to_string().as_bytes(), Rules::default()).unwrap();
    let fresh = reopened().unwrap();
    assert!(
        fresh.answer_at_hand(&first).unwrap().is_none(),
        "it lies on a disk"
    );
    for (catalog, other) in [
        (Some(catalog), reopened()),
        (None, Some(Catalog::embedded())),
    ] {
        let embedded = Catalog::embedded();
        let catalog = catalog.unwrap_or(&embedded);
        let zip = ask(catalog, false);
        assert_eq!(zip, ask(catalog, false));
        assert_eq!(zip, ask(&other.unwrap(), false));
        let model = PowerModel::from_bytes(&zip);
        // The embedded one is not of the older database's form: its own file lies in the zip.
        if catalog.registry().is_some() {
            assert_eq!(model.unwrap().features().count(), 2);
        }
        let weights = PowerModel::from_bytes(&ask(catalog, true)).unwrap();
        assert!(weights.components().eq([Component::Platform]));
    }
}

fn reopened() -> Option<Catalog> {
    let folder = crate::shared::database()?.join("v0.7");
    let registry = kepler_core::model::ModelRegistry::open(folder.join("specpower-0.7.11.zip"));
    Some(Catalog::new(registry.unwrap()))
}

#[test]
fn the_embedded_family_keeps_the_contract_for_any_machine() {
    let catalog = Catalog::embedded();
    let best = BestQuery::parse([("energy-source", "acpi")].into_iter()).unwrap();
    let best = catalog.best_models(&best).unwrap();
    assert_eq!(
        best,
        json!({ "AbsPower": { "BPFOnly": "SGDRegressorTrainer_0" }, "DynPower": { "BPFOnly": "SGDRegressorTrainer_0" } })
    );
    let watts = |cores: u32, busy: f64| {
        let body = json!({
            "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "output_type": "AbsPower",
            "source": "acpi", "weight": true, "node_type": 0, "machine_spec": { "cores": cores },
        });
        let query = ModelQuery::parse(body.to_string().as_bytes(), Rules::default()).unwrap();
        let (_, ModelAnswer::Weights(text)) = catalog.answer(&query).unwrap() else {
            panic!("weights were asked for")
        };
        let weights: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(weights["machine_spec"]["cores"], cores);
        assert!(weights["mae"].as_f64().unwrap() > 0.0);
        let model = PowerModel::from_bytes(text.as_bytes()).unwrap();
        let row = [busy * f64::from(cores) * 1000.0, 5.0];
        model.predict_one(&row).unwrap().watts[&Component::Platform]
    };
    for cores in [4, 64] {
        let spec = MachineSpec {
            cores: Some(cores),
            ..MachineSpec::default()
        };
        let curve = embedded::for_machine(&spec);
        for busy in [0.0, 0.5, 1.0] {
            let exact = curve.watts(Component::Platform, busy).0;
            let line = watts(cores, busy);
            // A straight line through a curve: a fifth off at its worst end.
            assert!(
                (line / exact - 1.0).abs() < 0.2,
                "{cores} {busy}: {line}, {exact}"
            );
        }
    }
}

#[test]
fn estimates_are_what_the_model_says_with_intervals_around() {
    let catalog = Catalog::embedded();
    let body = json!({
        "source": "rapl", "features": ["other", "bpf_cpu_time_ms"],
        "rows": [[1.0, 0.0], [1.0, 2000.0]], "machine_spec": { "cores": 4 },
    });
    let query = EstimateQuery::parse(body.to_string().as_bytes()).unwrap();
    let estimate = catalog.estimate(&query).unwrap();
    assert_eq!(
        estimate.model.to_string(),
        "embedded/rapl-sysfs/AbsPower/BPFOnly/SGDRegressorTrainer_0"
    );
    let curve = embedded::for_machine(&MachineSpec {
        cores: Some(4),
        ..MachineSpec::default()
    });
    for (component, figures) in &estimate.components {
        for (row, busy) in [0.0, 0.5].into_iter().enumerate() {
            let exact = curve.watts(*component, busy).0;
            assert!((figures.watts[row] - exact).abs() < 1e-9, "{component}");
            let interval = curve.interval(*component, busy).unwrap();
            let (low, high) = (
                figures.low.as_ref().unwrap(),
                figures.high.as_ref().unwrap(),
            );
            assert!((low[row] - interval.low).abs() < 1e-9, "{component} {busy}");
            assert!(
                (high[row] - interval.high).abs() < 1e-9,
                "{component} {busy}"
            );
        }
    }
    assert_eq!(estimate.components.len(), 2);
    assert_eq!(estimate.in_range, [true, true]);
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let catalog = Catalog::embedded();
    for (body, status, why) in [
        (
            json!({ "features": ["bpf_cpu_time_ms"], "rows": [[1.0], [1.0, 2.0]] }),
            400,
            "row 1",
        ),
        (
            json!({ "features": ["cpu_cycles"], "rows": [[1.0]] }),
            400,
            "no model",
        ),
        (
            json!({ "features": ["bpf_cpu_time_ms", "bpf_cpu_time_ms"], "rows": [[1.0, 1.0]] }),
            400,
            "twice",
        ),
        (
            json!({ "features": (0..257).map(|i| i.to_string()).collect::<Vec<_>>(), "rows": [] }),
            400,
            "more than 256",
        ),
        (
            json!({ "features": ["bpf_cpu_time_ms", "a", "b", "c"], "rows": vec![[0; 4]; (1 << 20) + 1] }),
            400,
            "ask for fewer",
        ),
        (
            json!({ "model": "a/b", "features": [], "rows": [] }),
            400,
            "no model",
        ),
        (
            json!({ "model": "a/acpi/AbsPower/BPFOnly/x", "features": [], "rows": [] }),
            404,
            "there is no model",
        ),
        (
            json!({ "source": "acpi", "node_type": -7, "features": ["bpf_cpu_time_ms"], "rows": [[null]] }),
            400,
            "null",
        ),
    ] {
        let query = EstimateQuery::parse(body.to_string().as_bytes());
        let refusal = match query {
            Ok(query) => catalog.estimate(&query).unwrap_err(),
            Err(refusal) => refusal,
        };
        assert_eq!(refusal.status, status, "{body}: {refusal}");
        assert!(refusal.reason.contains(why), "{body}: {refusal}");
    }
}

#[test]
fn models_are_listed_and_found_by_where_they_lie() {
    let Some(catalog) = public() else { return };
    let listings: Vec<_> = catalog.listings().collect();
    assert_eq!(listings.len(), 5449);
    assert_eq!(
        catalog.counts(),
        [("ec2-0.7.11", 298), ("specpower-0.7.11", 5151)]
    );
    let id: ModelId = "ec2-0.7.11/rapl-sysfs/AbsPower/Basic/LinearRegressionTrainer_1"
        .parse()
        .unwrap();
    assert!(listings.iter().any(|l| l.id == id));
    let model = catalog.model_at(&id).unwrap().unwrap();
    assert_eq!(
        model.file().energy_source,
        Some(EnergySourceName::RaplSysfs)
    );
    assert_eq!(model.file().output_type, OutputType::AbsPower);
    let none = ModelId {
        name: "LinearRegressionTrainer_77".to_owned(),
        ..id
    };
    assert!(catalog.model_at(&none).unwrap().is_none());
    assert_eq!(catalog.machine_types().count(), 6 + 317);
}
