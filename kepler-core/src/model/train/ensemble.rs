//! The library's own trainer: several kinds of trees and a smoother, blended for the least absolute error on rows not seen.
//!
//! What wins depends on the table: on nx12 a forest grown to the logarithm of power where hardware counters are known, a
//! forest of medians where few features make rows ambiguous. So all are grown without a part of the rows, blocks in order,
//! and the blend is chosen by what they predict for that part (ensemble selection, Caruana 2004).

use ndarray::{ArrayView2, Axis};

use super::boost::Boosting;
use super::forest::{Forest, Loss};
use super::grow::{Splits, TreeShape, share_of};
use super::progress::Watch;
use super::trainer::correlation;
use crate::error::{Error, Result};
use crate::model::columns::{BLOCK, Columns};
use crate::model::{BlendPart, Derived, Estimator, Table};

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
    /// Boosted random splits for the absolute error, three times over.
    Boosted,
    /// No trees: the median of the nearest rows along one feature. Best where there is only one.
    LocalMedian,
}

/// How many kinds there are.
const KINDS: usize = 5;

impl Kind {
    const ALL: [Self; KINDS] = [
        Self::LogForest,
        Self::MedianForest,
        Self::CoarseForest,
        Self::Boosted,
        Self::LocalMedian,
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
            trees: trees(80),
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
                let mut bag = |number: usize| {
                    let boosting = Boosting {
                        trees: trees(130),
                        rate: 0.12,
                        shape: TreeShape {
                            splits: Splits::Random,
                            max_depth: 8,
                            min_leaf: 4,
                            ..TreeShape::default()
                        },
                        loss: Loss::Absolute,
                        row_share: 0.8,
                        seed: seed ^ number as u64,
                    };
                    let trees = watch.part("", (number, BAGS), |watch| {
                        boosting.fit(z, target, None, watch)
                    })?;
                    let estimator = Estimator::Trees(trees);
                    let weight = 1.0 / BAGS as f64;
                    Ok(BlendPart { weight, estimator })
                };
                let parts = (0..BAGS).map(&mut bag).collect::<Result<_>>()?;
                Ok(Estimator::Blend { parts })
            }
            Self::LocalMedian => Ok(Estimator::Table(local_median(z, target))),
        }
    }
}

/// How often boosting is begun anew, with other random splits.
const BAGS: usize = 3;
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

/// The weighted median of the nearest rows, nearer ones counting more, along the input that goes along with power best.
fn local_median(z: ArrayView2<'_, f64>, target: &[f64]) -> Table {
    const NEAR: usize = 31;
    const PLACES: usize = 2_000;
    let together = |i: &usize| correlation(z.column(*i).iter().copied(), target).abs();
    let all = 0..z.ncols();
    let input = all
        .max_by(|a, b| together(a).total_cmp(&together(b)))
        .unwrap_or(0);
    let mut rows: Vec<(f64, f64)> = z
        .column(input)
        .iter()
        .copied()
        .zip(target.iter().copied())
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut places: Vec<f64> = rows
        .iter()
        .step_by(rows.len().div_ceil(PLACES))
        .map(|r| r.0)
        .collect();
    places.dedup_by(|later, earlier| later <= earlier);
    let near = NEAR.min(rows.len());
    let mut first = 0;
    let at = |place: &f64| {
        // The nearest rows stand together, and their place only moves up.
        let off = |row: usize| (rows[row].0 - place).abs();
        while first + near < rows.len() && off(first + near) < off(first) {
            first += 1;
        }
        let farthest = off(first).max(off(first + near - 1)).max(f64::MIN_POSITIVE);
        let weight = |row| 1.0 - 0.95 * off(row) / farthest;
        median(
            (first..first + near)
                .map(|row| (rows[row].1, weight(row)))
                .collect(),
        )
    };
    let y = places.iter().map(at).collect();
    Table {
        input,
        x: places,
        y,
    }
}

fn median(mut weighted: Vec<(f64, f64)>) -> f64 {
    weighted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = weighted.iter().map(|(_, w)| w).sum::<f64>() / 2.0;
    let mut below = 0.0;
    let reaches = |(_, weight): &&(f64, f64)| {
        below += weight;
        below >= half
    };
    weighted
        .iter()
        .find(reaches)
        .map_or(0.0, |(value, _)| *value)
}

/// The weight of each kind, by what it predicts for rows that it was not grown on.
fn choose(
    z: ArrayView2<'_, f64>,
    target: &[f64],
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<[f64; KINDS]> {
    let rows = target.len();
    if rows < FOLDS * PIECES {
        return Ok([1.0 / KINDS as f64; KINDS]);
    }
    let mut unseen = [(); KINDS].map(|()| vec![0.0; rows]);
    for fold in 0..FOLDS {
        let block = |row: usize| row * FOLDS * PIECES / rows % FOLDS == fold;
        let (test, train): (Vec<usize>, Vec<usize>) = (0..rows).partition(|row| block(*row));
        let train_z = z.select(Axis(0), &train);
        let train_target: Vec<f64> = train.iter().map(|row| target[*row]).collect();
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            let part = (fold * KINDS + number, FOLDS * KINDS);
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
fn select(unseen: &[Vec<f64>; KINDS], target: &[f64]) -> [f64; KINDS] {
    let mut counts = [0.0; KINDS];
    let mut sum = vec![0.0; target.len()];
    for round in 1..=ROUNDS {
        let error = |kind: &usize| {
            let rows = sum.iter().zip(&unseen[*kind]).zip(target);
            rows.map(|((s, u), t)| ((s + u) / round as f64 - t).abs())
                .sum::<f64>()
        };
        let best = (0..KINDS)
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
