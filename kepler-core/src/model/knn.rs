//! Nearest neighbours.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::columns::{BLOCK, Columns};
use super::estimator::expect_length;
use crate::error::{Error, Result};
use crate::units::count_to_f64;

/// The mean target of the `neighbors` nearest stored rows, by Euclidean distance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearestNeighbors {
    /// How many rows are averaged.
    pub neighbors: usize,
    /// Rows a leaf, when the rows stand in the order of a search tree: a node's rows are halved between its children,
    /// from the whole down. Decides only which of equally near rows count, and how fast they are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<usize>,
    /// The stored rows one after the other, each with one number an input.
    pub rows: Vec<f64>,
    /// The power of each stored row in watts.
    pub targets: Vec<f64>,
}

impl NearestNeighbors {
    pub(super) fn plan(&self, inputs: usize) -> Result<KnnPlan> {
        let count = self.targets.len();
        expect_length("stored numbers", self.rows.len(), count * inputs)?;
        if self.neighbors == 0
            || inputs == 0
            || self.neighbors > count
            || self.leaf == Some(0)
            || u32::try_from(count).is_err()
        {
            return Err(Error::invalid(
                "neighbors",
                format!("{} of {count} stored rows", self.neighbors),
            ));
        }
        let mut index = Index {
            neighbors: self.neighbors,
            inputs,
            blocks: Vec::new(),
            nodes: Vec::new(),
        };
        // As scikit-learn cuts its tree: levels until a leaf has fewer than twice `leaf` rows.
        let leaf = self.leaf.unwrap_or(count);
        let levels = ((count - 1) / leaf).max(1).ilog2() + 1;
        index.nodes.resize_with((1 << levels) - 1, Node::default);
        index.cut(0, 0..count, &self.rows);
        Ok(KnnPlan {
            index: Arc::new(index),
            targets: self.targets.clone(),
        })
    }
}

/// Checked stored rows and their targets.
#[derive(Clone, Debug)]
pub(super) struct KnnPlan {
    index: Arc<Index>,
    targets: Vec<f64>,
}

/// Stored rows under a search tree.
///
/// Follows scikit-learn's KD-tree visit by visit, so that of equally near rows the same ones count.
#[derive(Debug, PartialEq)]
struct Index {
    neighbors: usize,
    inputs: usize,
    /// The stored rows of each leaf, a few at a time: the first inputs of those, then their second inputs, and so on.
    blocks: Vec<[f64; TOGETHER]>,
    /// A full binary tree; the children of `n` are `2 n + 1` and `2 n + 2`.
    nodes: Vec<Node>,
}

/// What a search found for a block of rows. A model's components store the same rows, so only the first one searches.
#[derive(Debug)]
pub(super) struct Found {
    index: Option<Arc<Index>>,
    rows: [[u32; REMEMBERED]; BLOCK],
}

impl Default for Found {
    fn default() -> Self {
        Self {
            index: None,
            rows: [[0; REMEMBERED]; BLOCK],
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    /// The number of its first stored row.
    first: usize,
    /// Where its rows are, if it is a leaf.
    blocks: Range<usize>,
    /// The box around the rows: lowest and highest, an input.
    bounds: Vec<(f64, f64)>,
}

/// Stored rows whose distances are worked out together.
const TOGETHER: usize = 8;

/// Up to this many neighbours are kept on the stack, and remembered for other components.
const REMEMBERED: usize = 8;

impl KnnPlan {
    /// Takes over the index of another plan if it is the same, so that one search will do for both.
    pub(super) fn share(&mut self, other: &Self) {
        if self.index == other.index {
            self.index = Arc::clone(&other.index);
        }
    }

    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        let count = count_to_f64(self.index.neighbors as u64);
        let mean = |rows: &mut dyn Iterator<Item = usize>| {
            rows.map(|row| self.targets[row]).sum::<f64>() / count
        };
        if self.index.neighbors > REMEMBERED {
            let mut kept = vec![FAR; self.index.neighbors];
            for (row, out) in out.iter_mut().enumerate() {
                self.index.search(z, row, &mut kept);
                *out = mean(&mut kept.iter().map(|(_, stored)| *stored as usize));
            }
            return;
        }
        let mut found = z.found().borrow_mut();
        if !found
            .index
            .as_ref()
            .is_some_and(|index| Arc::ptr_eq(index, &self.index))
        {
            let mut kept = [FAR; REMEMBERED];
            let kept = &mut kept[..self.index.neighbors];
            for (row, rows) in found.rows.iter_mut().enumerate().take(out.len()) {
                self.index.search(z, row, kept);
                for (to, (_, stored)) in rows.iter_mut().zip(&*kept) {
                    *to = *stored;
                }
            }
            found.index = Some(Arc::clone(&self.index));
        }
        for (rows, out) in found.rows.iter().zip(out) {
            let rows = &rows[..self.index.neighbors];
            *out = mean(&mut rows.iter().map(|stored| *stored as usize));
        }
    }
}

/// Rows of at most this many inputs live on the stack.
const STACK_INPUTS: usize = 16;

/// No neighbour yet.
const FAR: (f64, u32) = (f64::INFINITY, 0);

impl Index {
    /// Fills `kept` with the nearest stored rows of one row.
    fn search(&self, z: &Columns<'_>, row: usize, kept: &mut [(f64, u32)]) {
        kept.fill(FAR);
        let mut stack = [0.0; STACK_INPUTS];
        let mut heap = Vec::new();
        let point = match stack.get_mut(..self.inputs) {
            Some(point) => point,
            None => {
                heap.resize(self.inputs, 0.0);
                &mut heap
            }
        };
        for (input, z_of_row) in point.iter_mut().enumerate() {
            *z_of_row = z.column(input)[row];
        }
        let mut search = Search {
            index: self,
            point,
            nearest: Nearest(kept),
        };
        search.visit(0, search.distance_to(0));
    }

