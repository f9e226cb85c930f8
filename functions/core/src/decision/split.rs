//! The measured split of requests against the weights.
//!
//! A rule's new weights act when the load balancer's nodes have them, and a client with a cookie goes where the cookie
//! says: what a route's API tells is what was asked for, and not where users are. So requests are counted on both sides
//! and compared by a binomial test, with room for what is no fault: luck, retries, testers, and with
//! group stickiness clients who come in bundles and stay where they are.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use statrs::function::beta::beta_reg;

use super::gates::{Finding, Gate, Kind};
use super::guards::latest;
use super::{Look, Observed};
use crate::figures::count;
use crate::judge::{Counts, Pair};
use crate::metrics::Traffic;
use crate::plan::{Plan, STICKY};
use crate::progress::Progress;
use crate::weight::Percent;

/// A split this unlikely, or less so, is no chance. Each check is a look, and a hundred of them are a release.
const LEVEL: f64 = 1e-4;
/// So many requests expected and none seen happens by chance in fewer than one of a hundred cases.
const SURPRISING: f64 = 5.0;
/// The part of the smaller side's share by which the measured one may be off, and the least room in shares of all.
const ROOM: (f64, f64) = (0.2, 0.005);

/// What the measured split says, once there is any to measure.
pub(super) fn gate(plan: &Plan, progress: &Progress, look: &Look, observed: &Observed) -> Option<Gate> {
    if plan.without_stable.is_some() {
        return None;
    }
    let settled = later(progress.shifted_at?, plan.traffic.settle_seconds);
    if progress.weight == Percent::ALL {
        return quiet(plan, progress, look, observed, settled);
    }
    let periods: Vec<Timestamp> = latest(look.window).into_iter().filter(|start| *start >= settled).collect();
    let (candidate, stable) = (sum(&observed.candidate, &periods), sum(&observed.stable, &periods));
    let all = candidate + stable;
    if all <= 0.0 {
        return None;
    }
    let (sticky, testers) = (plan.sticky_seconds > 0, !plan.test_routes.is_empty());
    let (weight, highest) = (progress.weight, progress.highest.max(progress.weight));
    // A cookie may be as old as the release: it was drawn at any of the weights since. Testers' requests count as the
    // candidate's, and nothing tells them apart.
    let least = if sticky { 0.0 } else { weight.fraction() };
    let most = match (testers, sticky) {
        (true, _) => 1.0,
        (false, true) => highest.fraction(),
        (false, false) => weight.fraction(),
    };
    let phi = if sticky { STICKY } else { 1.0 };
    let (observed, [requests, all_requests]) = (candidate / all, [candidate / phi, all / phi]);
    let too_few = observed < least - room(least) && at_most(requests, all_requests, least - room(least)) < LEVEL;
    let too_many = observed > most + room(most) && at_least(requests, all_requests, most + room(most)) < LEVEL;
    let expected = match (testers, sticky) {
        (true, true) => "anything, with testers and clients who stay where they are".into(),
        (true, false) => format!("at least {weight}, with testers"),
        (false, true) => format!("at most {highest}, with clients who stay where they are"),
        (false, false) => weight.to_string(),
    };
    let off = too_few || too_many;
    let words = format!("observed share {:.1} % of {} requests, expected {expected}", 100.0 * observed, count(all));
    Some(Gate {
        counts: counts(candidate, stable),
        ..Gate::saying(Kind::Split, if off { Finding::Suspicious } else { Finding::Fine }, words)
    })
}

/// From when on the stable slot may count as quiet at 100 %, and for how many seconds it must: as long as before it is
/// scaled down, but within the step's minimum time, so that a sound release is no longer for it.
#[must_use]
pub fn quiet_from(plan: &Plan, progress: &Progress) -> Option<(Timestamp, u32)> {
    let period = plan.health.period_seconds.max(1);
    let minimum = plan.steps.get(progress.position).map_or(0, |step| step.minimum_time_seconds);
    Some((progress.shifted_at?, plan.retirement.quiet_seconds.min(minimum).max(period).next_multiple_of(period)))
}

/// For how many seconds it must where there are too few requests to tell: within the longest time of the step.
fn quiet_enough(plan: &Plan, progress: &Progress, needed: u32) -> u32 {
    let health = &plan.health;
    let step = plan.steps.get(progress.position).or(plan.steps.last());
    let late = health.metric_lag_seconds + 2 * health.period_seconds + health.check_seconds;
    let longest = step.map_or(0, |step| step.max_step_seconds).saturating_sub(late);
    plan.retirement.quiet_seconds.min(longest).max(needed)
}

