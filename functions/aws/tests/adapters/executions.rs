//! Executions of the state machines.

use serde_json::{Value, json};
use spillway_aws::executions::{NAME_IS_TAKEN, StateMachines, Status, execution_arn, names};

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
