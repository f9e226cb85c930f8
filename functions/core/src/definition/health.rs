//! How health is judged: the part of a definition that the judge reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::arn::AlarmArn;
use crate::judge::comparison::Term;
use crate::judge::latency::Quantile;
use crate::judge::sequential::{ERRORS, Unhealthy};
use crate::slot::Slot;
use crate::text::{checked_text, is_word};
use crate::weight::Percent;

/// How health is judged.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
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
    #[cfg_attr(feature = "schema", schemars(extend("exclusiveMinimum" = 0)))]
    pub max_error_rate: Option<Percent>,
    /// What is slow.
    pub latency: LatencyPolicy,
    /// The service's own metrics, compared as errors are: 0 to 10.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 10)))]
    pub metrics: Vec<CustomMetric>,
    /// Alarms, metric or composite, that stop a release: 0 to 20. They must exist, and a release does not start
    /// while one of them is in ALARM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 20)))]
    pub alarms: Vec<Alarm>,
    /// What is evaluated and reported, and never decides. The service's own metrics and alarms have a `dry_run` each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
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
            latency: LatencyPolicy::default(),
            metrics: Vec::new(),
            alarms: Vec::new(),
            dry_run: Vec::new(),
        }
    }
}

impl HealthPolicy {
    /// Whether this is evaluated and has a say.
    #[must_use]
    pub fn decides(&self, gate: DryRun) -> bool {
        !self.dry_run.contains(&gate)
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

/// What can be evaluated without having a say.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DryRun {
    /// Errors, compared with the stable version's.
    Errors,
    /// Slow requests, compared with the stable version's.
    Latency,
    /// A candidate that is broken beyond doubt.
    HardFailure,
    /// The absolute limit on the error rate.
    MaxErrorRate,
    /// Healthy hosts of the candidate.
    Hosts,
    /// Requests without an answer.
    Answers,
    /// Errors that the load balancer made itself.
    LoadBalancer,
}

/// What is slow: thresholds for the service's response time. Where no objective is given, the threshold is the stable
/// version's own quantile over the hours before the release, and `margin_percent` more.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LatencyPolicy {
    /// The quantiles that are compared; an empty list switches the comparison off. Default `p50`, `p90`, `p99`.
    #[cfg_attr(feature = "schema", schemars(length(max = 3)))]
    pub quantiles: Vec<Quantile>,
    /// Service objectives: for some of the quantiles the threshold in seconds, above 0 and up to 3600.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, f64>"))]
    pub objectives: BTreeMap<Quantile, f64>,
    /// Percent that a threshold taken from the stable version lies above its quantile, 0 to 1000. Default 10.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1000)))]
    pub margin_percent: u32,
    /// Milliseconds below which no answer is slow, 0 to 3 600 000: no threshold taken from the stable version is lower. Default 5.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 3_600_000)))]
    pub floor_milliseconds: u32,
}

impl Default for LatencyPolicy {
    fn default() -> Self {
        Self { quantiles: Quantile::ALL.into(), objectives: BTreeMap::new(), margin_percent: 10, floor_milliseconds: 5 }
    }
}

impl LatencyPolicy {
    /// The threshold in seconds: the objective, or what the stable version's quantile makes it; nothing when neither
    /// is known.
    #[must_use]
    pub fn threshold(&self, quantile: Quantile, stable: Option<f64>) -> Option<f64> {
        if let Some(objective) = self.objectives.get(&quantile) {
            return Some(*objective);
        }
        let margin = 1.0 + f64::from(self.margin_percent) / 100.0;
        let stable = stable.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        Some((stable * margin).max(f64::from(self.floor_milliseconds) / 1000.0).max(1e-6))
    }
}

checked_text!(
    /// Name of one of the service's own metrics, for reports.
    MetricLabel,
    "a metric's label",
    "1 to 64 letters, digits, hyphens, underscores and dots",
    "^[A-Za-z0-9_.-]{1,64}$",
    |name| is_word(name, 64, "-_.")
);

/// One of the service's own metrics: events to be counted, and what they are a part of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CustomMetric {
    /// Its label in reports.
    pub name: MetricLabel,
    /// The events that are bad.
    pub count: CustomSource,
    /// All events.
    pub denominator: CustomSource,
    /// The ratio to the stable version's rate that is tolerated, 1 to 100. Default 1.25.
    #[serde(default = "default_tolerance")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub tolerance: f64,
    /// Whether it is evaluated and reported without having a say. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl CustomMetric {
    /// How it is compared, at this dispersion.
    #[must_use]
    pub fn term(&self, phi: f64) -> Term {
        Term { test: Unhealthy { tolerance: self.tolerance, ..ERRORS }, phi, decides: !self.dry_run }
    }
}

fn default_tolerance() -> f64 {
    1.25
}

/// A CloudWatch metric, whose sums are taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CustomSource {
    /// The metric's namespace.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255)))]
    pub namespace: String,
    /// The metric's name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255)))]
    pub metric: String,
    /// Its dimensions, 1 to 30. In values, `{slot}` stands for `blue` or `green`, `{target_group}` for
    /// `targetgroup/NAME/ID` and `{load_balancer}` for `app/NAME/ID`: one of the first two must be there.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 30)))]
    pub dimensions: BTreeMap<String, String>,
}

impl CustomSource {
    /// What tells the two slots apart.
    pub(super) const BY_SLOT: [&str; 2] = ["{slot}", "{target_group}"];

    /// The dimensions of one slot's metric, with everything filled in.
    #[must_use]
    pub fn dimensions_of(&self, slot: Slot, target_group: &str, load_balancer: &str) -> BTreeMap<String, String> {
        let filled = |value: &String| {
            value
                .replace("{slot}", &slot.to_string())
                .replace("{target_group}", target_group)
                .replace("{load_balancer}", load_balancer)
        };
        self.dimensions.iter().map(|(name, value)| (name.clone(), filled(value))).collect()
    }
}

/// An alarm that stops a release.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// The alarm, metric or composite, in the region and account of the routes.
    pub arn: AlarmArn,
    /// What the state `INSUFFICIENT_DATA` means. Default `hold`.
    #[serde(default)]
    pub on_insufficient_data: OnInsufficientData,
    /// Whether it is read and reported without having a say. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What an alarm without enough data means.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnInsufficientData {
    /// A reason to wait; in the end `on_inconclusive` decides.
    #[default]
    Hold,
    /// Nothing: for alarms that have data only when something is wrong. Reported all the same.
    Ignore,
    /// As ALARM: for alarms that always have data. A release does not start without it.
    Rollback,
}
