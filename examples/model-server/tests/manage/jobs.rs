//! `train`, `eval` and `show`, on rows whose answer is known.

use std::path::{Path, PathBuf};

use kepler_core::model::{Component, ModelRegistry, PowerModel};

use crate::standin::{Reply, Standin};
use crate::{line, program, run};

/// The reference data, where this machine has them.
fn shared() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is told by the environment"
    )]
    let folder = std::env::var("KEPLER_SHARED").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    if folder.join("data").is_dir() {
        return Some(folder);
    }
    crate::skip("the reference data are not there", "set KEPLER_SHARED");
    None
}

#[test]
fn what_is_trained_is_a_pipeline_that_predicts() {
    let folder = tempfile::tempdir().unwrap();
    let machine = folder.path().join("machine.json");
    std::fs::write(
        &machine,
        r#"{"processor":"acme_z9000","cores":8,"chips":1,"memory":32,"frequency":3000}"#,
    )
    .unwrap();
    for into in ["p", "p.zip"] {
        let into = folder.path().join(into);
        let mut command = program();
        command.args([
            "train",
            "--trainers",
            "LinearRegressionTrainer,KNeighborsRegressorTrainer",
            "--node-type",
            "7",
            "--csv",
        ]);
        command
            .arg(line(folder.path()))
            .arg("--machine")
            .arg(&machine)
            .arg("--into")
            .arg(&into);
        let (code, text) = run(&mut command);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("rapl-sysfs/AbsPower/BPFOnly/LinearRegressionTrainer_7: mean error of package 0.00 W"), "{text}");
        let registry = ModelRegistry::open(&into).unwrap();
        assert_eq!(registry.entries().len(), 2);
        let entry = registry
            .entries()
            .iter()
            .find(|e| e.trainer() == "LinearRegressionTrainer")
            .unwrap();
        let node = registry.nodes(entry).get(7).unwrap().attributes().machine();
        assert_eq!(
            (node.processor.as_deref(), node.cores),
            (Some("acme_z9000"), Some(8))
        );
        let watts = registry
            .model(entry)
            .unwrap()
            .predict_one(&[1000.0, 0.0])
            .unwrap()
            .watts;
        assert!(
            (watts[&Component::Package] - 70.0).abs() < 1e-6,
            "{watts:?}"
        );
    }
    // A folder of models is not written over.
    let (code, text) = run(program()
        .args(["train", "--trainers", "LinearRegressionTrainer", "--csv"])
        .arg(line(folder.path()))
        .arg("--into")
        .arg(folder.path().join("p")));
    assert_eq!(code, 1);
    assert!(text.contains("there already"), "{text}");
}

#[test]
fn trainers_and_stored_models_are_judged_on_rows_they_have_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let rows = line(folder.path());
    let (code, text) = run(program()
        .args([
            "eval",
            "--trainers",
            "LinearRegressionTrainer,KNeighborsRegressorTrainer",
            "--folds",
            "5",
            "--csv",
        ])
        .arg(&rows));
    assert_eq!(code, 0, "{text}");
    let place = |name: &str| text.lines().position(|l| l.starts_with(name)).unwrap();
    assert!(
        place("LinearRegressionTrainer") < place("KNeighborsRegressorTrainer"),
        "{text}"
    );

    // 10 W above what the rows say.
    let model = folder.path().join("m.json");
    let weights = r#"{"package":{"All_Weights":{"Bias_Weight":60.0,"Categorical_Variables":{},"Numerical_Variables":{"bpf_cpu_time_ms":{"scale":1.0,"weight":0.02}}}}}"#;
    std::fs::write(&model, weights).unwrap();
    let (code, text) = run(program()
        .args(["eval", "--csv"])
        .arg(&rows)
        .arg("--model")
        .arg(&model));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("40 rows: package 10.00 W (12."), "{text}");
    let (code, text) = run(program().arg("show").arg(&model));
    assert!(
        code == 0 && text.contains("feature     bpf_cpu_time_ms"),
        "{text}"
    );
}

