//! The rules: from the gates, the operator's wish and the time to a decision. First match wins.

use jiff::{SignedDuration, Timestamp};

use super::gates::{Finding, Gate, Kind, Reference};
use super::why::{Cause, Doubt, Why};
use super::{Command, Decision, Next};
use crate::definition::length::{self, WAITING_FACTOR};
use crate::definition::{DryRun, OnInconclusive, OnSplitMismatch};
use crate::judge::Pair;
use crate::judge::comparison::Comparison;
use crate::judge::sequential::LATE;
use crate::lease::Notices;
use crate::plan::{Plan, STICKY};
use crate::progress::Progress;
use crate::weight::Percent;

/// So many requests expected and none seen happens by chance in fewer than one of a hundred cases.
const SURPRISING: f64 = 5.0;

/// At the end of a hold the policy may go on below this e-value, and not from it on. A level of 10 % by itself, it is
/// reached after a whole hold without relief by one of a thousand sound candidates.
const DOUBTFUL: f64 = 20.0;

/// What the rules go by.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The time of the check.
    pub now: Timestamp,
    /// The end of the last complete period.
    pub measured_to: Timestamp,
    /// The operator's wish.
    pub command: Command,
    /// What others want of the release, or why that is not known.
    pub notices: Result<&'a Notices, &'a str>,
    /// What the candidate is compared with.
    pub reference: Reference,
    /// The periods so far.
    pub comparison: &'a Comparison,
    /// What the gates say.
    pub gates: &'a [Gate],
    /// Whether the stable slot has the hosts to take half of the traffic back.
    pub stable_is_there: bool,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The decision.
    pub decision: Decision,
    /// Why.
    pub why: Why,
    /// What comes next.
    pub next: Next,
    /// Seconds to wait before the next check.
    pub wait_seconds: u32,
    /// The progress to carry on with.
    pub progress: Progress,
}

/// Decides.
#[must_use]
pub fn decide(plan: &Plan, progress: &Progress, seen: &Seen<'_>) -> Outcome {
    let situation = Situation { plan, progress, seen };
    let Ruling { decision, why, back, held, waiting, overruled } = situation.restrained(situation.rule());
    let mut after = progress.clone();
    let next = match decision {
        Decision::RollBack => Next::RollBack,
        Decision::Advance if is_last(plan, progress) => Next::Promoted,
        Decision::Advance => {
            let to_the_end = seen.command == Command::Promote;
            after.position = if to_the_end { plan.steps.len() } else { progress.position + 1 };
            if matches!(why, Why::Wish(_)) { Next::ConsumeCommand } else { Next::Shift }
        }
        Decision::Hold if back.is_some() => Next::Shift,
        Decision::Hold | Decision::Continue => Next::Bake,
    };
    after.position = back.unwrap_or(after.position);
    after.split_overruled |= overruled;
    let off = situation.is_off();
    let since = |wanted: bool, since: Option<Timestamp>| wanted.then(|| since.unwrap_or(seen.now));
    after.held_since = since(held, progress.held_since);
    after.split_since = since(off, progress.split_since);
    after.waiting_since = since(waiting, progress.waiting_since);
    if !waiting {
        after.waited_seconds += situation.seconds_since(progress.waiting_since);
    }
    if !waiting && !held {
        after.waited_in_step_seconds += situation.idle_seconds();
    }
    let wait_seconds = plan.health.check_seconds * if waiting { WAITING_FACTOR } else { 1 };
    Outcome { decision, why, next, wait_seconds, progress: after }
}

/// What remains of going on where the definition asks for a person's approval first.
#[must_use]
pub fn await_approval(plan: &Plan, progress: &Progress, now: Timestamp, outcome: Outcome) -> Option<Outcome> {
    let wished = matches!(outcome.why, Why::Wish(_));
    let next = plan.weight_at(outcome.progress.position);
    if outcome.next != Next::Shift
        || outcome.decision != Decision::Advance
        || wished
        || !plan.needs_approval(progress.weight, next)
    {
        return None;
    }
    let after = Progress {
        position: progress.position,
        waiting_since: Some(progress.waiting_since.unwrap_or(now)),
        waited_seconds: progress.waited_seconds,
        waited_in_step_seconds: progress.waited_in_step_seconds,
        ..outcome.progress
    };
    let wait_seconds = plan.health.check_seconds * WAITING_FACTOR;
    Some(Outcome { decision: Decision::Hold, next: Next::Bake, wait_seconds, progress: after, ..outcome })
}

