//! Training: what every trainer can do, what is promised about errors, and what makes it stop.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use kepler_core::ErrorKind;
use kepler_core::model::train::{
    ColumnChoice, TrainOptions, Trainer, TrainingData, Watch, cross_validate, folds, leaderboard,
    train,
};
use kepler_core::model::{Component, Split};
use ndarray::Array2;

/// A made-up machine: 40 W at rest, 100 W more at full load in an S, 5 W for memory; core power is not measured (0 W).
fn rows(count: usize) -> TrainingData {
    let cycles = |i: usize| 3e9 * ((i * 37) % count) as f64 / count as f64;
    let noise = |i: usize| ((i * 7919) % 13) as f64 / 13.0 - 0.5;
    let values = Array2::from_shape_fn((count, 3), |(i, j)| match j {
        0 => cycles(i) / 100.0 * (1.0 + 0.1 * noise(i + 1)),
        1 => cycles(i),
        _ => cycles(i) * (1.0 + 0.2 * noise(i)),
    });
    let load = |i: usize| values[(i, 2)] / 3e9;
    let package = |i: usize| 40.0 + 100.0 / (1.0 + (-8.0 * (load(i) - 0.5)).exp()) + noise(i + 5);
    let targets = BTreeMap::from([
        (Component::Package, (0..count).map(package).collect()),
        (
            Component::Dram,
            (0..count).map(|i| 5.0 + values[(i, 0)] / 3e7).collect(),
        ),
        (Component::Core, vec![0.0; count]),
    ]);
    let features = ["cache_miss", "cpu_cycles", "cpu_instructions"].map(String::from);
    TrainingData::from_arrays(features.to_vec(), values, targets).unwrap()
}

/// Few folds: these tests are about behaviour, not about figures.
fn three_folds() -> TrainOptions {
    let mut options = TrainOptions::default();
    options.folds = 3;
    options
}

#[test]
fn every_trainer_learns_and_tells_its_error() {
    let data = rows(120);
    let options = three_folds();
    for trainer in Trainer::ALL {
        let model = train(*trainer, &data, &options, &mut Watch::none()).unwrap();
        let part = &model.file().components[&Component::Package];
        let mae = part.errors[0].mae;
        // Guessing the mean is off by 33 W here; the exponential is the wrong shape and the worst of all.
        assert!(mae < 15.0, "{trainer}: {mae}");
        assert_eq!(part.errors[0].rows, Some(120), "{trainer}");
        // What is predicted for seen rows is about as good as what was told of unseen ones.
        let watts = &model.predict(data.rows.view()).unwrap().watts[&Component::Package];
        let off = watts
            .iter()
            .zip(&data.targets[&Component::Package])
            .map(|(a, b)| (a - b).abs());
        let seen = off.sum::<f64>() / 120.0;
        assert!(seen < 1.1 * mae, "{trainer}: {seen} {mae}");
    }
}

#[test]
fn power_that_never_changes_is_a_constant_for_every_trainer() {
    let data = rows(36);
    for trainer in Trainer::ALL {
        let model = train(*trainer, &data, &three_folds(), &mut Watch::none()).unwrap();
        let part = &model.file().components[&Component::Core];
        assert_eq!(
            (part.estimator.kind(), part.errors[0].mae),
            ("constant", 0.0),
            "{trainer}"
        );
    }
}

#[test]
fn a_model_is_the_same_after_its_file() {
    let data = rows(36);
    for trainer in Trainer::ALL {
        let model = train(*trainer, &data, &three_folds(), &mut Watch::none()).unwrap();
        let json = model.file().to_json().unwrap();
        let again = kepler_core::model::PowerModel::from_json(json.as_bytes()).unwrap();
        let predict = |m: &kepler_core::model::PowerModel| m.predict(data.rows.view()).unwrap();
        assert_eq!(predict(&again), predict(&model), "{trainer}");
    }
}

#[test]
fn a_seed_makes_training_repeatable() {
    let data = rows(36);
    for trainer in Trainer::ALL {
        let options = three_folds();
        let json = || {
            let model = train(*trainer, &data, &options, &mut Watch::none()).unwrap();
            model.file().to_json().unwrap()
        };
        assert_eq!(json(), json(), "{trainer}");
    }
}