    /// Fills node `node` and those below it from the stored rows, whose numbers are `range`.
    fn cut(&mut self, node: usize, range: Range<usize>, stored: &[f64]) {
        let value = |row: usize, input: usize| stored[row * self.inputs + input];
        let bounds = (0..self.inputs).map(|input| {
            let ends = (f64::INFINITY, f64::NEG_INFINITY);
            range
                .clone()
                .map(|row| value(row, input))
                .fold(ends, |(low, high), v| (low.min(v), high.max(v)))
        });
        let bounds = bounds.collect();
        let start = self.blocks.len();
        if 2 * node + 2 < self.nodes.len() {
            let middle = range.start + range.len() / 2;
            self.cut(2 * node + 1, range.start..middle, stored);
            self.cut(2 * node + 2, middle..range.end, stored);
        } else {
            for first in range.clone().step_by(TOGETHER) {
                for input in 0..self.inputs {
                    // Places without a row are infinitely far.
                    let at = |i: usize| match first + i {
                        row if row < range.end => stored[row * self.inputs + input],
                        _ => f64::INFINITY,
                    };
                    self.blocks.push(std::array::from_fn(at));
                }
            }
        }
        self.nodes[node] = Node {
            first: range.start,
            blocks: start..self.blocks.len(),
            bounds,
        };
    }
}

/// The search of one row.
struct Search<'a> {
    index: &'a Index,
    /// The row.
    point: &'a [f64],
    nearest: Nearest<'a>,
}

impl Search<'_> {
    fn visit(&mut self, node: usize, distance: f64) {
        if distance >= self.nearest.farthest() {
            return;
        }
        let (left, right) = (2 * node + 1, 2 * node + 2);
        if right >= self.index.nodes.len() {
            return self.scan(&self.index.nodes[node]);
        }
        let (to_left, to_right) = (self.distance_to(left), self.distance_to(right));
        if to_left <= to_right {
            self.visit(left, to_left);
            self.visit(right, to_right);
        } else {
            self.visit(right, to_right);
            self.visit(left, to_left);
        }
    }

    /// The squared distance from the row to a node's box; 0 inside.
    fn distance_to(&self, node: usize) -> f64 {
        let mut sum = 0.0;
        for ((low, high), z) in self.index.nodes[node].bounds.iter().zip(self.point) {
            let (below, above) = (low - z, z - high);
            let out = 0.5 * ((below + below.abs()) + (above + above.abs()));
            sum += out * out;
        }
        sum
    }

    fn scan(&mut self, leaf: &Node) {
        let blocks = &self.index.blocks[leaf.blocks.clone()];
        let mut first = leaf.first;
        for block in blocks.chunks_exact(self.point.len().max(1)) {
            let mut distances = [0.0; TOGETHER];
            for (values, z) in block.iter().zip(self.point) {
                for (distance, v) in distances.iter_mut().zip(values) {
                    *distance += (z - v) * (z - v);
                }
            }
            let farthest = self.nearest.farthest();
            if distances.iter().fold(false, |any, d| any | (*d < farthest)) {
                for (i, distance) in distances.iter().enumerate() {
                    if *distance < self.nearest.farthest() {
                        self.nearest
                            .push(*distance, u32::try_from(first + i).unwrap_or(u32::MAX));
                    }
                }
            }
            first += TOGETHER;
        }
    }
}

/// The nearest rows so far: a heap with the farthest of them first.
struct Nearest<'a>(&'a mut [(f64, u32)]);

impl Nearest<'_> {
    fn farthest(&self) -> f64 {
        self.0[0].0
    }

    /// Puts a row in the place of the farthest. Equal distances move as in scikit-learn's heap.
    fn push(&mut self, distance: f64, row: u32) {
        let heap = &mut *self.0;
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let child = match (heap.get(left), heap.get(right)) {
                (Some(l), Some(r)) if l.0 < r.0 => right,
                (Some(_), _) => left,
                _ => break,
            };
            if heap[child].0 <= distance {
                break;
            }
            heap[at] = heap[child];
            at = child;
        }
        heap[at] = (distance, row);
    }
}
