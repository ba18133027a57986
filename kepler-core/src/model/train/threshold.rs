//! Where the rows of a node are split: the best of all thresholds of a feature, or a random one.

use super::shape::TreeShape;
use super::tree_rows::Aim;
use crate::model::tree::single;

/// A feature and a threshold: rows with at most that go left.
#[derive(Clone, Copy)]
pub(super) struct Split {
    pub(super) feature: usize,
    pub(super) threshold: f32,
    /// How much of the squared error the two sides' values explain.
    pub(super) score: f64,
}

/// Scores the splits of one node's rows.
pub(super) struct Search<'a> {
    aim: Aim<'a>,
    shape: &'a TreeShape,
    all: Sums,
}

/// Weighted sums over rows.
#[derive(Clone, Copy, Default)]
struct Sums {
    weight: f64,
    target: f64,
}

impl Sums {
    fn add(&mut self, aim: Aim<'_>, row: u32) {
        let weight = aim.weight[row as usize];
        self.weight += weight;
        self.target += weight * aim.target[row as usize];
    }

    fn less(self, other: Self) -> Self {
        Self {
            weight: self.weight - other.weight,
            target: self.target - other.target,
        }
    }

    fn value(self, shrink: f64) -> f64 {
        let weight = self.weight + shrink;
        if weight > 0.0 {
            self.target / weight
        } else {
            0.0
        }
    }

    /// How much of the squared error the value of these rows explains.
    fn score(self, shrink: f64) -> f64 {
        self.target * self.value(shrink)
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(aim: Aim<'a>, shape: &'a TreeShape, rows: &[u32]) -> Self {
        let mut all = Sums::default();
        rows.iter().for_each(|row| all.add(aim, *row));
        Self { aim, shape, all }
    }

    /// A split that explains nothing more than its parent is rounding noise.
    pub(super) fn explains(&self, split: Split) -> bool {
        let base = self.all.score(self.shape.shrink);
        split.score > base + 1e-12 * base.abs()
    }

    /// The best of all thresholds of a feature; `order` has the rows by its rising value.
    pub(super) fn best(&self, feature: usize, column: &[f32], order: &[u32]) -> Option<Split> {
        let min_leaf = self.shape.min_leaf.max(1);
        let mut left = Sums::default();
        let mut best: Option<Split> = None;
        for (i, pair) in order.windows(2).enumerate() {
            left.add(self.aim, pair[0]);
            let (value, next) = (column[pair[0] as usize], column[pair[1] as usize]);
            if value < next && i + 1 >= min_leaf && order.len() - i > min_leaf {
                let found = self.split(feature, left);
                if let Some(found) = found
                    && best.is_none_or(|b| found.score > b.score)
                {
                    let threshold = between(value, next);
                    best = Some(Split { threshold, ..found });
                }
            }
        }
        best
    }

    /// A threshold of a feature between its least and its greatest value, `at` a place from 0 to 1.
    pub(super) fn random(
        &self,
        feature: usize,
        column: &[f32],
        rows: &[u32],
        at: f64,
    ) -> Option<Split> {
        let range = (f32::INFINITY, f32::NEG_INFINITY);
        let (low, high) = rows.iter().fold(range, |(low, high), row| {
            let value = column[*row as usize];
            (low.min(value), high.max(value))
        });
        if low >= high {
            return None;
        }
        let threshold = single(f64::from(low) + at * (f64::from(high) - f64::from(low)));
        let threshold = if threshold >= high { low } else { threshold };
        let mut left = Sums::default();
        let mut count = 0;
        for row in rows
            .iter()
            .filter(|row| column[**row as usize] <= threshold)
        {
            left.add(self.aim, *row);
            count += 1;
        }
        let min_leaf = self.shape.min_leaf.max(1);
        if count < min_leaf || rows.len() - count < min_leaf {
            return None;
        }
        let found = self.split(feature, left)?;
        Some(Split { threshold, ..found })
    }

    /// The score of a split into two; `None` where it goes against the feature's monotone sign.
    fn split(&self, feature: usize, left: Sums) -> Option<Split> {
        let right = self.all.less(left);
        let shrink = self.shape.shrink;
        let (l, r) = (left.value(shrink), right.value(shrink));
        let allowed = match self.shape.sign(feature) {
            1 => l <= r,
            -1 => l >= r,
            _ => true,
        };
        allowed.then_some(Split {
            feature,
            threshold: 0.0,
            score: left.score(shrink) + right.score(shrink),
        })
    }
}

/// A threshold half way, so that `low` goes left and `high` goes right.
fn between(low: f32, high: f32) -> f32 {
    let half = f32::midpoint(low, high);
    if half < high { half } else { low }
}