#[test]
fn scales_are_learnt_from_training_rows_alone() {
    // The last block holds the only large value. A scaler that saw it would give the first fold another scale.
    let mut data = rows(100);
    data.rows[(99, 1)] = 1e12;
    let parts = folds(&data, Split::BlockedFolds, 10, 0).unwrap();
    assert_eq!(parts[9].test, (90..100).collect::<Vec<_>>());
    let model = train(
        Trainer::Linear,
        &data.at(&parts[9].train),
        &three_folds(),
        &mut Watch::none(),
    )
    .unwrap();
    let features = &model.file().features;
    assert!(features[1].scale < 1e10 && features[1].max.unwrap() < 1e10);
}

#[test]
fn every_row_is_held_out_once_and_machines_stay_together() {
    let mut data = rows(103);
    data.machines = (0..103).map(|row| row / 9).collect();
    for split in [Split::ShuffledFolds, Split::BlockedFolds, Split::MachineOut] {
        let parts = folds(&data, split, 10, 7).unwrap();
        assert_eq!(parts.len(), 10, "{split}");
        let mut tested: Vec<usize> = parts.iter().flat_map(|f| f.test.clone()).collect();
        tested.sort_unstable();
        assert_eq!(tested, (0..103).collect::<Vec<_>>(), "{split}");
        for fold in &parts {
            assert_eq!(fold.train.len() + fold.test.len(), 103, "{split}");
            let machine = |row: &usize| data.machines[*row];
            let apart = fold
                .test
                .iter()
                .all(|t| fold.train.iter().all(|r| machine(r) != machine(t)));
            assert_eq!(apart, split == Split::MachineOut, "{split}");
        }
    }
    let one = folds(&data, Split::ShuffledPart, 10, 7).unwrap();
    assert_eq!((one.len(), one[0].test.len()), (1, 11));
}

#[test]
fn folds_that_cannot_be_are_refused() {
    let data = rows(20);
    let refused = |split, count| folds(&data, split, count, 0).unwrap_err().kind();
    assert_eq!(refused(Split::ShuffledFolds, 1), ErrorKind::InvalidInput);
    assert_eq!(refused(Split::BlockedFolds, 21), ErrorKind::InvalidInput);
    assert_eq!(refused(Split::MachineOut, 5), ErrorKind::InvalidInput);
}

#[test]
fn a_leaderboard_ranks_and_goes_on_after_a_failure() {
    let data = rows(120);
    let board = leaderboard(
        &[
            Trainer::Exponential,
            Trainer::GradientBoosting,
            Trainer::Sgd,
        ],
        &data,
        Split::ShuffledFolds,
        &three_folds(),
        &mut Watch::none(),
    )
    .unwrap();
    assert_eq!(board.component, Component::Package);
    assert_eq!(board.best(), Some(Trainer::GradientBoosting));
    let maes: Vec<f64> = board
        .entries
        .iter()
        .map(|e| e.errors[&Component::Package].mae)
        .collect();
    assert!(maes.is_sorted(), "{maes:?}");
    assert!(
        board
            .to_string()
            .contains("GradientBoostingRegressorTrainer")
    );
}

