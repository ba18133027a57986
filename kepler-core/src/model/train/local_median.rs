//! A smoother of one input, which no tree is.

use ndarray::ArrayView2;

use super::trainer::correlation;
use crate::model::Table;

/// The weighted median of the nearest rows, nearer ones counting more, along the input that goes along with power best.
pub(super) fn local_median(z: ArrayView2<'_, f64>, target: &[f64]) -> Table {
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
