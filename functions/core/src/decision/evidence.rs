//! The numbers behind a decision, kept with it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Look;
use crate::figures::{e_value, rate, short};
use crate::judge::hard_failure::{self, Baseline, hard_failure};
use crate::judge::sequential::{ADVANCE, ERRORS, log_e_over_limit};
use crate::judge::{Counts, Pair};
use crate::metrics::{self, Traffic, Window};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::weight::Percent;

/// Least requests, and least share of them beyond the stable slot's, that must be unanswered before it counts.
const UNANSWERED: (f64, f64) = (20.0, 0.15);
/// Least errors that the load balancer made itself, least share of the candidate's part of all requests, and how
/// often the usual share is allowed for.
const OWN_ERRORS: (f64, f64, f64) = (10.0, 0.15, 2.0);

/// The numbers behind a decision.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Evidence {
    /// One line for people.
    pub summary: String,
    /// What the candidate is compared with at this weight.
    pub reference: Reference,
    /// The candidate's answers since the first exposure.
    pub candidate: Counts,
    /// The stable slot's answers since then.
    pub stable: Counts,
    /// Both since the last weight change.
    pub since_shift: Pair,
    /// Complete metric periods since the first exposure.
    pub periods: usize,
    /// E: evidence that the candidate is worse.
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
    /// Whether the candidate is broken beyond doubt.
    pub hard_failure: bool,
    /// The absolute limit, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Latest requests of the candidate, and as `errors` those without an answer, when they are too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Counts>,
    /// Latest requests at the load balancers, and as `errors` the 5XX that they made themselves, when they are too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_errors: Option<Counts>,
}

/// What the candidate is compared with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The stable slot in the same periods.
    Concurrent,
    /// The hour before the release, for what is broken beyond doubt only.
    Before,
    /// Nothing: absolute limits only.
    Absent,
}

/// The absolute limit on the candidate's error rate.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Limit {
    /// The limit.
    pub max_error_rate: Percent,
    /// Highest evidence so far that it is exceeded.
    pub e_value: f64,
}

impl Evidence {
    pub(super) fn gather(plan: &Plan, progress: &Progress, look: &Look) -> Self {
        let phi = 1.0;
        let observed = look.observed.clone().unwrap_or_default();
        let pairs = metrics::pairs(look.window, &observed.candidate, &observed.stable);
        let reference = if plan.without_stable.is_some() {
            Reference::Absent
        } else if progress.weight == Percent::ALL {
            Reference::Before
        } else {
            Reference::Concurrent
        };
        let baseline = match reference {
            Reference::Concurrent => Baseline::Concurrent,
            Reference::Before if observed.before.requests > 0.0 => Baseline::Before(observed.before),
            Reference::Before | Reference::Absent => Baseline::Absent,
        };
        let planned = plan.planned_periods();
        let log_e = ERRORS.log_e(&pairs, phi, planned);
        let since = &pairs[first_after_shift(look.window, progress).min(pairs.len())..];
        let next = plan.weight_at(progress.position + 1).fraction();
        let log_e_healthy = ADVANCE.log_e(since, next, phi);
        let candidate_only: Vec<Counts> = pairs.iter().map(|pair| pair.candidate).collect();
        let mut evidence = Self {
            summary: String::new(),
            reference,
            candidate: candidate_only.iter().copied().sum(),
            stable: pairs.iter().map(|pair| pair.stable).sum(),
            since_shift: Pair {
                candidate: since.iter().map(|pair| pair.candidate).sum(),
                stable: since.iter().map(|pair| pair.stable).sum(),
            },
            periods: pairs.len(),
            e_unhealthy: e_value(log_e.last().copied().unwrap_or(0.0)),
            e_unhealthy_peak: e_value(log_e.iter().copied().fold(0.0, f64::max)),
            unhealthy_at: ERRORS.proof().round(),
            e_healthy: e_value(log_e_healthy.last().copied().unwrap_or(0.0)),
            healthy_at: ADVANCE.proof().round(),
            phi,
            hard_failure: hard_failure(&pairs, baseline, phi),
            limit: plan.health.max_error_rate.map(|max_error_rate| Limit {
                max_error_rate,
                e_value: e_value(
                    log_e_over_limit(&candidate_only, max_error_rate.fraction(), phi, planned)
                        .into_iter()
                        .fold(0.0, f64::max),
                ),
            }),
            unanswered: unanswered(look, &observed),
            load_balancer_errors: load_balancer_errors(look, &observed, progress.weight),
        };
        evidence.summary = evidence.line();
        evidence
    }