#[test]
fn cancelling_ends_every_trainer() {
    let data = rows(36);
    for trainer in Trainer::ALL {
        let mut calls = 0;
        let mut watch = Watch::new(|_| {
            calls += 1;
            if calls < 3 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        let error = train(*trainer, &data, &three_folds(), &mut watch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{trainer}");
    }
}

#[test]
fn progress_rises_to_the_end() {
    let data = rows(36);
    let mut done = Vec::new();
    let mut watch = Watch::new(|progress| {
        done.push(progress.done);
        ControlFlow::Continue(())
    });
    train(Trainer::Ensemble, &data, &three_folds(), &mut watch).unwrap();
    drop(watch);
    assert!(done.is_sorted(), "it never goes back");
    assert!(done[0] < 0.05 && *done.last().unwrap() > 0.9 && done.len() > 100);
}

#[test]
fn intervals_hold_nine_rows_in_ten() {
    let data = rows(200);
    let mut options = three_folds();
    options.folds = 10;
    let validation = cross_validate(
        Trainer::Ensemble,
        &data,
        Split::BlockedFolds,
        &options,
        &mut Watch::none(),
    );
    let residuals = validation
        .unwrap()
        .residuals(Component::Package, &data)
        .unwrap();
    let coverage = residuals.coverage.unwrap();
    assert!((0.85..=0.97).contains(&coverage), "{coverage}");
    // The noise alone is 1 W wide, and load moves power by 100 W: an interval tells something.
    let width = residuals.mean_width.unwrap();
    assert!((0.8..30.0).contains(&width), "{width}");
}

#[test]
fn a_csv_says_where_it_is_wrong() {
    let error = |text| TrainingData::from_csv(text, "rows.csv").unwrap_err();
    let wrong = error("a,package_power\n1,2\n1,x\n");
    assert_eq!(wrong.kind(), ErrorKind::Malformed);
    assert!(wrong.to_string().starts_with("rows.csv:3:"), "{wrong}");
    assert_eq!(error("a,package_power\n1\n").kind(), ErrorKind::Malformed);
    assert_eq!(
        error("a,package_power\n1,inf\n").kind(),
        ErrorKind::Malformed
    );
    assert_eq!(error("a,package_power\n").kind(), ErrorKind::InvalidInput);
    assert_eq!(error("a,b\n1,2\n").kind(), ErrorKind::InvalidInput);
    assert_eq!(error("").kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_csv_knows_targets_time_and_machines() {
    let text = "timestamp,node_type,id,f,package_power,dram_power,packge_ratio_package\n\
                9,4,all,1.5,60,5,1\n3,7,all,2.5,70,6,1\n";
    let data = TrainingData::from_csv(text, "rows.csv").unwrap();
    assert_eq!(data.features, ["f"]);
    assert_eq!(data.times, [3.0, 9.0]);
    assert_eq!(data.machines, [7, 4]);
    assert_eq!(data.targets[&Component::Dram], [6.0, 5.0]);
    assert_eq!(data.rows, ndarray::array![[2.5], [1.5]]);
    let dynamic = data.above_least();
    assert_eq!(
        dynamic.targets[&Component::Package],
        [0.0, 0.0],
        "each machine has its own idle power"
    );
}

#[test]
fn columns_of_a_csv_are_what_was_chosen() {
    let text = "when,host,f,comm,package_power,dram_power,watts,Node_Joules\n\
                9,b,1.5,sh,60,5,70,1\n3,a,2.5,ls,70,6,80,2\n";
    let choice = ColumnChoice {
        time: Some("when".to_owned()),
        machine: Some("host".to_owned()),
        features: Some(vec!["f".to_owned()]),
        ..ColumnChoice::default()
    };
    let read = |choice: &ColumnChoice| TrainingData::from_csv_as(text, "rows.csv", choice);
    let data = read(&choice.clone().target("watts")).unwrap();
    assert_eq!(data.features, ["f"]);
    assert_eq!(data.times, [3.0, 9.0]);
    assert_eq!(data.machines, [0, 1], "in the order of their names");
    assert_eq!(data.targets.len(), 1);
    assert_eq!(data.targets[&Component::Platform], [80.0, 70.0]);
    let missing = read(&choice.clone().target("no_such")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.to_string().contains("no_such"), "{missing}");
    // A column of text is an error where nothing chose others, with the line and the column.
    let text = read(&ColumnChoice::default()).unwrap_err();
    assert_eq!(text.kind(), ErrorKind::Malformed);
    let twice = TrainingData::from_csv("f,f,package_power\n1,2,3\n", "rows.csv").unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::InvalidInput);
}

#[test]
fn what_tells_power_is_learned_from_only_when_it_is_asked_for() {
    let names = [
        "timestamp",
        "id",
        "f",
        "powerful",
        "dram_power",
        "gpu_power",
        "package_power",
        "watts",
        "joules_dram",
        "Package.Energy",
        "energy_uj",
    ];
    let choice = ColumnChoice::default().target("package_power");
    assert_eq!(choice.roles(&names).unwrap().features, ["f", "powerful"]);
    let asked = |feature: &str| ColumnChoice {
        features: Some(vec![feature.to_owned()]),
        ..choice.clone()
    };
    assert_eq!(
        asked("dram_power").roles(&names).unwrap().features,
        ["dram_power"]
    );
    let itself = asked("package_power").roles(&names).unwrap_err();
    assert_eq!(itself.kind(), ErrorKind::InvalidInput);
}
