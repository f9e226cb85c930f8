//! Judging recorded minutes: what the judge would have said after each of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::comparison::{Comparison, Term, Terms};
use super::dispersion::dispersion;
use super::hard_failure::Baseline;
use super::latency::Quantile;
use super::recording::{Minute, both};
use super::sequential::{ADVANCE, ERRORS, Horizon};
use super::{Counts, Pair};
use crate::decision::SUSPICION;
use crate::definition::length::{Step, horizon};
use crate::definition::{DryRun, HealthPolicy};
use crate::plan::Plan;
use crate::weight::Percent;

/// How to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Weights of the steps, growing; promotion to 100 % follows the last.
    pub steps: Vec<Percent>,
    /// Periods that the release may last.
    pub horizon: Horizon,
    /// Dispersion of errors and of the user's metrics; `None` estimates it from the minutes with weight 0.
    pub phi: Option<f64>,
    /// Dispersion of slow requests; `None` estimates it from the same minutes.
    pub latency_phi: Option<f64>,
    /// Dispersion of slow requests at single thresholds, where it is known.
    pub latency_phis: BTreeMap<Quantile, f64>,
    /// Whether errors have a say.
    pub errors_decide: bool,
    /// Whether slow requests have a say.
    pub latency_decides: bool,
    /// What counts as worse of the user's metrics, and whether it has a say; any other metric is judged as errors are.
    pub metrics: BTreeMap<String, Term>,
    /// Dispersion of single metrics, where it is known.
    pub metric_phis: BTreeMap<String, f64>,
    /// Whether a candidate that is broken beyond doubt has a say.
    pub hard_failure_decides: bool,
    /// The stable version's answers in the hour before, where they are known; otherwise those of the minutes with weight 0.
    pub before: Option<Counts>,
    /// Error rate that the candidate must not exceed.
    pub max_error_rate: Option<Percent>,
}

impl Policy {
    /// These steps, and otherwise the defaults.
    #[must_use]
    pub fn new(steps: Vec<Percent>, horizon: Horizon) -> Self {
        Self {
            steps,
            horizon,
            phi: None,
            latency_phi: None,
            latency_phis: BTreeMap::new(),
            errors_decide: true,
            latency_decides: true,
            metrics: BTreeMap::new(),
            metric_phis: BTreeMap::new(),
            hard_failure_decides: true,
            before: None,
            max_error_rate: None,
        }
    }

    /// What a definition says of these steps.
    #[must_use]
    pub fn under(health: &HealthPolicy, steps: &[Step]) -> Self {
        let metrics = health.metrics.iter().map(|metric| (metric.name.to_string(), metric.term(1.0)));
        Self {
            errors_decide: health.decides(DryRun::Errors),
            latency_decides: health.decides(DryRun::Latency),
            metrics: metrics.collect(),
            hard_failure_decides: health.decides(DryRun::HardFailure),
            max_error_rate: health.max_error_rate.filter(|_| health.decides(DryRun::MaxErrorRate)),
            ..Self::new(steps.iter().map(|step| step.weight).collect(), horizon(steps, health))
        }
    }

    /// What a release was planned with.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let metrics = std::iter::zip(&plan.health.metrics, plan.metric_phis());
        Self {
            phi: Some(plan.baseline.phi),
            latency_phis: plan.baseline.latency.iter().map(|threshold| (threshold.quantile, threshold.phi)).collect(),
            metric_phis: metrics.map(|(metric, phi)| (metric.name.to_string(), phi)).collect(),
            ..Self::under(&plan.health, &plan.steps)
        }
    }

    fn next_weight(&self, weight: Percent) -> f64 {
        self.steps.iter().find(|step| **step > weight).copied().unwrap_or(Percent::ALL).fraction()
    }
}

/// What the judge says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Opinion {
    /// Before the release: the candidate has no traffic.
    Before,
    /// Proven worse, or broken beyond doubt.
    Unhealthy,
    /// Suspicious.
    Hold,
    /// Proven well enough for the next weight.
    Healthy,
    /// Neither.
    Continue,
}

impl std::fmt::Display for Opinion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Before => "before",
            Self::Unhealthy => "unhealthy",
            Self::Hold => "hold",
            Self::Healthy => "healthy",
            Self::Continue => "continue",
        })
    }
}

/// The judgement after one minute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The minute.
    pub minute: Timestamp,
    /// The candidate's weight in it.
    pub weight: Percent,
    /// The verdict.
    pub verdict: Opinion,
    /// ln E: evidence that the candidate is worse, all together.
    pub log_e_unhealthy: f64,
    /// ln E of each kind of event by itself: errors, latency by quantile, the user's metrics by name.
    pub log_e: BTreeMap<String, f64>,
    /// ln E': evidence, since the last weight change, that it is well enough for the next weight.
    pub log_e_healthy: f64,
    /// ln of the evidence that the absolute limit is exceeded, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_e_limit: Option<f64>,
    /// Whether it is broken beyond doubt.
    pub hard_failure: bool,
    /// The dispersion of errors that was assumed.
    pub phi: f64,
    /// The candidate's answers since the first exposure.
    pub candidate: Counts,
    /// The stable slot's since then.
    pub stable: Counts,
}

