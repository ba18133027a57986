//! What the leaves of trees answer with.

use super::tree_rows::Aim;

/// What a leaf or a boosted model answers with, and so which error it makes small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The mean: makes the squared error small.
    Squared,
    /// The median: makes the absolute error small, and is not moved by outliers.
    Absolute,
}

impl Loss {
    /// What makes the error small over some rows. `scratch` is reused from call to call.
    pub(super) fn answer(self, rows: &[u32], aim: Aim<'_>, scratch: &mut Vec<(f64, f64)>) -> f64 {
        match self {
            Self::Squared => mean(rows, aim),
            Self::Absolute => weighted_median(rows, aim, scratch),
        }
    }
}

/// The weighted mean target of some rows.
pub(super) fn mean(rows: &[u32], aim: Aim<'_>) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for row in rows {
        sum += aim.weight[*row as usize] * aim.target[*row as usize];
        weight += aim.weight[*row as usize];
    }
    if weight > 0.0 { sum / weight } else { 0.0 }
}

/// The value with half of the weight below it. `scratch` is reused from call to call.
pub(super) fn weighted_median(rows: &[u32], aim: Aim<'_>, scratch: &mut Vec<(f64, f64)>) -> f64 {
    scratch.clear();
    let pair = |row: &u32| (aim.target[*row as usize], aim.weight[*row as usize]);
    scratch.extend(rows.iter().map(pair));
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