/// At 100 % the stable slot must be measured quiet: proof that no user is left there. Until the split has settled, it is
/// no reason to hold if it is not.
fn quiet(plan: &Plan, progress: &Progress, look: &Look, observed: &Observed, settled: Timestamp) -> Option<Gate> {
    let (shifted, needed) = quiet_from(plan, progress)?;
    let period = plan.health.period_seconds;
    let since: Vec<Timestamp> = look.window.starts().filter(|start| *start >= shifted).collect();
    let has = |start: &Timestamp| observed.stable.get(start).is_some_and(|traffic| traffic.requests > 0.0);
    let run = since.iter().rposition(has).map_or(&since[..], |last| &since[last + 1..]);
    let seconds = u64::try_from(run.len()).unwrap_or(u64::MAX) * u64::from(period);
    // Had the shift had no effect, so many requests should have been the stable slot's; where that is few, time tells.
    let missed = sum(&observed.candidate, run) * (1.0 - progress.weight_before.fraction());
    let sure = missed >= SURPRISING;
    let needed = if sure { needed } else { quiet_enough(plan, progress, needed) };
    let (finding, words) = if seconds >= u64::from(needed) && sum(&observed.candidate, &since) > 0.0 {
        (Finding::Proven, format!("the stable slot has been quiet for {seconds} s"))
    } else {
        let lately: Vec<Timestamp> = latest(look.window).into_iter().filter(|start| *start >= settled).collect();
        let (candidate, stable) = (sum(&observed.candidate, &lately), sum(&observed.stable, &lately));
        if stable > 0.0 {
            let words = format!(
                "the stable slot still gets {} of {} requests in the latest {} s, expected none",
                count(stable),
                count(candidate + stable),
                lately.len() * period as usize
            );
            (Finding::Suspicious, words)
        } else {
            (Finding::Fine, format!("the stable slot has been quiet for {seconds} of {needed} s"))
        }
    };
    let words = format!("observed share: {words}");
    let counts = counts(sum(&observed.candidate, &since), sum(&observed.stable, &since));
    Some(Gate { counts, ..Gate::saying(Kind::Split, finding, words) })
}

/// Requests in these periods.
fn sum(side: &BTreeMap<Timestamp, Traffic>, periods: &[Timestamp]) -> f64 {
    periods.iter().filter_map(|at| side.get(at)).map(|traffic| traffic.requests).sum()
}

fn counts(candidate: f64, stable: f64) -> Pair {
    let of = |requests| Counts { errors: 0.0, requests };
    Pair { candidate: of(candidate), stable: of(stable) }
}

fn room(share: f64) -> f64 {
    (ROOM.0 * share.min(1.0 - share)).max(ROOM.1)
}

/// The probability of so many successes or more, of so many trials: the regularised incomplete beta function,
/// <https://dlmf.nist.gov/8.17#E5>. Neither needs to be whole.
fn at_least(successes: f64, trials: f64, share: f64) -> f64 {
    if successes <= 0.0 || share >= 1.0 {
        1.0
    } else {
        beta_reg(successes, (trials - successes).max(0.0) + 1.0, share.max(0.0))
    }
}

/// The probability of so many successes or fewer.
fn at_most(successes: f64, trials: f64, share: f64) -> f64 {
    if share <= 0.0 || successes >= trials {
        1.0
    } else {
        1.0 - beta_reg(successes + 1.0, trials - successes, share.min(1.0))
    }
}

/// So many seconds after; saturating.
pub(super) fn later(at: Timestamp, seconds: u32) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the sum of the binomial probabilities themselves.
    #[test]
    fn tails_are_those_of_the_binomial_distribution() {
        let probability = |k: i32, n: i32, p: f64| {
            let ways: f64 = (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product();
            ways * p.powi(k) * (1.0 - p).powi(n - k)
        };
        for (k, n, p) in [(0, 20, 0.1), (3, 20, 0.1), (7, 30, 0.5), (20, 20, 0.9), (1, 500, 0.01)] {
            let below: f64 = (0..=k).map(|i| probability(i, n, p)).sum();
            let above: f64 = (k..=n).map(|i| probability(i, n, p)).sum();
            assert!((at_most(k.into(), n.into(), p) - below).abs() < 1e-9, "{k} {n} {p}");
            assert!((at_least(k.into(), n.into(), p) - above).abs() < 1e-9, "{k} {n} {p}");
        }
        assert_eq!((at_least(0.0, 10.0, 0.5), at_most(10.0, 10.0, 0.5), at_most(3.0, 10.0, 0.0)), (1.0, 1.0, 1.0));
    }
}
