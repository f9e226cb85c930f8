//! The interpreter of the state machines, and its table, against the emulator: what it proves about a machine would
//! be worth nothing if it ran machines otherwise.
//!
//! Where the emulator is known to differ from AWS, the interpreter does as AWS does, and no case is made of it: the
//! emulator assigns one variable after the other (AWS all at once), takes any value for a condition (AWS only a
//! boolean), retries and catches `States.DataLimitExceeded` and `States.Runtime` with `States.ALL`, ignores
//! `MaxDelaySeconds`, removes below a map that is not there (DynamoDB refuses the path), leaves out what a text cannot
//! be added to (DynamoDB refuses the operand), and holds two missing attributes for equal. Only the emulator refuses
//! reserved words.

/// Calls of the table.
mod items;

/// Every feature of the language.
mod features;

/// Every Task of the machines that ship.
mod shipped;

/// Those of them that wait for a token.
mod tokens;

mod replay;

use serde_json::json;
use spillway_lab::Lab;

/// A lab without functions and machines.
async fn lab() -> Lab {
    Lab::builder().bare().start().await.unwrap_or_else(|error| panic!("the lab does not start: {error}"))
}

/// A table with the key `service`, and an index of what has an `owner`.
async fn create_table(lab: &Lab, name: &str) {
    let attribute = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let key = |name: &str| json!([{"AttributeName": name, "KeyType": "HASH"}]);
    let body = json!({
        "TableName": name,
        "AttributeDefinitions": [attribute("service"), attribute("owner")],
        "KeySchema": key("service"),
        "GlobalSecondaryIndexes": [
            {"IndexName": "owner", "KeySchema": key("owner"), "Projection": {"ProjectionType": "ALL"}},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    });
    lab.aws().call_json("DynamoDB_20120810.CreateTable", &body).await.unwrap();
}
