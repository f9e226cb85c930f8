//! Guards: what no process tests, and is a reason to wait all the same.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::gates::{Finding, Gate, Kind};
use super::{Look, Observed, split};
use crate::definition::DryRun;
use crate::figures::count;
use crate::judge::{Counts, Pair, hard_failure};
use crate::metrics::{Traffic, Window};
use crate::plan::{Plan, STICKY};
use crate::progress::Progress;
use crate::weight::Percent;

/// Least requests, and least share of them beyond the stable slot's, that must be unanswered before it counts.
const UNANSWERED: (f64, f64) = (20.0, 0.15);
/// Least errors that the load balancer made itself, least share of the candidate's part of all requests, and how
/// often the usual share is allowed for.
const OWN_ERRORS: (f64, f64, f64) = (10.0, 0.15, 2.0);
/// So many requests expected and none seen does not happen by chance: once in five hundred million.
const SURPRISING: f64 = 20.0;

/// The guards that speak.
pub(super) fn speaking(plan: &Plan, progress: &Progress, look: &Look, observed: &Observed) -> Vec<Gate> {
    let gate = |kind, counts: Counts, words: String| Gate {
        counts: Pair { candidate: counts, stable: Counts::default() },
        ..Gate::saying(kind, Finding::Suspicious, words)
    };
    let silence = silence(look, observed).map(|(expected, periods)| {
        let words = format!(
            "metrics: not one request in the latest {periods} periods, where about {} are usual; late, or no traffic",
            count(expected)
        );
        gate(Kind::Metrics, Counts::default(), words)
    });
    let unanswered = unanswered(look, observed).map(|counts| {
        let (missing, requests) = (count(counts.errors), count(counts.requests));
        let words = format!("answers: {missing} of the candidate's latest {requests} requests have none yet");
        gate(Kind::Answers, counts, words).deciding(plan.health.decides(DryRun::Answers))
    });
    let own = load_balancer_errors(look, observed, progress.weight).map(|counts| {
        let (errors, requests) = (count(counts.errors), count(counts.requests));
        let words = format!("load balancer: it made {errors} errors of its own in the latest {requests} requests");
        gate(Kind::LoadBalancer, counts, words).deciding(plan.health.decides(DryRun::LoadBalancer))
    });
    let share = share(plan, progress, look, observed).map(|(expected, stable, periods)| {
        let words = format!(
            "share: the candidate got none of {} requests in the latest {periods} periods, where about {} are its part",
            count(stable),
            count(expected)
        );
        gate(Kind::Share, Counts::default(), words)
    });
    let split = split::gate(plan, progress, look, observed);
    silence.into_iter().chain(share).chain(split).chain(unanswered).chain(own).collect()
}

/// How many requests the candidate should have had in the latest periods at this weight, how many the stable slot had,
/// and how many periods those are, when the candidate had none at all.
fn share(plan: &Plan, progress: &Progress, look: &Look, observed: &Observed) -> Option<(f64, f64, usize)> {
    let shifted = progress.shifted_at?;
    let last: Vec<Timestamp> = latest(look.window).into_iter().filter(|start| *start >= shifted).collect();
    let requests = |side: &BTreeMap<Timestamp, Traffic>| -> f64 {
        last.iter().filter_map(|at| side.get(at)).map(|traffic| traffic.requests).sum()
    };
    let (candidate, stable) = (requests(&observed.candidate), requests(&observed.stable));
    let expected = progress.weight.fraction() * (candidate + stable);
    // Clients who stay where they are come in bundles.
    let bundled = if plan.sticky_seconds > 0 { STICKY } else { 1.0 };
    (candidate <= 0.0 && expected / bundled >= SURPRISING).then_some((expected, stable, last.len()))
}

/// How many requests the latest periods should have had, and how many periods those are, when they have none at all:
/// metrics that have stopped arriving look like no traffic.
fn silence(look: &Look, observed: &Observed) -> Option<(f64, usize)> {
    let last = latest(look.window);
    let oldest = last.first()?;
    let requests = |side: &BTreeMap<Timestamp, Traffic>| {
        let earlier: f64 = side.range(..oldest).map(|(_, traffic)| traffic.requests).sum();
        let later: f64 = side.range(oldest..).map(|(_, traffic)| traffic.requests).sum();
        (earlier, later)
    };
    let ((candidate, candidate_now), (stable, stable_now)) =
        (requests(&observed.candidate), requests(&observed.stable));
    if candidate_now + stable_now > 0.0 {
        return None;
    }
    // Since the first period with any request: the service may be younger than the hour before.
    let first = observed.candidate.keys().chain(observed.stable.keys()).min()?;
    let seconds = u64::try_from(oldest.duration_since(*first).as_secs()).unwrap_or(0);
    let periods = seconds / u64::from(look.window.period_seconds.max(1));
    let expected = (candidate + stable) / periods.max(1) as f64 * last.len() as f64;
    (expected >= SURPRISING).then_some((expected, last.len()))
}

/// Requests of the last periods that have no answer although they should: a candidate that hangs makes no
/// errors. Only a reason to wait, since requests are counted when they arrive and answers when they are given.
/// Some kinds of requests never have one, such as WebSocket upgrades: what the stable slot shows as well is no sign.
fn unanswered(look: &Look, observed: &Observed) -> Option<Counts> {
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
fn load_balancer_errors(look: &Look, observed: &Observed, weight: Percent) -> Option<Counts> {
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
pub(super) fn latest(window: Window) -> Vec<Timestamp> {
    let starts: Vec<_> = window.starts().collect();
    starts[starts.len().saturating_sub(hard_failure::PERIODS)..].to_vec()
}
