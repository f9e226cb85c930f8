//! Lifecycle events on the bus.

use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_aws::events::EventBus;
use spillway_aws::ports::Events;
use spillway_core::event::{Draft, Event, Kind, Severity};

use crate::double::{Answer, Double};

const EXECUTION: &str = "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:r-1";

fn event(number: usize) -> Event {
    Event::of(Draft {
        kind: Kind::RolledBack,
        severity: Severity::Warning,
        time: "2026-05-01T12:00:00Z".parse().unwrap(),
        service: "shop",
        execution: EXECUTION,
        version: None,
        mark: number.to_string(),
        weight: None,
        observed: None,
        reason: "rolled back from 25 %: it is not well",
    })
}

fn put_well(entries: usize) -> Value {
    json!({"FailedEntryCount": 0, "Entries": vec![json!({"EventId": "e"}); entries]})
}

#[tokio::test]
async fn an_event_is_put_with_its_type_its_time_and_its_execution() {
    let double = Double::start(|_| Answer::json(&put_well(1))).await;
    EventBus::new(&double.config().await).put(&[event(1)]).await.unwrap();
    let call = double.calls().remove(0).json();
    let entry = &call["Entries"][0];
    assert_eq!(
        (&entry["Source"], &entry["DetailType"], &entry["Resources"], &entry["Time"]),
        (&json!("spillway"), &json!("Spillway release rolled-back"), &json!([EXECUTION]), &json!(1_777_636_800))
    );
    assert!(entry.get("EventBusName").is_none(), "the default bus: {entry}");
    let detail: Event = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, event(1));
}

#[tokio::test]
async fn ten_at_a_time_and_none_without_a_call() {
    let double = Double::start(|call| Answer::json(&put_well(call.json()["Entries"].as_array().unwrap().len()))).await;
    let bus = EventBus::new(&double.config().await);
    bus.put(&[]).await.unwrap();
    assert!(double.calls().is_empty());
    bus.put(&(0..23).map(event).collect::<Vec<_>>()).await.unwrap();
    let sizes: Vec<usize> =
        double.calls().iter().map(|call| call.json()["Entries"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [10, 10, 3]);
}

/// The call succeeds, and an entry does not.
#[tokio::test]
async fn an_entry_that_fails_is_an_error() {
    for (code, name) in [
        ("InternalFailure", "Unavailable"),
        ("ThrottlingException", "Unavailable"),
        ("MalformedDetail", "CallRejected"),
    ] {
        let failed = json!({"ErrorCode": code, "ErrorMessage": "not now"});
        let answer = json!({"FailedEntryCount": 1, "Entries": [{"EventId": "e"}, failed]});
        let double = Double::start(move |_| Answer::json(&answer)).await;
        let error = EventBus::new(&double.config().await).put(&[event(1), event(2)]).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.name()), (code, name));
        assert_eq!(error.message, "1 of 2 entries failed: not now");
        assert_eq!(error.subject, event(1).id);
    }
}

#[tokio::test]
async fn a_call_that_is_throttled_is_made_again_and_one_that_is_refused_is_not() {
    let double = Double::start(|_| Answer::json_error("ThrottlingException", "Rate exceeded")).await;
    let error = EventBus::new(&double.config().await).put(&[event(1)]).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.name()), ("ThrottlingException", "Unavailable"));
    assert!(double.calls().len() > 1);

    let double = Double::start(|_| Answer::json_error("AccessDeniedException", "not authorized")).await;
    let error = EventBus::new(&double.config().await).put(&[event(1)]).await.unwrap_err();
    assert_eq!((error.name(), double.calls().len()), ("CallRejected", 1));
}
