//! The lease table as operators see and change it.

use serde_json::{Value, json};
use spillway_aws::operator::{ALL, Freeze, Item, OperatorTable, Waiting};

use crate::double::{Answer, Double};

async fn table(double: &Double) -> OperatorTable {
    OperatorTable::new(&double.config().await, "leases".into())
}

async fn answering(answer: Value) -> Double {
    Double::start(move |_| Answer::json(&answer)).await
}

fn freeze() -> Freeze {
    Freeze { reason: "sales".into(), owner: "ann".into(), until: "2026-11-30T00:00:00.000Z".into() }
}

fn frozen() -> Value {
    json!({"M": {"reason": {"S": "sales"}, "owner": {"S": "ann"}, "until": {"S": "2026-11-30T00:00:00.000Z"}}})
}

#[tokio::test]
async fn an_item_is_read_consistently_with_all_that_is_there() {
    let double = answering(json!({"Item": {
        "service": {"S": "shop"}, "owner": {"S": "me"}, "fence": {"N": "7"}, "phase": {"S": "baking"},
        "command": {"S": "pause"}, "freeze": frozen(), "plan": {"S": "{}"},
        "waiting": {"M": {"execution": {"S": "you"}, "token": {"S": "t"}, "since": {"S": "now"}}},
    }}))
    .await;
    let item = table(&double).await.read("shop").await.unwrap().unwrap();
    let waiting = Waiting { execution: "you".into(), intent: None, since: Some("now".into()) };
    assert_eq!(
        item,
        Item {
            service: "shop".into(),
            owner: Some("me".into()),
            fence: Some("7".into()),
            phase: Some("baking".into()),
            command: Some("pause".into()),
            plan: Some("{}".into()),
            waiting: Some(waiting),
            freeze: Some(freeze()),
            ..Item::default()
        }
    );
    assert_eq!(double.calls()[0].json()["ConsistentRead"], true);
    assert_eq!(table(&answering(json!({})).await).await.read("shop").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_of_another_type_is_not_there() {
    let double = answering(json!({"Item": {
        "service": {"S": "shop"}, "fence": {"S": "7"}, "phase": {"N": "1"}, "waiting": {"M": {}}, "freeze": {"S": "on"},
    }}))
    .await;
    let item = table(&double).await.read("shop").await.unwrap().unwrap();
    assert_eq!(item, Item { service: "shop".into(), ..Item::default() });
}

#[test]
fn a_wish_is_the_owners_to_take_out() {
    let item = |owner: Option<&str>, command: Option<&str>| Item {
        owner: owner.map(Into::into),
        command: command.map(Into::into),
        ..Item::default()
    };
    for (item, wish) in [
        (item(Some("me"), Some("pause")), Some("pause")),
        (item(Some("me"), Some("none")), None),
        (item(Some("me"), None), None),
        (item(None, Some("abort")), None),
    ] {
        assert_eq!(item.wish(), wish);
    }
}

#[tokio::test]
async fn all_items_are_read_to_the_last_page() {
    let double = Double::start(|call| {
        Answer::json(&match call.json().get("ExclusiveStartKey") {
            None => json!({"Items": [{"service": {"S": "shop"}}], "LastEvaluatedKey": {"service": {"S": "shop"}}}),
            Some(_) => json!({"Items": [{"service": {"S": "cart"}}]}),
        })
    })
    .await;
    let services: Vec<String> =
        table(&double).await.all().await.unwrap().into_iter().map(|item| item.service).collect();
    assert_eq!(services, ["cart", "shop"]);
}

#[tokio::test]
async fn a_command_is_for_what_was_seen() {
    let seen = |command: Option<&str>| Item {
        service: "shop".into(),
        owner: Some("me".into()),
        fence: Some("7".into()),
        command: command.map(Into::into),
        ..Item::default()
    };
    for (before, condition, mut values) in [
        (Some("none"), "#owner = :owner AND #fence = :fence AND #command = :seen", json!({":seen": {"S": "none"}})),
        (None, "#owner = :owner AND #fence = :fence AND attribute_not_exists(#command)", json!({})),
    ] {
        let double = answering(json!({})).await;
        assert!(table(&double).await.command(&seen(before), "abort").await.unwrap());
        values[":owner"] = json!({"S": "me"});
        values[":fence"] = json!({"N": "7"});
        values[":command"] = json!({"S": "abort"});
        assert_eq!(
            double.calls()[0].json(),
            json!({
                "TableName": "leases",
                "Key": {"service": {"S": "shop"}},
                "ConditionExpression": condition,
                "UpdateExpression": "SET #command = :command",
                "ExpressionAttributeNames": {"#owner": "owner", "#fence": "fence", "#command": "command"},
                "ExpressionAttributeValues": values,
            })
        );
    }
    let lost = Double::start(|_| Answer::json_error("ConditionalCheckFailedException", "no")).await;
    assert!(!table(&lost).await.command(&seen(None), "abort").await.unwrap());
    let denied = Double::start(|_| Answer::json_error("AccessDeniedException", "no")).await;
    assert_eq!(table(&denied).await.command(&seen(None), "abort").await.unwrap_err().code, "AccessDeniedException");
}

#[tokio::test]
async fn a_freeze_may_begin_its_item_and_tells_the_one_before() {
    let double = answering(json!({"Attributes": {"freeze": frozen()}})).await;
    assert_eq!(table(&double).await.freeze(ALL, &freeze()).await.unwrap(), Some(freeze()));
    assert_eq!(
        double.calls()[0].json(),
        json!({
            "TableName": "leases",
            "Key": {"service": {"S": "*"}},
            "UpdateExpression": "SET #freeze = :freeze",
            "ExpressionAttributeNames": {"#freeze": "freeze"},
            "ExpressionAttributeValues": {":freeze": frozen()},
            "ReturnValues": "UPDATED_OLD",
        })
    );
    assert_eq!(table(&answering(json!({})).await).await.freeze(ALL, &freeze()).await.unwrap(), None);
}

#[tokio::test]
async fn an_end_of_a_freeze_makes_no_item() {
    let double = answering(json!({"Attributes": {"service": {"S": "shop"}, "freeze": frozen()}})).await;
    assert_eq!(table(&double).await.unfreeze("shop").await.unwrap(), Some(freeze()));
    let sent = double.calls()[0].json();
    assert_eq!(
        (&sent["UpdateExpression"], &sent["ConditionExpression"]),
        (&json!("REMOVE #freeze"), &json!("attribute_exists(#freeze)"))
    );
    let none = Double::start(|_| Answer::json_error("ConditionalCheckFailedException", "no")).await;
    assert_eq!(table(&none).await.unfreeze("shop").await.unwrap(), None);
}

#[test]
fn a_freeze_without_a_readable_end_is_on() {
    for (until, on) in [
        ("2026-11-30T00:00:00.000Z", true),
        ("2026-11-23T06:00:00Z", false),
        ("2026-11-23T05:59:59Z", false),
        ("tomorrow", true),
    ] {
        let freeze = Freeze { until: until.into(), ..freeze() };
        assert_eq!(freeze.is_on("2026-11-23T06:00:00Z".parse().unwrap()), on, "{until}");
    }
}
