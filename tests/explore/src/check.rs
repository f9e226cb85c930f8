//! What must hold at every moment, and at the end.

use jiff::Timestamp;
use serde_json::Value;
use spillway_asl::interpret::{Execution, Failed, QUERY_EVALUATION_ERROR, Status};
use spillway_asl::items::Item;
use spillway_asl::machine::State;
use spillway_core::slot::Slot;

use crate::cloud::index;
use crate::edits::ALL;
use crate::machines::{MachineName, Machines};
use crate::universe::{Process, Universe};

/// The most events of an execution's history.
const MOST_EVENTS: u64 = 25_000;
/// The most bytes that a state may hand on.
const MOST_BYTES: usize = 256 * 1024;

/// What does not hold, seen from the moment before.
#[must_use]
pub fn violated(before: &Universe, after: &Universe, machines: &Machines) -> Option<String> {
    if let Some(violation) = &after.cloud.violation {
        return Some(violation.clone());
    }
    for process in &after.executions {
        let was = before.process(&process.execution.arn);
        let has_ended = process.execution.has_ended() && was.is_none_or(|was| !was.execution.has_ended());
        if process.execution.events > MOST_EVENTS || (has_ended && process.execution.variables_size() > MOST_BYTES) {
            return Some(format!("{} is too large for its history", process.execution.arn));
        }
        if has_ended && let Some(violation) = ended(process, machines) {
            return Some(violation);
        }
    }
    // That is the moment of the promotion; what the execution does afterwards does not matter.
    if after.lease("promoted_by").is_some() && before.lease("promoted_by") != after.lease("promoted_by") {
        let slot = if after.lease("live_slot") == Some("green") { Slot::Green } else { Slot::Blue };
        if let Some(violation) = all_on(after, slot) {
            return Some(format!("the release was promoted while {violation}"));
        }
        if let Some(word @ ("abort" | "pause")) = before.lease("command") {
            return Some(format!("the release was promoted although an operator had said {word}"));
        }
    }
    let (was, is) = (before.lease("owner"), after.lease("owner"));
    let by_itself = after.adversities.count == before.adversities.count;
    if was.is_some() && is.is_none() && by_itself {
        return divided(after).map(|divided| format!("the lease was freed while {divided}"));
    }
    None
}

/// What does not hold of an execution that has just ended.
fn ended(process: &Process, machines: &Machines) -> Option<String> {
    let name = process.machine.name();
    let status = &process.execution.status;
    match status {
        Status::TimedOut => Some(format!("{name} ran into its own time-out")),
        Status::Failed { error, .. } if !known(process.machine, error, machines) => {
            Some(format!("{name} ended with {status:?}, which it does not name itself"))
        }
        _ => None,
    }
}

/// Whether a machine has a Fail of this name.
fn known(machine: MachineName, error: &str, machines: &Machines) -> bool {
    machines.definitions[&machine]
        .states
        .values()
        .any(|state| matches!(state, State::Fail(fail) if fail.error == error))
}

/// What does not hold once nothing happens any more.
#[must_use]
pub fn violated_in_the_end(universe: &Universe) -> Option<String> {
    if let Some(owner) = universe.lease("owner") {
        return Some(format!("{owner} holds the lease for ever"));
    }
    if let Some((slot, false)) = universe.cloud.settled {
        return Some(format!("in the end all traffic is on {slot}, which was not healthy when it was chosen"));
    }
    divided(universe).map(|divided| format!("in the end {divided}")).or_else(|| forgotten(universe))
}

/// A slot that is kept from scaling in, and no lease tells that this is owed to it.
fn forgotten(universe: &Universe) -> Option<String> {
    let owed = universe.lease("scaling").unwrap_or_default();
    let kept = |slot: &Slot| universe.cloud.scale_in_suspended[index(*slot)] == Some(true);
    let forgotten = Slot::BOTH.into_iter().filter(kept).find(|slot| !owed.contains(&format!("shop-{slot}")));
    forgotten.map(|slot| format!("nobody knows that {slot} must scale in again"))
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

/// An error that a Task has ended with.
pub(crate) struct Heard<'a> {
    pub machine: MachineName,
    pub state: &'a str,
    pub error: &'a str,
    /// Whether the Task has failed for the first time since the execution came to it.
    pub is_first: bool,
}

impl Heard<'_> {
    /// What was made of it that must not be.
    pub(crate) fn mistaken(&self, failed: Failed, execution: &Execution, machines: &Machines) -> Option<String> {
        let Self { machine, state, error, is_first } = self;
        let retries = matches!(failed, Failed::Retry { .. });
        let name = machine.name();
        if self.is_for_now() && *is_first && !retries {
            return Some(format!("{name} was turned away once at {state}, and did not try again"));
        }
        // Where an answer may change, a Retry says so by its name.
        if retries && self.is_for_good() && !self.is_expected(machines) {
            return Some(format!("{name} asked again at {state} although {error} is for good"));
        }
        let lost = *error == "LeaseLost" || (is_own(state) && error.ends_with(CONDITION_FAILED));
        let asks_for_it = &*execution.state == "RetakeLease";
        (lost && !execution.has_ended() && !asks_for_it)
            .then(|| format!("{name} heard at {state} that its lease is lost, and went on"))
    }

    fn is_for_now(&self) -> bool {
        [
            "TooManyRequestsException",
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "SNS.ThrottledException",
        ]
        .into_iter()
        .chain(["Sfn.SfnException", "StepFunctions.StepFunctionsException"])
        .any(|name| self.error.ends_with(name))
    }

    fn is_for_good(&self) -> bool {
        // Names of guards are used again here, and with them those of what they start.
        let exists = self.machine != MachineName::Guard && self.error.ends_with("ExecutionAlreadyExistsException");
        exists || [CONDITION_FAILED, "ParameterNotFoundException", QUERY_EVALUATION_ERROR]
            .into_iter()
            .any(|name| self.error.ends_with(name))
            // Guards wait a minute for an execution to exist, and then ask again: users are half-released meanwhile.
            || (self.machine == MachineName::Guard && self.error.ends_with("ExecutionDoesNotExistException"))
    }

    fn is_expected(&self, machines: &Machines) -> bool {
        let Some(State::Task(task)) = machines.definitions[&self.machine].states.get(self.state) else { return false };
        task.retry.iter().any(|retrier| retrier.error_equals.iter().any(|name| name == self.error))
    }
}

