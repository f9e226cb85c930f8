//! What there is to tell of a check.

use super::gates::Gate;
use super::rules::Outcome;
use super::why::{Cause, Doubt, Why};
use super::{Command, Decision, Look};
use crate::event::Observed;
use crate::event::news::{Report, Wait};
use crate::judge::Pair;
use crate::judge::comparison::Comparison;
use crate::plan::Plan;
use crate::progress::Progress;

/// What the release waits for, if it does.
pub(super) fn wait(plan: &Plan, outcome: &Outcome, gates: &[Gate]) -> Option<Wait> {
    if outcome.decision != Decision::Hold {
        return None;
    }
    Some(match outcome.why {
        Why::Wish(Command::Pause) => Wait::Operator,
        Why::Frozen => Wait::Freeze,
        Why::Held(Cause::Gate(gate) | Cause::Doubt(Doubt::Gate(gate))) => {
            Wait::Gate(gates.get(gate).map(|gate| gate.name(plan)).unwrap_or_default())
        }
        Why::Held(Cause::Doubt(_)) => Wait::Proof,
        _ => Wait::Approval,
    })
}

/// The check, to be told of.
pub(super) fn of<'a>(
    plan: &'a Plan,
    progress: &Progress,
    look: &'a Look,
    comparison: &Comparison,
    reason: &'a str,
) -> Report<'a> {
    let Pair { candidate, stable } = comparison.since_shift();
    let requests = candidate.requests + stable.requests;
    let observed = (requests > 0.0)
        .then(|| Observed { candidate_share: (1000.0 * candidate.requests / requests).round() / 10.0, requests });
    Report { plan, execution: &look.execution, time: look.now, weight: progress.weight, observed, reason }
}
