//! Judging recorded minutes: what the judge would have said after each of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::dispersion::dispersion;
use super::hard_failure::{Baseline, PERIODS, hard_failure};
use super::latency::{self, Quantile};
use super::sequential::{ADVANCE, ERRORS};
use super::{Counts, Pair};
use crate::decision::SUSPICION;
use crate::weight::Percent;

/// One recorded minute, or metric period of another length.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Minute {
    /// Its start.
    pub minute: Timestamp,
    /// The candidate's weight in percent; 0 before the release.
    pub weight: Percent,
    /// The candidate's traffic.
    #[serde(default)]
    pub candidate: Recorded,
    /// The stable slot's.
    #[serde(default)]
    pub stable: Recorded,
}

/// One slot's traffic in a minute. Counts may be fractional.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Answers.
    #[serde(default)]
    pub requests: f64,
    /// Those of them that were errors.
    #[serde(default)]
    pub errors: f64,
    /// Those of them that were slower than the threshold, by quantile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slow: BTreeMap<Quantile, f64>,
    /// Errors and requests by zone or host, for the dispersion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<(f64, f64)>,
}

/// How to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Weights of the steps, growing; promotion to 100 % follows the last.
    pub steps: Vec<Percent>,
    /// Periods that the release is planned for.
    pub planned: usize,
    /// Dispersion of errors; `None` estimates it from the minutes with weight 0.
    pub phi: Option<f64>,
    /// Dispersion of slow requests.
    pub latency_phi: f64,
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
    /// ln E: evidence that the candidate is worse, errors and latency together.
    pub log_e_unhealthy: f64,
    /// ln E': evidence, since the last weight change, that it is well enough for the next weight.
    pub log_e_healthy: f64,
    /// Whether it is broken beyond doubt.
    pub hard_failure: bool,
    /// The dispersion that was assumed.
    pub phi: f64,
    /// The candidate's answers since the first exposure.
    pub candidate: Counts,
    /// The stable slot's since then.
    pub stable: Counts,
}

