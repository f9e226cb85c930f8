//! Latency, as counts of slow requests, in the same process as errors.
//!
//! "Slow" is a count: the thresholds are the baseline's p50, p90 and p99 over the hours before the release, or the
//! user's objective, frozen for the release. CloudWatch tells the counts as trimmed counts of
//! `TargetResponseTime` (`TC(tau:)`), interpolated and so fractional.

use serde::{Deserialize, Serialize};

use super::sequential::Unhealthy;

/// h for slow requests.
const ALTERNATIVES: &[f64; 7] = &[1.1, 1.25, 1.5, 2.2, 4.0, 10.0, 50.0];

/// A quantile of the baseline's latency that serves as the threshold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    pub fn test(self) -> Unhealthy {
        let (tolerance, slack) = match self {
            Self::P50 => (1.15, 0.02),
            Self::P90 => (1.5, 0.01),
            Self::P99 => (2.0, 0.002),
        };
        Unhealthy { tolerance, slack, alternatives: ALTERNATIVES, alpha: 0.01 }
    }

    /// `p50`: CloudWatch's name for the statistic, too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
        }
    }
}

impl std::fmt::Display for Quantile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
