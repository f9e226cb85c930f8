//! What is heard is told, and what cannot be is an error with a name.

use std::sync::Mutex;

use announce::{Output, handle};
use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_aws::error::{ApiError, Named};
use spillway_aws::executions::{Execution, Status};
use spillway_aws::ports::{Events, Executions};
use spillway_core::event::{Event, Kind};

const RELEASE: &str = "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:checkout-7";

/// Step Functions and the bus.
#[derive(Default)]
struct World {
    described: Option<Execution>,
    asked: Mutex<Vec<String>>,
    put: Mutex<Vec<Event>>,
    fails: Option<&'static str>,
}

impl Executions for World {
    async fn details(&self, execution: &str) -> Result<Execution, ApiError> {
        self.asked.lock().unwrap().push(execution.to_owned());
        self.described.clone().ok_or_else(|| failure("DescribeExecution", "ExecutionDoesNotExist", false))
    }
}

impl Events for World {
    async fn put(&self, events: &[Event]) -> Result<(), ApiError> {
        if let Some(code) = self.fails {
            return Err(failure("PutEvents", code, code == "ThrottlingException"));
        }
        self.put.lock().unwrap().extend(events.iter().cloned());
        Ok(())
    }
}

fn failure(operation: &'static str, code: &str, transient: bool) -> ApiError {
    ApiError { operation, subject: RELEASE.into(), code: code.into(), message: "no".into(), transient }
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html>
fn change(status: &str, more: &Value) -> Value {
    let mut detail = json!({
        "executionArn": RELEASE, "stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release",
        "name": "checkout-7", "status": status, "startDate": 1_777_600_000_000_i64, "stopDate": null,
        "input": json!({"service": "checkout", "version": {"opaque": "v2"}}).to_string(),
        "inputDetails": {"included": true}, "output": null, "outputDetails": null, "error": null, "cause": null,
    });
    detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "version": "0", "id": "315c1398-40ff-a850-213b-158f73e60175",
        "detail-type": "Step Functions Execution Status Change", "source": "aws.states", "account": "123456789012",
        "time": "2026-05-01T12:00:00Z", "region": "eu-west-1", "resources": [RELEASE], "detail": detail,
    })
}

async fn told(world: &World, event: Value) -> Vec<Event> {
    let output = handle(world, world, event).await.unwrap();
    let put = world.put.lock().unwrap().clone();
    assert_eq!(output.told, put.iter().map(|event| event.id.clone()).collect::<Vec<_>>());
    put
}

fn described(status: Status) -> Execution {
    Execution {
        arn: RELEASE.into(),
        status,
        started: Timestamp::UNIX_EPOCH,
        stopped: None,
        input: json!({"service": "checkout", "version": {"opaque": "v2"}}).to_string(),
        output: Some(json!({"outcome": "promoted", "reason": "promoted at 100 %: it is well"}).to_string()),
        error: Some("RolledBack".into()),
        cause: Some("rolled back from 25 %: it is not".into()),
    }
}

#[tokio::test]
async fn what_the_event_tells_is_not_asked_for() {
    for (event, kind, reason) in [
        (change("RUNNING", &json!({})), Kind::Started, "started: v2"),
        (
            change("FAILED", &json!({"error": "RolledBack", "cause": "rolled back from 5 %: it is not"})),
            Kind::RolledBack,
            "rolled back from 5 %: it is not",
        ),
        (
            change(
                "SUCCEEDED",
                &json!({"output": json!({"outcome": "promoted", "reason": "promoted at 100 %"}).to_string()}),
            ),
            Kind::Promoted,
            "promoted at 100 %",
        ),
    ] {
        let world = World::default();
        let events = told(&world, event).await;
        assert_eq!((events.len(), events[0].kind, events[0].reason.as_str()), (1, kind, reason));
        assert_eq!((events[0].service.as_str(), events[0].release.version.as_deref()), ("checkout", Some("v2")));
        assert_eq!(events[0].time.to_string(), "2026-05-01T12:00:00Z");
        assert!(world.asked.lock().unwrap().is_empty());
    }
    let world = World::default();
    let stopped = told(&world, change("ABORTED", &json!({}))).await;
    assert_eq!((stopped[0].kind, world.asked.lock().unwrap().len()), (Kind::Page, 0));
}

