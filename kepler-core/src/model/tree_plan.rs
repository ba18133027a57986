//! Trees laid out for speed. No branch depends on a row: all rows of a block are compared with every split of a tree's top
//! three levels, then several rows walk down together, and a row that has reached its leaf stays there.

use super::columns::{BLOCK, Columns};
use super::tree::{Trees, single};

/// Checked trees, in order.
#[derive(Clone, Debug)]
pub(super) struct TreePlan {
    base: f64,
    single: bool,
    inputs: usize,
    trees: Vec<Tree>,
    /// Nodes below the top of the deeper trees.
    nodes: Vec<Split>,
    /// What each of those nodes adds.
    values: Vec<f64>,
}

/// The top three levels of a tree, filled up to whole ones, and where they lead. The children of split `n` are `2 n + 1`
/// and `2 n + 2`.
#[derive(Clone, Debug, Default)]
struct Tree {
    inputs: [usize; SPLITS],
    thresholds: [f32; SPLITS],
    /// What the eight ends add, if no node is below.
    leaves: [f64; SPLITS + 1],
    /// Where each end goes on, if there is.
    starts: [u32; SPLITS + 1],
    /// Steps from there to the deepest leaf.
    below: u32,
}

/// A node below the top; a leaf leads to itself.
#[derive(Clone, Copy, Debug)]
struct Split {
    threshold: f32,
    /// Where the input's column starts.
    column: u32,
    /// The child to the left; the other one comes next.
    left: u32,
}

/// Levels of a tree's top, and the splits in it.
const TOP: u32 = 3;
const SPLITS: usize = 7;
/// Rows that walk down together.
const TOGETHER: usize = 4;
/// Blocks of at most this many inputs live on the stack.
const STACK_INPUTS: usize = 16;

type Column = [f32; BLOCK];

impl TreePlan {
    /// Lays out trees that were checked.
    pub(super) fn new(trees: &Trees, inputs: usize) -> Self {
        let mut plan = Self {
            base: trees.base,
            single: trees.single,
            inputs,
            trees: Vec::with_capacity(trees.roots.len()),
            nodes: Vec::new(),
            values: Vec::new(),
        };
        let depths = depths(trees);
        for root in &trees.roots {
            let mut tree = Tree {
                below: depths[*root as usize].saturating_sub(TOP),
                ..Tree::default()
            };
            plan.push_top(trees, &mut tree, *root as usize, 0);
            plan.trees.push(tree);
        }
        plan
    }

    /// Copies the part of a tree from `node` down to `place` of its top; a leaf is repeated in all places below.
    fn push_top(&mut self, trees: &Trees, tree: &mut Tree, node: usize, place: usize) {
        if place >= SPLITS {
            tree.leaves[place - SPLITS] = trees.value[node];
            if tree.below > 0 {
                tree.starts[place - SPLITS] = self.push_below(trees, node);
            }
            return;
        }
        let (mut left, mut right) = (node, node);
        if trees.left[node] != 0 {
            tree.inputs[place] = trees.feature[node].into();
            tree.thresholds[place] = trees.threshold[node];
            (left, right) = (trees.left[node] as usize, trees.right[node] as usize);
        }
        self.push_top(trees, tree, left, 2 * place + 1);
        self.push_top(trees, tree, right, 2 * place + 2);
    }

    /// Appends what is below a node, children side by side, and returns the node's new number.
    fn push_below(&mut self, trees: &Trees, root: usize) -> u32 {
        let first = self.nodes.len();
        // Nodes in their new order, each by its old number.
        let mut old = vec![root];
        let mut next = 0;
        while let Some(&node) = old.get(next) {
            let here = number(first + next);
            let (left, right) = (trees.left[node], trees.right[node]);
            self.values.push(trees.value[node]);
            self.nodes.push(if left == 0 {
                Split {
                    threshold: f32::INFINITY,
                    column: 0,
                    left: here,
                }
            } else {
                let left_here = number(first + old.len());
                old.extend([left as usize, right as usize]);
                Split {
                    threshold: trees.threshold[node],
                    column: u32::from(trees.feature[node]) * COLUMN_LENGTH,
                    left: left_here,
                }
            });
            next += 1;
        }
        number(first)
    }

