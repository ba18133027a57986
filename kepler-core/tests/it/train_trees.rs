//! Tree growers: what they can learn, what they promise.

#![expect(clippy::float_cmp, reason = "these sums are exact")]

use std::ops::ControlFlow;

use kepler_core::ErrorKind;
use kepler_core::model::train::{Boosting, Forest, Loss, Splits, TreeShape, Watch};
use kepler_core::model::{
    Component, Estimator, FeatureSpec, MedianForest, ModelFile, OutputType, PowerModel, Trees,
};
use ndarray::Array2;

/// Load 0..1 in 200 steps and a second feature that goes to and fro; watts rise with load, with a dent at 0.5..0.6.
fn dented() -> (Array2<f64>, Vec<f64>) {
    let rows = Array2::from_shape_fn((200, 2), |(i, j)| match j {
        0 => i as f64 / 200.0,
        _ => (i % 7) as f64,
    });
    let watts = rows.rows().into_iter().map(|row| {
        let dent = if (0.5..0.6).contains(&row[0]) {
            30.0
        } else {
            0.0
        };
        50.0 + 100.0 * row[0] - dent + 2.0 * row[1]
    });
    let watts = watts.collect();
    (rows, watts)
}

fn model(trees: Trees) -> PowerModel {
    checked(Estimator::Trees(trees)).unwrap()
}

fn checked(estimator: Estimator) -> kepler_core::Result<PowerModel> {
    let features = ["load", "other"].map(FeatureSpec::raw).to_vec();
    let mut file = ModelFile::new("trees", OutputType::AbsPower, features);
    file.components
        .insert(Component::Platform, estimator.into());
    PowerModel::new(file)
}

fn watts(model: &PowerModel, rows: &Array2<f64>) -> Vec<f64> {
    let predictions = model.predict(rows.view()).unwrap();
    predictions.watts[&Component::Platform].clone()
}

fn mean_error(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64
}

#[test]
fn a_forest_of_single_row_leaves_remembers_every_row() {
    let (rows, target) = dented();
    let trees = Forest::default().fit(rows.view(), &target, None, &mut Watch::none());
    let error = mean_error(&watts(&model(trees.unwrap()), &rows), &target);
    assert!(error < 1e-9, "{error}");
}

#[test]
fn the_first_boosted_tree_makes_the_best_split() {
    // Two groups, 10 W and 30 W: the mean is 20, the split lies half way between 1 and 8, and a rate of 0.5 goes half the way.
    let rows = Array2::from_shape_vec((4, 1), vec![0.0, 1.0, 8.0, 9.0]).unwrap();
    let boosting = Boosting {
        trees: 1,
        rate: 0.5,
        ..Boosting::default()
    };
    let target = [10.0, 10.0, 30.0, 30.0];
    let trees = boosting
        .fit(rows.view(), &target, None, &mut Watch::none())
        .unwrap();
    assert_eq!(trees.base, 20.0);
    assert_eq!(trees.threshold[0], 4.5);
    assert_eq!(trees.value[1..], [-5.0, 5.0]);
}

#[test]
fn absolute_error_is_not_moved_by_an_outlier() {
    let rows = Array2::from_shape_vec((5, 1), vec![1.0; 5]).unwrap();
    let target = [10.0, 11.0, 12.0, 13.0, 5000.0];
    let boosting = Boosting {
        loss: Loss::Absolute,
        ..Boosting::default()
    };
    let trees = boosting
        .fit(rows.view(), &target, None, &mut Watch::none())
        .unwrap();
    assert_eq!(trees.base, 12.0);
}

