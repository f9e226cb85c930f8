//! The rules that the state machines keep.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::expression::{Expression, expressions};
use crate::machine::{Machine, Retrier, State, Task};

/// Errors of the Lambda service that are worth another try
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html>).
pub const LAMBDA_ERRORS: [&str; 5] = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
];

const INVOKE: &str = "arn:aws:states:::lambda:invoke";
const UPDATE_ITEM: &str = "arn:aws:states:::dynamodb:updateItem";
/// Functions that change nothing, and so need no renewed lease.
const READ_ONLY: [&str; 2] = ["${plan_release_arn}", "${evaluate_health_arn}"];
/// A function that a service has named.
const HOOK: &str = "{% $hook.function %}";
/// The function that leads users to a candidate.
const SHIFT: &str = "${shift_weight_arn}";
/// The longest time-out that a function of Spillway may have, in seconds.
const LONGEST_FUNCTION: u64 = 30;

/// Every broken rule, as `STATE: what`.
#[must_use]
pub fn lint(machine: &Machine) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, state) in &machine.states {
        let mut note = |text: String| broken.push(format!("{name}: {text}"));
        for transition in state.transitions() {
            if !machine.states.contains_key(transition.to) {
                note(format!("goes to {}, which does not exist", transition.to));
            }
        }
        if let State::Task(task) = state {
            task_rules(task, &mut note);
        }
        subset(state, &mut note);
    }
    if machine.query_language != "JSONata" {
        broken.push("the query language is not JSONata".into());
    }
    let reached = reachable(machine, &machine.start_at);
    broken.extend(
        machine
            .states
            .keys()
            .filter(|name| !reached.contains(name.as_str()))
            .map(|name| format!("{name}: cannot be reached")),
    );
    broken.extend(unassigned(machine));
    broken.extend(unleased(machine));
    broken.extend(green_after_rollback(machine));
    broken
}

fn task_rules(task: &Task, note: &mut impl FnMut(String)) {
    match task.timeout_seconds {
        None => note("has no TimeoutSeconds".into()),
        Some(seconds) if task.resource == INVOKE && seconds <= LONGEST_FUNCTION => {
            note(format!("may end before its function, which has up to {LONGEST_FUNCTION} s"));
        }
        Some(_) => {}
    }
    if task.retry.is_empty() {
        note("has no Retry".into());
    }
    if task.catch.last().is_none_or(|catcher| catcher.error_equals != ["States.ALL"]) {
        note("does not catch States.ALL in the end".into());
    }
    let lists: Vec<&Vec<String>> =
        task.retry.iter().map(|r| &r.error_equals).chain(task.catch.iter().map(|c| &c.error_equals)).collect();
    if lists.iter().any(|names| names.len() > 1 && names.iter().any(|name| name == "States.ALL")) {
        note("States.ALL does not stand alone".into());
    }
    let all_at = |names: Vec<&Vec<String>>| {
        names.iter().position(|n| *n == &["States.ALL"]).is_some_and(|at| at + 1 < names.len())
    };
    if all_at(task.retry.iter().map(|r| &r.error_equals).collect())
        || all_at(task.catch.iter().map(|c| &c.error_equals).collect())
    {
        note("States.ALL does not stand last".into());
    }
    if task.resource == INVOKE {
        for error in LAMBDA_ERRORS {
            let retried = |retrier: &&Retrier| {
                retrier.max_attempts > 0 && retrier.error_equals.iter().any(|e| e == error || e == "States.ALL")
            };
            if !task.retry.iter().any(|retrier| retried(&retrier)) {
                note(format!("does not retry {error}"));
            }
        }
    }
    for retrier in &task.retry {
        if retrier.max_attempts > 3 && retrier.jitter_strategy.as_deref() != Some("FULL") {
            note("retries without full jitter".into());
        }
        if retrier.max_attempts > 5 && retrier.max_delay_seconds.is_none() {
            note("retries many times without MaxDelaySeconds".into());
        }
    }
}

/// Every expression of a state, with whether it may only follow paths and compare.
fn state_expressions(state: &State) -> Result<Vec<(bool, Expression)>, String> {
    let text = |text: &String| Value::String(text.clone());
    let values: Vec<(bool, Value)> = match state {
        State::Task(task) => [task.arguments.clone()]
            .into_iter()
            .chain(task.assign.values().cloned())
            .map(|value| (false, value))
            // An error in a Catch's Assign is caught by nobody.
            .chain(task.catch.iter().flat_map(|catcher| catcher.assign.values().cloned()).map(|value| (true, value)))
            .collect(),
        State::Choice(choice) => choice.choices.iter().map(|rule| (true, text(&rule.condition))).collect(),
        State::Wait(wait) => [wait.seconds.clone(), wait.timestamp.clone()]
            .into_iter()
            .chain(wait.assign.values().cloned())
            .map(|value| (true, value))
            .collect(),
        State::Succeed(succeed) => vec![(true, succeed.output.clone())],
        State::Fail(fail) => vec![(true, text(&fail.error)), (true, text(&fail.cause))],
    };
    let mut all = Vec::new();
    for (plain, value) in values {
        all.extend(expressions(&value)?.into_iter().map(|expression| (plain, expression)));
    }
    Ok(all)
}