/// Whether a state writes to the lease that its execution must hold, and may end only if it does.
fn is_own(state: &str) -> bool {
    state.starts_with("Renew") || state.starts_with("Record")
}

/// States that take the lease, or give one back that has changed nothing or is no longer known to be theirs.
const WHATEVER_FENCE: [&str; 8] = [
    "AcquireLease",
    "AcquireInTurn",
    "AdoptLease",
    "MendLease",
    "FreeUnused",
    "FreeFailed",
    "FreeForLater",
    "LeaveQueue",
];

const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// What a function has answered in a freeze that lets a release begin or go on.
pub(crate) fn thaw(universe: &Universe, arguments: &Value, output: &Value) -> Option<String> {
    let until = |name| time(&universe.table.get(name)?.get("freeze")?["M"]["until"]);
    let is_on = ["shop", ALL].into_iter().filter_map(until).any(|until| universe.now < until);
    let goes_on = match arguments["FunctionName"].as_str()? {
        "function:plan-release" => output["steps"].is_array(),
        "function:prepare-candidate" | "function:evaluate-health" => {
            matches!(output["next"].as_str(), Some("shift" | "consume_command"))
        }
        _ => false,
    };
    if is_on && output["reason"].as_str().is_some_and(|reason| reason.ends_with("takes its place")) {
        return Some("users went back in a freeze for a release that may not start in it".into());
    }
    (is_on && goes_on).then(|| format!("a freeze did not stop {}", arguments["FunctionName"]))
}

/// What an execution's write to the lease has done to someone else's.
pub(crate) fn trespass(before: Option<&Item>, universe: &Universe, by: &Process, arguments: &Value) -> Option<String> {
    let after = universe.table.get("shop");
    let owner = |item: Option<&Item>| item.and_then(|item| item.get("owner")?["S"].as_str().map(str::to_owned));
    let me = &*by.execution.arn;
    // One that is redriven meanwhile finds that its lease, or its place, is lost.
    let was_dead = |arn: &str| {
        universe.process(arn).is_none_or(|process| process.execution.has_ended() || process.execution.redrives > 0)
    };
    if let Some(holder) = owner(before).filter(|holder| holder != me) {
        let takes_over = &*by.execution.state == "TakeOver" && owner(after).as_deref() == Some(me);
        // What has no fence cannot be taken over under one.
        let mends = &*by.execution.state == "MendFence" && before.is_some_and(|item| !item.contains_key("fence"));
        let recovers = (takes_over || mends) && was_dead(&holder);
        let differs = |(name, value): &(&String, &Value)| before.and_then(|item| item.get(*name)) != Some(value);
        let changed = after.into_iter().flat_map(|item| item.iter()).filter(differs);
        let mut changed = changed.map(|(name, _)| name.as_str()).filter(|name| *name != "waiting");
        if let Some(name) = changed.next().filter(|_| !recovers) {
            return Some(format!("{me} changed {name} in the lease of {holder}"));
        }
        if owner(after).is_none() {
            return Some(format!("{me} freed the lease of {holder}"));
        }
    }
    let fence = before.and_then(|item| item.get("fence")?["N"].as_str());
    let mine = match &*by.execution.state {
        "TakeOver" => by.execution.input["fence"].as_str(),
        _ => by.execution.variable("lease").and_then(|lease| lease["fence"].as_str()),
    };
    let must_match = match (&*by.execution.state, owner(before).as_deref() == Some(me)) {
        ("TakeOver", is_mine) => !is_mine,
        // Nobody has had it since.
        ("RetakeLease", _) => fence.is_some(),
        (state, is_mine) => is_mine && !WHATEVER_FENCE.contains(&state),
    };
    if before != after && must_match && fence != mine {
        return Some(format!("{me} wrote to the lease at {} under another fence", by.execution.state));
    }
    let waiter = |item: Option<&Item>| item.and_then(|item| Some(item.get("waiting")?["M"].clone()));
    let (was, is) = (waiter(before), waiter(after));
    if was == is {
        return None;
    }
    if is.is_some() && owner(after).is_none() {
        return Some(format!("{me} waits for a lease that is free"));
    }
    let was = was?;
    let (waiting, since) = (was["execution"]["S"].as_str()?, time(&was["since"])?);
    // Whoever is newer may take the place.
    let mine = is.map_or_else(|| arguments["ExpressionAttributeValues"][":since"].clone(), |is| is["since"].clone());
    let may = match by.machine {
        MachineName::Guard => was_dead(waiting),
        _ => waiting == me || time(&mine).is_some_and(|mine| since <= mine),
    };
    (!may).then(|| format!("{me} put {waiting} out of the queue"))
}

fn time(value: &Value) -> Option<Timestamp> {
    value["S"].as_str()?.parse().ok()
}
