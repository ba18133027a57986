//! What holds for every model: a round trip changes nothing, the order of columns does not matter, and many rows at once
//! are the same rows one by one.

use kepler_core::model::{
    BlendPart, Component, Curve, CurveShape, Estimator, FeatureSpec, MedianForest, ModelFile,
    NearestNeighbors, OutputType, PowerModel, SupportVectors, Table, Trees,
};
use ndarray::Array2;
use proptest::collection::vec;
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A tree of random splits, as deep as its numbers last.
fn tree(trees: &mut Trees, numbers: &[(u16, f32)], inputs: u16, depth: u32) -> u32 {
    match numbers {
        [(feature, threshold), rest @ ..] if depth < 9 => {
            let node = trees.push_split(feature % inputs, *threshold);
            let (a, b) = rest.split_at(rest.len() / 3);
            let left = tree(trees, a, inputs, depth + 1);
            let right = tree(trees, b, inputs, depth + 1);
            trees.set_children(node, left, right);
            node
        }
        [(_, value), ..] => trees.push_leaf(f64::from(*value) / 3.0),
        [] => trees.push_leaf(0.7),
    }
}

fn forest(inputs: usize) -> impl Strategy<Value = Estimator> {
    let inputs = u16::try_from(inputs).unwrap();
    let split = (0..inputs, -1.0f32..2.0);
    (vec(vec(split, 0..60), 1..5), any::<bool>()).prop_map(move |(all, single)| {
        let mut trees = Trees {
            base: 3.5,
            single,
            ..Trees::default()
        };
        for numbers in all {
            let root = tree(&mut trees, &numbers, inputs, 0);
            trees.roots.push(root);
        }
        Estimator::Trees(trees)
    })
}

/// The same trees with one to three of ten rows in each leaf.
fn median_forest(inputs: usize) -> impl Strategy<Value = Estimator> {
    forest(inputs).prop_map(|estimator| {
        let Estimator::Trees(mut trees) = estimator else {
            panic!("a forest is made of trees");
        };
        (trees.base, trees.single) = (0.0, false);
        let mut rows = Vec::new();
        for node in 0..trees.value.len() {
            let kept = if trees.left[node] == 0 {
                1 + node % 3
            } else {
                0
            };
            trees.value[node] = kept as f64;
            let first = node % 8;
            rows.extend((first..first + kept).map(|row| u32::try_from(row).unwrap()));
        }
        Estimator::MedianForest(MedianForest {
            trees,
            targets: (0..10).map(|row| f64::from(row * row)).collect(),
            rows,
        })
    })
}

fn estimator(n: usize) -> impl Strategy<Value = Estimator> {
    let number = -50.0..50.0f64;
    let curves = prop_oneof![
        Just((CurveShape::Exponential, 3)),
        Just((CurveShape::Logarithmic, 3)),
        Just((CurveShape::Logistic, 4)),
    ];
    let stored = (8..40usize, 1..8usize, proptest::option::of(2..9usize));
    let leaf = prop_oneof![
        (number.clone(), vec(number.clone(), n))
            .prop_map(|(intercept, weights)| Estimator::Linear { intercept, weights }),
        vec(number.clone(), 1 + n + n * (n + 1) / 2).prop_map(|weights| Estimator::Polynomial {
            intercept: 1.0,
            weights
        }),
        (curves, 0..n, vec(0.01..3.0f64, 4)).prop_map(|((shape, count), input, weights)| {
            Estimator::Curve(Curve {
                shape,
                input,
                weights: weights[..count].to_vec(),
            })
        }),
        (0..n, vec(0.1..1.0f64, 1..9)).prop_map(|(input, steps)| {
            let sum = |values: &[f64]| -> f64 { values.iter().sum() };
            let x: Vec<f64> = (1..=steps.len()).map(|i| sum(&steps[..i])).collect();
            Estimator::Table(Table {
                input,
                y: x.iter().map(|x| x * 7.0).collect(),
                x,
            })
        }),
        stored.prop_flat_map(move |(count, neighbors, leaf)| {
            // Few distinct values, so that rows are often equally near.
            (vec(0..5u8, count * n), vec(0.0..100.0f64, count)).prop_map(move |(rows, targets)| {
                Estimator::NearestNeighbors(NearestNeighbors {
                    neighbors,
                    leaf,
                    rows: rows.into_iter().map(|v| f64::from(v) / 4.0).collect(),
                    targets,
                })
            })
        }),
        (vec(number.clone(), 6), vec(0.0..1.0f64, 6 * n)).prop_map(|(weights, vectors)| {
            Estimator::SupportVectors(SupportVectors {
                gamma: 0.8,
                intercept: 9.0,
                weights,
                vectors,
            })
        }),
        forest(n),
        median_forest(n),
    ];
    vec((0.1..2.0f64, leaf), 1..4).prop_map(|parts| Estimator::Blend {
        parts: parts
            .into_iter()
            .map(|(weight, estimator)| BlendPart { weight, estimator })
            .collect(),
    })
}

