//! What can happen next.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use spillway_asl::interpret::{Failed, Pending, QUERY_EVALUATION_ERROR, Status, TIMEOUT};

use crate::call::Call;
use crate::check::Heard;
use crate::cloud::index;
use crate::edits;
use crate::event::{Event, Fate, Happening, Way};
use crate::invocation::{self, Outcome, Ran, Times};
use crate::machines::{MachineName, Machines};
use crate::script::Script;
use crate::setting::{Hearing, Second, Setting, version};
use crate::universe::{Invocation, Process, Universe};
use spillway_core::slot::Slot;

/// How long a freeze lasts: longer than a step may.
const FREEZE_SECONDS: i64 = 300;

/// Everything that can happen next, and what it leads to. Deterministic, in a fixed order.
#[must_use]
pub fn successors(universe: &Universe, machines: &Machines, setting: &Setting) -> Vec<(Event, Universe)> {
    let fated = setting.fates.get(usize::from(universe.fated));
    if let Some(next) = fated.and_then(|fate| fulfilled(universe, fate, machines, setting)) {
        return vec![next];
    }
    let mut all = Vec::new();
    let adverse = universe.adversities.count < setting.adversities;
    let mut busy = false;
    for at in 0..universe.executions.len() {
        if universe.executions[at].is_ready(universe.now) {
            busy = true;
            steps(universe, at, machines, setting, adverse, &mut all);
        }
    }
    for at in 0..universe.outliving.len() {
        all.extend(goes_on(universe, at));
    }
    if adverse {
        adversities(universe, machines, setting, &mut all);
    }
    if !busy {
        // The schedule starts a guard where one is needed. Without need it would change nothing.
        if setting.hearing != Hearing::Never {
            all.extend(ends(universe).map(|at| (Event::Told(at), told(universe, at, machines))));
            if setting.hearing == Hearing::Always && ends(universe).next().is_some() {
                return all;
            }
        }
        if universe.is_orphaned() && !is_guarded(universe) {
            all.push((Event::Scheduled, guard(universe, machines, json!({}))));
        } else if universe.approved < setting.approves
            && universe.lease("command") == Some("none")
            && waits_for_people(universe)
        {
            let mut after = universe.clone();
            after.approved += 1;
            edits::command(&mut after, "approve");
            all.push((Event::Approved, after));
        } else if let Some(next) = passes(universe, machines) {
            all.push(next);
        }
    }
    all
}

/// What must happen now, if it must.
fn fulfilled(universe: &Universe, fate: &Fate, machines: &Machines, setting: &Setting) -> Option<(Event, Universe)> {
    let at = universe.executions.iter().position(|process| {
        let is_ready = process.is_ready(universe.now);
        let is_due = match fate.happens {
            Happening::Goes(_) | Happening::Slow(_) => is_ready,
            Happening::Stopped | Happening::Passes(_) | Happening::Third => process.is_waiting(universe.now),
            _ => process.execution.status == Status::Running,
        };
        is_due && process.machine == fate.machine && *process.execution.state == *fate.state
    })?;
    let mut after = universe.clone();
    match fate.happens {
        Happening::Goes(way) => after = gone(universe, at, machines, setting, way)?,
        Happening::Slow(seconds) => {
            after = gone(universe, at, machines, setting, Way::Well)?;
            Arc::make_mut(&mut after.executions[at]).ready_at = later(universe.now, seconds);
        }
        Happening::Stopped => stop(&mut after, at),
        Happening::Redriven => {
            let stopped = |process: &Arc<Process>| process.execution.status == Status::Aborted;
            redrive(&mut after, universe.executions.iter().position(stopped)?, machines);
        }
        Happening::Passes(seconds) => {
            after.now = later(universe.now, seconds);
            time_out(&mut after, machines);
        }
        Happening::Second => second(&mut after, machines, setting),
        Happening::Third => start(&mut after, machines, MachineName::Release, "third", version('4')),
        Happening::LeaseTaken => edits::take_lease(&mut after),
        Happening::QueueTaken => edits::take_queue(&mut after),
        Happening::LeaseEnded(until) => edits::end_lease(&mut after, until),
        Happening::LeaseUnfenced => edits::remove_fence(&mut after),
        Happening::PlanSpoiled => edits::spoil_plan(&mut after),
        Happening::Dies(slot) => after.cloud.kill(slot, after.now),
        Happening::Revives(slot) => after.cloud.revive(slot),
        Happening::Command(word) => edits::command(&mut after, word),
    }
    after.fated += 1;
    Some((Event::Fated(at, fate.state, fate.happens), after))
}

