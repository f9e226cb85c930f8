//! How health is judged: the part of a definition that the judge reads.

use serde::{Deserialize, Serialize};

use crate::weight::Percent;

/// How health is judged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HealthPolicy {
    /// Length of one metric period in seconds: 1, 5, 10, 30 or a multiple of 60 up to 3600. Load balancers
    /// publish every 60 s, the default.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3600)))]
    pub period_seconds: u32,
    /// Seconds between two checks, 1 to 3600. Default 60.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3600)))]
    pub check_seconds: u32,
    /// Seconds after its end before a period counts as complete, 0 to 900. Default 120: metrics arrive late and are revised.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 900)))]
    pub metric_lag_seconds: u32,
    /// Seconds that a suspicious candidate is held at its weight before `on_inconclusive` decides, 0 to 86 400. Default 1200.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 86_400)))]
    pub hold_seconds: u32,
    /// What to do when a step ends without proof either way. Default `advance`.
    pub on_inconclusive: OnInconclusive,
    /// Error rate in percent that the candidate must never exceed, whatever the stable version does, above 0. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error_rate: Option<Percent>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            period_seconds: 60,
            check_seconds: 60,
            metric_lag_seconds: 120,
            hold_seconds: 1200,
            on_inconclusive: OnInconclusive::Advance,
            max_error_rate: None,
        }
    }
}

/// What to do when a step ends without proof either way.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    /// Go on while the evidence does not speak against the candidate; otherwise roll back.
    Advance,
    /// Stay and wait for a person.
    Pause,
    /// Roll back.
    Rollback,
}
