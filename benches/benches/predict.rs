//! How fast power models predict: one row, and ten thousand, for each kind. Models are made here, of the sizes that the
//! public database has, so that the bench needs no data.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kepler_core::model::train::{Forest, Splits, TreeShape, Watch};
use kepler_core::model::{
    Component, Curve, CurveShape, Estimator, FeatureSpec, ModelFile, NearestNeighbors, OutputType,
    PowerModel, SupportVectors, Trees,
};
use ndarray::Array2;

const ROWS: usize = 10_000;
const FEATURES: usize = 5;

/// Even numbers from 0 to 1, the same at every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 33).unwrap_or(0)) / f64::from(1u32 << 31)
    }

    /// One of the features.
    fn pick(&mut self) -> u16 {
        self.next();
        u16::try_from((self.0 >> 40) % 5).unwrap_or(0)
    }

    fn many(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// A hundred whole trees.
fn trees(depth: u32, single: bool) -> Estimator {
    fn grow(trees: &mut Trees, numbers: &mut Numbers, depth: u32) -> u32 {
        if depth == 0 {
            return trees.push_leaf(numbers.next());
        }
        let feature = numbers.pick();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a threshold is a single-precision number"
        )]
        let node = trees.push_split(feature, numbers.next() as f32);
        let left = grow(trees, numbers, depth - 1);
        let right = grow(trees, numbers, depth - 1);
        trees.set_children(node, left, right);
        node
    }
    let mut trees = Trees {
        single,
        ..Trees::default()
    };
    let mut numbers = Numbers(7);
    for _ in 0..100 {
        let root = grow(&mut trees, &mut numbers, depth);
        trees.roots.push(root);
    }
    Estimator::Trees(trees)
}

fn neighbors(stored: usize) -> Estimator {
    let mut numbers = Numbers(11);
    Estimator::NearestNeighbors(NearestNeighbors {
        neighbors: 6,
        leaf: Some(30),
        rows: numbers.many(stored * FEATURES),
        targets: numbers.many(stored),
    })
}

/// Thirty-two trees whose leaves keep rows, grown on as many as the ensemble trainer's are on nx12, of inputs and noise.
fn medians() -> Estimator {
    const TRAINED: usize = 1_700;
    let mut numbers = Numbers(13);
    let rows = Array2::from_shape_fn((TRAINED, FEATURES), |_| numbers.next());
    let watts = rows.rows().into_iter();
    let watts: Vec<f64> = watts
        .map(|row| 50.0 + 40.0 * row[0] + 20.0 * row[4] * row[1] + 5.0 * numbers.next())
        .collect();
    let forest = Forest {
        trees: 32,
        shape: TreeShape {
            splits: Splits::Random,
            min_leaf: 3,
            ..TreeShape::default()
        },
        ..Forest::default()
    };
    let grown = forest.fit_medians(rows.view(), &watts, &mut Watch::none());
    Estimator::MedianForest(grown.expect("the rows are whole"))
}

/// A model with the same estimator for each of four components.
fn model(estimator: &Estimator) -> PowerModel {
    let names = [
        "bpf_cpu_time_ms",
        "bpf_page_cache_hit",
        "cache_miss",
        "cpu_cycles",
        "cpu_instructions",
    ];
    let features = names.iter().map(|name| FeatureSpec {
        scale: 3.0e9,
        min: Some(0.0),
        max: Some(3.0e9),
        ..FeatureSpec::raw(name)
    });
    let mut file = ModelFile::new("bench", OutputType::AbsPower, features.collect());
    for component in [
        Component::Package,
        Component::Core,
        Component::Uncore,
        Component::Dram,
    ] {
        file.components.insert(component, estimator.clone().into());
    }
    PowerModel::new(file).expect("it is made to be whole")
}

fn predict(c: &mut Criterion) {
    let mut numbers = Numbers(3);
    let curve = |shape, weights: &[f64]| {
        Estimator::Curve(Curve {
            shape,
            input: 4,
            weights: weights.to_vec(),
        })
    };
    let kinds = [
        (
            "linear",
            Estimator::Linear {
                intercept: 70.0,
                weights: numbers.many(FEATURES),
            },
        ),
        (
            "polynomial",
            Estimator::Polynomial {
                intercept: 70.0,
                weights: numbers.many(21),
            },
        ),
        (
            "logarithmic",
            curve(CurveShape::Logarithmic, &[50.0, 40.0, 22.0]),
        ),
        (
            "exponential",
            curve(CurveShape::Exponential, &[50.0, 1.1, 22.0]),
        ),
        (
            "logistic",
            curve(CurveShape::Logistic, &[200.0, 0.5, 5.0, 22.0]),
        ),
        ("100 trees of depth 3", trees(3, false)),
        ("100 trees of depth 6", trees(6, true)),
        ("medians of 32 trees", medians()),
        ("nearest of 150", neighbors(150)),
        ("nearest of 900", neighbors(900)),
        (
            "100 support vectors",
            Estimator::SupportVectors(SupportVectors {
                gamma: 2.0,
                intercept: 100.0,
                weights: numbers.many(100),
                vectors: numbers.many(100 * FEATURES),
            }),
        ),
    ];
    let rows = numbers
        .many(ROWS * FEATURES)
        .into_iter()
        .map(|share| share * 3.0e9)
        .collect();
    let rows =
        Array2::from_shape_vec((ROWS, FEATURES), rows).expect("as many as rows and features");
    let row = rows.row(0).to_vec();
    for (name, estimator) in kinds {
        let model = model(&estimator);
        let mut group = c.benchmark_group(format!("predict, 4 components: {name}"));
        group.bench_function("one row", |b| b.iter(|| model.predict_one(&row)));
        // Elements are rows times components.
        group.throughput(Throughput::Elements(4 * ROWS as u64));
        group.bench_function("10,000 rows", |b| b.iter(|| model.predict(rows.view())));
        group.finish();
    }
}

criterion_group!(benches, predict);
criterion_main!(benches);