/// Whether nothing is left to shift: after the last step, or in a last step that is at 100 % already.
pub(super) fn is_last(plan: &Plan, progress: &Progress) -> bool {
    let (position, steps) = (progress.position, plan.steps.len());
    position >= steps || (progress.weight == Percent::ALL && position + 1 == steps)
}

struct Ruling {
    decision: Decision,
    why: Why,
    /// The position to go back to while holding.
    back: Option<usize>,
    /// Whether the candidate itself, or not knowing about it, is the reason to stay.
    held: bool,
    /// Whether it is a person that is waited for.
    waiting: bool,
    /// Whether the measured split is to be no reason to wait any more.
    overruled: bool,
}

impl Ruling {
    fn new(decision: Decision, why: Why) -> Self {
        Self { decision, why, back: None, held: false, waiting: false, overruled: false }
    }
}

struct Situation<'a> {
    plan: &'a Plan,
    progress: &'a Progress,
    seen: &'a Seen<'a>,
}

impl Situation<'_> {
    fn rule(&self) -> Ruling {
        let command = self.seen.command;
        if command == Command::Abort {
            return Ruling::new(Decision::RollBack, Why::Wish(command));
        }
        if let Some(failed) = self.gate(Finding::Failed) {
            return Ruling::new(Decision::RollBack, Why::Failed(failed));
        }
        if let Some(why) = self.out_of_time() {
            return Ruling::new(Decision::RollBack, why);
        }
        match command {
            Command::Pause => return waiting(Why::Wish(command)),
            Command::Promote => return commanded(command),
            Command::Approve if self.minimum_time_is_over() => return commanded(command),
            _ => {}
        }
        if let Some(gate) = self.gate(Finding::Unknown).or_else(|| self.gate(Finding::Suspicious)) {
            return self.hold(Cause::Gate(gate));
        }
        if let Some(why) = self.well_enough() {
            return Ruling::new(Decision::Advance, why);
        }
        if self.step_seconds() >= self.max_step_seconds() {
            return self.inconclusive();
        }
        Ruling::new(Decision::Continue, Why::Nothing)
    }

    /// A ruling, unless something else than health forbids that. One that is at 100 % has nothing left to shift.
    fn restrained(&self, ruling: Ruling) -> Ruling {
        let advances = ruling.decision == Decision::Advance;
        if ruling.decision == Decision::RollBack || (advances && is_last(self.plan, self.progress)) {
            return ruling;
        }
        if self.seen.notices.is_ok_and(|notices| notices.superseded_by.is_some()) {
            return Ruling::new(Decision::RollBack, Why::Superseded);
        }
        if advances && self.seen.notices.map_or(true, |notices| notices.freeze.is_some()) {
            return waiting(Why::Frozen);
        }
        ruling
    }

    /// The first gate that has a say and says this.
    fn gate(&self, finding: Finding) -> Option<usize> {
        self.seen.gates.iter().position(|gate| gate.says(finding) && !self.is_overruled(gate))
    }

    /// Whether it is about the split, and the policy has gone on all the same.
    fn is_overruled(&self, gate: &Gate) -> bool {
        gate.kind.is_split() && self.progress.split_overruled
    }

    /// Whether the measured split is not the one asked for.
    fn is_off(&self) -> bool {
        self.seen.gates.iter().any(|gate| gate.kind.is_split() && gate.says(Finding::Suspicious))
    }

    fn kind(&self, cause: Cause) -> Option<Kind> {
        match cause {
            Cause::Gate(gate) | Cause::Doubt(Doubt::Gate(gate)) => self.seen.gates.get(gate).map(|gate| gate.kind),
            Cause::Doubt(Doubt::NotQuiet) => Some(Kind::Split),
            Cause::Doubt(_) => None,
        }
    }

    /// Whether the stable slot has been measured quiet, where that is asked for: at 100 %.
    fn is_quiet(&self) -> bool {
        let asked = self.progress.weight == Percent::ALL && self.plan.without_stable.is_none();
        let proven = |gate: &Gate| gate.kind == Kind::Split && gate.finding == Finding::Proven;
        !asked || self.progress.split_overruled || self.seen.gates.iter().any(proven)
    }

    /// A release must end: longer than its plan is as good as failed.
    fn out_of_time(&self) -> Option<Why> {
        let waited = self.progress.waited_seconds + self.seconds_since(self.progress.waiting_since);
        let patience = self.plan.longest_wait_seconds();
        if waited > patience {
            return Some(Why::WaitedTooLong(waited, patience));
        }
        let exposed = self.seconds_since(self.progress.exposed_at).saturating_sub(waited);
        let allowed = self.plan.longest_exposure_seconds();
        (exposed > allowed).then_some(Why::ExposedTooLong(exposed, allowed))
    }

    fn hold(&self, cause: Cause) -> Ruling {
        let split = self.kind(cause).is_some_and(Kind::is_split);
        // It must have been off during the whole hold, whatever else there was.
        let since = if split && self.is_off() { self.progress.split_since } else { self.progress.held_since };
        let held = self.seconds_since(since);
        if since.is_some() && held >= u64::from(self.plan.health.hold_seconds) {
            let why = Why::HoldIsOver(held, cause);
            if split {
                return match self.plan.traffic.on_split_mismatch {
                    OnSplitMismatch::Rollback => Ruling::new(Decision::RollBack, why),
                    OnSplitMismatch::Continue => Ruling { overruled: true, ..Ruling::new(Decision::Continue, why) },
                };
            }
            return match self.plan.health.on_inconclusive {
                OnInconclusive::Pause => Ruling { held: true, ..waiting(why) },
                OnInconclusive::Advance if self.may_go_on_after_hold() => Ruling::new(Decision::Advance, why),
                OnInconclusive::Advance | OnInconclusive::Rollback => Ruling::new(Decision::RollBack, why),
            };
        }
        let mut ruling = Ruling { held: true, ..Ruling::new(Decision::Hold, Why::Held(cause)) };
        // A minute tells most at an even split, and fewer users are exposed there. Only what the candidate did is a
        // reason to move them.
        // With group stickiness the stable slot is out of the routes at 100 %, and its health would have to be awaited.
        let all = self.progress.weight == Percent::ALL;
        let possible = !all || (self.plan.sticky_seconds == 0 && self.seen.stable_is_there);
        if self.is_the_candidates(cause) && self.progress.weight > Percent::HALF && possible {
            ruling.back = self.plan.steps.iter().rposition(|step| step.weight <= Percent::HALF);
        }
        ruling
    }

    /// Whether there is evidence about the candidate, and not only that something is unknown, or may be a neighbour's.
    fn is_the_candidates(&self, cause: Cause) -> bool {
        let about = |gate: &Gate| matches!(gate.kind, Kind::Stream(_) | Kind::Together | Kind::Answers);
        let suspicious = |gate: &Gate| about(gate) && gate.says(Finding::Suspicious);
        match cause {
            Cause::Gate(gate) | Cause::Doubt(Doubt::Gate(gate)) => {
                let told = self.seen.gates.get(gate).filter(|gate| gate.finding != Finding::Unknown);
                told.is_some_and(|told| about(told) || self.seen.gates.iter().any(suspicious))
            }
            Cause::Doubt(_) => false,
        }
    }

    /// Whether nothing but weak evidence speaks against going on.
    fn may_go_on_after_hold(&self) -> bool {
        self.doubt().is_none_or(|doubt| doubt == Doubt::Evidence && self.seen.comparison.log_e() < DOUBTFUL.ln())
    }

    fn minimum_time_is_over(&self) -> bool {
        self.seconds_since(self.began()) >= self.minimum_time_seconds()
    }

    /// When the step began to count: after the warm-up.
    fn began(&self) -> Option<Timestamp> {
        let warm_up = SignedDuration::from_secs(i64::from(self.plan.readiness.warm_up_seconds));
        let warm = self.progress.exposed_at.and_then(|at| at.checked_add(warm_up).ok());
        self.progress.shifted_at.max(self.progress.shifted_at.and(warm))
    }

    /// Why a release must not go on without proof; nothing if it may.
    fn doubt(&self) -> Option<Doubt> {
        let Pair { candidate, stable } = self.seen.comparison.since_shift();
        if self.gate(Finding::Unknown).is_some() {
            return Some(Doubt::Unmeasured);
        }
        // The load balancer's own errors may be a neighbour's; those of the candidate leave requests unanswered. An
        // alarm without data does not forbid what its definition leaves to the policy.
        let speaks = |gate: &Gate| {
            matches!(gate.kind, Kind::Answers | Kind::Metrics | Kind::Share | Kind::Split)
                && !self.is_overruled(gate)
                && gate.says(Finding::Suspicious)
        };
        if let Some(gate) = self.seen.gates.iter().position(speaks) {
            return Some(Doubt::Gate(gate));
        }
        if candidate.requests + stable.requests <= 0.0 {
            return Some(Doubt::NoRequests);
        }
        if !self.is_quiet() {
            return Some(Doubt::NotQuiet);
        }
        // At the weight that was asked for, so many of the requests should have been the candidate's.
        let bundled = if self.plan.sticky_seconds > 0 { STICKY } else { 1.0 };
        let expected = self.progress.weight.fraction() * (candidate.requests + stable.requests) / bundled;
        if candidate.requests <= 0.0 && expected >= SURPRISING {
            return Some(Doubt::NoneOf(stable.requests));
        }
        // 1 is what no evidence at all amounts to, and a little more once the plan is outlasted.
        (self.seen.comparison.log_e() > LATE.ln_1p() + 1e-9).then_some(Doubt::Evidence)
    }

    /// Proof, or where nothing can be compared, the measured minimum time without a reason against it.
    fn well_enough(&self) -> Option<Why> {
        if !self.minimum_time_is_over() || !self.is_quiet() {
            return None;
        }
        if self.seen.gates.iter().any(|gate| gate.kind == Kind::Health && gate.says(Finding::Proven)) {
            return Some(Why::Proven);
        }
        let compared = self.seen.reference == Reference::Concurrent && self.plan.health.decides(DryRun::Errors);
        if compared && (!self.adds_little() || self.doubt().is_some()) {
            return None;
        }
        let shifted = self.began()?;
        let measured = seconds_between(shifted, self.seen.measured_to);
        let needed = self.minimum_time_seconds().max(u64::from(self.plan.health.period_seconds));
        let seen_requests = self.seen.comparison.since_shift().candidate.requests > 0.0;
        (seen_requests && self.seen.measured_to > shifted && measured >= needed).then_some(Why::Measured(measured))
    }

    /// Whether promotion needs no proof of its own: what was proven before this step, for its weight, holds for 100 %
    /// nearly as well, and with a twentieth of the traffic to compare with, proof would take hours.
    fn adds_little(&self) -> bool {
        self.progress.weight.is_nearly_all() && self.plan.weight_at(self.progress.position + 1) == Percent::ALL
    }

    fn inconclusive(&self) -> Ruling {
        match self.plan.health.on_inconclusive {
            OnInconclusive::Rollback => Ruling::new(Decision::RollBack, Why::NoProof),
            OnInconclusive::Pause => waiting(Why::NoProof),
            OnInconclusive::Advance => match self.doubt() {
                None => Ruling::new(Decision::Advance, Why::NoProof),
                Some(doubt) => self.hold(Cause::Doubt(doubt)),
            },
        }
    }

    fn minimum_time_seconds(&self) -> u64 {
        self.plan.steps.get(self.progress.position).map_or(0, |step| u64::from(step.minimum_time_seconds))
    }

    /// Seconds since the last weight change, waiting for people and holds not counted.
    fn step_seconds(&self) -> u64 {
        let idle = self.progress.waited_in_step_seconds + self.idle_seconds();
        self.seconds_since(self.began()).saturating_sub(idle)
    }

    /// Seconds that the release has been held or waiting for people without a break, as far as it was at this weight.
    fn idle_seconds(&self) -> u64 {
        let since = [self.progress.held_since, self.progress.waiting_since].into_iter().flatten().min();
        self.seconds_since(since.max(since.and(self.progress.shifted_at)))
    }

    fn max_step_seconds(&self) -> u64 {
        let step = self.plan.steps.get(self.progress.position).or(self.plan.steps.last());
        let settle = if self.progress.weight == Percent::ALL { self.plan.traffic.settle_seconds } else { 0 };
        step.map_or(0, |step| length::longest_step_seconds(step, &self.plan.health)) + u64::from(settle)
    }

    fn seconds_since(&self, then: Option<Timestamp>) -> u64 {
        then.map_or(0, |then| seconds_between(then, self.seen.now))
    }
}

fn waiting(why: Why) -> Ruling {
    Ruling { waiting: true, ..Ruling::new(Decision::Hold, why) }
}

fn commanded(command: Command) -> Ruling {
    Ruling::new(Decision::Advance, Why::Wish(command))
}

/// Seconds from one time to another, 0 if it is not later: clocks differ from function to function.
fn seconds_between(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.duration_since(then).as_secs()).unwrap_or(0)
}