/// Judges after every minute, each with what was known then. Minutes are in order of time; those with weight 0 at
/// the beginning are the time before the release.
#[must_use]
pub fn replay(minutes: &[Minute], policy: &Policy) -> Vec<Judged> {
    let before = minutes.iter().take_while(|minute| minute.weight == Percent::ZERO).count();
    let (before, exposed) = minutes.split_at(before);
    let streams = streams(exposed);
    let terms = terms(before, &streams, policy);
    let usual = policy.before.unwrap_or_else(|| before.iter().map(|minute| minute.stable.errors()).sum());

    let first = exposed.first().map_or(Percent::ZERO, |minute| minute.weight);
    let mut comparison = Comparison::new(&terms, policy.next_weight(first));
    let mut judged: Vec<Judged> =
        before.iter().map(|minute| judgement(minute, Opinion::Before, &comparison, &streams, false)).collect();
    let (mut weight, mut proven) = (first, false);
    for minute in exposed {
        if minute.weight != weight {
            weight = minute.weight;
            comparison.shifted(policy.next_weight(weight));
        }
        let period: Vec<Pair> = streams.iter().map(|stream| stream.pair(minute)).collect();
        comparison.push(&period);
        let baseline = match weight {
            Percent::ALL if usual.requests > 0.0 => Baseline::Before(usual),
            Percent::ALL => Baseline::Absent,
            _ => Baseline::Concurrent,
        };
        let broken = comparison.hard_failure(baseline);
        let over_limit = comparison.limit().is_some_and(|limit| limit.peak() >= ERRORS.proof().ln());
        proven |= over_limit || comparison.peak() >= ERRORS.proof().ln();
        let verdict = if (broken && policy.hard_failure_decides) || proven {
            Opinion::Unhealthy
        } else if comparison.log_e() >= SUSPICION.ln() {
            Opinion::Hold
        } else if comparison.log_e_healthy() >= ADVANCE.proof().ln() {
            Opinion::Healthy
        } else {
            Opinion::Continue
        };
        judged.push(judgement(minute, verdict, &comparison, &streams, broken));
    }
    judged
}

fn judgement(minute: &Minute, verdict: Opinion, comparison: &Comparison, streams: &[Kind], broken: bool) -> Judged {
    let named = std::iter::zip(streams, comparison.streams());
    Judged {
        minute: minute.minute,
        weight: minute.weight,
        verdict,
        log_e_unhealthy: comparison.log_e(),
        log_e: named.map(|(kind, stream)| (kind.name(), stream.process.log_e())).collect(),
        log_e_healthy: comparison.log_e_healthy(),
        log_e_limit: comparison.limit().map(super::sequential::Process::log_e),
        hard_failure: broken,
        phi: comparison.phi(),
        candidate: comparison.errors().candidate,
        stable: comparison.errors().stable,
    }
}

/// A kind of event that minutes tell of.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Errors,
    Slow(Quantile),
    Metric(String),
}

impl Kind {
    fn name(&self) -> String {
        match self {
            Self::Errors => "errors".into(),
            Self::Slow(quantile) => quantile.name().into(),
            Self::Metric(name) => format!("metric {name}"),
        }
    }

    fn pair(&self, minute: &Minute) -> Pair {
        let (candidate, stable) = (&minute.candidate, &minute.stable);
        match self {
            Self::Errors => Pair { candidate: candidate.errors(), stable: stable.errors() },
            Self::Slow(quantile) => both(candidate.slow(*quantile), stable.slow(*quantile)),
            Self::Metric(name) => both(candidate.metric(name), stable.metric(name)),
        }
    }
}

/// Errors, and whatever else any minute tells of both sides.
fn streams(exposed: &[Minute]) -> Vec<Kind> {
    let slow = Quantile::ALL.into_iter().filter(|quantile| {
        exposed.iter().any(|m| m.candidate.slow.contains_key(quantile) && m.stable.slow.contains_key(quantile))
    });
    let metrics: BTreeSet<&String> = exposed
        .iter()
        .flat_map(|m| m.candidate.metrics.keys().filter(|name| m.stable.metrics.contains_key(*name)))
        .collect();
    std::iter::once(Kind::Errors)
        .chain(slow.map(Kind::Slow))
        .chain(metrics.into_iter().map(|name| Kind::Metric(name.clone())))
        .collect()
}

fn terms(before: &[Minute], streams: &[Kind], policy: &Policy) -> Terms {
    let estimated = || dispersion(&before.iter().map(|minute| minute.stable.by_zone()).collect::<Vec<_>>());
    let slow = |quantile| -> Vec<Vec<Counts>> {
        before.iter().map(|minute| minute.stable.slow(quantile).into_iter().collect()).collect()
    };
    let term = |kind: &Kind| match kind {
        Kind::Errors => Term { test: ERRORS, phi: policy.phi.unwrap_or_else(estimated), decides: policy.errors_decide },
        Kind::Slow(quantile) => Term {
            test: quantile.test(),
            phi: policy
                .latency_phis
                .get(quantile)
                .copied()
                .or(policy.latency_phi)
                .unwrap_or_else(|| dispersion(&slow(*quantile))),
            decides: policy.latency_decides,
        },
        Kind::Metric(name) => {
            let rows =
                || before.iter().map(|minute| minute.stable.metric(name).into_iter().collect()).collect::<Vec<_>>();
            let phi = policy.metric_phis.get(name).copied().or(policy.phi).unwrap_or_else(|| dispersion(&rows()));
            let term = policy.metrics.get(name).copied().unwrap_or(Term { test: ERRORS, phi, decides: true });
            Term { phi, ..term }
        }
    };
    Terms {
        horizon: policy.horizon,
        errors: term(&Kind::Errors),
        others: streams[1..].iter().map(term).collect(),
        max_error_rate: policy.max_error_rate.map(Percent::fraction),
    }
}
