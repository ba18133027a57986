//! Growing one regression tree: the best split or a random one, with or without a monotone constraint.

use ndarray::ArrayView2;

use super::rng::Rng;
use crate::error::{Error, Result};
use crate::model::Trees;

/// How splits are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splits {
    /// The best of all thresholds.
    Best,
    /// One random threshold a feature, then the best feature ("extremely randomised", Geurts 2006).
    Random,
}

/// The shape of trees.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeShape {
    /// How splits are found.
    pub splits: Splits,
    /// Splits between root and leaf, at most.
    pub max_depth: usize,
    /// Rows in a leaf, at least.
    pub min_leaf: usize,
    /// The share of features tried at a node, in (0, 1]; at least one is.
    pub feature_share: f64,
    /// Added to a node's weight when its value is computed: above 0 pulls leaves towards 0.
    pub shrink: f64,
    /// By feature: 1 where power may only rise with it, -1 where it may only fall, else 0. Empty for no constraint.
    pub monotone: Vec<i8>,
}

impl Default for TreeShape {
    fn default() -> Self {
        Self {
            splits: Splits::Best,
            max_depth: usize::MAX,
            min_leaf: 1,
            feature_share: 1.0,
            shrink: 0.0,
            monotone: Vec::new(),
        }
    }
}

impl TreeShape {
    pub(super) fn check(&self, features: usize) -> Result<()> {
        if !self.monotone.is_empty() && self.monotone.len() != features {
            return Err(Error::invalid(
                "monotone",
                format!("{} signs for {features} features", self.monotone.len()),
            ));
        }
        let sensible = self.feature_share > 0.0 && self.feature_share <= 1.0 && self.shrink >= 0.0;
        if !sensible {
            return Err(Error::invalid(
                "tree shape",
                "feature_share must be in (0, 1] and shrink not negative",
            ));
        }
        Ok(())
    }

    fn sign(&self, feature: usize) -> i8 {
        self.monotone.get(feature).copied().unwrap_or(0)
    }
}

/// Training rows by column, in the single precision that trees compare in.
#[derive(Debug)]
pub(super) struct TreeRows {
    columns: Vec<Vec<f32>>,
    /// For each column, all rows by rising value. Only made for [`Splits::Best`].
    sorted: Vec<Vec<u32>>,
    rows: usize,
}

