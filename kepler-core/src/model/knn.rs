//! Nearest neighbours.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::columns::Columns;
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
        if self.neighbors == 0 || self.neighbors > count || self.leaf == Some(0) {
            return Err(Error::invalid(
                "neighbors",
                format!("{} of {count} stored rows", self.neighbors),
            ));
        }
        let by_columns =
            (0..inputs).flat_map(|i| (0..count).map(move |row| self.rows[row * inputs + i]));
        let mut plan = KnnPlan {
            neighbors: self.neighbors,
            inputs,
            targets: self.targets.clone(),
            columns: by_columns.collect(),
            nodes: Vec::new(),
        };
        // As scikit-learn cuts its tree: levels until a leaf has fewer than twice `leaf` rows.
        let leaf = self.leaf.unwrap_or(count);
        let levels = ((count - 1) / leaf).max(1).ilog2() + 1;
        plan.nodes.resize_with((1 << levels) - 1, Node::default);
        plan.cut(0, 0..count);
        Ok(plan)
    }
}

/// Checked stored rows under a search tree.
///
/// Follows scikit-learn's KD-tree visit by visit, so that of equally near rows the same ones count.
#[derive(Clone, Debug)]
pub(super) struct KnnPlan {
    neighbors: usize,
    inputs: usize,
    targets: Vec<f64>,
    /// The stored rows, column by column.
    columns: Vec<f64>,
    /// A full binary tree; the children of `n` are `2 n + 1` and `2 n + 2`.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    rows: Range<usize>,
    /// The box around the rows: lowest and highest, an input.
    bounds: Vec<(f64, f64)>,
}

/// Distances worked out at once.
const CHUNK: usize = 64;

/// Up to this many neighbours are kept on the stack.
const STACK_NEIGHBORS: usize = 16;

impl KnnPlan {
    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        let mut stack = [(0.0, 0); STACK_NEIGHBORS];
        let mut heap = Vec::new();
        let kept = match stack.get_mut(..self.neighbors) {
            Some(kept) => kept,
            None => {
                heap.resize(self.neighbors, (0.0, 0));
                &mut heap
            }
        };
        let count = count_to_f64(self.neighbors as u64);
        for (row, out) in out.iter_mut().enumerate() {
            kept.fill((f64::INFINITY, 0));
            let mut search = Search {
                plan: self,
                z,
                row,
                nearest: Nearest(kept),
            };
            search.visit(0, search.distance_to(0));
            *out = kept
                .iter()
                .map(|(_, stored)| self.targets[*stored])
                .sum::<f64>()
                / count;
        }
    }

    fn cut(&mut self, node: usize, rows: Range<usize>) {
        let bounds = (0..self.inputs).map(|i| {
            let values = &self.column(i)[rows.clone()];
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            (
                low,
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            )
        });
        let bounds = bounds.collect();
        if 2 * node + 2 < self.nodes.len() {
            let middle = rows.start + rows.len() / 2;
            self.cut(2 * node + 1, rows.start..middle);
            self.cut(2 * node + 2, middle..rows.end);
        }
        self.nodes[node] = Node { rows, bounds };
    }

    fn column(&self, input: usize) -> &[f64] {
        let count = self.targets.len();
        &self.columns[input * count..][..count]
    }
}

/// The search of one row.
struct Search<'a> {
    plan: &'a KnnPlan,
    z: &'a Columns<'a>,
    row: usize,
    nearest: Nearest<'a>,
}

impl Search<'_> {
    fn visit(&mut self, node: usize, distance: f64) {
        if distance >= self.nearest.farthest() {
            return;
        }
        let (left, right) = (2 * node + 1, 2 * node + 2);
        if right >= self.plan.nodes.len() {
            return self.scan(self.plan.nodes[node].rows.clone());
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
        let square = |(i, (low, high)): (usize, &(f64, f64))| {
            let z = self.z.column(i)[self.row];
            let (below, above) = (low - z, z - high);
            let out = 0.5 * ((below + below.abs()) + (above + above.abs()));
            out * out
        };
        self.plan.nodes[node]
            .bounds
            .iter()
            .enumerate()
            .map(square)
            .sum()
    }

    fn scan(&mut self, rows: Range<usize>) {
        let mut distances = [0.0; CHUNK];
        for start in rows.clone().step_by(CHUNK) {
            let end = rows.end.min(start + CHUNK);
            let distances = &mut distances[..end - start];
            distances.fill(0.0);
            for input in 0..self.plan.inputs {
                let z = self.z.column(input)[self.row];
                for (d, v) in distances
                    .iter_mut()
                    .zip(&self.plan.column(input)[start..end])
                {
                    *d += (z - v) * (z - v);
                }
            }
            for (i, distance) in distances.iter().enumerate() {
                if *distance < self.nearest.farthest() {
                    self.nearest.push(*distance, start + i);
                }
            }
        }
    }
}

/// The nearest rows so far: a heap with the farthest of them first.
struct Nearest<'a>(&'a mut [(f64, usize)]);

impl Nearest<'_> {
    fn farthest(&self) -> f64 {
        self.0[0].0
    }

    /// Puts a row in the place of the farthest. Equal distances move as in scikit-learn's heap.
    fn push(&mut self, distance: f64, row: usize) {
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
