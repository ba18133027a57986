//! The library's own trainer: forests, or a smoother where there is one feature alone, blended for the least absolute error
//! on rows not seen.
//!
//! What wins depends on the table: on nx12 boosted trees and forests with leaves of a single row where much is known of a
//! row, larger leaves where rows are ambiguous. So all are grown without a part of the rows, blocks in order, and the blend
//! is chosen by what they predict for that part (ensemble selection, Caruana 2004). Most trees see half of the rows alone:
//! for rows of another time that is worth more than all of them, which lie too close to each other.

use ndarray::{ArrayView2, Axis};

use super::boost::Boosting;
use super::forest::Forest;
use super::leaf::Loss;
use super::local_median::local_median;
use super::progress::Watch;
use super::shape::{Splits, TreeShape};
use super::tree_rows::share_of;
use crate::error::Result;
use crate::model::columns::{BLOCK, Columns};
use crate::model::{BlendPart, Derived, Estimator, Trees};

/// Inputs besides the features: their logarithms, and ratios of what processors count (instructions a cycle, misses an
/// instruction, cycles a second of CPU time) and of the kernel's time to the programs', larger over smaller, with theirs.
pub(super) fn derived(features: &[String], rows: ArrayView2<'_, f64>) -> Vec<Derived> {
    let places = |wanted: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let places = 0..features.len();
        places.filter(|i| wanted(&features[*i])).collect()
    };
    let counted = places(&|name| {
        ["cpu_", "cache_", "bpf_cpu_"]
            .iter()
            .any(|p| name.starts_with(p))
    });
    let times = places(&|name| {
        name == "cgroupfs_system_cpu_usage_us" || name == "cgroupfs_user_cpu_usage_us"
    });
    let sum = |i: usize| rows.column(i).sum();
    let mut derived: Vec<Derived> = (0..features.len()).map(|a| Derived::Log { a }).collect();
    for family in [counted, times] {
        for (place, first) in family.iter().enumerate() {
            for second in &family[place + 1..] {
                let (a, b) = if sum(*first) >= sum(*second) {
                    (*first, *second)
                } else {
                    (*second, *first)
                };
                let ratio = features.len() + derived.len();
                derived.extend([Derived::Ratio { a, b }, Derived::Log { a: ratio }]);
            }
        }
    }
    derived
}