    pub(super) fn eval(&self, z: &Columns<'_>, out: &mut [f64]) {
        if self.single {
            let mut sums = [single(self.base); BLOCK];
            self.leaves(z, |row, value| sums[row] += single(value));
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum.into();
            }
        } else {
            out.fill(self.base);
            self.leaves(z, |row, value| out[row] += value);
        }
    }

    /// Gives `add` the value of the leaf of each row in each tree, tree by tree.
    pub(super) fn leaves(&self, z: &Columns<'_>, add: impl FnMut(usize, f64)) {
        let mut stack = [[0.0; BLOCK]; STACK_INPUTS];
        let mut heap = Vec::new();
        let columns = match stack.get_mut(..self.inputs.max(1)) {
            Some(columns) => columns,
            None => {
                heap.resize(self.inputs, [0.0; BLOCK]);
                &mut heap
            }
        };
        for (input, column) in columns.iter_mut().enumerate().take(self.inputs) {
            for (to, from) in column.iter_mut().zip(z.column(input)) {
                *to = single(*from);
            }
        }
        self.walk(columns, z.rows(), add);
    }

    fn walk(&self, columns: &[Column], rows: usize, mut add: impl FnMut(usize, f64)) {
        let flat = columns.as_flattened();
        for tree in &self.trees {
            if rows == 1 {
                let end = tree.end_of_first(columns);
                if tree.below == 0 {
                    add(0, tree.leaves[end]);
                } else {
                    let [leaf] = self.descend(flat, 0, [tree.starts[end]], tree.below);
                    add(0, self.values[leaf as usize]);
                }
                continue;
            }
            let ends = tree.ends(columns);
            if tree.below == 0 {
                for (row, end) in ends.iter().enumerate().take(rows) {
                    add(row, tree.leaves[*end as usize & SPLITS]);
                }
                continue;
            }
            for (group, ends) in ends.as_chunks::<TOGETHER>().0.iter().enumerate() {
                let first = group * TOGETHER;
                let starts = ends.map(|end| tree.starts[end as usize & SPLITS]);
                let leaves = self.descend(flat, first, starts, tree.below);
                for (row, leaf) in (first..rows).zip(leaves) {
                    add(row, self.values[leaf as usize]);
                }
            }
        }
    }

    /// The leaves of the rows from `first` on, each from its start.
    fn descend<const N: usize>(
        &self,
        flat: &[f32],
        first: usize,
        mut at: [u32; N],
        depth: u32,
    ) -> [u32; N] {
        for _ in 0..depth {
            for (row, at) in at.iter_mut().enumerate() {
                let split = &self.nodes[*at as usize];
                let z = flat[split.column as usize + first + row];
                *at = split.left + u32::from(z > split.threshold);
            }
        }
        at
    }
}

impl Tree {
    /// The end of the top that each row of a block reaches. One simple loop a split, over a whole
    /// column: compiles to vector instructions.
    fn ends(&self, columns: &[Column]) -> [u32; BLOCK] {
        let mut right = [[0u32; BLOCK]; SPLITS];
        for (split, right) in right.iter_mut().enumerate() {
            let threshold = self.thresholds[split];
            for (right, z) in right.iter_mut().zip(&columns[self.inputs[split]]) {
                *right = if *z > threshold { u32::MAX } else { 0 };
            }
        }
        let [r0, r1, r2, r3, r4, r5, r6] = &right;
        let choose = |mask: u32, yes: u32, no: u32| (mask & yes) | (!mask & no);
        let mut ends = [0; BLOCK];
        for row in 0..BLOCK {
            let second = choose(r0[row], r2[row], r1[row]);
            let left = choose(r1[row], r4[row], r3[row]);
            let third = choose(r0[row], choose(r2[row], r6[row], r5[row]), left);
            ends[row] = (r0[row] & 4) | (second & 2) | (third & 1);
        }
        ends
    }

    fn end_of_first(&self, columns: &[Column]) -> usize {
        let mut at = 0;
        for _ in 0..TOP {
            at = 2 * at + 1 + usize::from(columns[self.inputs[at]][0] > self.thresholds[at]);
        }
        at - SPLITS
    }
}

fn number(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(u32::MAX)
}

const COLUMN_LENGTH: u32 = 64;
const _: () = assert!(COLUMN_LENGTH as usize == BLOCK);

/// The steps from each node to the deepest leaf below it. Children come after their parents.
fn depths(trees: &Trees) -> Vec<u32> {
    let mut depths = vec![0; trees.value.len()];
    for node in (0..trees.value.len()).rev() {
        if trees.left[node] != 0 {
            let (left, right) = (trees.left[node] as usize, trees.right[node] as usize);
            depths[node] = 1 + depths[left].max(depths[right]);
        }
    }
    depths
}
