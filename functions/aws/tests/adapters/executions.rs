//! Executions of the state machines.

use serde_json::{Value, json};
use spillway_aws::executions::{Event, NAME_IS_TAKEN, StateMachines, Status, UNKNOWN_EXECUTION, execution_arn, names};

use crate::double::{Answer, Double};

const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release";
const EXECUTION: &str = "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:r-1";

#[tokio::test]
async fn a_machine_is_found_on_any_page_by_its_whole_name() {
    let machine = |name: &str| {
        let arn = format!("arn:aws:states:eu-west-1:123456789012:stateMachine:{name}");
        json!({"stateMachineArn": arn, "name": name, "type": "STANDARD", "creationDate": 1.0})
    };
    let double = Double::start(move |call| {
        Answer::json(&match call.json().get("nextToken") {
            None => json!({"stateMachines": [machine("spillway-release-2")], "nextToken": "more"}),
            Some(_) => json!({"stateMachines": [machine("spillway-release")]}),
        })
    })
    .await;
    let machines = StateMachines::new(&double.config().await);
    assert_eq!(machines.find("spillway-release").await.unwrap().as_deref(), Some(MACHINE));
    assert_eq!(double.calls().len(), 2);
    assert_eq!(machines.find("spillway").await.unwrap(), None);
}

#[tokio::test]
async fn an_execution_is_started_under_a_name() {
    let double = Double::start(|_| Answer::json(&json!({"executionArn": EXECUTION, "startDate": 1.0}))).await;
    let machines = StateMachines::new(&double.config().await);
    assert_eq!(machines.start(MACHINE, "r-1", "{}").await.unwrap(), EXECUTION);
    assert_eq!(double.calls()[0].json(), json!({"stateMachineArn": MACHINE, "name": "r-1", "input": "{}"}));

    let taken = Double::start(|_| Answer::json_error("ExecutionAlreadyExists", "Execution Already Exists")).await;
    let error = StateMachines::new(&taken.config().await).start(MACHINE, "r-1", "{}").await.unwrap_err();
    assert_eq!((error.code.as_str(), error.transient), (NAME_IS_TAKEN, false));
}

#[tokio::test]
async fn every_status_is_told_and_an_unknown_one_is_an_error() {
    for (status, expected) in [
        ("RUNNING", Ok(Status::Running)),
        ("PENDING_REDRIVE", Ok(Status::Running)),
        ("SUCCEEDED", Ok(Status::Succeeded)),
        ("FAILED", Ok(Status::Failed)),
        ("TIMED_OUT", Ok(Status::TimedOut)),
        ("ABORTED", Ok(Status::Stopped)),
        ("ODD", Err("InvalidAnswer".to_owned())),
    ] {
        let answer: Value = json!({
            "executionArn": EXECUTION, "stateMachineArn": MACHINE, "status": status, "startDate": 100.0, "stopDate": 160.5,
            "input": "{}", "error": "RolledBack", "cause": "why",
        });
        let double = Double::start(move |_| Answer::json(&answer)).await;
        let described = StateMachines::new(&double.config().await).describe(EXECUTION).await;
        let found = described.map_err(|error| error.code);
        assert_eq!(found.as_ref().map(|found| found.status), expected.as_ref().copied(), "{status}");
        if let Ok(found) = found {
            assert_eq!((found.started.as_second(), found.stopped.unwrap().as_second()), (100, 160));
            assert_eq!((found.error.as_deref(), found.cause.as_deref()), (Some("RolledBack"), Some("why")));
        }
    }
}

#[tokio::test]
async fn the_latest_executions_are_one_page() {
    let double = Double::start(|_| {
        let execution = json!({
            "executionArn": EXECUTION, "stateMachineArn": MACHINE, "name": "r-1", "status": "RUNNING", "startDate": 1.0,
        });
        Answer::json(&json!({"executions": [execution], "nextToken": "more"}))
    })
    .await;
    let machines = StateMachines::new(&double.config().await);
    assert_eq!(machines.latest(MACHINE, 25).await.unwrap(), [EXECUTION]);
    assert_eq!(double.calls()[0].json(), json!({"stateMachineArn": MACHINE, "maxResults": 25}));
}

#[test]
fn an_arn_has_its_machines_and_its_own_name() {
    assert_eq!(names(EXECUTION), Some(("spillway-release", "r-1")));
    assert_eq!(execution_arn(MACHINE, "r-1"), EXECUTION);
    for other in [MACHINE, "", "r-1", "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:"] {
        assert_eq!(names(other), None, "{other}");
    }
}

