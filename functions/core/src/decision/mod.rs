//! One check of a running release: what the evidence says and what to do about it.
//!
//! The rules, first match wins: an operator's abort; a candidate that is broken beyond doubt; proof that it
//! is worse; a reason to wait; proof that it is well enough to go on; time.

mod evidence;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::definition::OnInconclusive;
use crate::definition::length::WAITING_FACTOR;
use crate::figures;
use crate::judge::{Counts, Pair};
use crate::metrics::{Traffic, Window};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::targets::TargetCounts;
use crate::weight::Percent;

pub use evidence::{Evidence, Limit, Reference};

/// An e-value from which on a release waits.
pub const SUSPICION: f64 = 3.0;
/// So many requests expected and none seen happens by chance in fewer than one of a hundred cases.
const SURPRISING: f64 = 5.0;

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
    /// Write the weight of the progress's position.
    Shift,
    /// The same, on an operator's word, which is taken out of the lease first: it was for this step only.
    ConsumeCommand,
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
    /// The candidate's targets, group by group.
    pub candidate_targets: Result<Vec<TargetCounts>, String>,
    /// The operator's wish.
    pub command: Command,
}

/// Measured traffic.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The candidate's, by period.
    pub candidate: BTreeMap<Timestamp, Traffic>,
    /// The stable slot's, by period.
    pub stable: BTreeMap<Timestamp, Traffic>,
    /// The load balancers': requests that were forwarded, and as errors the 5XX that they made themselves. From
    /// the hour before the first exposure on.
    pub load_balancers: BTreeMap<Timestamp, Traffic>,
    /// The stable slot's answers in the hour before the first exposure.
    pub before: Counts,
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
    /// The numbers that decided.
    pub evidence: Evidence,
}

/// Decides.
#[must_use]
pub fn check(plan: &Plan, progress: &Progress, look: &Look) -> Check {
    let evidence = Evidence::gather(plan, progress, look);
    let situation = Situation { plan, progress, look, evidence: &evidence };
    let Verdict { decision, reason, back, held, waiting, commanded } = situation.judge();
    let mut after = progress.clone();
    let last = situation.is_last();
    let next = match decision {
        Decision::RollBack => Next::RollBack,
        Decision::Advance if last => Next::Promoted,
        Decision::Advance => {
            let to_the_end = look.command == Command::Promote;
            after.position = if to_the_end { plan.steps.len() } else { progress.position + 1 };
            if commanded { Next::ConsumeCommand } else { Next::Shift }
        }
        Decision::Hold if back.is_some() => Next::Shift,
        Decision::Hold | Decision::Continue => Next::Bake,
    };
    after.position = back.unwrap_or(after.position);
    let since = |wanted: bool, since: Option<Timestamp>| wanted.then(|| since.unwrap_or(look.now));
    after.held_since = since(held, progress.held_since);
    after.waiting_since = since(waiting, progress.waiting_since);
    if !waiting {
        let waited = progress.waiting_since.map_or(0, |since| seconds_between(since, look.now));
        after.waited_seconds += waited;
        after.waited_in_step_seconds += waited;
    }
    let wait_seconds = plan.health.check_seconds * if waiting { WAITING_FACTOR } else { 1 };
    Check { decision, next, wait_seconds, reason, progress: after, evidence }
}

struct Verdict {
    decision: Decision,
    reason: String,
    /// The position to go back to while holding.
    back: Option<usize>,
    /// Whether the candidate itself, or not knowing about it, is the reason to stay.
    held: bool,
    /// Whether it is a person that is waited for.
    waiting: bool,
    /// Whether it was an operator's word that decided.
    commanded: bool,
}

impl Verdict {
    fn new(decision: Decision, reason: impl Into<String>) -> Self {
        Self { decision, reason: reason.into(), back: None, held: false, waiting: false, commanded: false }
    }
}

struct Situation<'a> {
    plan: &'a Plan,
    progress: &'a Progress,
    look: &'a Look,
    evidence: &'a Evidence,
}

