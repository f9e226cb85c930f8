//! What must hold at every moment, and at the end.

use spillway_asl::interpret::Status;
use spillway_core::slot::Slot;

use crate::cloud::index;
use crate::machines::{MachineName, Machines};
use crate::scenario::{Ending, Setting};
use crate::universe::{Process, Universe};

/// The most events of an execution's history.
const MOST_EVENTS: u64 = 25_000;
/// The most bytes that a state may hand on.
const MOST_BYTES: usize = 256 * 1024;

/// What does not hold, seen from the moment before.
#[must_use]
pub fn violated(before: &Universe, after: &Universe, machines: &Machines, setting: &Setting) -> Option<String> {
    if let Some(violation) = &after.cloud.violation {
        return Some(violation.clone());
    }
    for process in &after.executions {
        let was = before.process(&process.execution.arn);
        let has_ended = process.execution.has_ended() && was.is_none_or(|was| !was.execution.has_ended());
        if process.execution.events > MOST_EVENTS || (has_ended && process.execution.variables_size() > MOST_BYTES) {
            return Some(format!("{} is too large for its history", process.execution.arn));
        }
        if has_ended && let Some(violation) = ended(process, after, machines, setting) {
            return Some(violation);
        }
    }
    // That is the moment of the promotion; what the execution does afterwards does not matter.
    if before.lease("promoted_by") != after.lease("promoted_by") {
        let slot = if after.lease("live_slot") == Some("green") { Slot::Green } else { Slot::Blue };
        if let Some(violation) = all_on(after, slot) {
            return Some(format!("the release was promoted while {violation}"));
        }
    }
    let (was, is) = (before.lease("owner"), after.lease("owner"));
    if was.is_some() && is.is_none() {
        return divided(after).map(|divided| format!("the lease was freed while {divided}"));
    }
    None
}

/// What does not hold of an execution that has just ended.
fn ended(process: &Process, after: &Universe, machines: &Machines, setting: &Setting) -> Option<String> {
    let name = process.machine.name();
    let status = &process.execution.status;
    match status {
        Status::TimedOut => return Some(format!("{name} ran into its own time-out")),
        Status::Failed { error, .. } if !known(process.machine, error, machines) => {
            return Some(format!("{name} ended with {status:?}, which it does not name itself"));
        }
        _ => {}
    }
    if process.machine != MachineName::Release {
        return match status {
            Status::Failed { error, .. } if after.adversities.are_slight() => {
                Some(format!("{name} ended with {error} although nothing grave had happened"))
            }
            _ => None,
        };
    }
    let first = &*process.execution.name == "first";
    match status {
        Status::Succeeded { output } if output["outcome"] == "promoted" && !output["slot"].is_null() => {
            if first && after.adversities.are_slight() && setting.ending != Ending::Promoted {
                return Some(format!("the release was promoted, and not {:?}", setting.ending));
            }
            None
        }
        // The lease tells how it ended: someone else may have it by now.
        Status::Failed { error, .. } if first && after.adversities.are_slight() => (setting.ending
            != Ending::Failed(named(error)))
        .then(|| format!("the release ended with {error} although nothing grave had happened")),
        _ => None,
    }
}

fn named(error: &str) -> &'static str {
    if error == "RolledBack" { "RolledBack" } else { "" }
}

/// Whether a machine has a Fail of this name.
fn known(machine: MachineName, error: &str, machines: &Machines) -> bool {
    machines.definitions[&machine]
        .states
        .values()
        .any(|state| matches!(state, spillway_asl::machine::State::Fail(fail) if fail.error == error))
}

/// What does not hold once nothing happens any more.
#[must_use]
pub fn violated_in_the_end(universe: &Universe) -> Option<String> {
    if let Some(owner) = universe.lease("owner") {
        return Some(format!("{owner} holds the lease for ever"));
    }
    if let Some(divided) = divided(universe) {
        return Some(format!("in the end {divided}"));
    }
    let idle = Slot::BOTH.into_iter().find(|slot| !universe.cloud.carries(*slot));
    idle.filter(|slot| universe.adversities.are_slight() && universe.cloud.capacity[index(*slot)].desired > 0)
        .map(|slot| format!("{slot} has no traffic, and was not retired although nothing grave had happened"))
}

/// Why not all traffic of the slots is on one that answers.
fn divided(universe: &Universe) -> Option<String> {
    let [blue, green] = [Slot::Blue, Slot::Green].map(|slot| all_on(universe, slot));
    match (blue, green) {
        (Some(blue), Some(_)) => Some(blue),
        _ => None,
    }
}

/// Why not all traffic of the slots is on this one, healthy.
fn all_on(universe: &Universe, slot: Slot) -> Option<String> {
    for route in &universe.cloud.users {
        let weights = universe.cloud.weights(route);
        let (on, off) = (weights[index(slot)], weights[index(slot.other())]);
        if universe.cloud.routes.contains_key(route) && (on.unwrap_or(0) == 0 || off.unwrap_or(0) > 0) {
            return Some(format!("a route has the weights {weights:?}"));
        }
    }
    // A slot that died after everyone had gone there is another story; where both are dead, nothing answers.
    let either = Slot::BOTH.into_iter().any(|slot| universe.cloud.is_healthy(slot));
    (!universe.cloud.is_healthy(slot) && either && universe.cloud.capacity[index(slot)].desired == 0)
        .then(|| format!("all traffic is on {slot}, which has no tasks"))
}
