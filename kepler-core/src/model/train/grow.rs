//! Growing one regression tree: node by node, with or without a monotone constraint.

use super::rng::Rng;
use super::shape::{Splits, TreeShape};
use super::threshold::{Search, Split};
use super::tree_rows::{Aim, TreeRows, share_of};
use crate::model::Trees;

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
    let features = rows.features();
    let mut grower = Grower {
        rows,
        aim,
        shape,
        tried: (0..features).collect(),
        tries: share_of(features, shape.feature_share),
        goes_left: vec![false; rows.len()],
        spare: Vec::with_capacity(sample.len()),
        orders: rows.orders(&sample),
        sample,
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
        let target = |row: u32| self.aim.target[row as usize];
        let first = target(rows[0]);
        if rows
            .iter()
            .all(|row| target(*row).total_cmp(&first).is_eq())
        {
            return None;
        }
        if self.tries < self.tried.len() {
            rng.choose_front(&mut self.tried, self.tries);
        }
        let search = Search::new(self.aim, self.shape, rows);
        let mut best: Option<Split> = None;
        for &feature in &self.tried[..self.tries] {
            let column = self.rows.column(feature);
            let found = match self.shape.splits {
                Splits::Best => {
                    let order = &self.orders[feature][node.from..node.to];
                    search.best(feature, column, order)
                }
                Splits::Random => search.random(feature, column, rows, rng.unit()),
            };
            if let Some(found) = found
                && best.is_none_or(|b| found.score > b.score)
            {
                best = Some(found);
            }
        }
        best.filter(|split| search.explains(*split))
    }

    /// Puts the rows of the left child first, in all orders, and returns where the right child starts.
    fn part(&mut self, node: Open, split: Split) -> usize {
        let column = self.rows.column(split.feature);
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