#[test]
fn a_row_of_double_weight_counts_as_two_rows() {
    let once = Array2::from_shape_vec((3, 1), vec![0.0, 1.0, 2.0]).unwrap();
    let twice = Array2::from_shape_vec((4, 1), vec![0.0, 1.0, 2.0, 2.0]).unwrap();
    for loss in [Loss::Squared, Loss::Absolute] {
        let boosting = Boosting {
            loss,
            ..Boosting::default()
        };
        let weight = [1.0, 1.0, 2.0];
        let a = boosting.fit(
            once.view(),
            &[5.0, 7.0, 30.0],
            Some(&weight),
            &mut Watch::none(),
        );
        let b = boosting.fit(
            twice.view(),
            &[5.0, 7.0, 30.0, 30.0],
            None,
            &mut Watch::none(),
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!((a.base - b.base).abs() < 1e-12, "{loss:?}");
        assert_eq!(a.threshold, b.threshold, "{loss:?}");
    }
}

#[test]
fn a_monotone_constraint_holds_everywhere() {
    let (rows, target) = dented();
    let shape = |splits, max_depth| TreeShape {
        splits,
        max_depth,
        monotone: vec![1, 0],
        ..TreeShape::default()
    };
    let mut grown = Vec::new();
    for loss in [Loss::Squared, Loss::Absolute] {
        let forest = Forest {
            loss,
            shape: shape(Splits::Random, usize::MAX),
            ..Forest::default()
        };
        let boosting = Boosting {
            loss,
            shape: shape(Splits::Best, 5),
            row_share: 0.7,
            ..Boosting::default()
        };
        grown.push(
            forest
                .fit(rows.view(), &target, None, &mut Watch::none())
                .unwrap(),
        );
        grown.push(
            boosting
                .fit(rows.view(), &target, None, &mut Watch::none())
                .unwrap(),
        );
    }
    for trees in grown {
        let model = model(trees);
        for other in 0..7 {
            let line = Array2::from_shape_fn((500, 2), |(i, j)| match j {
                0 => i as f64 / 480.0,
                _ => f64::from(other),
            });
            let watts = watts(&model, &line);
            assert!(watts.is_sorted_by(|a, b| *b >= a - 1e-9), "{watts:?}");
            assert!(watts[400] > watts[50] + 50.0, "power still rises");
        }
    }
}

#[test]
fn a_seed_gives_the_same_trees_and_another_seed_others() {
    let (rows, target) = dented();
    let fit = |seed| {
        let forest = Forest {
            seed,
            ..Forest::default()
        };
        forest
            .fit(rows.view(), &target, None, &mut Watch::none())
            .unwrap()
    };
    assert_eq!(fit(1), fit(1));
    assert_ne!(fit(1), fit(2));
}

#[test]
fn training_can_be_cancelled_and_tells_how_far_it_is() {
    let (rows, target) = dented();
    let mut done = Vec::new();
    let mut watch = Watch::new(|progress| {
        done.push(progress.done);
        if progress.done < 0.5 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    let error = Boosting::default()
        .fit(rows.view(), &target, None, &mut watch)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    drop(watch);
    assert_eq!(done.len(), 51);
}

#[test]
fn rows_that_make_no_sense_are_refused() {
    let fit = |rows: Array2<f64>, target: &[f64], weight| {
        let kind = |e: kepler_core::Error| e.kind();
        let forest = Forest::default();
        forest
            .fit(rows.view(), target, weight, &mut Watch::none())
            .map_err(kind)
    };
    let row = || Array2::from_elem((2, 1), 1.0);
    let refused = Err(ErrorKind::InvalidInput);
    assert_eq!(fit(Array2::zeros((0, 1)), &[], None), refused);
    assert_eq!(fit(row(), &[1.0], None), refused);
    assert_eq!(fit(row(), &[1.0, f64::NAN], None), refused);
    assert_eq!(fit(row(), &[1.0, 1.0], Some(&[1.0, 0.0])), refused);
    assert!(fit(row(), &[1.0, 1.0], None).is_ok());
}

/// Two trees over the first input: one split at 1 with the rows {0, 1, 2} and {3, 4}, one leaf with all five.
fn two_trees() -> MedianForest {
    let mut trees = Trees::default();
    let split = trees.push_split(0, 1.0);
    let (left, right) = (trees.push_leaf(3.0), trees.push_leaf(2.0));
    trees.set_children(split, left, right);
    trees.roots = vec![split, trees.push_leaf(5.0)];
    MedianForest {
        trees,
        targets: vec![10.0, 20.0, 30.0, 40.0, 50.0],
        rows: vec![0, 1, 2, 3, 4, 0, 1, 2, 3, 4],
    }
}

#[test]
fn a_median_forest_answers_with_the_middle_of_all_votes() {
    let model = checked(Estimator::MedianForest(two_trees())).unwrap();
    // Left: 10, 20, 30 have 1/3 + 1/5 of a vote each, 40 and 50 1/5: of 2 votes, 8/15 + 8/15 reach the half at 20.
    // Right: 10, 20, 30 have 1/5, 40 and 50 1/5 + 1/2: 3/5 + 7/10 reach it at 40.
    let rows = Array2::from_shape_fn((2, 2), |(row, _)| 2.0 * row as f64);
    assert_eq!(watts(&model, &rows), [20.0, 40.0]);
}

#[test]
fn a_median_forest_whose_rows_do_not_fit_is_refused() {
    let wrong: [fn(&mut MedianForest); 7] = [
        |f| f.rows[4] = 5,
        |f| f.rows.swap(0, 2),
        |f| f.rows.push(1),
        |f| f.trees.value[1] = 2.5,
        |f| f.trees.value[1] = 1e300,
        |f| f.targets.swap(0, 1),
        |f| f.trees.base = 1.0,
    ];
    for (number, spoil) in wrong.iter().enumerate() {
        let mut forest = two_trees();
        spoil(&mut forest);
        let error = checked(Estimator::MedianForest(forest)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}: {error}");
    }
}

#[test]
fn medians_over_trees_pass_by_outliers() {
    let (rows, mut target) = dented();
    let truth = target.clone();
    target.iter_mut().step_by(17).for_each(|w| *w += 500.0);
    let forest = Forest {
        shape: TreeShape {
            splits: Splits::Random,
            min_leaf: 5,
            ..TreeShape::default()
        },
        ..Forest::default()
    };
    let medians = forest
        .fit_medians(rows.view(), &target, &mut Watch::none())
        .unwrap();
    let medians = checked(Estimator::MedianForest(medians)).unwrap();
    let means = forest.fit(rows.view(), &target, None, &mut Watch::none());
    let (medians, means) = (watts(&medians, &rows), watts(&model(means.unwrap()), &rows));
    assert!(mean_error(&medians, &truth) < 0.5 * mean_error(&means, &truth));
}