/// A minute that cannot have been.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {value}: {allowed}")]
pub struct ImpossibleMinute {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl Minute {
    /// Checks what the types alone do not: counts are finite and not negative, and parts are no more than their whole.
    ///
    /// # Errors
    /// [`ImpossibleMinute`] for the first that is not so.
    pub fn check(&self) -> Result<(), ImpossibleMinute> {
        for (side, names) in [
            (&self.candidate, ["candidate.requests", "candidate.errors", "candidate.slow", "candidate.zones"]),
            (&self.stable, ["stable.requests", "stable.errors", "stable.slow", "stable.zones"]),
        ] {
            let impossible =
                |field, value: f64, allowed| Err(ImpossibleMinute { field, value: value.to_string(), allowed });
            let [requests, errors, slow, zones] = names;
            let is_count = |count: f64| count.is_finite() && count >= 0.0;
            if !is_count(side.requests) {
                return impossible(requests, side.requests, "allowed: a count, 0 or more");
            }
            if !is_count(side.errors) || side.errors > side.requests {
                return impossible(errors, side.errors, "allowed: a count, 0 or more and at most the requests");
            }
            if let Some(count) = side.slow.values().copied().find(|count| !is_count(*count) || *count > side.requests) {
                return impossible(slow, count, "allowed: counts, 0 or more and at most the requests");
            }
            let odd =
                |(errors, requests): &&(f64, f64)| !is_count(*requests) || !is_count(*errors) || errors > requests;
            if let Some((count, _)) = side.zones.iter().find(odd) {
                return impossible(
                    zones,
                    *count,
                    "allowed: pairs of errors and requests, 0 or more, errors at most the requests",
                );
            }
        }
        Ok(())
    }
}

/// Judges after every minute, each with what was known then. Minutes are in order of time; those with weight 0 at
/// the beginning are the time before the release.
#[must_use]
pub fn replay(minutes: &[Minute], policy: &Policy) -> Vec<Judged> {
    let leading = || minutes.iter().take_while(|m| m.weight == Percent::ZERO);
    let before: Vec<Vec<Counts>> = leading().map(|m| zones_of(&m.stable)).collect();
    let usual: Counts = leading().map(|m| errors_of(&m.stable)).sum();
    let phi = policy.phi.unwrap_or_else(|| dispersion(&before)).max(1.0);
    let exposed: Vec<&Minute> = minutes.iter().skip_while(|m| m.weight == Percent::ZERO).collect();
    let pairs: Vec<Pair> =
        exposed.iter().map(|m| Pair { candidate: errors_of(&m.candidate), stable: errors_of(&m.stable) }).collect();

    let log_e = latency::combined(&ERRORS.log_e(&pairs, phi, policy.planned), &latencies(&exposed, policy));
    let log_e_healthy = gates(&exposed, &pairs, policy, phi);
    let unexposed = minutes.len() - exposed.len();
    let quiet = |minute: &Minute| Judged {
        minute: minute.minute,
        weight: minute.weight,
        verdict: Opinion::Before,
        log_e_unhealthy: 0.0,
        log_e_healthy: 0.0,
        hard_failure: false,
        phi,
        candidate: Counts::default(),
        stable: Counts::default(),
    };

    let (mut peak, mut sums) = (f64::NEG_INFINITY, Pair::default());
    let mut judged: Vec<Judged> = minutes[..unexposed].iter().map(quiet).collect();
    for (t, minute) in exposed.iter().enumerate() {
        peak = peak.max(log_e[t]);
        sums.candidate = sums.candidate + pairs[t].candidate;
        sums.stable = sums.stable + pairs[t].stable;
        let baseline = if minute.weight == Percent::ALL { Baseline::Before(usual) } else { Baseline::Concurrent };
        let broken = hard_failure(&pairs[(t + 1).saturating_sub(PERIODS)..=t], baseline, phi);
        let verdict = if broken || peak >= ERRORS.proof().ln() {
            Opinion::Unhealthy
        } else if log_e[t] >= SUSPICION.ln() {
            Opinion::Hold
        } else if log_e_healthy[t] >= ADVANCE.proof().ln() {
            Opinion::Healthy
        } else {
            Opinion::Continue
        };
        judged.push(Judged {
            verdict,
            log_e_unhealthy: log_e[t],
            log_e_healthy: log_e_healthy[t],
            hard_failure: broken,
            candidate: sums.candidate,
            stable: sums.stable,
            ..quiet(minute)
        });
    }
    judged
}

fn errors_of(side: &Recorded) -> Counts {
    Counts { errors: side.errors, requests: side.requests }
}

fn zones_of(side: &Recorded) -> Vec<Counts> {
    if side.zones.is_empty() {
        return vec![errors_of(side)];
    }
    side.zones.iter().map(|&(errors, requests)| Counts { errors, requests }).collect()
}

/// ln E of every quantile that any minute tells slow requests of.
fn latencies(exposed: &[&Minute], policy: &Policy) -> Vec<Vec<f64>> {
    let told = |quantile| {
        exposed.iter().any(|m| m.candidate.slow.contains_key(&quantile) && m.stable.slow.contains_key(&quantile))
    };
    let slow =
        |side: &Recorded, quantile| side.slow.get(&quantile).map(|&errors| Counts { errors, requests: side.requests });
    let series = |quantile| {
        // A minute that tells it of one side only carries no evidence.
        let pair = |m: &&Minute| match (slow(&m.candidate, quantile), slow(&m.stable, quantile)) {
            (Some(candidate), Some(stable)) => Pair { candidate, stable },
            _ => Pair::default(),
        };
        let pairs: Vec<Pair> = exposed.iter().map(pair).collect();
        latency::log_e(quantile, &pairs, policy.latency_phi, policy.planned)
    };
    Quantile::ALL.into_iter().filter(|quantile| told(*quantile)).map(series).collect()
}

/// ln E' after every minute, each over the minutes since the last weight change.
fn gates(exposed: &[&Minute], pairs: &[Pair], policy: &Policy, phi: f64) -> Vec<f64> {
    let mut all = Vec::with_capacity(pairs.len());
    let mut start = 0;
    while start < exposed.len() {
        let weight = exposed[start].weight;
        let end = exposed[start..].iter().position(|m| m.weight != weight).map_or(exposed.len(), |at| start + at);
        let next = policy.steps.iter().find(|step| **step > weight).copied().unwrap_or(Percent::ALL);
        all.extend(ADVANCE.log_e(&pairs[start..end], next.fraction(), phi));
        start = end;
    }
    all
}
