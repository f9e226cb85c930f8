//! What comes between capacity and the first users: hooks, testers, and people.

use jiff::Timestamp;
use spillway_core::compute::Preparation;
use spillway_core::decision::Command;
use spillway_core::definition::length::EARLY_WAITING_FACTOR;
use spillway_core::event::news::{Report, Wait};
use spillway_core::hook::{self, Call, Point, Reply, Standing};
use spillway_core::lease::{Freeze, Lease};
use spillway_core::plan::Plan;
use spillway_core::weight::Percent;

use crate::{Error, Next, Output, waiting};

/// Asks the hook that provisions external compute, until it has said ok; then the targets have all of their time.
pub fn provision(
    lease: &Lease,
    plan: &Plan,
    preparation: &mut Preparation,
    reply: &Reply,
    now: Timestamp,
) -> Result<Option<Output>, String> {
    let point = Point::Provision;
    let Some(asked) = plan.hooks.at(point).filter(|_| !preparation.provisioned) else { return Ok(None) };
    match hook::standing(asked, point, preparation.pending, reply, now) {
        Standing::Passed => {
            (preparation.provisioned, preparation.started_at) = (true, Some(now));
            Ok(None)
        }
        Standing::Failed(words) => Err(words),
        Standing::Ask(pending, reason) => {
            preparation.pending = Some(pending);
            let hook = Call::scaling(plan, lease.release(), point, plan.candidate.slot, plan.hosts_wanted());
            let output = waiting(reason, plan.readiness.poll_seconds, preparation.clone());
            Ok(Some(Output { next: Next::Hook, hook, ..output }))
        }
    }
}

/// What comes before the first users: people who may ask the release to stay, and whose approval it may need.
pub fn permitted(
    lease: &Lease,
    plan: &Plan,
    mut output: Output,
    command: Command,
    freeze: Option<&Freeze>,
    now: Timestamp,
) -> Result<Output, Error> {
    if output.next != Next::Shift {
        return Ok(output);
    }
    let asks = plan.needs_approval(Percent::ZERO, plan.weight_at(0));
    let (wait, reason) = match (command, freeze) {
        (Command::Pause, _) => (Wait::Operator, "paused by an operator".to_owned()),
        (_, Some(freeze)) => (Wait::Freeze, freeze.to_string()),
        // It would be taken for a word about the first step otherwise.
        (Command::Approve, None) if asks => return Ok(Output { next: Next::ConsumeCommand, command, ..output }),
        (Command::Promote, None) => return Ok(output),
        (_, None) if asks => (Wait::Approval, "ready, waiting for approval".to_owned()),
        _ => {
            output.preparation.told.wait(None);
            return Ok(output);
        }
    };
    let Output { mut preparation, .. } = output;
    let since = *preparation.waiting_since.get_or_insert(now);
    let (waited, patience) = (now.duration_since(since).as_secs().unsigned_abs(), plan.longest_wait_seconds());
    if waited > patience {
        return Err(Error::WaitedTooLong { waited, patience, reason });
    }
    tracing::info!(reason, "the candidate is ready, and stays without traffic");
    let news = preparation.told.wait(Some(&wait)).map(|number| {
        let (weight, reason) = (Percent::ZERO, format!("held at {}: {reason}", Percent::ZERO));
        let report = Report { plan, execution: &lease.owner, time: now, weight, observed: None, reason: &reason };
        report.news(wait.kind(), number)
    });
    let output = waiting(reason, plan.health.check_seconds.saturating_mul(EARLY_WAITING_FACTOR), preparation);
    Ok(if news.is_some() { Output { next: Next::Tell, news, ..output } } else { output })
}

/// What comes between a candidate that is ready and its first users: testers, and the hook, which may fail.
pub fn tested(
    lease: &Lease,
    plan: &Plan,
    mut preparation: Preparation,
    reply: &Reply,
    now: Timestamp,
) -> Result<Output, String> {
    let point = Point::BeforeTraffic;
    // One that is not ready any more, while testers and the hook are at it, has all of its time again.
    preparation.started_at = Some(now);
    let (next, reason, hook) = if !plan.test_routes.is_empty() && !preparation.test_routes_opened {
        // The next look comes after it was done, or not at all.
        preparation.test_routes_opened = true;
        (Next::OpenTestRoutes, "ready; testers come first".into(), None)
    } else if let Some(asked) = plan.hooks.at(point) {
        match hook::standing(asked, point, preparation.pending, reply, now) {
            Standing::Passed => (Next::Shift, "ready".into(), None),
            Standing::Failed(words) => return Err(words),
            Standing::Ask(pending, words) => {
                preparation.pending = Some(pending);
                (Next::Hook, words, Call::of(plan, lease.release(), point, Percent::ZERO))
            }
        }
    } else {
        (Next::Shift, "ready".into(), None)
    };
    tracing::info!(reason, "the candidate is ready");
    let wait_seconds = plan.readiness.poll_seconds;
    Ok(Output { next, reason, wait_seconds, preparation, hook, news: None, command: Command::None })
}