/// What a Task's going this way leads to.
fn gone(universe: &Universe, at: usize, machines: &Machines, setting: &Setting, way: Way) -> Option<Universe> {
    let process = &universe.executions[at];
    let Pending::Call { resource, arguments: Ok(arguments), timeout_seconds, .. } =
        machines.program(process.machine).pending(&process.execution, universe.now)
    else {
        return None;
    };
    let call = Call { at, resource, arguments: &arguments, timeout_seconds, machines, setting };
    Some(call.make(universe, way).0)
}

fn stop(universe: &mut Universe, at: usize) {
    let process = Arc::make_mut(&mut universe.executions[at]);
    process.execution.abort();
    process.hangs = None;
}

fn redrive(universe: &mut Universe, at: usize, machines: &Machines) {
    let (now, process) = (universe.now, Arc::make_mut(&mut universe.executions[at]));
    machines.program(process.machine).redrive(&mut process.execution, now);
    process.ready_at = now;
}

fn passes(universe: &Universe, machines: &Machines) -> Option<(Event, Universe)> {
    let next = universe.executions.iter().filter_map(|process| process.wakes_at()).min()?;
    let mut after = universe.clone();
    after.now = next.max(universe.now);
    // What has not gone on by then never does.
    after.outliving.retain(|invocation| invocation.deadline >= after.now);
    let seconds = after.now.duration_since(universe.now).as_secs();
    time_out(&mut after, machines);
    Some((Event::Passes(seconds), after))
}

/// Whether a guard runs. Of several at once it is the first that matters: the others find its recovery.
fn is_guarded(universe: &Universe) -> bool {
    universe.executions.iter().any(|process| process.machine == MachineName::Guard && !process.execution.has_ended())
}

/// Executions whose end nobody has heard of, but for guards.
fn ends(universe: &Universe) -> impl Iterator<Item = usize> {
    let processes = universe.executions.iter().enumerate();
    processes
        .filter(|(_, process)| process.machine != MachineName::Guard && process.execution.has_ended() && !process.told)
        .map(|(at, _)| at)
}

fn told(universe: &Universe, at: usize, machines: &Machines) -> Universe {
    let arn = universe.executions[at].execution.arn.clone();
    let mut after = guard(universe, machines, json!({"detail": {"executionArn": &*arn}}));
    for process in &mut after.executions {
        if process.execution.arn == arn {
            Arc::make_mut(process).told = true;
        }
    }
    after
}

/// Whether a release holds the lease, with both slots in its routes.
fn is_released(universe: &Universe) -> bool {
    let owner = universe.lease("owner").and_then(|owner| universe.process(owner));
    let has_both = |route: &Arc<str>| universe.cloud.weights(route).iter().all(Option::is_some);
    owner.is_some_and(|owner| owner.machine == MachineName::Release) && universe.cloud.users.iter().all(has_both)
}

/// Whether a release waits for somebody's approval.
fn waits_for_people(universe: &Universe) -> bool {
    let waits = |variable: Option<&Value>| variable.is_some_and(|value| !value["waiting_since"].is_null());
    universe.executions.iter().any(|process| {
        let execution = &process.execution;
        let in_between = process.hangs.is_none() && process.is_waiting(universe.now);
        in_between && (waits(execution.variable("preparation")) || waits(execution.variable("progress")))
    })
}

fn guard(universe: &Universe, machines: &Machines, input: Value) -> Universe {
    let mut after = universe.clone();
    let mut name = 0;
    // One that has ended has no say any more: its place is the new one's.
    let ended = |process: &Arc<Process>| process.machine == MachineName::Guard && process.execution.has_ended();
    after.executions.retain(|process| !ended(process));
    while after.process(&MachineName::Guard.execution(&name.to_string())).is_some() {
        name += 1;
    }
    start(&mut after, machines, MachineName::Guard, &name.to_string(), input);
    after
}

