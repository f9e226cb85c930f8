//! An execution of the emulator, and the same in the interpreter.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_asl::interpret::{Execution, Failed, Pending, Program, QUERY_EVALUATION_ERROR, Status, matches};
use spillway_asl::items::Items;
use spillway_asl::machine::{Machine, State};
use spillway_lab::{Execution as Emulated, Lab, Outcome};

/// What an execution is made of.
pub struct Case {
    /// Says which it is; also the machine's name, in letters, digits and `-`.
    pub name: String,
    /// Its states.
    pub states: Value,
    pub start_at: String,
    pub input: Value,
    /// Items that are there before, in the table of leases.
    pub items: Vec<Value>,
}

/// What both must agree on.
#[derive(Debug, PartialEq)]
pub struct Went {
    /// Tasks and Waits entered, and the last state.
    pub states: Vec<String>,
    pub status: String,
    pub error: Option<String>,
    /// As JSON if it is.
    pub cause: Option<Value>,
    pub output: Option<Value>,
    /// Of the history.
    pub events: usize,
    /// The case's items afterwards.
    pub items: Vec<Value>,
}

/// Runs the case on both, and checks that it goes the same way.
pub async fn check(lab: &Lab, table: &str, case: Case) -> Went {
    let machine = json!({
        "Comment": case.name, "QueryLanguage": "JSONata", "StartAt": case.start_at, "TimeoutSeconds": 60,
        "States": case.states,
    });
    for item in &case.items {
        let put = json!({"TableName": table, "Item": item});
        lab.aws().call_json("DynamoDB_20120810.PutItem", &put).await.unwrap();
    }
    let create = json!({
        "name": case.name, "definition": machine.to_string(), "roleArn": "arn:aws:iam::000000000000:role/any",
        "type": "STANDARD",
    });
    let created = lab.aws().call_json("AWSStepFunctions.CreateStateMachine", &create).await.unwrap();
    let arn = created["stateMachineArn"].as_str().unwrap();
    let execution = Emulated::start(lab.aws(), arn, Some(&case.name), &case.input).await.unwrap();
    let outcome = execution.wait(Duration::from_secs(45)).await.unwrap();

    let mut items = Items::new("service");
    for item in &case.items {
        items.put(item).unwrap();
    }
    let machine = Machine::parse(&machine.to_string()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let program = Program::compile(&machine, arn).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let (states, execution) = replayed(&program, &machine, execution.arn(), &case, &outcome, &mut items);

    let ours = Went {
        states,
        status: match &execution.status {
            Status::Succeeded { .. } => "Succeeded".into(),
            Status::Failed { .. } => "Failed".into(),
            other => panic!("{}: {other:?}", case.name),
        },
        error: match &execution.status {
            Status::Failed { error, .. } => Some(error.clone()),
            _ => None,
        },
        cause: match &execution.status {
            Status::Failed { error, cause } => Some(comparable_cause(error, cause)),
            _ => None,
        },
        output: match &execution.status {
            Status::Succeeded { output } => Some(comparable(output)),
            _ => None,
        },
        events: usize::try_from(execution.events).unwrap(),
        items: items.items.values().map(|item| comparable(&json!(**item))).collect(),
    };
    // Of its own, each case has one item at most.
    assert!(items.items.keys().all(|service| *service == case.name));
    let get = json!({"TableName": table, "Key": {"service": {"S": case.name}}, "ConsistentRead": true});
    let found = lab.aws().call_json("DynamoDB_20120810.GetItem", &get).await.unwrap();
    let theirs = Went {
        states: resting(&machine, &outcome.states()),
        status: format!("{:?}", outcome.status),
        error: outcome.error.clone(),
        cause: outcome
            .cause
            .as_ref()
            .map(|cause| comparable_cause(outcome.error.as_deref().unwrap_or_default(), cause)),
        // The emulator gives what has failed an output, too.
        output: outcome.output.as_ref().filter(|_| outcome.error.is_none()).map(comparable),
        events: events(&machine, &outcome),
        items: found.get("Item").map(comparable).into_iter().collect(),
    };
    assert_eq!(ours, theirs, "{}: {:#}", case.name, case.states);
    ours
}

/// Runs the program with what the emulator's calls came to; calls of the table must come to the same in `items`.
fn replayed(
    program: &Program,
    machine: &Machine,
    arn: &str,
    case: &Case,
    outcome: &Outcome,
    items: &mut Items,
) -> (Vec<String>, Execution) {
    let mut attempts = attempts(&outcome.events);
    let mut now = Timestamp::now();
    let mut execution = program.start(arn, &case.name, case.input.clone(), now);
    let mut entered = vec![execution.state.to_string()];
    loop {
        let failed = match program.pending(&execution, now) {
            Pending::Ended => break,
            Pending::Wait { until } => {
                now = now.max(until);
                program.waited(&mut execution, now);
                None
            }
            Pending::Call { arguments: Err(undefined), .. } => {
                Some(program.fail(&mut execution, QUERY_EVALUATION_ERROR, &undefined.to_string(), now))
            }
            Pending::Call { resource, arguments: Ok(arguments), .. } => {
                let recorded = attempts.pop_front().unwrap_or_else(|| panic!("{}: one call too many", case.name));
                if let Some(action) = resource.strip_prefix("arn:aws:states:::dynamodb:") {
                    let ours = items
                        .call(action, &arguments)
                        .map_err(|error| (format!("DynamoDB.{}", error.name), error.message));
                    let times = |result: &Result<Value, _>| result.as_ref().map(comparable).map_err(Clone::clone);
                    assert_eq!(times(&ours), times(&recorded), "{}: {arguments:#}", case.name);
                }
                match recorded {
                    Ok(result) => program.succeed(&mut execution, result, now),
                    Err((error, cause)) => Some(program.fail(&mut execution, &error, &cause, now)),
                }
            }
        };
        if let Some(Failed::Retry { after_seconds }) = failed {
            now += Duration::from_secs(after_seconds);
        } else if !(execution.has_ended() && entered.last().is_some_and(|last| **last == *execution.state)) {
            entered.push(execution.state.to_string());
        }
    }
    assert!(attempts.is_empty(), "{}: {} calls too few", case.name, attempts.len());
    (resting(machine, &entered), execution)
}

/// What every call came to, in order.
fn attempts(events: &[Value]) -> VecDeque<Result<Value, (String, String)>> {
    let mut attempts = VecDeque::new();
    for (event, next) in events.iter().zip(&events[1..]) {
        if event["type"] != "TaskScheduled" {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let failed = &next["taskFailedEventDetails"];
        attempts.push_back(if failed.is_null() {
            Ok(serde_json::from_str(next["taskSucceededEventDetails"]["output"].as_str().unwrap()).unwrap())
        } else {
            Err((text(&failed["error"]), text(&failed["cause"])))
        });
    }
    attempts
}

fn resting(machine: &Machine, states: &[String]) -> Vec<String> {
    let rests = |name: &String| matches!(machine.states[name], State::Task(_) | State::Wait(_));
    let last = states.last().filter(|name| !rests(name));
    states.iter().filter(|name| rests(name)).chain(last).cloned().collect()
}

/// As many events as AWS would have written. The emulator writes no `TaskStarted`, nor `EvaluationFailed`, but
/// `TaskFailed` in its place where a Task's own Arguments or Assign fail.
fn events(machine: &Machine, outcome: &Outcome) -> usize {
    let scheduled = outcome.events.iter().filter(|event| event["type"] == "TaskScheduled").count();
    let unsaid = outcome.error.as_deref() == Some(QUERY_EVALUATION_ERROR)
        && match &machine.states[&outcome.states().pop().unwrap()] {
            // What was caught did not end it: the Catch's Assign did.
            State::Task(task) => {
                let failed = outcome.events.iter().rev().find(|event| event["type"] == "TaskFailed").unwrap();
                let error = failed["taskFailedEventDetails"]["error"].as_str().unwrap();
                task.catch.iter().any(|catcher| matches(&catcher.error_equals, error))
            }
            _ => true,
        };
    outcome.events.len() + scheduled + usize::from(unsaid)
}

/// A cause as JSON if it is some. What an evaluation error says is everyone's own.
fn comparable_cause(error: &str, cause: &str) -> Value {
    if error == QUERY_EVALUATION_ERROR {
        return Value::Null;
    }
    comparable(&serde_json::from_str(cause).unwrap_or_else(|_| cause.into()))
}

/// Without times, and without what an evaluation error says.
pub fn comparable(value: &Value) -> Value {
    match value {
        Value::String(text) if text.parse::<Timestamp>().is_ok() => {
            // All times are written alike.
            let shape: BTreeMap<usize, char> = text.char_indices().filter(|(_, c)| !c.is_ascii_digit()).collect();
            format!("time {shape:?}").into()
        }
        Value::Array(items) => items.iter().map(comparable).collect(),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            if fields.get("Error").is_some_and(|error| error == QUERY_EVALUATION_ERROR) {
                fields.remove("Cause");
            }
            fields.into_iter().map(|(name, value)| (name, comparable(&value))).collect()
        }
        value => value.clone(),
    }
}

/// Runs these, a few at a time: the emulator is one process.
pub async fn all<F: Future>(cases: impl Iterator<Item = F>) -> Vec<F::Output> {
    stream::iter(cases).buffer_unordered(24).collect().await
}
