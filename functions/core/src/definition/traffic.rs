//! What the measured traffic must be like: the part of a definition that compares it with the weights.

use serde::{Deserialize, Serialize};

/// What the measured traffic must be like.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TrafficPolicy {
    /// Seconds after a shift until the measured split must be the one asked for, 0 to 3600. Default 60: load balancers
    /// take new weights over step by step.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 3600)))]
    pub settle_seconds: u32,
    /// What to do when the measured split has not been the one asked for during the whole of `health.hold_seconds`.
    /// Default `rollback`.
    pub on_split_mismatch: OnSplitMismatch,
}

impl Default for TrafficPolicy {
    fn default() -> Self {
        Self { settle_seconds: 60, on_split_mismatch: OnSplitMismatch::Rollback }
    }
}

/// What to do when requests keep going elsewhere than asked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnSplitMismatch {
    /// Roll back.
    Rollback,
    /// Go on as if it were, until the next weight.
    Continue,
}