/// Starts an execution.
pub fn start(universe: &mut Universe, machines: &Machines, machine: MachineName, name: &str, input: Value) {
    let execution = machines.program(machine).start(&machine.execution(name), name, input, universe.now);
    let process = Process { machine, execution, ready_at: universe.now, hangs: None, told: false };
    universe.executions.push(Arc::new(process));
}

/// Starts the second execution.
fn second(universe: &mut Universe, machines: &Machines, setting: &Setting) {
    universe.adversities.second = true;
    match &setting.second {
        None => {}
        Some(Second::Release(input)) => start(universe, machines, MachineName::Release, "second", input.clone()),
        Some(Second::Undo) => {
            start(universe, machines, MachineName::Rollback, "second", json!({"service": "shop"}));
        }
    }
}

fn adversities(universe: &Universe, machines: &Machines, setting: &Setting, all: &mut Vec<(Event, Universe)>) {
    let mut add = |event: Event, grave: bool, change: &mut dyn FnMut(&mut Universe)| {
        let mut after = universe.clone();
        after.adversities.count += 1;
        after.adversities.grave |= grave;
        change(&mut after);
        all.push((event, after));
    };
    if !is_guarded(universe) {
        add(Event::Guard, false, &mut |after| {
            *after = Universe { adversities: after.adversities, ..guard(universe, machines, json!({})) }
        });
    }
    if setting.second.is_some() && !setting.is_fated(Happening::Second) && !universe.adversities.second {
        add(Event::Second, true, &mut |after| second(after, machines, setting));
    }
    for (at, process) in universe.executions.iter().enumerate() {
        // Guards that are stopped are guards that never came.
        if process.machine == MachineName::Guard {
            continue;
        }
        match process.execution.status {
            Status::Running => add(Event::Stopped(at), true, &mut |after| stop(after, at)),
            Status::Succeeded { .. } => {}
            _ => add(Event::Redriven(at), true, &mut |after| redrive(after, at, machines)),
        }
    }
    let planned = universe.lease("owner").is_some() && universe.lease("plan").is_some();
    if setting.strangers && planned {
        add(Event::Stranger, true, &mut |after| edits::stranger(after));
        add(Event::RouteDeleted, true, &mut edits::delete_route);
    }
    if setting.thieves && universe.table.get("shop").is_some() {
        add(Event::LeaseTaken, true, &mut edits::take_lease);
        if universe.table.get("shop").is_some_and(|item| item.contains_key("waiting")) {
            add(Event::QueueTaken, true, &mut edits::take_queue);
        }
    }
    // Who finds out is the one that has lost it: nobody else knows of it any more.
    if setting.vandals && universe.lease("owner").is_some() {
        add(Event::LeaseScribbled, true, &mut edits::scribble);
        // An owner that is dead, or about to die, finds out nothing.
        if !universe.is_orphaned() && usize::from(universe.fated) == setting.fates.len() {
            add(Event::LeaseVacated, true, &mut edits::vacate);
            add(Event::LeaseDeleted, true, &mut edits::delete_lease);
            if is_released(universe) && universe.cloud.is_healthy(Slot::Blue) {
                add(Event::LeaseReturned, true, &mut edits::return_lease);
            }
        }
        add(Event::LeaseFenced, true, &mut edits::raise_fence);
        add(Event::LeaseUnfenced, true, &mut edits::remove_fence);
        for until in edits::ENDLESS {
            add(Event::LeaseEnded(until), true, &mut |after| edits::end_lease(after, until));
        }
    }
    if setting.freezes && universe.table.get("shop").is_some() {
        // A release that runs waits for its end; one that would take its place may not.
        let grave = !planned || setting.second.is_some();
        add(Event::Frozen, grave, &mut |after| edits::freeze(after, FREEZE_SECONDS));
        add(Event::AllFrozen, grave, &mut |after| edits::freeze_all(after, FREEZE_SECONDS));
    }
    for slot in setting.mortal {
        if planned && universe.cloud.is_healthy(*slot) {
            let name = if index(*slot) == 0 { "blue" } else { "green" };
            add(Event::Dies(name), true, &mut |after| after.cloud.kill(*slot, after.now));
        }
    }
    for word in setting.commands {
        if planned && universe.lease("command") == Some("none") {
            add(Event::Command(word), true, &mut |after| edits::command(after, word));
        }
    }
}

