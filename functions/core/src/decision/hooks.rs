//! Hooks in a check: what was decided is done only if the functions asked at this point agree.

use super::rules::Outcome;
use super::why::Why;
use super::{Decision, Look, Next};
use crate::event;
use crate::hook::{self, Call, Point, Standing};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::weight::Percent;

/// What remains of a decision once the hooks have been heard.
pub(super) struct Hooked {
    pub outcome: Outcome,
    pub reason: String,
    pub hook: Option<Call>,
}

/// Hears the hooks where the release is about to go on by itself. An operator's word skips them.
pub(super) fn heed(plan: &Plan, progress: &Progress, look: &Look, outcome: Outcome, said: String) -> Hooked {
    let on = outcome.decision == Decision::Advance && matches!(outcome.next, Next::Shift | Next::Promoted);
    if !on || matches!(outcome.why, Why::Wish(_)) {
        // A hook has all of its time, from when it is asked again.
        let after = Progress { pending: None, ..outcome.progress };
        return Hooked { outcome: Outcome { progress: after, ..outcome }, reason: said, hook: None };
    }
    let weight = progress.weight;
    let mut passed = progress.passed.clone();
    for point in due(plan, progress, &outcome) {
        let Some(asked) = plan.hooks.at(point).filter(|_| !passed.contains(&point)) else { continue };
        match hook::standing(asked, point, progress.pending, &look.hook, look.now) {
            Standing::Passed => passed.push(point),
            Standing::Failed(words) => {
                let reason = format!("rolled back from {weight}: {words}");
                let outcome = Outcome { decision: Decision::RollBack, next: Next::RollBack, ..outcome };
                return Hooked { outcome, reason, hook: None };
            }
            Standing::Ask(pending, words) => {
                // A hold is over only when the release goes on.
                let (held_since, idle) = match progress.held_since {
                    Some(since) => (Some(since), progress.waited_in_step_seconds),
                    None => (None, outcome.progress.waited_in_step_seconds),
                };
                let after = Progress {
                    position: progress.position,
                    held_since,
                    waited_in_step_seconds: idle,
                    passed,
                    pending: Some(pending),
                    ..outcome.progress
                };
                return Hooked {
                    hook: Call::of(plan, event::name(&look.execution), point, weight),
                    outcome: Outcome { decision: Decision::Continue, next: Next::Hook, progress: after, ..outcome },
                    reason: format!("continues at {weight}: {words}; {said}"),
                };
            }
        }
    }
    let after = Progress { passed, pending: None, ..outcome.progress };
    Hooked { outcome: Outcome { progress: after, ..outcome }, reason: said, hook: None }
}

/// The points that the release is at. One that goes to 100 % in its first step is promoted at the end of it.
fn due(plan: &Plan, progress: &Progress, outcome: &Outcome) -> Vec<Point> {
    let last = if plan.weight_at(0) == Percent::ALL {
        outcome.next == Next::Promoted
    } else {
        progress.weight < Percent::ALL && plan.weight_at(outcome.progress.position) == Percent::ALL
    };
    if last { vec![Point::AfterStep, Point::BeforePromotion] } else { vec![Point::AfterStep] }
}