/// Answers a history of `all` events as Step Functions does, a page at a time, the latest first.
fn history_page(call: &crate::double::Call, all: i64) -> Answer {
    let asked: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!((&asked["reverseOrder"], &asked["includeExecutionData"]), (&json!(true), &json!(true)));
    let newest = asked["nextToken"].as_str().map_or(all, |token| token.parse().unwrap());
    let oldest = (newest - asked["maxResults"].as_i64().unwrap() + 1).max(1);
    let events = (oldest..=newest).rev().map(|id| match id {
        1 => json!({"id": 1, "timestamp": 1_764_000_000.25, "type": "ExecutionStarted",
            "executionStartedEventDetails": {"input": "{}"}}),
        2 => json!({"id": 2, "timestamp": 1_764_000_001.0, "type": "TaskStateEntered",
            "stateEnteredEventDetails": {"name": "PlanRelease", "input": "{}"}}),
        // As the emulators tell it: without its type of resource.
        3 => json!({"id": 3, "timestamp": 1_764_000_002.0, "type": "TaskSucceeded",
            "taskSucceededEventDetails": {"resource": "invoke", "output": "{\"Payload\":1}"}}),
        id => json!({"id": id, "timestamp": 1_764_000_003.0, "type": "TaskTimedOut",
            "taskTimedOutEventDetails": {"resource": "r", "resourceType": "t", "error": "States.Timeout", "cause": "late"}}),
    });
    let next = (oldest > 1).then(|| (oldest - 1).to_string());
    Answer::json(&json!({"events": events.collect::<Vec<Value>>(), "nextToken": next}))
}

#[tokio::test]
async fn a_history_is_read_to_its_beginning_and_then_from_the_last_event_on() {
    let double = Double::start(|call| history_page(call, 450)).await;
    let machines = StateMachines::new(&double.config().await);
    let events = machines.history(EXECUTION, 0).await.unwrap();
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=450).collect::<Vec<_>>());
    assert_eq!(double.calls().len(), 3);
    let told = |event: &Event| (event.kind.clone(), event.at.to_string(), event.clone());
    let (kind, at, first) = told(&events[0]);
    assert_eq!((kind.as_str(), at.as_str()), ("ExecutionStarted", "2025-11-24T16:00:00.25Z"));
    assert_eq!(first.input.as_deref(), Some("{}"));
    assert_eq!(events[1].state.as_deref(), Some("PlanRelease"));
    assert_eq!(events[2].output.as_deref(), Some("{\"Payload\":1}"));
    assert_eq!((events[3].error.as_deref(), events[3].cause.as_deref()), (Some("States.Timeout"), Some("late")));

    for (after, calls) in [(450, 1), (449, 1), (250, 1), (249, 2), (3, 3)] {
        let before = double.calls().len();
        let new = machines.history(EXECUTION, after).await.unwrap();
        assert_eq!(new.iter().map(|event| event.id).collect::<Vec<_>>(), (after + 1..=450).collect::<Vec<_>>());
        assert_eq!(double.calls().len() - before, calls, "after {after}");
    }
}

#[tokio::test]
async fn a_history_with_a_gap_is_no_history() {
    let double = Double::start(|_| {
        let event = |id: i64| json!({"id": id, "timestamp": 1.0, "type": "WaitStateExited"});
        Answer::json(&json!({"events": [event(4), event(2), event(1)]}))
    })
    .await;
    let machines = StateMachines::new(&double.config().await);
    let error = machines.history(EXECUTION, 0).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.transient), ("InvalidAnswer", false));
    assert_eq!(machines.history(EXECUTION, 3).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_history_that_is_throttled_is_asked_for_again_and_one_that_is_gone_is_not() {
    let answers = std::sync::atomic::AtomicUsize::new(0);
    let double = Double::start(move |call| match answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Answer::json_error("ThrottlingException", "Rate exceeded"),
        1 => history_page(call, 3),
        _ => Answer::json_error(UNKNOWN_EXECUTION, "no such execution"),
    })
    .await;
    let machines = StateMachines::new(&double.config().await);
    assert_eq!(machines.history(EXECUTION, 0).await.unwrap().len(), 3);
    let error = machines.history(EXECUTION, 0).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.transient), (UNKNOWN_EXECUTION, false));
    assert_eq!(double.calls().len(), 3);
}

#[tokio::test]
async fn executions_are_listed_a_page_at_a_time() {
    let double = Double::start(|call| {
        let asked: Value = serde_json::from_slice(&call.body).unwrap();
        let listed = |name: &str, status: &str| {
            json!({"executionArn": format!("{EXECUTION}{name}"), "stateMachineArn": MACHINE, "name": name,
                "status": status, "startDate": 1_764_000_000.0, "stopDate": 1_764_000_060.0})
        };
        match asked["nextToken"].as_str() {
            None => Answer::json(&json!({"executions": [listed("b", "SUCCEEDED")], "nextToken": "2"})),
            Some(_) => Answer::json(&json!({"executions": [listed("a", "ABORTED")]})),
        }
    })
    .await;
    let machines = StateMachines::new(&double.config().await);
    let (first, token) = machines.list(MACHINE, None).await.unwrap();
    assert_eq!((first[0].status, first[0].arn.ends_with('b'), token.as_deref()), (Status::Succeeded, true, Some("2")));
    let (second, end) = machines.list(MACHINE, token).await.unwrap();
    assert_eq!((second[0].status, end), (Status::Stopped, None));
    assert_eq!(second[0].stopped.unwrap().duration_since(second[0].started).as_secs(), 60);
}
