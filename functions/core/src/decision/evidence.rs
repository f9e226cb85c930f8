//! What is kept of a check: the numbers behind the decision, and the periods that were new to it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::gates::{Finding, Gate, Kind, Reference};
use super::rules::Seen;
use super::{Observed, Sides};
use crate::figures::e_value;
use crate::judge::recording::{Minute, Recorded};
use crate::judge::sequential::{ADVANCE, ERRORS};
use crate::judge::{Counts, Pair};
use crate::metrics::{LatencySeries, Window};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::weight::Percent;

/// At most so many periods are kept with one check: a payload of Step Functions has 256 KiB.
const MOST_MINUTES: usize = 120;

/// The numbers behind a decision.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Evidence {
    /// The line of the errors gate.
    pub summary: String,
    /// What the candidate is compared with at this weight.
    pub reference: Reference,
    /// Complete metric periods since the first exposure.
    pub periods: usize,
    /// The candidate's answers since the first exposure.
    pub candidate: Counts,
    /// The stable slot's answers since then.
    pub stable: Counts,
    /// Both since the last weight change.
    pub since_shift: Pair,
    /// E: evidence that the candidate is worse, all together.
    pub e_unhealthy: f64,
    /// The highest that E has been.
    pub e_unhealthy_peak: f64,
    /// 1/alpha: E from here on is proof.
    pub unhealthy_at: f64,
    /// E': evidence, since the last weight change, that it is well enough for the next weight.
    pub e_healthy: f64,
    /// 1/beta: E' from here on is proof.
    pub healthy_at: f64,
    /// Assumed dispersion of errors.
    pub phi: f64,
    /// Gate by gate.
    pub gates: Vec<GateReport>,
    /// The periods that have become complete since the check before, for `spillway judge`.
    pub minutes: Vec<Minute>,
    /// The stable version's answers in the hour before the first exposure.
    pub before: Counts,
}

impl Evidence {
    /// The end of the last period that it tells of.
    pub(super) fn told_to(&self, period_seconds: u32) -> Option<Timestamp> {
        let last = self.minutes.last()?.minute;
        last.checked_add(SignedDuration::from_secs(i64::from(period_seconds))).ok()
    }
}

/// One gate, reported.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GateReport {
    /// Its name.
    pub gate: String,
    /// What it says.
    pub finding: Finding,
    /// Whether it has no say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// One line for people.
    pub line: String,
    /// The candidate's counts and the stable version's, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Pair>,
    /// Its e-value, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e_value: Option<f64>,
    /// The e-value from which on it is proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_at: Option<f64>,
}

impl Evidence {
    pub(super) fn of(plan: &Plan, progress: &Progress, seen: &Seen<'_>, window: Window, observed: &Observed) -> Self {
        let comparison = seen.comparison;
        let gates: Vec<GateReport> = seen.gates.iter().map(|gate| report(gate, plan, seen)).collect();
        let errors = seen.gates.iter().position(|gate| gate.kind == Kind::Stream(0));
        Self {
            summary: errors.map(|at| gates[at].line.clone()).unwrap_or_default(),
            reference: seen.reference,
            periods: comparison.periods(),
            candidate: comparison.errors().candidate,
            stable: comparison.errors().stable,
            since_shift: comparison.since_shift(),
            e_unhealthy: e_value(comparison.log_e()),
            e_unhealthy_peak: e_value(comparison.peak()),
            unhealthy_at: ERRORS.proof().round(),
            e_healthy: e_value(comparison.log_e_healthy()),
            healthy_at: ADVANCE.proof().round(),
            phi: comparison.phi(),
            gates,
            minutes: minutes(plan, progress, window, observed),
            before: observed.before(window),
        }
    }
}

fn report(gate: &Gate, plan: &Plan, seen: &Seen<'_>) -> GateReport {
    let counted = gate.counts != Pair::default();
    GateReport {
        gate: gate.name(plan),
        finding: gate.finding,
        dry_run: !gate.decides,
        line: gate.line(plan, seen.comparison, seen.reference),
        counts: counted.then_some(gate.counts),
        e_value: gate.log_e.map(e_value),
        proof_at: gate.log_e.map(|_| gate.proof.round()),
    }
}

/// The periods since the check before, as they are known now.
fn minutes(plan: &Plan, progress: &Progress, window: Window, observed: &Observed) -> Vec<Minute> {
    let warm_up = plan.readiness.warm_up_seconds;
    let warm = progress.exposed_at.filter(|_| warm_up > 0).map(|at| super::split::later(at, warm_up));
    let judged = |start: &Timestamp| warm.is_none_or(|warm| *start >= warm);
    let new: Vec<Timestamp> = window
        .starts()
        .filter(judged)
        .filter(|start| progress.judged_to.is_none_or(|judged| *start >= judged))
        .collect();
    // The others are told by the next check.
    let new = &new[..new.len().min(MOST_MINUTES)];
    let latencies = plan.baseline.latency.len();
    let side = |at: &Timestamp,
                traffic: &BTreeMap<Timestamp, _>,
                quantiles: &LatencySeries,
                of: fn(&Sides) -> &BTreeMap<Timestamp, Counts>| {
        let traffic: crate::metrics::Traffic = traffic.get(at).copied().unwrap_or_default();
        let counts =
            |index: usize| observed.others.get(index).and_then(|sides| of(sides).get(at)).copied().unwrap_or_default();
        let slow = plan.baseline.latency.iter().enumerate();
        let metrics = plan.health.metrics.iter().enumerate();
        Recorded {
            requests: traffic.answers.requests,
            errors: traffic.answers.errors,
            timed: (latencies > 0).then(|| counts(0).requests),
            slow: slow.map(|(index, threshold)| (threshold.quantile, counts(index).errors)).collect(),
            latency: quantiles.get(at).cloned().unwrap_or_default(),
            metrics: metrics
                .map(|(index, metric)| {
                    let counts = counts(latencies + index);
                    (metric.name.to_string(), (counts.errors, counts.requests))
                })
                .collect(),
            zones: Vec::new(),
        }
    };
    new.iter()
        .map(|at| Minute {
            minute: *at,
            // The period in which the weight was changed still counts for the one before.
            weight: if progress.shifted_at.is_some_and(|shifted| *at >= shifted)
                || progress.weight_before == Percent::ZERO
            {
                progress.weight
            } else {
                progress.weight_before
            },
            candidate: side(at, &observed.candidate, &observed.latencies.candidate, |sides| &sides.candidate),
            stable: side(at, &observed.stable, &observed.latencies.stable, |sides| &sides.stable),
        })
        .collect()
}