fn goes_on(universe: &Universe, at: usize) -> Option<(Event, Universe)> {
    let Invocation { function, event, had, started, deadline } = &*universe.outliving[at];
    if universe.now > *deadline {
        return None;
    }
    let mut after = universe.clone();
    let begun = !had.is_empty();
    // One that has begun stands right before a change.
    let script = Script { had: had.clone(), writes: Some(usize::from(begun)), ..Script::default() };
    let times = Times { clock: *started, now: universe.now };
    let Ran { outcome, had, .. } = invocation::run(function, event, script, times, &mut after.cloud, &after.table);
    match outcome {
        Outcome::Stopped => Arc::make_mut(&mut after.outliving[at]).had = had,
        _ => drop(after.outliving.remove(at)),
    }
    Some((Event::GoesOn(function), after))
}

/// The next step of an execution, in every way that it can go.
fn steps(
    universe: &Universe,
    at: usize,
    machines: &Machines,
    setting: &Setting,
    adverse: bool,
    all: &mut Vec<(Event, Universe)>,
) {
    let process = &universe.executions[at];
    let program = machines.program(process.machine);
    let event = |way| Event::Step(at, process.execution.state.to_string(), way);
    match program.pending(&process.execution, universe.now) {
        Pending::Ended => {}
        Pending::Wait { .. } => {
            let mut after = universe.clone();
            let process = Arc::make_mut(&mut after.executions[at]);
            program.waited(&mut process.execution, universe.now);
            process.ready_at = universe.now;
            all.push((event(Way::Well), after));
        }
        Pending::Call { resource, arguments, timeout_seconds, .. } => {
            let arguments = match arguments {
                Ok(arguments) => arguments,
                Err(undefined) => {
                    let mut after = universe.clone();
                    let _ = fails(&mut after, at, machines, QUERY_EVALUATION_ERROR, &undefined.to_string());
                    all.push((event(Way::Well), after));
                    return;
                }
            };
            let call = Call { at, resource, arguments: &arguments, timeout_seconds, machines, setting };
            let (well, ran) = call.make(universe, Way::Well);
            all.push((event(Way::Well), well));
            if adverse && setting.faults {
                for way in call.ways(ran.as_ref()) {
                    let (mut after, _) = call.make(universe, way);
                    after.adversities.count += 1;
                    after.adversities.grave |= way.is_grave();
                    all.push((event(way), after));
                }
            }
        }
    }
}

/// An error of a Task: on to its Retry, its Catch or the end.
pub(crate) fn fails(universe: &mut Universe, at: usize, machines: &Machines, error: &str, cause: &str) -> Failed {
    let now = universe.now;
    let process = Arc::make_mut(&mut universe.executions[at]);
    let (machine, state) = (process.machine, process.execution.state.clone());
    let is_first = process.execution.retries.iter().all(|retries| *retries == 0);
    let failed = machines.program(machine).fail(&mut process.execution, error, cause, now);
    if failed == Failed::Caught {
        machines.note(machine, &state, error);
    }
    process.hangs = None;
    process.ready_at = match failed {
        Failed::Retry { after_seconds } => later(now, i64::try_from(after_seconds).unwrap_or(i64::MAX)),
        _ => now,
    };
    let error = Heard { machine, state: &state, error, is_first };
    if let Some(violation) = error.mistaken(failed, &process.execution, machines) {
        universe.cloud.violate(violation);
    }
    failed
}

pub(crate) fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// A call that has hung until its task's time was up fails then.
fn time_out(universe: &mut Universe, machines: &Machines) {
    for at in 0..universe.executions.len() {
        let process = &universe.executions[at];
        if process.hangs.is_none() || process.ready_at > universe.now {
            continue;
        }
        let deadline = machines.program(process.machine).deadline(&process.execution);
        if process.ready_at >= deadline {
            let process = Arc::make_mut(&mut universe.executions[at]);
            process.execution.time_out();
            process.hangs = None;
        } else {
            let _ = fails(universe, at, machines, TIMEOUT, "no answer in time");
        }
    }
}
