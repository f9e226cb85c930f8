//! Dispersion: how much more errors vary than independent ones would.
//!
//! The sequential processes assume that, given the requests, errors are independent. Bursts that are private to
//! hosts or clients break that; dividing the evidence by phi, estimated from the hours before a release, makes
//! up for it. Bursts that hit both slots alike need no correction.

use super::Counts;

/// Lengths of the blocks that periods are put together to.
const BLOCKS: [usize; 3] = [1, 5, 15];
/// Pulls the index towards 1 where there is little to go by.
const SHRINKAGE: f64 = 4.0;
/// The most that neighbouring blocks may tell, since a trend looks like dispersion to them.
const MOST_WITHOUT_ZONES: f64 = 10.0;

/// phi, at least 1, from the periods before a release: the stable slot's answers by zone, a row for each period.
///
/// The largest over blocks of 1, 5 and 15 periods of `(X^2 + 4) / (df + 4)`, where `X^2` is Pearson's index between
/// zones with each zone's own mean rate taken out. With fewer than two zones, neighbouring blocks take the place
/// of zones, and phi is at most 10.
#[must_use]
pub fn dispersion(history: &[Vec<Counts>]) -> f64 {
    let zones = history.iter().map(Vec::len).max().unwrap_or(0);
    let mut worst: f64 = 1.0;
    for size in BLOCKS {
        let blocks: Vec<Vec<Counts>> = history
            .chunks_exact(size)
            .map(|chunk| (0..zones).map(|zone| chunk.iter().filter_map(|row| row.get(zone)).copied().sum()).collect())
            .collect();
        let (x2, free) = if zones >= 2 { between_zones(&blocks, zones) } else { between_neighbours(&blocks) };
        if free > 0.0 {
            worst = worst.max((x2 + SHRINKAGE) / (free + SHRINKAGE));
        }
    }
    if zones >= 2 { worst } else { worst.min(MOST_WITHOUT_ZONES) }
}

fn between_zones(blocks: &[Vec<Counts>], zones: usize) -> (f64, f64) {
    let rates: Vec<f64> = (0..zones)
        .map(|zone| blocks.iter().map(|block| block[zone]).sum::<Counts>().error_rate().unwrap_or(0.0))
        .collect();
    let (x2, rows) = index(blocks, &rates);
    let others = (zones - 1) as f64;
    (x2, others * rows - others)
}

fn between_neighbours(blocks: &[Vec<Counts>]) -> (f64, f64) {
    let pairs: Vec<Vec<Counts>> =
        blocks.chunks_exact(2).filter_map(|pair| Some(vec![*pair[0].first()?, *pair[1].first()?])).collect();
    index(&pairs, &[1.0, 1.0])
}

/// Pearson's `X^2` of each row against its own total, and the number of rows that count.
fn index(rows: &[Vec<Counts>], rates: &[f64]) -> (f64, f64) {
    let (mut x2, mut counted) = (0.0, 0.0);
    for row in rows {
        let errors: f64 = row.iter().map(|part| part.errors).sum();
        let weight: f64 = std::iter::zip(row, rates).map(|(part, rate)| part.requests * rate).sum();
        if errors <= 0.0 || weight <= 0.0 {
            continue;
        }
        counted += 1.0;
        for (part, rate) in std::iter::zip(row, rates) {
            let expected = errors * part.requests * rate / weight;
            if expected > 0.0 {
                x2 += (part.errors - expected).powi(2) / expected;
            }
        }
    }
    (x2, counted)
}
