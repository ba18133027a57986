//! The library's own trainer: several kinds of trees, blended for the least absolute error on rows not seen.
//!
//! What wins depends on the table: on nx12 a forest grown to the logarithm of power where hardware counters are known, a
//! forest of medians where few features make rows ambiguous. So all are grown without a part of the rows, blocks in order,
//! and the blend is chosen by what they predict for that part (ensemble selection, Caruana 2004).

use ndarray::{ArrayView2, Axis};

use super::boost::Boosting;
use super::forest::{Forest, Loss};
use super::grow::{Splits, TreeShape, share_of};
use super::progress::Watch;
use crate::error::{Error, Result};
use crate::model::columns::{BLOCK, Columns};
use crate::model::{BlendPart, Derived, Estimator};

/// Inputs besides the features: their logarithms, and ratios of what processors count (instructions a cycle, misses an
/// instruction, cycles a second of CPU time), larger over smaller, with theirs.
pub(super) fn derived(features: &[String], rows: ArrayView2<'_, f64>) -> Vec<Derived> {
    let counted = |name: &String| {
        ["cpu_", "cache_", "bpf_cpu_"]
            .iter()
            .any(|p| name.starts_with(p))
    };
    let counted: Vec<usize> = (0..features.len())
        .filter(|i| counted(&features[*i]))
        .collect();
    let mean = |i: usize| rows.column(i).sum();
    let mut derived: Vec<Derived> = (0..features.len()).map(|a| Derived::Log { a }).collect();
    for (place, first) in counted.iter().enumerate() {
        for second in &counted[place + 1..] {
            let (a, b) = if mean(*first) >= mean(*second) {
                (*first, *second)
            } else {
                (*second, *first)
            };
            let ratio = features.len() + derived.len();
            derived.extend([Derived::Ratio { a, b }, Derived::Log { a: ratio }]);
        }
    }
    derived
}

/// Fits the blend. Its answers stay between the least and the most power of the rows.
pub(super) fn fit(
    z: ArrayView2<'_, f64>,
    target: &[f64],
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Estimator> {
    let weights = watch.part("", (0, 2), |watch| choose(z, target, seed, watch))?;
    let used: Vec<(Kind, f64)> = Kind::ALL
        .into_iter()
        .zip(weights)
        .filter(|(_, w)| *w > 0.0)
        .collect();
    let count = used.len();
    let parts = used
        .into_iter()
        .enumerate()
        .map(|(number, (kind, weight))| {
            let estimator = watch.part("", (count + number, 2 * count), |watch| {
                kind.fit(z, target, (1.0, seed), watch)
            })?;
            Ok(BlendPart { weight, estimator })
        });
    let blend = Estimator::Blend {
        parts: parts.collect::<Result<_>>()?,
    };
    Ok(Estimator::Clamped {
        low: target.iter().copied().reduce(f64::min),
        high: target.iter().copied().reduce(f64::max),
        of: Box::new(blend),
    })
}

/// The kinds of trees that are blended.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Random splits on the logarithm of power.
    LogForest,
    /// Random splits, leaves of medians.
    MedianForest,
    /// Best splits on a part of the rows, large leaves of medians.
    CoarseForest,
    /// Boosted random splits for the absolute error.
    Boosted,
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::LogForest,
        Self::MedianForest,
        Self::CoarseForest,
        Self::Boosted,
    ];

    fn fit(
        self,
        z: ArrayView2<'_, f64>,
        target: &[f64],
        (share, seed): (f64, u64),
        watch: &mut Watch<'_>,
    ) -> Result<Estimator> {
        let trees = |count| share_of(count, share);
        let forest = |splits, min_leaf, loss, row_share| Forest {
            trees: trees(60),
            shape: TreeShape {
                splits,
                min_leaf,
                ..TreeShape::default()
            },
            loss,
            row_share,
            seed,
        };
        let mut grow = |forest: &Forest, target: &[f64]| {
            let trees = forest.fit(z, target, None, watch)?;
            Ok::<_, Error>(Estimator::Trees(trees))
        };
        match self {
            Self::LogForest => {
                // A row of next to no power (idle taken off, or a meter that stood still) must not outweigh all others.
                let mut sorted = target.to_vec();
                sorted.sort_by(f64::total_cmp);
                let floor = (FLOOR * sorted[sorted.len() / 2]).max(FLOOR);
                let logs: Vec<f64> = target.iter().map(|t| t.max(floor).ln()).collect();
                let of = grow(&forest(Splits::Random, 1, Loss::Squared, 1.0), &logs)?;
                Ok(Estimator::Exp { of: Box::new(of) })
            }
            Self::MedianForest => grow(&forest(Splits::Random, 3, Loss::Absolute, 1.0), target),
            Self::CoarseForest => grow(&forest(Splits::Best, 10, Loss::Absolute, 0.6), target),
            Self::Boosted => {
                let boosting = Boosting {
                    trees: trees(200),
                    rate: 0.1,
                    shape: TreeShape {
                        splits: Splits::Random,
                        max_depth: 8,
                        min_leaf: 4,
                        ..TreeShape::default()
                    },
                    loss: Loss::Absolute,
                    row_share: 0.8,
                    seed,
                };
                Ok(Estimator::Trees(boosting.fit(z, target, None, watch)?))
            }
        }
    }
}

