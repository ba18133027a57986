//! Power models through the public API: binding, checks, the own format.

#![expect(
    clippy::float_cmp,
    reason = "a clamped 0 and two computations of the same figure are equal to the bit"
)]

use kepler_core::ErrorKind;
use kepler_core::model::{
    BlendPart, Component, ComponentModel, Curve, CurveShape, Derived, EnergySourceName, Estimator,
    FeatureSpec, HeldOut, ModelFile, NearestNeighbors, OutputType, PowerModel, ResidualStep,
    Residuals, Split, SupportVectors, Table, Trees,
};
use ndarray::array;

/// One stump: 10 W up to 1.5, then 20 W.
fn stump() -> Trees {
    let mut trees = Trees::default();
    let root = trees.push_split(0, 1.5);
    let (left, right) = (trees.push_leaf(10.0), trees.push_leaf(20.0));
    trees.set_children(root, left, right);
    trees.roots.push(root);
    trees
}

/// A model with every kind of formula in it, over `a` (scale 2) and `b` (scale 0.1) and their product.
fn every_kind() -> ModelFile {
    let feature = |name: &str, scale| FeatureSpec {
        scale,
        min: Some(0.0),
        max: Some(scale),
        ..FeatureSpec::raw(name)
    };
    let mut file = ModelFile::new(
        "every_kind",
        OutputType::AbsPower,
        vec![feature("a", 2.0), feature("b", 0.1)],
    );
    file.derived = vec![Derived::Product { a: 0, b: 1 }];
    file.energy_source = Some(EnergySourceName::RaplSysfs);
    file.machine.cores = Some(4);
    let part = |weight, estimator| BlendPart { weight, estimator };
    let blend = Estimator::Blend {
        parts: vec![
            part(0.5, Estimator::Trees(stump())),
            part(
                0.1,
                Estimator::NearestNeighbors(NearestNeighbors {
                    neighbors: 1,
                    leaf: None,
                    rows: vec![0.0, 0.0, 0.0, 1.0, 1.0, 1.0],
                    targets: vec![1.0, 1.0 / 3.0],
                }),
            ),
            part(
                1.0,
                Estimator::SupportVectors(SupportVectors {
                    gamma: 0.3,
                    intercept: 7.0,
                    weights: vec![1.5],
                    vectors: vec![0.1, 0.2, 0.3],
                }),
            ),
            part(1.0, Estimator::Constant { value: 0.1 }),
        ],
    };
    let mut package = ComponentModel::from(blend);
    package.errors.push(HeldOut {
        split: Split::BlockedFolds,
        rows: Some(100),
        mae: 2.5,
        mape: Some(3.25),
    });
    package.residuals = Some(Residuals {
        level: 0.9,
        split: Split::BlockedFolds,
        relative: true,
        steps: vec![ResidualStep {
            from: 0.0,
            low: -0.1,
            high: 0.2,
        }],
        coverage: Some(0.91),
        mean_width: None,
    });
    file.components.insert(Component::Package, package);
    let others = [
        (
            Component::Core,
            Estimator::Polynomial {
                intercept: 0.0,
                weights: vec![0.1; 10],
            },
        ),
        (
            Component::Uncore,
            Estimator::Times {
                input: 0,
                of: Box::new(Estimator::Exp {
                    of: Box::new(Estimator::Linear {
                        intercept: 1e-7,
                        weights: vec![0.1, 0.2, 0.7],
                    }),
                }),
            },
        ),
        (
            Component::Dram,
            Estimator::Clamped {
                low: Some(1.0),
                high: None,
                of: Box::new(Estimator::Table(Table {
                    input: 1,
                    x: vec![0.0, 1.0],
                    y: vec![5.0, 6.0],
                })),
            },
        ),
        (
            Component::Platform,
            Estimator::Curve(Curve {
                shape: CurveShape::Logistic,
                input: 0,
                weights: vec![100.0, 0.5, 5.0, 40.0],
            }),
        ),
    ];
    for (component, estimator) in others {
        file.components.insert(component, estimator.into());
    }
    file
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

#[test]
fn every_kind_predicts_what_a_calculator_says() {
    let model = PowerModel::new(every_kind()).unwrap();
    // a = 4 and b = 0.05 are 2 and 0.5 when scaled, their product is 1.
    let prediction = model.predict_one(&[4.0, 0.05]).unwrap();
    let kernel = (-0.3f64 * (1.9 * 1.9 + 0.3 * 0.3 + 0.7 * 0.7)).exp();
    let wants = [
        (
            Component::Package,
            0.5 * 20.0 + 0.1 / 3.0 + 7.0 + 1.5 * kernel + 0.1,
        ),
        // 1 + 2 + 0.5 + 1 + (4 + 1 + 2 + 0.25 + 0.5 + 1)
        (Component::Core, 0.1 * 13.25),
        (Component::Uncore, 2.0 * (1e-7f64 + 0.2 + 0.1 + 0.7).exp()),
        (Component::Dram, 5.5),
        (Component::Platform, 40.0 + 100.0 / (1.0 + (-7.5f64).exp())),
    ];
    for (component, watts) in wants {
        assert!(
            close(prediction.watts[&component], watts),
            "{component}: {prediction:?}, {watts}"
        );
    }
    assert!(!prediction.in_range, "a was at most 2 in training");
    assert!(model.predict_one(&[2.0, 0.05]).unwrap().in_range);
}

#[test]
fn the_own_format_round_trips_to_the_last_bit() {
    let file = every_kind();
    let json = file.to_json().unwrap();
    assert_eq!(
        PowerModel::from_json(json.as_bytes()).unwrap().file(),
        &file
    );
    assert!(
        json.starts_with(r#"{"format":"kepler-model/1","name":"every_kind""#),
        "{json}"
    );
}

#[test]
fn an_unknown_field_in_a_file_is_refused() {
    let json = every_kind()
        .to_json()
        .unwrap()
        .replacen("\"name\"", "\"nane\":1,\"name\"", 1);
    assert_eq!(
        PowerModel::from_json(json.as_bytes()).unwrap_err().kind(),
        ErrorKind::Malformed
    );
}

#[test]
fn rows_bind_by_name() {
    let model = PowerModel::new(every_kind()).unwrap();
    let straight = model
        .predict(array![[1.0, 0.02], [2.0, 0.3]].view())
        .unwrap();
    let turned = model.bind(&["b", "a"]).unwrap();
    let turned = turned
        .predict(array![[0.02, 1.0], [0.3, 2.0]].view())
        .unwrap();
    assert_eq!(straight, turned);
    assert_eq!(straight.in_range, [true, false]);
    let among = model.bind_among(&["b", "other", "a"]).unwrap();
    let one = among.predict_one(&[0.3, 99.0, 2.0]).unwrap();
    assert_eq!(
        one.watts[&Component::Dram],
        straight.watts[&Component::Dram][1]
    );
}

#[test]
fn a_missing_or_unknown_feature_is_named() {
    let model = PowerModel::new(every_kind()).unwrap();
    let missing = model.bind(&["a"]).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "feature not found: b; this model needs a, b"
    );
    let unknown = model.bind(&["a", "b", "c"]).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "feature not found: c; this model's features are a, b"
    );
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let twice = model.bind(&["a", "b", "a"]).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_value_that_is_no_number_is_an_error_that_names_feature_and_row() {
    let model = PowerModel::new(every_kind()).unwrap();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = model
            .predict(array![[1.0, 0.0], [1.0, bad]].view())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().starts_with("b: ") && error.to_string().contains("row 1"),
            "{error}"
        );
    }
    assert!(model.predict_one(&[1.0]).is_err());
}

