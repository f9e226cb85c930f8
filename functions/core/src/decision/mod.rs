//! One check of a running release: what the evidence says and what to do about it.
//!
//! The rules, first match wins: an operator's abort; a candidate that is broken beyond doubt; proof that it
//! is worse; a reason to wait; proof that it is well enough to go on; time.

mod evidence;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::definition::OnInconclusive;
use crate::judge::Counts;
use crate::metrics::{Traffic, Window};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::targets::TargetCounts;
use crate::weight::Percent;

pub use evidence::{Evidence, Limit, Reference};

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
    /// Write the weight of the progress's position.
    Shift,
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
    let Verdict { decision, reason, back } = situation.judge();
    let mut after = progress.clone();
    let promoting = progress.position >= plan.steps.len();
    let next = match decision {
        Decision::RollBack => Next::RollBack,
        Decision::Advance if promoting => Next::Promoted,
        Decision::Advance => {
            after.position = if look.command == Command::Promote { plan.steps.len() } else { progress.position + 1 };
            Next::Shift
        }
        Decision::Hold if back.is_some() => Next::Shift,
        Decision::Hold | Decision::Continue => Next::Bake,
    };
    after.position = back.unwrap_or(after.position);
    after.held_since = (decision == Decision::Hold).then(|| progress.held_since.unwrap_or(look.now));
    Check { decision, next, wait_seconds: plan.health.check_seconds, reason, progress: after, evidence }
}

struct Verdict {
    decision: Decision,
    reason: String,
    /// The position to go back to while holding.
    back: Option<usize>,
}

impl Verdict {
    fn new(decision: Decision, reason: impl Into<String>) -> Self {
        Self { decision, reason: reason.into(), back: None }
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
        if let Some(reason) = self.suspicious() {
            return self.hold(&reason);
        }
        match self.look.command {
            Command::Pause => return self.waiting("paused by an operator"),
            Command::Promote => {
                return Verdict::new(
                    Decision::Advance,
                    format!("promoted from {} by an operator", self.progress.weight),
                );
            }
            _ => {}
        }
        if let Some(reason) = self.well_enough() {
            return self.advance(&reason);
        }
        if self.seconds_since(self.progress.shifted_at) >= self.max_step_seconds() {
            return self.inconclusive();
        }
        Verdict::new(Decision::Continue, format!("continues at {}: {}", self.progress.weight, self.evidence.summary))
    }

    /// Broken beyond doubt, or proven worse.
    fn unhealthy(&self) -> Option<String> {
        let evidence = self.evidence;
        if let Ok(targets) = &self.look.candidate_targets
            && let Some(position) = targets.iter().position(|counts| counts.healthy == 0)
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
                evidence::rate(evidence.candidate),
                limit.max_error_rate,
                limit.e_value,
                evidence.unhealthy_at
            ));
        }
        (evidence.e_unhealthy_peak >= evidence.unhealthy_at).then(|| evidence.summary.clone())
    }

    /// A release must end: longer than its plan is as good as failed.
    fn out_of_time(&self) -> Option<String> {
        let health = &self.plan.health;
        let delay = health.metric_lag_seconds + health.period_seconds + health.check_seconds;
        let allowed = self.plan.exposure_seconds() + 2 * u64::from(delay) + u64::from(health.hold_seconds);
        let spent = self.seconds_since(self.progress.exposed_at);
        let waits = health.on_inconclusive == OnInconclusive::Pause || self.look.command == Command::Pause;
        (spent > allowed && !waits).then(|| format!("exposed for {spent} s, planned for at most {allowed} s"))
    }

    /// A reason to stay that is no proof.
    fn suspicious(&self) -> Option<String> {
        if let Err(reason) = &self.look.observed {
            return Some(format!("metrics: {reason}"));
        }
        if let Err(reason) = &self.look.candidate_targets {
            return Some(format!("target health: {reason}"));
        }
        if self.evidence.e_unhealthy >= SUSPICION {
            return Some(self.evidence.summary.clone());
        }
        self.evidence.unanswered.map(|unanswered| {
            format!(
                "answers: {} of the candidate's latest {} requests have none yet",
                evidence::count(unanswered.errors),
                evidence::count(unanswered.requests)
            )
        })
    }

    fn hold(&self, reason: &str) -> Verdict {
        let policy = self.plan.health.on_inconclusive;
        let held = self.progress.held_since.map_or(0, |since| seconds_between(since, self.look.now));
        if held >= u64::from(self.plan.health.hold_seconds)
            && self.progress.held_since.is_some()
            && policy != OnInconclusive::Pause
        {
            return Verdict::new(
                Decision::RollBack,
                format!("rolled back from {}: held for {held} s without relief: {reason}", self.progress.weight),
            );
        }
        let mut verdict = Verdict::new(Decision::Hold, format!("held at {}: {reason}", self.progress.weight));
        // A minute tells most at an even split, and fewer users are exposed there.
        if self.evidence.e_unhealthy >= SUSPICION && self.progress.weight > Percent::HALF {
            verdict.back = self.plan.steps.iter().rposition(|step| step.weight <= Percent::HALF);
        }
        verdict
    }

    fn advance(&self, reason: &str) -> Verdict {
        let weight = self.progress.weight;
        let done = self.progress.position >= self.plan.steps.len();
        let from = if done { format!("promoted at {weight}") } else { format!("advanced from {weight}") };
        Verdict::new(Decision::Advance, format!("{from}: {reason}"))
    }

    fn waiting(&self, reason: &str) -> Verdict {
        Verdict::new(Decision::Hold, format!("held at {}: {reason}", self.progress.weight))
    }

    /// Proof, or where nothing can be compared, the measured minimum time without a reason against it.
    fn well_enough(&self) -> Option<String> {
        let minimum = self.minimum_time_seconds();
        if self.seconds_since(self.progress.shifted_at) < minimum {
            return None;
        }
        if self.look.command == Command::Approve {
            return Some("approved by an operator".into());
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
        let needed = minimum.max(u64::from(self.plan.health.period_seconds));
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
            OnInconclusive::Advance => {
                let since = evidence.since_shift;
                let measured = since.candidate.requests + since.stable.requests > 0.0;
                // 1 is what no evidence at all amounts to.
                if measured && evidence.e_unhealthy <= 1.0 + 1e-9 {
                    self.advance(&format!(
                        "no proof of health within the step, and nothing against it; {}",
                        evidence.summary
                    ))
                } else if measured {
                    self.hold(&format!("no proof of health within the step, and some doubt; {}", evidence.summary))
                } else {
                    self.hold("no measured requests since the last shift")
                }
            }
        }
    }

    fn minimum_time_seconds(&self) -> u64 {
        self.plan.steps.get(self.progress.position).map_or(0, |step| u64::from(step.minimum_time_seconds))
    }

    fn max_step_seconds(&self) -> u64 {
        let step = self.plan.steps.get(self.progress.position).or(self.plan.steps.last());
        step.map_or(0, |step| u64::from(step.max_step_seconds))
    }

    fn seconds_since(&self, then: Option<Timestamp>) -> u64 {
        then.map_or(0, |then| seconds_between(then, self.look.now))
    }
}

fn seconds_between(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(then).as_secs()).unwrap_or(0)
}