fn model() -> impl Strategy<Value = PowerModel> {
    (1..=NAMES.len()).prop_flat_map(|n| {
        (vec(estimator(n), 1..3), vec(0.001..1e9f64, n)).prop_map(move |(estimators, scales)| {
            let features = NAMES.iter().zip(&scales).map(|(name, scale)| FeatureSpec {
                scale: *scale,
                min: Some(0.0),
                max: Some(*scale),
                ..FeatureSpec::raw(name)
            });
            let mut file = ModelFile::new("law", OutputType::DynPower, features.collect());
            for (component, estimator) in Component::ALL.iter().zip(estimators) {
                file.components.insert(*component, estimator.into());
            }
            PowerModel::new(file).unwrap()
        })
    })
}

/// Rows of shares of the model's scales, in and out of range, more than one block.
fn rows(model: &PowerModel, shares: &[f64]) -> Array2<f64> {
    let scales: Vec<f64> = model.file().features.iter().map(|f| f.scale).collect();
    let n = scales.len();
    Array2::from_shape_fn((shares.len() / n, n), |(row, i)| {
        shares[row * n + i] * scales[i]
    })
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-12 * b.abs().max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_round_trip_changes_nothing(model in model(), shares in vec(0.0..1.5f64, 40)) {
        let again = PowerModel::from_json(model.file().to_json().unwrap().as_bytes()).unwrap();
        prop_assert_eq!(again.file(), model.file());
        let rows = rows(&model, &shares);
        prop_assert_eq!(again.predict(rows.view()).unwrap(), model.predict(rows.view()).unwrap());
    }

    #[test]
    fn many_rows_at_once_are_the_same_rows_one_by_one(
        model in model(),
        shares in vec(prop_oneof![0.0..1.5f64, Just(0.0), Just(0.25), Just(1.0)], 4..600),
    ) {
        let rows = rows(&model, &shares);
        let all = model.predict(rows.view()).unwrap();
        for (i, row) in rows.rows().into_iter().enumerate() {
            let one = model.predict_one(&row.to_vec()).unwrap();
            prop_assert_eq!(one.in_range, all.in_range[i]);
            for (component, watts) in one.watts {
                prop_assert!(same(watts, all.watts[&component][i]), "{} row {}", component, i);
            }
        }
    }

    #[test]
    fn the_order_of_columns_does_not_matter(
        model in model(),
        shares in vec(0.0..1.5f64, 80),
        order in Just([0usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let rows = rows(&model, &shares);
        let n = rows.ncols();
        let order: Vec<usize> = order.into_iter().filter(|i| *i < n).collect();
        let turned = Array2::from_shape_fn(rows.dim(), |(row, i)| rows[(row, order[i])]);
        let names: Vec<&str> = order.iter().map(|i| NAMES[*i]).collect();
        let bound = model.bind(&names).unwrap();
        prop_assert_eq!(bound.predict(turned.view()).unwrap(), model.predict(rows.view()).unwrap());
    }
}
