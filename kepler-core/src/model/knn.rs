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
            || self.neighbors > count
            || self.leaf == Some(0)
            || u32::try_from(count).is_err()
        {
            return Err(Error::invalid(
                "neighbors",
                format!("{} of {count} stored rows", self.neighbors),
            ));
        }
        let by_columns =
            (0..inputs).flat_map(|i| (0..count).map(move |row| self.rows[row * inputs + i]));
        let mut index = Index {
            neighbors: self.neighbors,
            count,
            inputs,
            columns: by_columns.collect(),
            nodes: Vec::new(),
        };
        // As scikit-learn cuts its tree: levels until a leaf has fewer than twice `leaf` rows.
        let leaf = self.leaf.unwrap_or(count);
        let levels = ((count - 1) / leaf).max(1).ilog2() + 1;
        index.nodes.resize_with((1 << levels) - 1, Node::default);
        index.cut(0, 0..count);
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
    count: usize,
    inputs: usize,
    /// The stored rows, column by column.
    columns: Vec<f64>,
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
    rows: Range<usize>,
    /// The box around the rows: lowest and highest, an input.
    bounds: Vec<(f64, f64)>,
}

/// Distances worked out at once.
const CHUNK: usize = 64;

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

/// No neighbour yet.
const FAR: (f64, u32) = (f64::INFINITY, 0);

impl Index {
    /// Fills `kept` with the nearest stored rows of one row.
    fn search(&self, z: &Columns<'_>, row: usize, kept: &mut [(f64, u32)]) {
        kept.fill(FAR);
        let mut search = Search {
            index: self,
            z,
            row,
            nearest: Nearest(kept),
        };
        search.visit(0, search.distance_to(0));
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
        &self.columns[input * self.count..][..self.count]
    }
}

/// The search of one row.
struct Search<'a> {
    index: &'a Index,
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
        if right >= self.index.nodes.len() {
            return self.scan(self.index.nodes[node].rows.clone());
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
        self.index.nodes[node]
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
            for input in 0..self.index.inputs {
                let z = self.z.column(input)[self.row];
                for (d, v) in distances
                    .iter_mut()
                    .zip(&self.index.column(input)[start..end])
                {
                    *d += (z - v) * (z - v);
                }
            }
            for (i, distance) in distances.iter().enumerate() {
                if *distance < self.nearest.farthest() {
                    self.nearest
                        .push(*distance, u32::try_from(start + i).unwrap_or(u32::MAX));
                }
            }
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