impl Situation<'_> {
    fn judge(&self) -> Verdict {
        if self.look.command == Command::Abort {
            return Verdict::new(
                Decision::RollBack,
                format!("rolled back from {}: aborted by an operator", self.progress.weight),
            );
        }
        if let Some(reason) = self.unhealthy() {
            return Verdict::new(Decision::RollBack, format!("rolled back from {}: {reason}", self.progress.weight));
        }
        if let Some(reason) = self.out_of_time() {
            return Verdict::new(Decision::RollBack, format!("rolled back from {}: {reason}", self.progress.weight));
        }
        match self.look.command {
            Command::Pause => return self.waiting("paused by an operator"),
            Command::Promote => return self.commanded("by an operator, all the way"),
            Command::Approve if self.minimum_time_is_over() => return self.commanded("approved by an operator"),
            _ => {}
        }
        if let Some(reason) = self.suspicious() {
            return self.hold(&reason);
        }
        if let Some(reason) = self.well_enough() {
            return self.advance(&reason);
        }
        if self.step_seconds() >= self.max_step_seconds() {
            return self.inconclusive();
        }
        Verdict::new(Decision::Continue, format!("continues at {}: {}", self.progress.weight, self.evidence.summary))
    }

    /// Broken beyond doubt, or proven worse.
    fn unhealthy(&self) -> Option<String> {
        let evidence = self.evidence;
        if let Ok(targets) = &self.look.candidate_targets
            && let Some(position) = targets.iter().position(|counts| counts.healthy == 0 && counts.unknown == 0)
        {
            let group = self.plan.candidate.groups.get(position).map_or("?", |group| group.arn.name());
            return Some(format!("candidate hosts: {} in {group}", targets[position]));
        }
        if evidence.hard_failure {
            return Some(format!("hard failure: {}", evidence.summary));
        }
        if let Some(limit) = &evidence.limit
            && limit.e_value >= evidence.unhealthy_at
        {
            return Some(format!(
                "error limit: candidate {} against at most {}, e-value {:.0} >= {:.0}",
                figures::rate(evidence.candidate),
                limit.max_error_rate,
                limit.e_value,
                evidence.unhealthy_at
            ));
        }
        (evidence.e_unhealthy_peak >= evidence.unhealthy_at).then(|| evidence.summary.clone())
    }

    /// A release must end: longer than its plan is as good as failed.
    fn out_of_time(&self) -> Option<String> {
        let waited = self.progress.waited_seconds + self.seconds_since(self.progress.waiting_since);
        let patience = self.plan.longest_wait_seconds();
        if waited > patience {
            return Some(format!("waited for people for {waited} s, at most {patience} s"));
        }
        let exposed = self.seconds_since(self.progress.exposed_at).saturating_sub(waited);
        let allowed = self.plan.longest_exposure_seconds();
        (exposed > allowed).then(|| format!("exposed for {exposed} s, planned for at most {allowed} s"))
    }

    /// A reason to stay that is no proof.
    fn suspicious(&self) -> Option<String> {
        if let Err(reason) = &self.look.observed {
            return Some(format!("metrics: {reason}"));
        }
        match &self.look.candidate_targets {
            Err(reason) => return Some(format!("target health: {reason}")),
            Ok(targets) if targets.iter().any(|counts| counts.healthy == 0) => {
                return Some("target health: unknown, health checks are off".into());
            }
            Ok(_) => {}
        }
        if self.evidence.e_unhealthy >= SUSPICION {
            return Some(self.evidence.summary.clone());
        }
        self.guard()
    }

    /// What no process tests, and is a reason to wait all the same.
    fn guard(&self) -> Option<String> {
        let own = |errors: Counts| {
            let (errors, requests) = (figures::count(errors.errors), figures::count(errors.requests));
            format!("load balancer: it made {errors} errors of its own in the latest {requests} requests")
        };
        self.unanswered().or_else(|| self.evidence.load_balancer_errors.map(own))
    }

    fn unanswered(&self) -> Option<String> {
        self.evidence.unanswered.map(|unanswered| {
            let (missing, requests) = (figures::count(unanswered.errors), figures::count(unanswered.requests));
            format!("answers: {missing} of the candidate's latest {requests} requests have none yet")
        })
    }

    fn hold(&self, reason: &str) -> Verdict {
        let held = self.seconds_since(self.progress.held_since);
        if self.progress.held_since.is_some() && held >= u64::from(self.plan.health.hold_seconds) {
            return match self.plan.health.on_inconclusive {
                OnInconclusive::Pause => {
                    let verdict =
                        self.waiting(&format!("held for {held} s without relief, waiting for approval: {reason}"));
                    Verdict { held: true, ..verdict }
                }
                OnInconclusive::Advance if self.nothing_speaks_against_it().is_ok() => {
                    self.advance(&format!("held for {held} s, and nothing against it: {reason}"))
                }
                OnInconclusive::Advance | OnInconclusive::Rollback => Verdict::new(
                    Decision::RollBack,
                    format!("rolled back from {}: held for {held} s without relief: {reason}", self.progress.weight),
                ),
            };
        }
        let verdict = Verdict::new(Decision::Hold, format!("held at {}: {reason}", self.progress.weight));
        let mut verdict = Verdict { held: true, ..verdict };
        // A minute tells most at an even split, and fewer users are exposed there. Not knowing is no reason to move them.
        let known = self.look.observed.is_ok() && self.look.candidate_targets.is_ok();
        if known && self.progress.weight > Percent::HALF {
            verdict.back = self.plan.steps.iter().rposition(|step| step.weight <= Percent::HALF);
        }
        verdict
    }

    fn advance(&self, reason: &str) -> Verdict {
        let weight = self.progress.weight;
        let from = if self.is_last() { format!("promoted at {weight}") } else { format!("advanced from {weight}") };
        Verdict::new(Decision::Advance, format!("{from}: {reason}"))
    }

    /// Whether nothing is left to shift: after the last step, or in a last step that is at 100 % already.
    fn is_last(&self) -> bool {
        let (position, steps) = (self.progress.position, self.plan.steps.len());
        position >= steps || (self.progress.weight == Percent::ALL && position + 1 == steps)
    }

    fn commanded(&self, reason: &str) -> Verdict {
        Verdict { commanded: true, ..self.advance(reason) }
    }

    fn waiting(&self, reason: &str) -> Verdict {
        let verdict = Verdict::new(Decision::Hold, format!("held at {}: {reason}", self.progress.weight));
        Verdict { waiting: true, ..verdict }
    }

    fn minimum_time_is_over(&self) -> bool {
        self.seconds_since(self.progress.shifted_at) >= self.minimum_time_seconds()
    }

    /// What a release may go on with although nothing is proven; else why not.
    fn nothing_speaks_against_it(&self) -> Result<(), String> {
        let Pair { candidate, stable } = self.evidence.since_shift;
        if self.look.observed.is_err() || self.look.candidate_targets.is_err() {
            return Err("it cannot be measured".into());
        }
        // The load balancer's own errors may be a neighbour's; those of the candidate leave requests unanswered.
        if let Some(reason) = self.unanswered() {
            return Err(reason);
        }
        if candidate.requests + stable.requests <= 0.0 {
            return Err("no measured requests since the last shift".into());
        }
        // At the weight that was asked for, so many of the requests should have been the candidate's.
        let expected = self.progress.weight.fraction() * (candidate.requests + stable.requests);
        if candidate.requests <= 0.0 && expected >= SURPRISING {
            return Err(format!("the candidate got none of {} requests", figures::count(stable.requests)));
        }
        // 1 is what no evidence at all amounts to.
        if self.evidence.e_unhealthy > 1.0 + 1e-9 { Err("some doubt".into()) } else { Ok(()) }
    }

    /// Proof, or where nothing can be compared, the measured minimum time without a reason against it.
    fn well_enough(&self) -> Option<String> {
        if !self.minimum_time_is_over() {
            return None;
        }
        let evidence = self.evidence;
        if evidence.reference == Reference::Concurrent {
            return (evidence.e_healthy >= evidence.healthy_at).then(|| {
                format!(
                    "e-value of health {:.0} >= {:.0}; {}",
                    evidence.e_healthy, evidence.healthy_at, evidence.summary
                )
            });
        }
        let shifted = self.progress.shifted_at?;
        let measured = seconds_between(shifted, self.look.window.end);
        let needed = self.minimum_time_seconds().max(u64::from(self.plan.health.period_seconds));
        (evidence.since_shift.candidate.requests > 0.0 && self.look.window.end > shifted && measured >= needed)
            .then(|| format!("{measured} s measured without a reason against it; {}", evidence.summary))
    }

    fn inconclusive(&self) -> Verdict {
        let evidence = self.evidence;
        match self.plan.health.on_inconclusive {
            OnInconclusive::Rollback => Verdict::new(
                Decision::RollBack,
                format!(
                    "rolled back from {}: no proof of health within the step; {}",
                    self.progress.weight, evidence.summary
                ),
            ),
            OnInconclusive::Pause => {
                self.waiting(&format!("no proof of health within the step, waiting for approval; {}", evidence.summary))
            }
            OnInconclusive::Advance => match self.nothing_speaks_against_it() {
                Ok(()) => self.advance(&format!(
                    "no proof of health within the step, and nothing against it; {}",
                    evidence.summary
                )),
                Err(doubt) => {
                    self.hold(&format!("no proof of health within the step, and {doubt}; {}", evidence.summary))
                }
            },
        }
    }

    fn minimum_time_seconds(&self) -> u64 {
        self.plan.steps.get(self.progress.position).map_or(0, |step| u64::from(step.minimum_time_seconds))
    }

    /// Seconds since the last weight change, waiting for people not counted.
    fn step_seconds(&self) -> u64 {
        let waited = self.progress.waited_in_step_seconds + self.seconds_since(self.progress.waiting_since);
        self.seconds_since(self.progress.shifted_at).saturating_sub(waited)
    }

    fn max_step_seconds(&self) -> u64 {
        let step = self.plan.steps.get(self.progress.position).or(self.plan.steps.last());
        let longest = step.map_or(0, |step| u64::from(step.max_step_seconds));
        if self.evidence.reference == Reference::Concurrent {
            return longest;
        }
        // Here the minimum time must have been measured, and measurements come late.
        let health = &self.plan.health;
        let [check, lag, period] =
            [health.check_seconds, health.metric_lag_seconds, health.period_seconds].map(u64::from);
        longest.max(self.minimum_time_seconds() + lag + 2 * period + check)
    }

    fn seconds_since(&self, then: Option<Timestamp>) -> u64 {
        then.map_or(0, |then| seconds_between(then, self.look.now))
    }
}

fn seconds_between(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(then).as_secs()).unwrap_or(0)
}