    /// `errors: candidate 0.52 % of 12 031, stable 0.10 % of 229 114, e-value 412 >= 100: unhealthy`.
    fn line(&self) -> String {
        let proven = self.e_unhealthy_peak >= self.unhealthy_at;
        let (e, sign, limit, verdict) = if self.hard_failure {
            (self.e_unhealthy, if proven { ">=" } else { "<" }, self.unhealthy_at, "broken")
        } else if proven {
            (self.e_unhealthy_peak, ">=", self.unhealthy_at, "unhealthy")
        } else if self.e_unhealthy >= super::SUSPICION {
            (self.e_unhealthy, ">=", super::SUSPICION, "suspicious")
        } else {
            (self.e_unhealthy, "<", super::SUSPICION, "no evidence against it")
        };
        let stable = match self.reference {
            Reference::Concurrent => format!("stable {}", rate(self.stable)),
            Reference::Before => "stable without traffic".into(),
            Reference::Absent => "no stable version to compare with".into(),
        };
        format!("errors: candidate {}, {stable}, e-value {} {sign} {limit}: {verdict}", rate(self.candidate), short(e))
    }
}

/// Index of the first period that lies wholly after the last weight change.
fn first_after_shift(window: Window, progress: &Progress) -> usize {
    let Some(shifted) = progress.shifted_at else { return usize::MAX };
    window.starts().position(|at| at >= shifted).unwrap_or(usize::MAX)
}

/// Requests of the last periods that have no answer although they should: a candidate that hangs makes no
/// errors. Only a reason to wait, since requests are counted when they arrive and answers when they are given.
/// Some kinds of requests never have one, such as WebSocket upgrades: what the stable slot shows as well is no sign.
fn unanswered(look: &Look, observed: &super::Observed) -> Option<Counts> {
    let last = latest(look.window);
    let add = |sum: Counts, traffic: &Traffic| Counts {
        errors: sum.errors + traffic.requests - traffic.answers.requests,
        requests: sum.requests + traffic.requests,
    };
    let missing =
        |side: &BTreeMap<Timestamp, Traffic>| last.iter().filter_map(|at| side.get(at)).fold(Counts::default(), add);
    let (candidate, stable) = (missing(&observed.candidate), missing(&observed.stable));
    // Without stable traffic now, what was usual in the hour before.
    let before = || observed.stable.range(..look.window.start).map(|(_, traffic)| traffic).fold(Counts::default(), add);
    let usual = stable.error_rate().or_else(|| before().error_rate()).unwrap_or(0.0).clamp(0.0, 1.0);
    let unusual = candidate.error_rate().is_some_and(|share| share >= usual + UNANSWERED.1);
    (candidate.requests >= UNANSWERED.0 && unusual).then_some(candidate)
}

/// The load balancers' own 5XX in the last periods, if they are more than usual by a good part of the
/// candidate's share: a group that is empty or hangs shows nowhere else.
fn load_balancer_errors(look: &Look, observed: &super::Observed, weight: Percent) -> Option<Counts> {
    let counts = |traffic: &Traffic| Counts {
        errors: traffic.answers.errors,
        requests: traffic.requests + traffic.answers.errors,
    };
    let before: Counts = observed.load_balancers.range(..look.window.start).map(|(_, traffic)| counts(traffic)).sum();
    let last: Counts = latest(look.window).iter().filter_map(|at| observed.load_balancers.get(at)).map(counts).sum();
    let excess = last.error_rate()? - OWN_ERRORS.2 * before.error_rate().unwrap_or(0.0);
    // Other services may share the load balancer: the candidate's part is its weight of this service's part.
    let own: f64 = latest(look.window)
        .iter()
        .flat_map(|at| [observed.candidate.get(at), observed.stable.get(at)])
        .flatten()
        .map(|traffic| traffic.requests)
        .sum();
    let part = weight.fraction() * (own / last.requests).min(1.0);
    (last.errors >= OWN_ERRORS.0 && excess >= OWN_ERRORS.1 * part).then_some(last)
}

/// The starts of the last periods.
fn latest(window: Window) -> Vec<Timestamp> {
    let starts: Vec<_> = window.starts().collect();
    starts[starts.len().saturating_sub(hard_failure::PERIODS)..].to_vec()
}
