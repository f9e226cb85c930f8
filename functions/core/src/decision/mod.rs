//! One check of a running release: what the evidence says and what to do about it.
//!
//! The periods since the first exposure become a [`Comparison`]; that, the hosts, the alarms and what no process tests
//! become [`gates`]; and the [`rules`] decide from those: an operator's abort; a gate that failed; a reason to wait;
//! proof that the candidate is well enough to go on; time. [`evidence`] is what is kept of it.

pub mod evidence;
pub mod gates;
mod guards;
mod hooks;
mod news;
pub mod rules;
mod split;
pub mod why;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cost::Cost;
use crate::drift::Reading;
use crate::event::news::{News, Wait};
use crate::hook::{Call, Reply};
use crate::judge::comparison::Comparison;
use crate::judge::{Counts, Pair};
use crate::lease::Notices;
use crate::metrics::{self, CountSeries, LatencySeries, Traffic, Window};
use crate::plan::{AlarmState, Plan, PlannedGroup};
use crate::progress::Progress;
use crate::targets::TargetCounts;

pub use evidence::Evidence;
pub use gates::Reference;
pub use split::quiet_from;

/// An e-value from which on a release waits.
pub const SUSPICION: f64 = 3.0;

/// What the check decided.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// On to the next weight.
    Advance,
    /// Stay, all is well so far.
    Continue,
    /// Stay, something is not as it should be.
    Hold,
    /// Give all traffic back to the stable slot.
    RollBack,
}

/// Where the state machine goes from here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Wait, then check again.
    Bake,
    /// The same, once others have been told that the release waits, and for what.
    Tell,
    /// Write the weight of the progress's position.
    Shift,
    /// The same, on an operator's word, which is taken out of the lease first: it was for this step only.
    ConsumeCommand,
    /// Ask a hook, wait, then check again.
    Hook,
    /// The release is done.
    Promoted,
    /// Give all traffic back.
    RollBack,
}

/// An operator's wish, as it stands in the lease.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Nothing.
    #[default]
    None,
    /// Stay at this weight.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Go on although the evidence proves nothing either way.
    Approve,
    /// Go on to 100 % at once.
    Promote,
    /// Roll back.
    Abort,
    /// Something that this version does not know: no wish at all.
    #[serde(other)]
    Unknown,
}

/// What was seen at a check. Where something could not be read, its reason stands in its place.
#[derive(Clone, Debug)]
pub struct Look {
    /// The time of the check.
    pub now: Timestamp,
    /// The complete periods since the first exposure.
    pub window: Window,
    /// What the metrics say.
    pub observed: Result<Observed, String>,
    /// The routes, in the plan's order.
    pub routes: Vec<Reading>,
    /// The candidate's targets, group by group.
    pub candidate_targets: Result<Vec<TargetCounts>, String>,
    /// The stable slot's.
    pub stable_targets: Result<Vec<TargetCounts>, String>,
    /// The alarms, in the definition's order.
    pub alarms: Result<Vec<AlarmState>, String>,
    /// The operator's wish.
    pub command: Command,
    /// What others want of the release.
    pub notices: Result<Notices, String>,
    /// What the hook that was asked last has said.
    pub hook: Reply,
    /// ARN of the release's execution.
    pub execution: String,
}

/// Measured traffic, from the hour before the first exposure on.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The candidate's, by period.
    pub candidate: BTreeMap<Timestamp, Traffic>,
    /// The stable slot's, by period.
    pub stable: BTreeMap<Timestamp, Traffic>,
    /// The load balancers': requests that were forwarded, and as errors the 5XX that they made themselves.
    pub load_balancers: BTreeMap<Timestamp, Traffic>,
    /// What else is compared, in the order of the plan's terms.
    pub others: Vec<Sides>,
    /// Quantiles of the response times, which nothing rests on: the judge counts answers that are slower than a threshold.
    pub latencies: Latencies,
}

/// Quantiles of both slots' response times, in seconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// The candidate's, by period.
    pub candidate: LatencySeries,
    /// The stable slot's.
    pub stable: LatencySeries,
}

/// One kind of event in both slots.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// The candidate's, by period.
    pub candidate: CountSeries,
    /// The stable slot's.
    pub stable: CountSeries,
}

impl Observed {
    /// The stable slot's answers before the first exposure.
    fn before(&self, window: Window) -> Counts {
        self.stable.range(..window.start).map(|(_, traffic)| traffic.answers).sum()
    }

    /// Every period of the window, with a pair for each kind of event.
    fn periods(&self, window: Window) -> Vec<Vec<Pair>> {
        let errors = metrics::pairs(window, &metrics::answers(&self.candidate), &metrics::answers(&self.stable));
        let others: Vec<Vec<Pair>> =
            self.others.iter().map(|sides| metrics::pairs(window, &sides.candidate, &sides.stable)).collect();
        let others = |at: usize| others.iter().map(move |pairs| pairs.get(at).copied().unwrap_or_default());
        errors.into_iter().enumerate().map(|(at, errors)| std::iter::once(errors).chain(others(at)).collect()).collect()
    }
}

