//! The lease table.

use serde_json::{Value, json};
use spillway_aws::lease::LeaseTable;
use spillway_aws::ports::Leases;
use spillway_core::definition::ServiceName;
use spillway_core::lease::LeaseRecord;

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
    assert_eq!(record, Ok(Some(LeaseRecord { owner: Some("me".into()), fence: 7 })));
    assert_eq!(
        sent,
        json!({
            "TableName": "leases",
            "Key": {"service": {"S": "shop"}},
            "ConsistentRead": true,
            "ProjectionExpression": "#owner, #fence",
            "ExpressionAttributeNames": {"#owner": "owner", "#fence": "fence"},
        })
    );
}

#[tokio::test]
async fn a_free_lease_a_missing_one_and_a_malformed_one_differ() {
    let free = |fence| Ok(Some(LeaseRecord { owner: None, fence }));
    for (answer, expected) in [
        (json!({}), Ok(None)),
        (json!({"Item": {"fence": {"N": "3"}}}), free(3)),
        (json!({"Item": {}}), free(0)),
        (json!({"Item": {"owner": {"N": "1"}, "fence": {"N": "1"}}}), Err("InvalidAnswer".into())),
        (json!({"Item": {"fence": {"N": "-1"}}}), Err("InvalidAnswer".into())),
        (json!({"Item": {"fence": {"S": "1"}}}), Err("InvalidAnswer".into())),
    ] {
        assert_eq!(read(answer.clone()).await.0, expected, "{answer}");
    }
}