impl TreeRows {
    pub(super) fn new(rows: ArrayView2<'_, f64>, splits: Splits) -> Result<Self> {
        let count = u32::try_from(rows.nrows()).map_err(|_too_many| Error::TooLarge {
            what: "training rows".to_owned(),
            size: rows.nrows() as u64,
            limit: u32::MAX.into(),
        })?;
        let columns: Vec<Vec<f32>> = rows
            .columns()
            .into_iter()
            .map(|column| column.iter().map(|v| single(*v)).collect())
            .collect();
        let sort = |column: &Vec<f32>| {
            let mut order: Vec<u32> = (0..count).collect();
            order.sort_by(|a, b| column[*a as usize].total_cmp(&column[*b as usize]));
            order
        };
        let sorted = match splits {
            Splits::Best => columns.iter().map(sort).collect(),
            Splits::Random => Vec::new(),
        };
        Ok(Self {
            columns,
            sorted,
            rows: rows.nrows(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The leaf of a row in the tree that starts at `root`.
    pub(super) fn leaf(&self, trees: &Trees, root: u32, row: usize) -> usize {
        let mut node = root as usize;
        while trees.left[node] != 0 {
            let value = self.columns[usize::from(trees.feature[node])][row];
            let next = if value <= trees.threshold[node] {
                trees.left[node]
            } else {
                trees.right[node]
            };
            node = next as usize;
        }
        node
    }
}

/// What a tree is grown to: rows with targets (or downhill gradients) and weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim<'a> {
    pub(super) target: &'a [f64],
    pub(super) weight: &'a [f64],
}

/// Grows a tree on `sample` (row numbers, each once) and adds it to `trees`; `leaf` gives the value of a leaf from its rows.
/// A leaf under a monotone constraint is then held in its bounds. Returns the root.
pub(super) fn grow(
    trees: &mut Trees,
    rows: &TreeRows,
    aim: Aim<'_>,
    sample: Vec<u32>,
    shape: &TreeShape,
    rng: &mut Rng,
    leaf: &mut dyn FnMut(&[u32]) -> f64,
) -> u32 {
    let mut inside = vec![false; rows.rows];
    sample.iter().for_each(|r| inside[*r as usize] = true);
    let kept = |order: &Vec<u32>| {
        let kept = order.iter().copied().filter(|r| inside[*r as usize]);
        kept.collect()
    };
    let orders = rows.sorted.iter().map(kept).collect();
    let features = rows.columns.len();
    let mut grower = Grower {
        rows,
        aim,
        shape,
        tried: (0..features).collect(),
        tries: share_of(features, shape.feature_share),
        goes_left: vec![false; rows.rows],
        spare: Vec::with_capacity(sample.len()),
        sample,
        orders,
    };
    grower.run(trees, rng, leaf)
}

struct Grower<'a> {
    rows: &'a TreeRows,
    aim: Aim<'a>,
    shape: &'a TreeShape,
    /// Features in the order in which the node at hand tries them.
    tried: Vec<usize>,
    tries: usize,
    goes_left: Vec<bool>,
    spare: Vec<u32>,
    /// Rows, those of a node together.
    sample: Vec<u32>,
    /// The same by rising value of each feature.
    orders: Vec<Vec<u32>>,
}

/// A node still to be made: its rows are `from..to` of the sample.
#[derive(Clone, Copy)]
struct Open {
    from: usize,
    to: usize,
    depth: usize,
    /// The parent, and whether this is its right child.
    parent: Option<(u32, bool)>,
    low: f64,
    high: f64,
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

#[derive(Clone, Copy)]
struct Split {
    score: f64,
    feature: usize,
    threshold: f32,
}

impl Grower<'_> {
    fn run(
        &mut self,
        trees: &mut Trees,
        rng: &mut Rng,
        leaf: &mut dyn FnMut(&[u32]) -> f64,
    ) -> u32 {
        let first = u32::try_from(trees.value.len()).unwrap_or(u32::MAX);
        let mut open = vec![Open {
            from: 0,
            to: self.sample.len(),
            depth: 0,
            parent: None,
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
        }];
        while let Some(node) = open.pop() {
            let split = self.best_split(node, rng);
            let number = match split {
                None => {
                    let value = leaf(&self.sample[node.from..node.to]);
                    trees.push_leaf(value.max(node.low).min(node.high))
                }
                Some(split) => {
                    let feature = u16::try_from(split.feature).unwrap_or(u16::MAX);
                    trees.push_split(feature, split.threshold)
                }
            };
            if let Some((parent, right)) = node.parent {
                let parent = parent as usize;
                let child = if right {
                    &mut trees.right
                } else {
                    &mut trees.left
                };
                child[parent] = number;
            }
            if let Some(split) = split {
                let middle = self.part(node, split);
                let (left, right) = self.children(node, split, middle, number, leaf);
                open.push(right);
                open.push(left);
            }
        }
        trees.roots.push(first);
        first
    }

    /// Both children, with their bounds under a monotone constraint: what one side may reach at most and the other must reach
    /// at least is half way between the values that they would have as leaves.
    fn children(
        &self,
        node: Open,
        split: Split,
        middle: usize,
        number: u32,
        leaf: &mut dyn FnMut(&[u32]) -> f64,
    ) -> (Open, Open) {
        let child = |right: bool| Open {
            from: if right { middle } else { node.from },
            to: if right { node.to } else { middle },
            depth: node.depth + 1,
            parent: Some((number, right)),
            ..node
        };
        let (mut left, mut right) = (child(false), child(true));
        let sign = self.shape.sign(split.feature);
        if sign != 0 {
            let mut value = |of: &Open| leaf(&self.sample[of.from..of.to]);
            let half = f64::midpoint(value(&left), value(&right));
            let half = half.max(node.low).min(node.high);
            let (lower, upper) = if sign > 0 {
                (&mut left, &mut right)
            } else {
                (&mut right, &mut left)
            };
            lower.high = half;
            upper.low = half;
        }
        (left, right)
    }

    fn best_split(&mut self, node: Open, rng: &mut Rng) -> Option<Split> {
        let rows = &self.sample[node.from..node.to];
        if node.depth >= self.shape.max_depth || rows.len() < 2 * self.shape.min_leaf.max(1) {
            return None;
        }
        let mut all = Sums::default();
        rows.iter().for_each(|row| all.add(self.aim, *row));
        let same = rows.iter().all(|row| {
            let (a, b) = (
                self.aim.target[*row as usize],
                self.aim.target[rows[0] as usize],
            );
            a.total_cmp(&b).is_eq()
        });
        if same {
            return None;
        }
        let all_tried = self.tries == self.tried.len();
        if !all_tried {
            rng.choose_front(&mut self.tried, self.tries);
        }
        let mut best: Option<Split> = None;
        for feature in &self.tried[..self.tries] {
            let found = match self.shape.splits {
                Splits::Best => self.best_threshold(node, *feature, all),
                Splits::Random => self.random_threshold(node, *feature, all, rng.unit()),
            };
            if let Some(found) = found
                && best.is_none_or(|b| found.score > b.score)
            {
                best = Some(found);
            }
        }
        // A split that explains nothing more than its parent is rounding noise.
        let base = all.score(self.shape.shrink);
        best.filter(|split| split.score > base + 1e-12 * base.abs())
    }

    fn best_threshold(&self, node: Open, feature: usize, all: Sums) -> Option<Split> {
        let column = &self.rows.columns[feature];
        let order = &self.orders[feature][node.from..node.to];
        let min_leaf = self.shape.min_leaf.max(1);
        let mut left = Sums::default();
        let mut best: Option<Split> = None;
        for (i, pair) in order.windows(2).enumerate() {
            left.add(self.aim, pair[0]);
            let (value, next) = (column[pair[0] as usize], column[pair[1] as usize]);
            if value < next && i + 1 >= min_leaf && order.len() - i > min_leaf {
                let found = self.split(feature, left, all.less(left));
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

    fn random_threshold(&self, node: Open, feature: usize, all: Sums, at: f64) -> Option<Split> {
        let column = &self.rows.columns[feature];
        let rows = &self.sample[node.from..node.to];
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
        let found = self.split(feature, left, all.less(left))?;
        Some(Split { threshold, ..found })
    }

    /// The score of a split into two; `None` where it goes against the feature's monotone sign.
    fn split(&self, feature: usize, left: Sums, right: Sums) -> Option<Split> {
        let shrink = self.shape.shrink;
        let (l, r) = (left.value(shrink), right.value(shrink));
        let allowed = match self.shape.sign(feature) {
            1 => l <= r,
            -1 => l >= r,
            _ => true,
        };
        allowed.then_some(Split {
            score: left.score(shrink) + right.score(shrink),
            feature,
            threshold: 0.0,
        })
    }

    /// Puts the rows of the left child first, in all orders, and returns where the right child starts.
    fn part(&mut self, node: Open, split: Split) -> usize {
        let column = &self.rows.columns[split.feature];
        for row in &self.sample[node.from..node.to] {
            self.goes_left[*row as usize] = column[*row as usize] <= split.threshold;
        }
        let range = node.from..node.to;
        let goes_left = &self.goes_left;
        let spare = &mut self.spare;
        let count = part_stably(&mut self.sample[range.clone()], goes_left, spare);
        for order in &mut self.orders {
            part_stably(&mut order[range.clone()], goes_left, spare);
        }
        node.from + count
    }
}

fn part_stably(rows: &mut [u32], goes_left: &[bool], spare: &mut Vec<u32>) -> usize {
    spare.clear();
    let mut count = 0;
    for i in 0..rows.len() {
        let row = rows[i];
        if goes_left[row as usize] {
            rows[count] = row;
            count += 1;
        } else {
            spare.push(row);
        }
    }
    rows[count..].copy_from_slice(spare);
    count
}

/// The precision that trees compare in.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is what is wanted"
)]
fn single(value: f64) -> f32 {
    value as f32
}

/// A share in (0, 1] of some things, at least one of them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and the count"
)]
pub(super) fn share_of(count: usize, share: f64) -> usize {
    ((count as f64 * share).round() as usize).clamp(1, count.max(1))
}

/// A threshold half way, so that `low` goes left and `high` goes right.
fn between(low: f32, high: f32) -> f32 {
    let half = f32::midpoint(low, high);
    if half < high { half } else { low }
}

/// The value with half of the weight below it. `scratch` is reused from call to call.
pub(super) fn weighted_median(
    rows: &[u32],
    value: impl Fn(u32) -> f64,
    weight: &[f64],
    scratch: &mut Vec<(f64, f64)>,
) -> f64 {
    scratch.clear();
    scratch.extend(rows.iter().map(|r| (value(*r), weight[*r as usize])));
    scratch.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = scratch.iter().map(|(_, w)| w).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for (i, (value, weight)) in scratch.iter().enumerate() {
        below += weight;
        // Exactly half on either side: any value between is as good, the middle is least biased.
        if (below - half).abs() <= 1e-9 * half
            && let Some((next, _)) = scratch.get(i + 1)
        {
            return f64::midpoint(*value, *next);
        }
        if below > half {
            return *value;
        }
    }
    scratch.last().map_or(0.0, |(value, _)| *value)
}
