//! The lease table.

use serde_json::{Value, json};
use spillway_aws::lease::LeaseTable;
use spillway_aws::ports::Leases;
use spillway_core::decision::Command;
use spillway_core::definition::AutoScalingGroupName;
use spillway_core::definition::ServiceName;
use spillway_core::lease::{Freeze, LeaseRecord, Live, Waiting};
use spillway_core::scaling::{Scaling, ScalingGroup};
use spillway_core::slot::Slot;

use crate::double::{Answer, Double};

async fn read(answer: Value) -> (Result<Option<LeaseRecord>, String>, Value) {
    let double = Double::start(move |_| Answer::json(&answer)).await;
    let table = LeaseTable::new(&double.config().await, "leases".into());
    let record = table.read(&ServiceName::parse("shop").unwrap()).await;
    (record.map_err(|error| error.code), double.calls()[0].json())
}

#[tokio::test]
async fn reads_consistently_and_only_what_it_needs() {
    let (record, sent) = read(json!({"Item": {"owner": {"S": "me"}, "fence": {"N": "7"}}})).await;
    assert_eq!(record, Ok(Some(LeaseRecord { owner: Some("me".into()), fence: 7, ..LeaseRecord::default() })));
    assert_eq!(
        sent,
        json!({
            "TableName": "leases",
            "Key": {"service": {"S": "shop"}},
            "ConsistentRead": true,
            "ProjectionExpression":
                "#owner, #fence, #lease_until, #phase, #acquired_at, #intent, #command, #waiting, #freeze, #live_version, #live_slot, #scaling",
            "ExpressionAttributeNames": {
                "#owner": "owner", "#fence": "fence", "#lease_until": "lease_until", "#phase": "phase",
                "#acquired_at": "acquired_at", "#intent": "intent", "#command": "command", "#waiting": "waiting",
                "#freeze": "freeze", "#live_version": "live_version", "#live_slot": "live_slot", "#scaling": "scaling",
            },
        })
    );
}

#[tokio::test]
async fn a_free_lease_a_missing_one_and_a_malformed_one_differ() {
    let free = |fence| Ok(Some(LeaseRecord { fence, ..LeaseRecord::default() }));
    for (answer, expected) in [
        (json!({}), Ok(None)),
        (json!({"Item": {"fence": {"N": "3"}}}), free(3)),
        (json!({"Item": {}}), free(0)),
        (json!({"Item": {"owner": {"N": "1"}, "fence": {"N": "1"}}}), Err("InvalidAnswer".into())),
        (json!({"Item": {"fence": {"N": "-1"}}}), Err("InvalidAnswer".into())),
        (json!({"Item": {"fence": {"S": "1"}}}), Err("InvalidAnswer".into())),
        (json!({"Item": {"lease_until": {"S": "tomorrow"}}}), Err("InvalidAnswer".into())),
    ] {
        assert_eq!(read(answer.clone()).await.0, expected, "{answer}");
    }
}

/// What operators and other releases have written.
#[tokio::test]
async fn everything_that_is_known_is_read() {
    let answer = json!({"Item": {
        "owner": {"S": "me"}, "fence": {"N": "7"}, "phase": {"S": "baking"}, "command": {"S": "pause"},
        "lease_until": {"S": "2026-11-23T06:00:45.000Z"}, "acquired_at": {"S": "2026-11-23T05:00:00Z"},
        "intent": {"S": "{}"},
        "waiting": {"M": {
            "execution": {"S": "you"}, "token": {"S": "t"}, "intent": {"S": "{}"},
            "since": {"S": "2026-11-23T05:30:00.5Z"}, "supersede": {"BOOL": true},
        }},
        "freeze": {"M": {"reason": {"S": "sale"}, "owner": {"S": "ann"}, "until": {"S": "2026-11-30T00:00:00Z"}}},
        "live_version": {"S": "{\"opaque\":\"v1\"}"}, "live_slot": {"S": "green"},
        "scaling": {"S": "[{\"auto_scaling_group\":{\"name\":\"shop\",\"min\":2,\"floor\":9,\"rebalanced\":true}}]"},
    }});
    let expected = LeaseRecord {
        owner: Some("me".into()),
        fence: 7,
        until: Some("2026-11-23T06:00:45Z".parse().unwrap()),
        phase: "baking".into(),
        scaling: vec![Scaling::AutoScalingGroup(ScalingGroup {
            name: AutoScalingGroupName::parse("shop").unwrap(),
            min: 2,
            floor: 9,
            held: None,
            rebalanced: true,
        })],
        since: Some("2026-11-23T05:00:00Z".parse().unwrap()),
        intent: Some("{}".into()),
        command: Command::Pause,
        waiting: Some(Waiting {
            execution: "you".into(),
            intent: "{}".into(),
            since: "2026-11-23T05:30:00.5Z".parse().unwrap(),
            supersede: true,
        }),
        freeze: Some(Freeze {
            reason: "sale".into(),
            owner: "ann".into(),
            until: "2026-11-30T00:00:00Z".parse().unwrap(),
        }),
        live: Some(Live { version: serde_json::from_value(json!({"opaque": "v1"})).unwrap(), slot: Slot::Green }),
    };
    assert_eq!(read(answer).await.0, Ok(Some(expected)));
}

/// What ownership does not rest on may be nonsense: a release must be able to go back all the same. A freeze that cannot
/// be read is one without an end.
#[tokio::test]
async fn nonsense_beside_the_owner_is_ignored_but_a_freeze_holds() {
    let nonsense = json!({"N": "1"});
    let answer = json!({"Item": {
        "owner": {"S": "me"}, "fence": {"N": "7"}, "phase": nonsense, "command": {"S": "dance"}, "acquired_at": {"S": "x"},
        "intent": nonsense, "waiting": {"M": {}}, "freeze": nonsense, "live_version": {"S": "{"}, "live_slot": {"S": "red"},
    }});
    let record = read(answer).await.0.unwrap().unwrap();
    let freeze = record.freeze.clone().unwrap();
    assert!(freeze.is_on("2126-01-01T00:00:00Z".parse().unwrap()) && freeze.reason.contains("freeze"), "{freeze}");
    let expected = LeaseRecord {
        owner: Some("me".into()),
        fence: 7,
        command: Command::Unknown,
        freeze: record.freeze.clone(),
        ..LeaseRecord::default()
    };
    assert_eq!(record, expected);
}

#[tokio::test]
async fn the_freeze_of_all_services_has_an_item_of_its_own() {
    for (answer, frozen) in [
        (json!({}), false),
        (json!({"Item": {}}), false),
        (
            json!({"Item": {"freeze": {"M": {
                "reason": {"S": "sale"}, "owner": {"S": "ann"}, "until": {"S": "2026-11-30T00:00:00Z"},
            }}}}),
            true,
        ),
    ] {
        let double = Double::start(move |_| Answer::json(&answer)).await;
        let table = LeaseTable::new(&double.config().await, "leases".into());
        assert_eq!(table.freeze_of_all().await.unwrap().is_some(), frozen);
        let sent = double.calls()[0].json();
        assert_eq!((&sent["Key"], &sent["ConsistentRead"]), (&json!({"service": {"S": "*"}}), &json!(true)));
    }
}
