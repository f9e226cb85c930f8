//! Latency, as counts of slow requests, in the same process as errors.
//!
//! "Slow" is a count: the thresholds are the baseline's p50, p90 and p99 over the hours before the release, or the
//! user's objective, frozen for the release. CloudWatch tells the counts as trimmed counts of
//! `TargetResponseTime` (`TC(tau:)`), interpolated and so fractional.

use serde::{Deserialize, Serialize};

use super::sequential::Unhealthy;
use super::{Pair, log_sum_exp};

/// h for slow requests.
const ALTERNATIVES: &[f64] = &[1.1, 1.25, 1.5, 2.2, 4.0, 10.0, 50.0];

/// A quantile of the baseline's latency that serves as the threshold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantile {
    /// The median.
    P50,
    /// Nine of ten requests are quicker.
    P90,
    /// Ninety-nine of a hundred requests are quicker.
    P99,
}

impl Quantile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::P50, Self::P90, Self::P99];

    /// The process that tests slow requests at this threshold: the rarer they are, the larger a ratio and the
    /// smaller a difference are tolerated.
    #[must_use]
    pub fn process(self) -> Unhealthy {
        let (tolerance, slack) = match self {
            Self::P50 => (1.15, 0.02),
            Self::P90 => (1.5, 0.01),
            Self::P99 => (2.0, 0.002),
        };
        Unhealthy { tolerance, slack, alternatives: ALTERNATIVES, alpha: 0.01 }
    }
}

/// ln E of everything together, period by period: half of the weight on errors, the rest shared by the latency
/// processes; errors alone without any. The total level stays alpha.
#[must_use]
pub fn combined(errors: &[f64], latencies: &[Vec<f64>]) -> Vec<f64> {
    if latencies.is_empty() {
        return errors.to_vec();
    }
    let each = (0.5 / latencies.len() as f64).ln();
    let term = |log: &Vec<f64>, t: usize| each + log.get(t).copied().unwrap_or(0.0);
    (0..errors.len())
        .map(|t| {
            let terms: Vec<f64> =
                std::iter::once(0.5_f64.ln() + errors[t]).chain(latencies.iter().map(|log| term(log, t))).collect();
            log_sum_exp(terms.iter().copied())
        })
        .collect()
}

/// ln E of one quantile's process; in `periods`, errors are slow requests.
#[must_use]
pub fn log_e(quantile: Quantile, periods: &[Pair], phi: f64, planned: usize) -> Vec<f64> {
    quantile.process().log_e(periods, phi, planned)
}
