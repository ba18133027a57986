//! The library's own trainer: forests, or a smoother where there is one feature alone, blended for the least absolute error
//! on rows not seen.
//!
//! What wins depends on the table: on nx12 a forest grown to the logarithm of power where much is known of a row, medians
//! over the leaves of many trees where rows are ambiguous. So all are grown without a part of the rows, blocks in order,
//! and the blend is chosen by what they predict for that part (ensemble selection, Caruana 2004).

use ndarray::{ArrayView2, Axis};

use super::boost::Boosting;
use super::forest::{Forest, Loss};
use super::grow::{Splits, TreeShape, share_of};
use super::progress::Watch;
use super::trainer::correlation;
use crate::error::Result;
use crate::model::columns::{BLOCK, Columns};
use crate::model::{BlendPart, Derived, Estimator, Table};

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
    let kinds = Kind::suited(features);
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

/// What is blended.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Random splits on the logarithm of power.
    LogForest,
    /// Random splits, medians over the rows of all leaves that a row meets.
    Medians,
    /// The same, each split among half of the inputs: less led by one of them.
    DiverseMedians,
    /// The same with large leaves: slower to believe.
    CoarseMedians,
    /// Boosted random splits for the absolute error, three times over.
    Boosted,
    /// No trees: the median of the nearest rows along one feature.
    LocalMedian,
}

impl Kind {
    /// Along one feature a smoother follows what forests can only step after.
    fn suited(features: usize) -> &'static [Self] {
        match features {
            1 => &[Self::LocalMedian, Self::Boosted],
            _ => &[
                Self::LogForest,
                Self::Medians,
                Self::DiverseMedians,
                Self::CoarseMedians,
            ],
        }
    }

    fn fit(
        self,
        z: ArrayView2<'_, f64>,
        target: &[f64],
        (share, seed): (f64, u64),
        watch: &mut Watch<'_>,
    ) -> Result<Estimator> {
        let forest = |min_leaf, feature_share| Forest {
            trees: share_of(80, share).min(trees_for(target.len())),
            shape: TreeShape {
                splits: Splits::Random,
                min_leaf,
                feature_share,
                ..TreeShape::default()
            },
            seed,
            ..Forest::default()
        };
        let mut medians = |min_leaf, feature_share| {
            // Splits follow the logarithm; it keeps the order of the watts, and so their medians.
            let mut medians =
                forest(min_leaf, feature_share).fit_medians(z, &logarithms(target), watch)?;
            medians.targets = target.to_vec();
            medians.targets.sort_by(f64::total_cmp);
            Ok(Estimator::MedianForest(medians))
        };
        match self {
            Self::LogForest => {
                let trees = forest(1, 1.0).fit(z, &logarithms(target), None, watch)?;
                Ok(Estimator::Exp {
                    of: Box::new(Estimator::Trees(trees)),
                })
            }
            Self::Medians => medians(3, 1.0),
            Self::DiverseMedians => medians(3, 0.5),
            Self::CoarseMedians => medians(10, 1.0),
            Self::Boosted => {
                let mut bag = |number: usize| {
                    let boosting = Boosting {
                        trees: share_of(130, share),
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

/// How many trees are worth their size: those of many rows are large, and few of them steady.
fn trees_for(rows: usize) -> usize {
    (50_000 / rows.max(1)).max(24)
}

/// Logarithms of watts. A row of next to no power (idle taken off, or a meter that stood still) must not outweigh all others.
fn logarithms(target: &[f64]) -> Vec<f64> {
    let mut sorted = target.to_vec();
    sorted.sort_by(f64::total_cmp);
    let floor = (FLOOR * sorted[sorted.len() / 2]).max(FLOOR);
    target.iter().map(|t| t.max(floor).ln()).collect()
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
        // The tricube of smoothers, with a little for the farthest.
        let weight = |row| (1.0 - (off(row) / farthest).powi(3)).powi(3) + 1e-3;
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