/// Fits the blend. Its answers stay between the least and the most power of the rows.
///
/// The first `features` columns of `z` are not derived from others.
pub(super) fn fit(
    z: ArrayView2<'_, f64>,
    features: usize,
    target: &[f64],
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Estimator> {
    let kinds = Kind::suited(features, target.len());
    let weights = watch.part("", (0, 2), |watch| choose(kinds, z, target, seed, watch))?;
    let used: Vec<(Kind, f64)> = kinds
        .iter()
        .copied()
        .zip(weights)
        .filter(|(_, w)| *w > 0.0)
        .collect();
    let count = used.len();
    let parts = used
        .into_iter()
        .enumerate()
        .map(|(number, (kind, weight))| {
            let estimator = watch.part("", (count + number, 2 * count), |watch| {
                kind.fit(z, target, (false, seed), watch)
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

/// What is blended.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Random splits on the logarithm of power, medians over the rows of all leaves that a row meets.
    Medians(Leaves),
    /// Random splits on the logarithm of power, means of single rows.
    LogForest,
    /// Boosted random splits for the logarithm of power, several times over.
    LogBoosted,
    /// Boosted random splits for the absolute error, several times over.
    Boosted,
    /// No trees: the median of the nearest rows along one feature.
    LocalMedian,
}

/// How closely a forest follows the rows.
#[derive(Clone, Copy, Debug)]
struct Leaves {
    /// Rows in a leaf, at least.
    least: usize,
    /// The share of inputs that a split is chosen among, where these are many.
    inputs: f64,
    /// The share of rows that a tree sees.
    rows: f64,
}

impl Kind {
    /// Along one feature a smoother follows what forests can only step after.
    const ONE: [Self; 2] = [Self::LocalMedian, Self::Boosted];
    /// Forests that follow rows more and less closely, and trees that add up.
    const SEVERAL: [Self; 4] = [
        Self::Medians(Leaves {
            least: 1,
            inputs: 0.5,
            rows: 0.5,
        }),
        Self::Medians(Leaves {
            least: 2,
            inputs: 1.0,
            rows: 0.5,
        }),
        Self::Medians(Leaves {
            least: 3,
            inputs: 0.25,
            rows: 1.0,
        }),
        Self::LogBoosted,
    ];

    /// Of few rows none can be spared, and means are steadier.
    const THIN: [Self; 4] = [
        Self::LogForest,
        Self::Medians(Leaves {
            least: 3,
            inputs: 1.0,
            rows: 1.0,
        }),
        Self::Medians(Leaves {
            least: 3,
            inputs: 0.5,
            rows: 1.0,
        }),
        Self::Medians(Leaves {
            least: 10,
            inputs: 1.0,
            rows: 1.0,
        }),
    ];

    fn suited(features: usize, rows: usize) -> &'static [Self] {
        match features {
            1 => &Self::ONE,
            _ if rows < FEW_ROWS => &Self::THIN,
            _ => &Self::SEVERAL,
        }
    }

    /// A trial, to choose by, grows fewer trees.
    fn fit(
        self,
        z: ArrayView2<'_, f64>,
        target: &[f64],
        (trial, seed): (bool, u64),
        watch: &mut Watch<'_>,
    ) -> Result<Estimator> {
        let forest = |leaves: Leaves| {
            // Of few inputs a small share leaves splits to chance; of few rows, all trees are much alike without it.
            let few = match target.len() {
                0..FEW_ROWS => 0.0,
                _ => INPUTS / z.ncols() as f64,
            };
            Forest {
                trees: trees_for(target.len(), leaves.rows, trial),
                shape: TreeShape {
                    splits: Splits::Random,
                    min_leaf: leaves.least,
                    feature_share: leaves.inputs.max(few).min(1.0),
                    ..TreeShape::default()
                },
                row_share: leaves.rows,
                seed,
                ..Forest::default()
            }
        };
        match self {
            Self::Medians(leaves) => {
                // Splits follow the logarithm; it keeps the order of the watts, and so their medians.
                let mut medians = forest(leaves).fit_medians(z, &logarithms(target), watch)?;
                medians.targets = target.to_vec();
                medians.targets.sort_by(f64::total_cmp);
                Ok(Estimator::MedianForest(medians))
            }
            Self::LogForest => {
                let single = Leaves {
                    least: 1,
                    inputs: 1.0,
                    rows: 1.0,
                };
                let trees = forest(single).fit(z, &logarithms(target), None, watch)?;
                Ok(Estimator::Exp {
                    of: Box::new(Estimator::Trees(trees)),
                })
            }
            Self::LogBoosted => {
                let boosting = Boosting {
                    trees: 40,
                    rate: 0.16,
                    shape: TreeShape {
                        splits: Splits::Random,
                        max_depth: 12,
                        min_leaf: 2,
                        ..TreeShape::default()
                    },
                    row_share: 0.5,
                    ..Boosting::default()
                };
                let target = logarithms(target);
                let count = if trial { 1 } else { BAGS };
                bags(&boosting, z, &target, (count, seed), watch, |trees| {
                    Estimator::Exp {
                        of: Box::new(Estimator::Trees(trees)),
                    }
                })
            }
            Self::Boosted => {
                let boosting = Boosting {
                    trees: if trial { 39 } else { 130 },
                    rate: 0.12,
                    shape: TreeShape {
                        splits: Splits::Random,
                        max_depth: 8,
                        min_leaf: 4,
                        ..TreeShape::default()
                    },
                    loss: Loss::Absolute,
                    row_share: 0.8,
                    ..Boosting::default()
                };
                bags(&boosting, z, target, (BAGS, seed), watch, Estimator::Trees)
            }
            Self::LocalMedian => Ok(Estimator::Table(local_median(z, target))),
        }
    }
}

/// Boosts several times, with other random splits, and averages.
fn bags(
    boosting: &Boosting,
    z: ArrayView2<'_, f64>,
    target: &[f64],
    (count, seed): (usize, u64),
    watch: &mut Watch<'_>,
    answer: impl Fn(Trees) -> Estimator,
) -> Result<Estimator> {
    let parts = (0..count).map(|number| {
        let seed = seed ^ number as u64;
        let boosting = Boosting {
            seed,
            ..boosting.clone()
        };
        let part = (number, count);
        let trees = watch.part("", part, |watch| boosting.fit(z, target, None, watch))?;
        Ok(BlendPart {
            weight: 1.0 / count as f64,
            estimator: answer(trees),
        })
    });
    Ok(Estimator::Blend {
        parts: parts.collect::<Result<_>>()?,
    })
}

/// How many trees are worth their size: those of many rows are large, and few of them steady.
fn trees_for(rows: usize, share: f64, trial: bool) -> usize {
    if rows < FEW_ROWS {
        return if trial { 24 } else { 80 };
    }
    let trees = (64_000 / share_of(rows, share)).clamp(24, 100);
    trees.div_ceil(if trial { 2 } else { 1 })
}

/// Logarithms of watts. A row of next to no power (idle taken off, or a meter that stood still) must not outweigh all others.
fn logarithms(target: &[f64]) -> Vec<f64> {
    let mut sorted = target.to_vec();
    sorted.sort_by(f64::total_cmp);
    let floor = (FLOOR * sorted[sorted.len() / 2]).max(FLOOR);
    target.iter().map(|t| t.max(floor).ln()).collect()
}

/// Fewer rows than this are a thin table.
const FEW_ROWS: usize = 500;
/// Inputs that a split is chosen among, at least: fewer leave it to chance.
const INPUTS: f64 = 9.0;
/// How often boosting is begun anew, with other random splits.
const BAGS: usize = 3;
/// The share of the median power below which its logarithm is not followed; and as watts, at least.
const FLOOR: f64 = 0.1;
/// Folds that rows are held out in to choose the blend, and the short blocks that each is made of: long enough not to
/// reward remembering neighbours, short enough that what was held out is not all of its kind.
const FOLDS: usize = 4;
const PIECES: usize = 10;
/// The steps in which weights are given.
const ROUNDS: usize = 10;

/// The weight of each kind, by what it predicts for rows that it was not grown on.
fn choose(
    kinds: &[Kind],
    z: ArrayView2<'_, f64>,
    target: &[f64],
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Vec<f64>> {
    let rows = target.len();
    if rows < FOLDS * PIECES {
        return Ok(vec![1.0 / kinds.len() as f64; kinds.len()]);
    }
    let mut unseen = vec![vec![0.0; rows]; kinds.len()];
    for fold in 0..FOLDS {
        let block = |row: usize| row * FOLDS * PIECES / rows % FOLDS == fold;
        let (test, train): (Vec<usize>, Vec<usize>) = (0..rows).partition(|row| block(*row));
        let train_z = z.select(Axis(0), &train);
        let train_target: Vec<f64> = train.iter().map(|row| target[*row]).collect();
        for (number, kind) in kinds.iter().enumerate() {
            let part = (fold * kinds.len() + number, FOLDS * kinds.len());
            let estimator = watch.part("", part, |watch| {
                kind.fit(train_z.view(), &train_target, (true, seed), watch)
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
fn select(unseen: &[Vec<f64>], target: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; unseen.len()];
    let mut sum = vec![0.0; target.len()];
    for round in 1..=ROUNDS {
        let error = |kind: &usize| {
            let rows = sum.iter().zip(&unseen[*kind]).zip(target);
            rows.map(|((s, u), t)| ((s + u) / round as f64 - t).abs())
                .sum::<f64>()
        };
        let best = (0..unseen.len())
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
