use serde_json::{Value, json};
use spillway_asl::items::Items;

use crate::{create_table, lab};

const TABLE: &str = "items";

const CONDITIONS: [&str; 22] = [
    "attribute_exists(#owner)",
    "attribute_not_exists(#owner)",
    "attribute_not_exists(service)",
    "attribute_not_exists(#waiting.execution)",
    "attribute_exists(#waiting.execution)",
    "#owner = :me",
    "#owner <> :me",
    "NOT #owner = :me",
    "#owner = :me AND fence = :two",
    "attribute_not_exists(#owner) OR #owner = :me",
    "(attribute_not_exists(#owner) AND fence = :two) OR #owner = :me",
    "attribute_exists(fence) AND (attribute_not_exists(#owner) OR #owner = :me)",
    "#owner = :me OR attribute_exists(fence) AND fence < :two",
    "NOT (#owner = :me OR fence = :two)",
    "NOT attribute_exists(#owner) AND fence >= :two",
    "#waiting.execution = :me",
    "#waiting.since > :two",
    "fence <= :two",
    "fence <> :two",
    "#owner < :you",
    "#owner < :two",
    "fence < #waiting.since",
];

const UPDATES: [&str; 17] = [
    "SET #owner = :me",
    "SET #owner = :you, fence = if_not_exists(fence, :two) + :one, command = :me REMOVE kept",
    "SET fence = fence + :one",
    "SET fence = fence - :two, kept = fence + :one",
    "SET fence = if_not_exists(kept, :one)",
    "SET kept = if_not_exists(kept, if_not_exists(fence, :two))",
    "SET saved = command REMOVE command",
    "SET #waiting = :map",
    "SET #waiting.execution = :me",
    "SET #waiting.execution = :you, #waiting.since = if_not_exists(#waiting.since, :two) + :one",
    "SET #waiting.by_slot.blue = :me",
    "SET command = #waiting.execution",
    "REMOVE #owner",
    "REMOVE #owner, fence, kept",
    "REMOVE #waiting",
    "REMOVE #waiting.execution SET command = :you",
    "SET service = :me",
];

/// Long walks of random calls, the same on both: every answer, every error and in the end the items are the same.
#[tokio::test(flavor = "multi_thread")]
async fn items_are_those_of_the_emulator() {
    let lab = lab().await;
    create_table(&lab, TABLE).await;
    let mut items = Items::new("service");
    let mut random = fastrand::Rng::with_seed(7);
    // How many calls succeeded, failed their condition and were refused.
    let mut counts = [0; 3];
    for _ in 0..1500 {
        let (action, arguments) = call(&mut random);
        let target = format!("DynamoDB_20120810.{}{}", action[..1].to_uppercase(), &action[1..]);
        let mut theirs = lab.aws().call_json(&target, &arguments).await.map_err(|error| error.code);
        if let Ok(answer) = &mut theirs
            && answer["Attributes"] == json!({})
        {
            // UPDATED_OLD of what was not there.
            *answer = json!({});
        }
        let before = items.clone();
        let ours = items.call(action, &arguments).map_err(|error| error.name.to_owned());
        assert_eq!(ours, theirs, "{action} of {arguments:#}\n{before:#?}");
        counts[match ours.as_ref().map_err(String::as_str) {
            Ok(_) => 0,
            Err("ConditionalCheckFailedException") => 1,
            Err(_) => 2,
        }] += 1;
        if ours.is_err() {
            assert_eq!(items, before);
        }
    }
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    lab.stop().await;
}

fn call(random: &mut fastrand::Rng) -> (&'static str, Value) {
    let key = json!({"service": {"S": random.choice(["a", "b", "c"]).unwrap()}});
    match random.u8(..10) {
        0 => ("getItem", json!({"TableName": TABLE, "Key": key, "ConsistentRead": random.bool()})),
        1 => {
            let mut arguments = json!({"TableName": TABLE, "Key": key,
                "ProjectionExpression": "#owner, fence, #waiting.since"});
            name_what_is_used(&mut arguments);
            ("getItem", arguments)
        }
        2 => {
            let mut arguments = json!({"TableName": TABLE, "Limit": random.u8(1..4)});
            if random.bool() {
                arguments["IndexName"] = "owner".into();
            }
            if random.bool() {
                arguments["ExclusiveStartKey"] = key;
                if arguments.get("IndexName").is_some() {
                    arguments["ExclusiveStartKey"]["owner"] = json!({"S": "me"});
                }
            }
            if random.bool() {
                arguments["ProjectionExpression"] = "service".into();
            }
            ("scan", arguments)
        }
        _ => {
            let mut arguments = json!({"TableName": TABLE, "Key": key,
                "UpdateExpression": random.choice(UPDATES).unwrap(),
                "ReturnValues": random.choice(["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]).unwrap()});
            if random.bool() {
                arguments["ConditionExpression"] = random.choice(CONDITIONS).unwrap().into();
            }
            // The emulator asks for the condition first; DynamoDB reads the update before.
            if arguments["UpdateExpression"] == "SET service = :me" {
                arguments.as_object_mut().unwrap().remove("ConditionExpression");
            }
            // The emulator removes below a map that is not there; DynamoDB refuses the path.
            if arguments["UpdateExpression"].as_str().is_some_and(|text| text.contains("REMOVE #waiting.")) {
                arguments["ConditionExpression"] = "attribute_exists(#waiting)".into();
            }
            name_what_is_used(&mut arguments);
            ("updateItem", arguments)
        }
    }
}

/// Adds the names and values that the expressions use.
fn name_what_is_used(arguments: &mut Value) {
    let texts = ["ConditionExpression", "UpdateExpression", "ProjectionExpression"];
    let texts = texts.map(|name| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()).join(" ");
    for (field, all) in [
        ("ExpressionAttributeNames", vec![("#owner", json!("owner")), ("#waiting", json!("waiting"))]),
        (
            "ExpressionAttributeValues",
            vec![
                (":me", json!({"S": "me"})),
                (":you", json!({"S": "you"})),
                (":one", json!({"N": "1"})),
                (":two", json!({"N": "2"})),
                (":map", json!({"M": {"execution": {"S": "e"}, "since": {"N": "1"}, "by_slot": {"M": {}}}})),
            ],
        ),
    ] {
        let used: serde_json::Map<String, Value> = all
            .into_iter()
            .filter(|(name, _)| texts.contains(name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if !used.is_empty() {
            arguments[field] = used.into();
        }
    }
}
