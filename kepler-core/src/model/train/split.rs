//! Which rows a model learns from and which it is judged on.

use super::data::TrainingData;
use super::rng::Rng;
use crate::error::{Error, Result};
use crate::model::Split;

/// Rows to learn from and rows to be judged on, by number, each rising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Rows to learn from.
    pub train: Vec<usize>,
    /// Rows to be judged on.
    pub test: Vec<usize>,
}

/// Splits rows into folds; each row is in the test part of exactly one ([`Split::ShuffledPart`] gives the first fold alone).
///
/// [`Split::BlockedFolds`] takes rows in their order, which is that of time where times are known.
/// [`Split::MachineOut`] keeps a machine's rows together; with more machines than `count`, several share a fold.
///
/// # Errors
/// [`Error::InvalidInput`] for fewer than two folds, more folds than rows, and machines left out where there is only one.
pub fn folds(data: &TrainingData, split: Split, count: usize, seed: u64) -> Result<Vec<Fold>> {
    let rows = data.len();
    if count < 2 || count > rows {
        return Err(Error::invalid(
            "folds",
            format!("{count} folds of {rows} rows: at least 2 with a row each are needed"),
        ));
    }
    let fold_of: Vec<usize> = match split {
        Split::BlockedFolds => (0..rows).map(|row| row * count / rows).collect(),
        Split::ShuffledFolds | Split::ShuffledPart => {
            let mut fold_of = vec![0; rows];
            let order = Rng::new(seed, 1).permutation(rows);
            for (place, row) in order.into_iter().enumerate() {
                fold_of[row] = place * count / rows;
            }
            fold_of
        }
        Split::MachineOut => machines(data, count, seed)?,
    };
    let count = fold_of.iter().max().map_or(0, |most| most + 1);
    let part = |fold: usize, inside: bool| {
        let wanted = |row: &usize| (fold_of[*row] == fold) == inside;
        (0..rows).filter(wanted).collect()
    };
    let fold = |fold| Fold {
        train: part(fold, false),
        test: part(fold, true),
    };
    let used = if split == Split::ShuffledPart {
        1
    } else {
        count
    };
    Ok((0..used).map(fold).collect())
}

/// The fold of each row, so that no machine is in two.
fn machines(data: &TrainingData, count: usize, seed: u64) -> Result<Vec<usize>> {
    let mut known = data.machines.clone();
    known.sort_unstable();
    known.dedup();
    if known.len() < 2 {
        return Err(Error::invalid(
            "split",
            "whole machines can only be left out where the rows are of several",
        ));
    }
    let count = count.min(known.len());
    let order = Rng::new(seed, 2).permutation(known.len());
    let mut fold_of_machine = vec![0; known.len()];
    for (place, machine) in order.into_iter().enumerate() {
        fold_of_machine[machine] = place * count / known.len();
    }
    let fold = |machine: &u32| fold_of_machine[known.partition_point(|k| k < machine)];
    Ok(data.machines.iter().map(fold).collect())
}
