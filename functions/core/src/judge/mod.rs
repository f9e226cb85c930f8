//! The judge: is the candidate worse than the stable version?
//!
//! It may be asked at any time and as often as anyone likes: its error guarantee holds at every look.
//! [`sequential`] holds the processes, [`latency`] says what is slow, [`comparison`] puts all together, [`dispersion`]
//! tells how much errors vary, and [`mod@hard_failure`] holds the rule for what is broken beyond doubt. [`recording`]
//! holds recorded minutes, and [`replay`] judges them.
//!
//! Sources: Lindon & Malek, arXiv 2011.03567 (counting processes); Lindon, Sanden & Shirikian,
//! arXiv 2205.14762 (rapid regression detection); Turner, Ly & Grünwald, arXiv 2106.02693 (two-sample
//! e-values).

pub mod comparison;
pub mod dispersion;
pub mod hard_failure;
pub mod latency;
pub mod recording;
pub mod replay;
pub mod sequential;

use serde::{Deserialize, Serialize};

/// Answers of one slot over some time. May be fractional; never negative.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Counts {
    /// Answers that were errors: 5XX, and connections that failed.
    pub errors: f64,
    /// All answers, the errors among them.
    pub requests: f64,
}

impl Counts {
    /// Error rate as a fraction; `None` without requests.
    #[must_use]
    pub fn error_rate(self) -> Option<f64> {
        (self.requests > 0.0).then(|| self.errors / self.requests)
    }
}

impl std::ops::Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { errors: self.errors + other.errors, requests: self.requests + other.requests }
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), std::ops::Add::add)
    }
}

/// Both slots over one metric period.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Pair {
    /// The candidate's answers.
    pub candidate: Counts,
    /// The stable slot's answers, the concurrent baseline.
    pub stable: Counts,
}

impl std::ops::Add for Pair {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { candidate: self.candidate + other.candidate, stable: self.stable + other.stable }
    }
}

impl std::iter::Sum for Pair {
    fn sum<I: Iterator<Item = Self>>(pairs: I) -> Self {
        pairs.fold(Self::default(), std::ops::Add::add)
    }
}

/// ln(sum of e^x), without overflow; negative infinity for nothing.
pub(crate) fn log_sum_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + terms.map(|x| (x - top).exp()).sum::<f64>().ln()
}