/// The share of the median power below which its logarithm is not followed; and as watts, at least.
const FLOOR: f64 = 0.1;
/// Folds that rows are held out in to choose the blend, and the short blocks that each is made of: long enough not to
/// reward remembering neighbours, short enough that what was held out is not all of its kind.
const FOLDS: usize = 4;
const PIECES: usize = 10;
/// The share of trees that is enough to choose by.
const TRIAL: f64 = 0.3;
/// The steps in which weights are given.
const ROUNDS: usize = 10;

/// The weight of each kind, by what it predicts for rows that it was not grown on.
fn choose(
    z: ArrayView2<'_, f64>,
    target: &[f64],
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<[f64; 4]> {
    let rows = target.len();
    if rows < FOLDS * PIECES {
        return Ok([0.25; 4]);
    }
    let mut unseen = [(); 4].map(|()| vec![0.0; rows]);
    for fold in 0..FOLDS {
        let block = |row: usize| row * FOLDS * PIECES / rows % FOLDS == fold;
        let (test, train): (Vec<usize>, Vec<usize>) = (0..rows).partition(|row| block(*row));
        let train_z = z.select(Axis(0), &train);
        let train_target: Vec<f64> = train.iter().map(|row| target[*row]).collect();
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            let part = (fold * 4 + number, FOLDS * 4);
            let estimator = watch.part("", part, |watch| {
                kind.fit(train_z.view(), &train_target, (TRIAL, seed), watch)
            })?;
            let predicted = predict(&estimator, z.select(Axis(0), &test).view())?;
            for (row, watts) in test.iter().zip(predicted) {
                unseen[number][*row] = watts;
            }
        }
    }
    Ok(select(&unseen, target))
}

/// Adds, again and again, the kind that makes the mean of all that were added best.
fn select(unseen: &[Vec<f64>; 4], target: &[f64]) -> [f64; 4] {
    let mut counts = [0.0; 4];
    let mut sum = vec![0.0; target.len()];
    for round in 1..=ROUNDS {
        let error = |kind: &usize| {
            let rows = sum.iter().zip(&unseen[*kind]).zip(target);
            rows.map(|((s, u), t)| ((s + u) / round as f64 - t).abs())
                .sum::<f64>()
        };
        let best = (0..4)
            .min_by(|a, b| error(a).total_cmp(&error(b)))
            .unwrap_or(0);
        counts[best] += 1.0 / ROUNDS as f64;
        sum.iter_mut().zip(&unseen[best]).for_each(|(s, u)| *s += u);
    }
    counts
}

fn predict(estimator: &Estimator, z: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
    let plan = estimator.plan(z.ncols())?;
    let mut scratch = vec![0.0; z.ncols() * BLOCK];
    let mut watts = vec![0.0; z.nrows()];
    for (number, out) in watts.chunks_mut(BLOCK).enumerate() {
        for (input, column) in z.columns().into_iter().enumerate() {
            for row in 0..out.len() {
                scratch[input * BLOCK + row] = column[number * BLOCK + row];
            }
        }
        plan.eval(&Columns::new(&scratch, out.len(), z.ncols()), out);
    }
    Ok(watts)
}
