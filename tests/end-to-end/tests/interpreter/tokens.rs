use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_asl::interpret::{Pending, Program, Status};
use spillway_asl::machine::Machine;
use spillway_lab::{Execution, Lab, eventually};

use crate::replay::comparable;
use crate::shipped::{Given, Owner, Task, all_tasks, case};
use crate::{create_table, lab};

const TABLE: &str = "leases";
const PATIENCE: Duration = Duration::from_secs(45);
/// What a Task is given that nobody answers, in seconds.
const SHORT: u64 = 2;

/// What becomes of a wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// Somebody sends the token.
    Answered,
    /// The condition of the update does not hold.
    Refused,
    /// Its time is up.
    Silent,
}

/// Both in the same state, with the same variables, after the same wait; and what was written for others to read is what
/// the interpreter would have written.
async fn goes_alike(lab: &Lab, task: &Task, index: usize, ends: Ends) {
    let owner = if ends == Ends::Refused { Owner::Nobody } else { Owner::Me };
    let values = BTreeMap::from([("lease_table".to_owned(), TABLE.to_owned())]);
    let mut case = case(task, &Given::owned_by(owner), index, &values);
    if ends == Ends::Silent {
        case.states[&task.state]["TimeoutSeconds"] = SHORT.into();
    }
    // Nobody else waits.
    for item in &mut case.items {
        item.as_object_mut().unwrap().remove("waiting");
        lab.aws().call_json("DynamoDB_20120810.PutItem", &json!({"TableName": TABLE, "Item": item})).await.unwrap();
    }
    let machine = json!({
        "Comment": case.name, "QueryLanguage": "JSONata", "StartAt": case.start_at, "TimeoutSeconds": 60,
        "States": case.states,
    });
    let create = json!({
        "name": case.name, "definition": machine.to_string(), "roleArn": "arn:aws:iam::000000000000:role/any",
        "type": "STANDARD",
    });
    let created = lab.aws().call_json("AWSStepFunctions.CreateStateMachine", &create).await.unwrap();
    let arn = created["stateMachineArn"].as_str().unwrap();
    let execution = Execution::start(lab.aws(), arn, Some(&case.name), &case.input).await.unwrap();
    let written = if ends == Ends::Answered { Some(answered(lab, &case.name).await) } else { None };
    let outcome = execution.wait(PATIENCE).await.unwrap();

    let machine = Machine::parse(&machine.to_string()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let program = Program::compile(&machine, arn).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let now = Timestamp::now();
    let mut ours = program.start(execution.arn(), &case.name, case.input.clone(), now);
    program.waited(&mut ours, now);
    let Pending::Call { arguments: Ok(arguments), callback, timeout_seconds, .. } = program.pending(&ours, now) else {
        panic!("{}: {:?}", case.name, ours.status)
    };
    assert!(callback && timeout_seconds.is_some(), "{}", case.name);
    match ends {
        Ends::Answered => {
            let waiting = &arguments["ExpressionAttributeValues"][":waiting"];
            assert_eq!(known(waiting), known(&written.unwrap()), "{}", case.name);
            assert!(program.succeed(&mut ours, json!({}), now).is_none());
        }
        Ends::Refused => {
            let failed = outcome.events.iter().find(|event| event["type"] == "TaskFailed").unwrap();
            let told = &failed["taskFailedEventDetails"];
            assert_eq!(told["error"], "DynamoDb.ConditionalCheckFailedException", "{}", case.name);
            let cause = told["cause"].as_str().unwrap_or_default();
            let _ = program.fail(&mut ours, told["error"].as_str().unwrap(), cause, now);
        }
        Ends::Silent => drop(program.fail(&mut ours, "States.Timeout", "", now)),
    }
    while !ours.has_ended() {
        program.waited(&mut ours, now);
    }
    let Status::Failed { error, cause } = &ours.status else { panic!("{}: {:?}", case.name, ours.status) };
    assert_eq!(outcome.error.as_ref(), Some(error), "{}, {ends:?}: {:?}", case.name, outcome.cause);
    let read = |cause: &str| comparable(&serde_json::from_str(cause).unwrap());
    assert_eq!(read(outcome.cause.as_deref().unwrap()), read(cause), "{}, {ends:?}", case.name);
}

/// Sends the token that was written into the item, and gives what was written.
async fn answered(lab: &Lab, service: &str) -> Value {
    let there = eventually(PATIENCE, || async {
        let get = json!({"TableName": TABLE, "Key": {"service": {"S": service}}, "ConsistentRead": true});
        let found = lab.aws().call_json("DynamoDB_20120810.GetItem", &get).await.unwrap();
        let waiting = found["Item"]["waiting"].clone();
        if waiting.is_null() { Err(found) } else { Ok(waiting) }
    });
    let waiting = there.await.unwrap_or_else(|late| panic!("{service} does not wait: {late}"));
    let send = json!({"taskToken": waiting["M"]["token"]["S"], "output": "{}"});
    lab.aws().call_json("AWSStepFunctions.SendTaskSuccess", &send).await.unwrap();
    waiting
}

/// Without the token, which is anybody's guess.
fn known(waiting: &Value) -> Value {
    let mut known = comparable(waiting);
    let token = known["M"].as_object_mut().unwrap().remove("token").unwrap();
    assert!(token["S"].as_str().is_some_and(|token| !token.is_empty()));
    known
}

/// The Tasks that wait for a token: answered, refused, and left alone.
#[tokio::test(flavor = "multi_thread")]
async fn waits_end_as_in_the_emulator() {
    let lab = lab().await;
    create_table(&lab, TABLE).await;
    let tasks: Vec<Task> = all_tasks().into_iter().filter(Task::waits_for_a_token).collect();
    assert_eq!(tasks.len(), 2);
    for task in &tasks {
        for (index, ends) in [Ends::Answered, Ends::Refused, Ends::Silent].into_iter().enumerate() {
            goes_alike(&lab, task, index, ends).await;
        }
    }
    lab.stop().await;
}