/// An event leaves out what is large, and may leave out the error.
#[tokio::test]
async fn what_the_event_leaves_out_is_asked_for() {
    let left_out = json!({"input": null, "inputDetails": {"included": false}});
    for (event, status, kind, reason) in [
        (change("RUNNING", &left_out), Status::Running, Kind::Started, "started: v2"),
        (
            change("SUCCEEDED", &json!({"outputDetails": {"included": false}})),
            Status::Succeeded,
            Kind::Promoted,
            "promoted at 100 %: it is well",
        ),
        (change("FAILED", &json!({})), Status::Failed, Kind::RolledBack, "rolled back from 25 %: it is not"),
        (
            change("FAILED", &json!({"error": "RolledBack"})),
            Status::Failed,
            Kind::RolledBack,
            "rolled back from 25 %: it is not",
        ),
    ] {
        let world = World { described: Some(described(status)), ..World::default() };
        let events = told(&world, event).await;
        assert_eq!((events[0].kind, events[0].reason.as_str()), (kind, reason));
        assert_eq!(*world.asked.lock().unwrap(), [RELEASE]);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_old_is_asked_for_again_later() {
    let world = World { described: Some(described(Status::Running)), ..World::default() };
    let error = handle(&world, &world, change("FAILED", &json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "Unavailable");
    assert!(error.to_string().contains(RELEASE), "{error}");
    assert!(world.put.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_changes_nothing_is_not_told() {
    let mut event = change("SUCCEEDED", &json!({"output": json!({"outcome": "superseded"}).to_string()}));
    event["detail"]["executionArn"] = RELEASE.replace("release", "retire").into();
    let world = World::default();
    assert_eq!(handle(&world, &world, event).await.unwrap(), Output::default());
    assert!(world.put.lock().unwrap().is_empty());
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>
fn notifications(messages: &[&str]) -> Value {
    let record = |message: &&str| {
        json!({"EventVersion": "1.0", "EventSource": "aws:sns", "Sns": {
            "Type": "Notification", "MessageId": "m", "TopicArn": "arn:t", "Subject": "Spillway: a rollback failed",
            "Message": message, "Timestamp": "2026-05-01T12:00:00.123Z",
        }})
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

#[tokio::test]
async fn pages_are_told() {
    let page =
        json!({"service": "checkout", "execution": RELEASE, "failure": {"Error": "ReadBackDiffers", "Cause": "r"}});
    let world = World::default();
    let events = told(&world, notifications(&[&page.to_string()])).await;
    assert_eq!(
        (events[0].kind, events[0].reason.as_str()),
        (Kind::Page, "paged after a rollback failed: ReadBackDiffers: r")
    );
    // The same again is the same.
    let again = World::default();
    assert_eq!(told(&again, notifications(&[&page.to_string()])).await, events);
}

#[tokio::test]
async fn calls_that_fail_are_errors_with_a_name() {
    for (code, name) in [("ThrottlingException", "Unavailable"), ("InvalidArgument", "CallRejected")] {
        let world = World { fails: Some(code), ..World::default() };
        assert_eq!(handle(&world, &world, change("RUNNING", &json!({}))).await.unwrap_err().name(), name);
    }
    let unknown = World::default();
    let error = handle(&unknown, &unknown, change("FAILED", &json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "CallRejected");
}

#[tokio::test]
async fn what_is_not_known_is_refused() {
    let with = |field: &str, value: Value| {
        let mut event = change("RUNNING", &json!({}));
        *event.pointer_mut(field).unwrap() = value;
        event
    };
    let guard = RELEASE.replace("release", "guard");
    for (event, problem) in [
        (json!({}), "detail-type: missing; allowed:"),
        (json!("text"), "detail-type: missing; allowed:"),
        (with("/detail-type", json!("ECR Image Action")), "detail-type: \"ECR Image Action\" is not known; allowed:"),
        (with("/detail/status", json!("PENDING")), "detail.status: unknown variant `PENDING`, expected one of"),
        (with("/detail/executionArn", json!(7)), "detail.executionArn: invalid type"),
        (with("/time", json!("noon")), "time: "),
        (with("/detail/executionArn", json!(guard)), "allowed: PREFIX-release, PREFIX-rollback, PREFIX-retire"),
        (json!({"Records": 7}), "Records: invalid type"),
        (notifications(&["{}"]), "Records[0].Sns.Message: "),
        (notifications(&["ALARM: high"]), "Records[0].Sns.Message: "),
        (
            notifications(&[&json!({"service": "s", "execution": "arn:other", "failure": "f"}).to_string()]),
            "execution \"arn:other\" is of no machine",
        ),
    ] {
        let world = World::default();
        let error = handle(&world, &world, event.clone()).await.unwrap_err();
        assert_eq!(error.name(), "InvalidInput", "{event}");
        assert!(error.to_string().contains(problem), "{event}: {error}");
        assert!(world.put.lock().unwrap().is_empty());
    }
}