fn subset(state: &State, note: &mut impl FnMut(String)) {
    match state_expressions(state) {
        Err(problem) => note(problem),
        Ok(all) => {
            for (plain, expression) in all {
                if plain && !expression.is_plain() {
                    note(format!("computes where no error can be caught: {expression:?}"));
                }
            }
        }
    }
}

fn reachable<'a>(machine: &'a Machine, from: &'a str) -> BTreeSet<&'a str> {
    let (mut reached, mut queue) = (BTreeSet::from([from]), VecDeque::from([from]));
    while let Some(state) = queue.pop_front().and_then(|name| machine.states.get(name)) {
        for transition in state.transitions() {
            if reached.insert(transition.to) {
                queue.push_back(transition.to);
            }
        }
    }
    reached
}

/// Variables that some path uses before it has assigned them: an error that only a Task could catch.
fn unassigned(machine: &Machine) -> Vec<String> {
    let mut at_entry: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::from([(machine.start_at.as_str(), BTreeSet::new())]);
    let mut queue = VecDeque::from([machine.start_at.as_str()]);
    while let Some(name) = queue.pop_front() {
        let Some(state) = machine.states.get(name) else { continue };
        let known = at_entry.get(name).cloned().unwrap_or_default();
        for transition in state.transitions() {
            let mut after = known.clone();
            after.extend(&transition.assigns);
            let merged = at_entry
                .get(transition.to)
                .map_or_else(|| after.clone(), |before| before.intersection(&after).copied().collect());
            if at_entry.get(transition.to) != Some(&merged) {
                at_entry.insert(transition.to, merged);
                queue.push_back(transition.to);
            }
        }
    }
    let mut broken = Vec::new();
    for (name, state) in &machine.states {
        let known = at_entry.get(name.as_str()).cloned().unwrap_or_default();
        for (_, expression) in state_expressions(state).unwrap_or_default() {
            for path in expression.paths() {
                if path[0] != "states" && !known.contains(path[0].as_str()) {
                    broken.push(format!("{name}: uses ${}, which some path here has not assigned", path[0]));
                }
            }
        }
    }
    broken
}

/// Functions that change something without the lease having been written just before; but for those that may refuse, since what
/// is left of the lease may be too short for them: whatever they end with leads to a Wait, and from there to a renewal.
fn unleased(machine: &Machine) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, task) in machine.tasks().filter(|(_, task)| task.resource == INVOKE) {
        let function = task.arguments["FunctionName"].as_str().unwrap_or_default();
        // A hook is the service's own, and asks nothing of the lease.
        let waits = |next: &str| matches!(machine.states.get(next), Some(State::Wait(_)));
        let may_refuse = task.catch.last().is_some_and(|catcher| waits(&catcher.next));
        if READ_ONLY.contains(&function) || function == HOOK || may_refuse {
            continue;
        }
        for (before, state) in &machine.states {
            let leads_here = state.transitions().iter().any(|transition| transition.to == name);
            let writes_lease = matches!(state, State::Task(task) if task.resource == UPDATE_ITEM);
            if leads_here && !writes_lease {
                broken.push(format!("{name}: {before} comes before it and does not renew the lease"));
            }
        }
    }
    broken
}

/// Ends that would make a pipeline green although the release was rolled back. A machine that shifts nothing to a
/// candidate rolls back because it was asked to.
fn green_after_rollback(machine: &Machine) -> Vec<String> {
    if !machine.tasks().any(|(_, task)| task.arguments["FunctionName"] == SHIFT) {
        return Vec::new();
    }
    let rollback =
        machine.tasks().find(|(_, task)| task.arguments["FunctionName"] == "${rollback_arn}").map(|(name, _)| name);
    let ends = rollback.map(|name| reachable(machine, name)).unwrap_or_default();
    ends.into_iter()
        .filter(|name| matches!(machine.states.get(*name), Some(State::Succeed(_))))
        .map(|name| format!("{name}: succeeds after a rollback"))
        .collect()
}