#[test]
fn a_negative_prediction_is_no_power() {
    let mut file = every_kind();
    file.components.insert(
        Component::Package,
        Estimator::Constant { value: -3.0 }.into(),
    );
    let model = PowerModel::new(file).unwrap();
    assert_eq!(
        model.predict_one(&[0.0, 0.0]).unwrap().watts[&Component::Package],
        0.0
    );
}

#[test]
fn a_model_that_does_not_add_up_is_refused() {
    let refuse = |estimator: Estimator| {
        let mut file = every_kind();
        file.components.insert(Component::Package, estimator.into());
        assert_eq!(
            PowerModel::new(file).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    };
    refuse(Estimator::Linear {
        intercept: 0.0,
        weights: vec![1.0; 2],
    });
    refuse(Estimator::Constant { value: f64::NAN });
    refuse(Estimator::Times {
        input: 3,
        of: Box::new(Estimator::Constant { value: 1.0 }),
    });
    let mut round = stump();
    round.set_children(0, 0, 1);
    refuse(Estimator::Trees(round));
    let mut deep = Estimator::Constant { value: 1.0 };
    for _ in 0..100 {
        deep = Estimator::Exp { of: Box::new(deep) };
    }
    refuse(deep);
}

#[test]
fn intervals_come_from_residuals_or_from_the_mean_error() {
    let mut file = every_kind();
    let constant = Estimator::Constant { value: 100.0 };
    file.components
        .get_mut(&Component::Package)
        .unwrap()
        .estimator = constant;
    let model = PowerModel::new(file.clone()).unwrap();
    let (watts, interval) = model.predict_with_interval(&[1.0, 0.0]).unwrap()[&Component::Package];
    let interval = interval.unwrap();
    assert!(close(watts, 100.0) && close(interval.low, 90.0) && close(interval.high, 120.0));

    file.components
        .get_mut(&Component::Package)
        .unwrap()
        .residuals = None;
    let model = PowerModel::new(file).unwrap();
    let all = model.predict_with_interval(&[1.0, 0.0]).unwrap();
    let half = all[&Component::Package].1.unwrap().high - 100.0;
    assert!(close(half, 2.5 * std::f64::consts::LN_10), "{half}");
    assert_eq!(all[&Component::Dram].1, None);
}

#[test]
fn the_card_tells_what_a_person_asks() {
    let card = PowerModel::new(every_kind()).unwrap().to_string();
    for line in [
        "every_kind\n",
        "  predicts    AbsPower as rapl-sysfs measures it\n",
        "  feature     b from 0 to 0.1\n",
        "  package     blend; off by 2.50 W (3.2 %) on folds blocked in time (100 rows)\n",
    ] {
        assert!(card.contains(line), "{card}");
    }
}

/// `10 W + 90 W` of load on a machine of 96 CPUs.
fn machine_of_96() -> PowerModel {
    let mut load = FeatureSpec::raw("bpf_cpu_time_ms");
    load.scale = 96_000.0;
    load.min = Some(0.0);
    load.max = Some(96_000.0);
    let mut file = ModelFile::new("m", OutputType::AbsPower, vec![load]);
    file.machine.cores = Some(96);
    let mut part = ComponentModel::from(Estimator::Linear {
        intercept: 96.0,
        weights: vec![192.0],
    });
    part.errors.push(HeldOut {
        split: Split::MachineOut,
        rows: None,
        mae: 9.6,
        mape: None,
    });
    file.components.insert(Component::Package, part);
    PowerModel::new(file).unwrap()
}

#[test]
fn a_guest_gets_its_share_of_idle_and_dynamic_power() {
    let share = machine_of_96().for_guest(2, true).unwrap();
    assert_eq!(share.note, "scaled to 2 of 96 CPUs");
    // 1 W idle and 2 W dynamic a CPU.
    for (busy_ms, watts) in [(0.0, 2.0), (1000.0, 4.0), (2000.0, 6.0)] {
        let prediction = share.model.predict_one(&[busy_ms]).unwrap();
        assert!(
            close(prediction.watts[&Component::Package], watts),
            "{prediction:?}"
        );
        assert!(prediction.in_range);
    }
    assert!(!share.model.predict_one(&[2100.0]).unwrap().in_range);
    let file = share.model.file();
    assert!(close(
        file.components[&Component::Package].errors[0].mae,
        0.2
    ));
    assert!(file.training.data.ends_with("scaled to 2 of 96 CPUs"));
}

#[test]
fn a_guest_of_an_unknown_host_gets_a_wide_interval() {
    let width = |host_known| {
        let share = machine_of_96().for_guest(2, host_known).unwrap();
        let all = share.model.predict_with_interval(&[1000.0]).unwrap();
        let interval = all[&Component::Package].1.unwrap();
        interval.high - interval.low
    };
    assert!(width(false) > 10.0 * width(true));
    let mut file = machine_of_96().file().clone();
    file.machine.cores = None;
    let error = PowerModel::new(file)
        .unwrap()
        .for_guest(2, true)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