/// The outcome of one check.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Check {
    /// The decision.
    pub decision: Decision,
    /// What the state machine does next.
    pub next: Next,
    /// Seconds to wait before the next check.
    pub wait_seconds: u32,
    /// One line for people: why.
    pub reason: String,
    /// The progress to carry on with.
    pub progress: Progress,
    /// The hook to ask, where that is next.
    pub hook: Option<Call>,
    /// What to tell, where that is next.
    #[serde(default)]
    pub news: Option<News>,
    /// What decided, gate by gate.
    pub evidence: Evidence,
    /// What the stable slot has cost beside the candidate so far.
    #[serde(default)]
    pub cost: Option<Cost>,
}

/// Decides.
#[must_use]
pub fn check(plan: &Plan, progress: &Progress, look: &Look) -> Check {
    let nothing = Observed::default();
    let observed = look.observed.as_ref().unwrap_or(&nothing);
    let warm = progress.exposed_at.map(|at| split::later(at, plan.readiness.warm_up_seconds));
    let comparison = compare(plan, progress, look.window, observed, warm);
    let everything = compare(plan, progress, look.window, observed, None);
    let reference = Reference::at(plan, progress.weight);
    let mut gates = gates::of_world(plan, progress, look);
    gates.extend(guards::speaking(plan, progress, look, observed));
    let baseline = reference.baseline(observed.before(look.window));
    gates.extend(gates::of_comparison(plan, &comparison, &everything, reference, baseline));
    let seen = rules::Seen {
        now: look.now,
        measured_to: look.window.end,
        command: look.command,
        notices: look.notices.as_ref().map_err(String::as_str),
        reference,
        comparison: &comparison,
        gates: &gates,
        stable_is_there: stable_is_there(plan, look),
    };
    let outcome = rules::decide(plan, progress, &seen);
    let said = outcome.why.text(outcome.decision, plan, progress, &seen);
    let hooks::Hooked { mut outcome, mut reason, hook } = hooks::heed(plan, progress, look, outcome, said);
    let mut wait = news::wait(plan, &outcome, &gates);
    // Whoever approves has heard what there is to be said for it, hooks included.
    if let Some(awaiting) = rules::await_approval(plan, progress, look.now, outcome.clone()) {
        reason = format!("held at {}: waiting for approval; {reason}", progress.weight);
        outcome = awaiting;
        wait = Some(Wait::Approval);
    }
    let rules::Outcome { decision, mut next, wait_seconds, progress: mut after, .. } = outcome;
    let mut news = None;
    // Only where there is time: what gives traffic back, or takes it away, is not kept waiting for it.
    if next == Next::Bake
        && let Some(number) = after.told.wait(wait.as_ref())
        && let Some(wait) = wait
    {
        next = Next::Tell;
        news = Some(news::of(plan, progress, look, &comparison, &reason).news(wait.kind(), number));
    }
    let mut evidence = Evidence::of(plan, progress, &seen, look.window, observed);
    if look.observed.is_err() {
        evidence.minutes.clear(); // nothing is known of them yet
    }
    let judged_to = evidence.told_to(plan.health.period_seconds).or(progress.judged_to);
    let cost = plan.planned_at.map(|planned| Cost::of(&plan.stable, planned, look.now));
    let progress = Progress { judged_to, ..after };
    Check { decision, next, wait_seconds, reason, progress, hook, news, evidence, cost }
}

/// Whether each of the stable slot's groups has a third of the hosts that it had: half of the traffic, and half as much
/// again for each host, as a rollback allows.
fn stable_is_there(plan: &Plan, look: &Look) -> bool {
    let enough = |(group, counts): (&PlannedGroup, &TargetCounts)| {
        counts.usable() > 0 && u64::from(counts.usable()) * 3 >= u64::from(plan.hosts_before(&group.arn))
    };
    look.stable_targets.as_ref().is_ok_and(|counts| std::iter::zip(&plan.stable.groups, counts).all(enough))
}

/// All complete periods since the first exposure that began after the warm-up. Nothing is carried from check to check,
/// so that what arrives late or is revised is taken in.
fn compare(
    plan: &Plan,
    progress: &Progress,
    window: Window,
    observed: &Observed,
    warm: Option<Timestamp>,
) -> Comparison {
    let next_weight = plan.weight_at(progress.position + 1).fraction();
    let mut comparison = Comparison::new(&plan.terms(), next_weight);
    // The period of the first shift is one of the comparison where there is no warm-up.
    let cold = |start: Timestamp| plan.readiness.warm_up_seconds > 0 && warm.is_some_and(|warm| start < warm);
    for (start, period) in std::iter::zip(window.starts(), observed.periods(window)) {
        if cold(start) {
            continue;
        }
        // The last period that began before the weight was changed: proof starts after it.
        let at_this_weight = progress.shifted_at.is_some_and(|shifted| start >= shifted);
        comparison.push(&period);
        if !at_this_weight {
            comparison.shifted(next_weight);
        }
    }
    comparison
}