#[test]
fn a_pipeline_is_listed_and_a_card_is_shown() {
    let Some(shared) = shared() else { return };
    let zip = shared.join("data/kepler-model-db/v0.7/ec2-0.7.11.zip");
    let (code, text) = run(program().arg("show").arg(&zip).args([
        "--group",
        "Basic",
        "--output-type",
        "AbsPower",
    ]));
    assert_eq!(
        (code, text.lines().count()),
        (0, 52),
        "52 models of this group are published"
    );
    let first = text.split_whitespace().next().unwrap();
    let (code, card) = run(program().arg("show").arg(&zip).args(["--model", first]));
    assert!(code == 0 && card.contains("predicts    AbsPower"), "{card}");
    let (code, text) = run(program()
        .arg("show")
        .arg(&zip)
        .args(["--model", "nothing/here"]));
    assert!(
        code == 1 && text.contains("no model at nothing/here"),
        "{text}"
    );
}

#[test]
fn history_of_a_server_trains_as_its_dump_does() {
    let Some(shared) = shared() else { return };
    let dump = shared.join("data/prometheus/idle.json");
    let kept: serde_json::Value = serde_json::from_slice(&crate::bytes(&dump)).unwrap();
    let server = Standin::start(move |_, request| {
        let query = request
            .path
            .split_once("query=")
            .and_then(|(_, q)| q.split('&').next())
            .unwrap();
        let result = kept
            .get(query)
            .cloned()
            .unwrap_or_else(|| serde_json::json!([]));
        Reply::ok(serde_json::json!({"status": "success", "data": {"resultType": "matrix", "result": result}}).to_string())
    });
    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str, from: &[&str]| {
        let into = folder.path().join(name);
        let mut command = program();
        command
            .args([
                "train",
                "--group",
                "BPFOnly",
                "--trainers",
                "LinearRegressionTrainer",
                "--folds",
                "2",
                "--into",
            ])
            .arg(&into)
            .args(from);
        let (code, text) = run(&mut command);
        assert_eq!(code, 0, "{text}");
        PowerModel::load(into.join("rapl-sysfs/AbsPower/BPFOnly/LinearRegressionTrainer_0.json"))
            .unwrap()
    };
    let from_dump = train("a", &["--dump", dump.to_str().unwrap()]);
    let from_server = train(
        "b",
        &[
            "--prometheus",
            &server.url,
            "--until",
            "2026-01-01T00:00:00Z",
        ],
    );
    assert_eq!(from_dump.file().components, from_server.file().components);
    assert!(
        server.heard()[0]
            .path
            .ends_with("&start=1767222000&end=1767225600&step=3"),
        "{}",
        server.heard()[0].path
    );
    let dense = train(
        "d",
        &[
            "--prometheus",
            &server.url,
            "--until",
            "2026-01-01T00:00:00Z",
            "--step",
            "500ms",
        ],
    );
    assert_eq!(dense.file().components, from_dump.file().components);
    let paths: Vec<String> = server.heard().into_iter().map(|r| r.path).collect();
    let parts = |path: &&String| path.contains("step=0.5");
    let dense: Vec<_> = paths.iter().filter(parts).collect();
    let (first, last) = (dense[0], dense[dense.len() - 1]);
    assert!(
        first.ends_with("&start=1767222000&end=1767222999.5&step=0.5"),
        "{first}"
    );
    assert!(
        last.ends_with("&start=1767225000&end=1767225600&step=0.5"),
        "{last}"
    );
    for (settings, says) in [
        (["--step", "0s", "--since", "1h"], "at least 1ms"),
        (
            ["--step", "1ms", "--since", "9999999999s"],
            "at most 1000000",
        ),
    ] {
        let (code, text) = run(program()
            .args(["train", "--prometheus", &server.url, "--into", "x"])
            .args(settings));
        assert!(code == 1 && text.contains(says), "{text}");
    }
    let refusal = Standin::start(|_, _| Reply {
        body: br#"{"status":"error","error":"too many points"}"#.to_vec(),
        ..Reply::status(400)
    });
    let (code, text) = run(program()
        .args(["train", "--prometheus", &refusal.url, "--into"])
        .arg(folder.path().join("c")));
    assert!(
        code == 1 && text.contains("HTTP 400") && text.contains("too many points"),
        "{text}"
    );
    // Spans beyond all calendars are sums like others.
    let (code, text) = run(program()
        .args(["train", "--prometheus", &refusal.url, "--into", "x"])
        .args([
            "--since",
            "18446744073709551615s",
            "--step",
            "18446744073709551615s",
        ]));
    assert!(code == 1 && text.contains("HTTP 400"), "{text}");
    let (code, text) = run(program().args(["train", "--into", "x"]));
    assert!(
        code == 1 && text.contains("--csv, --dump or --prometheus"),
        "{text}"
    );
}
