//! The state machines that ship, filled in and created in the emulator, with the table and the topic they use.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::aws::{ACCOUNT, Aws, AwsError, REGION};
use crate::functions::{FUNCTIONS, Functions};
use crate::paths::workspace;

/// The table of leases.
pub const LEASE_TABLE: &str = "spillway-leases";
/// What the names of the parameters begin with that hold service definitions.
pub const PARAMETER_PREFIX: &str = "/spillway/services/";

/// The machines, in the order in which they refer to each other.
const MACHINES: [&str; 4] = ["retire", "release", "rollback", "guard"];
const TOPIC: &str = "spillway-pages";
const EVENTS: &str = "spillway-events";
const SNS: &str = "2010-03-31";

/// Why a state machine could not be created.
#[derive(Debug, thiserror::Error)]
pub enum StateMachineError {
    /// A definition could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A placeholder that the lab does not know.
    #[error("{machine}.asl.json has the unknown placeholder ${{{placeholder}}}; known: {known}")]
    Placeholder {
        /// The machine.
        machine: String,
        /// The name between the braces.
        placeholder: String,
        /// All that are known.
        known: String,
    },
    /// The emulator refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

/// The machines in the emulator.
#[derive(Clone, Debug)]
pub struct StateMachines {
    aws: Aws,
    arns: BTreeMap<String, String>,
    pages: String,
    events: String,
}

impl StateMachines {
    /// Creates table, topic and machines; `lease` is the length of a lease.
    pub(crate) async fn create(
        aws: &Aws,
        functions: &Functions,
        lease: std::time::Duration,
    ) -> Result<Self, StateMachineError> {
        create_table(aws).await?;
        let (topic, pages) = create_topic(aws).await?;
        let mut values: BTreeMap<String, String> =
            FUNCTIONS.iter().map(|name| (format!("{}_arn", name.replace('-', "_")), functions.arn(name))).collect();
        values.insert("lease_table".to_owned(), LEASE_TABLE.to_owned());
        values.insert("lease_milliseconds".to_owned(), lease.as_millis().to_string());
        values.insert("page_topic_arn".to_owned(), topic.clone());
        values.insert("parameter_prefix".to_owned(), PARAMETER_PREFIX.to_owned());
        let mut arns = BTreeMap::new();
        for machine in MACHINES {
            let body = json!({
                "name": format!("spillway-{machine}"),
                "definition": definition(machine, &values)?,
                "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/spillway-{machine}"),
                "type": "STANDARD",
            });
            let answer = aws.call_json("AWSStepFunctions.CreateStateMachine", &body).await?;
            let arn = answer["stateMachineArn"].as_str().unwrap_or_default().to_owned();
            values.insert(format!("{machine}_state_machine_arn"), arn.clone());
            arns.insert(machine.to_owned(), arn);
        }
        post_guards(aws, &arns).await?;
        let announce = functions.arn("announce");
        post_announcer(aws, &arns, &announce).await?;
        subscribe(aws, &topic, "lambda", &announce).await?;
        let events = listen(aws).await?;
        Ok(Self { aws: aws.clone(), arns, pages, events })
    }

    /// The ARN of `release`, `retire`, `rollback` or `guard`; `None` if there is no such machine.
    #[must_use]
    pub fn arn(&self, machine: &str) -> Option<&str> {
        self.arns.get(machine).map(String::as_str)
    }

    /// The messages published to the page topic since the last call, oldest first.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn pages(&self) -> Result<Vec<Value>, AwsError> {
        self.drain(&self.pages).await
    }

    /// The lifecycle events that were put since the last call, as EventBridge delivers them, in whatever order.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn events(&self) -> Result<Vec<Value>, AwsError> {
        self.drain(&self.events).await
    }

    async fn drain(&self, queue: &str) -> Result<Vec<Value>, AwsError> {
        let mut pages = Vec::new();
        loop {
            let body = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
            let answer = self.aws.call_json("AmazonSQS.ReceiveMessage", &body).await?;
            let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(pages);
            }
            for message in messages {
                let body = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
                self.aws.call_json("AmazonSQS.DeleteMessage", &body).await?;
                let text = message["Body"].as_str().unwrap_or_default();
                pages.push(serde_json::from_str(text).unwrap_or_else(|_| text.into()));
            }
        }
    }
}

async fn create_table(aws: &Aws) -> Result<(), AwsError> {
    let body = json!({
        "TableName": LEASE_TABLE,
        "AttributeDefinitions": [
            {"AttributeName": "service", "AttributeType": "S"},
            {"AttributeName": "owner", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "service", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [{
            "IndexName": "owner",
            "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["fence"]},
        }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    aws.call_json("DynamoDB_20120810.CreateTable", &body).await?;
    Ok(())
}

/// Starts a guard whenever an execution of a machine has ended, and every minute. A recovery that fails is left to the
/// schedule: its own end would start the next at once.
async fn post_guards(aws: &Aws, arns: &BTreeMap<String, String>) -> Result<(), AwsError> {
    let ended = |machines: &[&str], statuses: &[&str]| {
        let arns: Vec<&String> = machines.iter().filter_map(|machine| arns.get(*machine)).collect();
        json!({
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {"status": statuses, "stateMachineArn": arns},
        })
    };
    let any = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"];
    for (name, pattern) in [
        ("spillway-guard-ended", Some(ended(&["release", "retire"], &any))),
        ("spillway-guard-recovered", Some(ended(&["rollback"], &any[..1]))),
        ("spillway-guard-schedule", None),
    ] {
        let mut rule = json!({"Name": name, "State": "ENABLED"});
        match pattern {
            Some(pattern) => rule["EventPattern"] = pattern.to_string().into(),
            None => rule["ScheduleExpression"] = "rate(1 minute)".into(),
        }
        aws.call_json("AWSEvents.PutRule", &rule).await?;
        let target = json!({
            "Id": "guard",
            "Arn": arns.get("guard"),
            "RoleArn": format!("arn:aws:iam::{ACCOUNT}:role/spillway-guard-events"),
        });
        aws.call_json("AWSEvents.PutTargets", &json!({"Rule": name, "Targets": [target]})).await?;
    }
    Ok(())
}

/// The topic, and the URL of a queue that gets what is published there.
async fn create_topic(aws: &Aws) -> Result<(String, String), AwsError> {
    let topic = aws.call_query("sns", SNS, "CreateTopic", &[("Name", TOPIC)]).await?;
    let topic = topic.text_of("TopicArn").to_owned();
    let queue = aws.call_json("AmazonSQS.CreateQueue", &json!({ "QueueName": TOPIC })).await?;
    let url = queue["QueueUrl"].as_str().unwrap_or_default().to_owned();
    subscribe(aws, &topic, "sqs", &format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{TOPIC}")).await?;
    Ok((topic, url))
}

async fn subscribe(aws: &Aws, topic: &str, protocol: &str, endpoint: &str) -> Result<(), AwsError> {
    let subscription =
        [("TopicArn", topic), ("Protocol", protocol), ("Endpoint", endpoint), ("ReturnSubscriptionArn", "true")];
    aws.call_query("sns", SNS, "Subscribe", &subscription).await?;
    Ok(())
}

/// Tells of releases that begin, and of everything that ends.
async fn post_announcer(aws: &Aws, arns: &BTreeMap<String, String>, announce: &str) -> Result<(), AwsError> {
    let all: Vec<&String> = ["release", "rollback", "retire"].iter().filter_map(|machine| arns.get(*machine)).collect();
    for (name, statuses, machines) in [
        ("spillway-announce-begun", &["RUNNING"][..], &all[..1]),
        ("spillway-announce-ended", &["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"], &all),
    ] {
        let pattern = json!({
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {"status": statuses, "stateMachineArn": machines},
        });
        put_rule(aws, name, &pattern, &json!({"Id": "announce", "Arn": announce})).await?;
    }
    Ok(())
}

/// The URL of a queue that gets every lifecycle event.
async fn listen(aws: &Aws) -> Result<String, AwsError> {
    let queue = aws.call_json("AmazonSQS.CreateQueue", &json!({ "QueueName": EVENTS })).await?;
    let target = json!({"Id": "queue", "Arn": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{EVENTS}")});
    put_rule(aws, EVENTS, &json!({"source": ["spillway"]}), &target).await?;
    Ok(queue["QueueUrl"].as_str().unwrap_or_default().to_owned())
}

async fn put_rule(aws: &Aws, name: &str, pattern: &Value, target: &Value) -> Result<(), AwsError> {
    let rule = json!({"Name": name, "State": "ENABLED", "EventPattern": pattern.to_string()});
    aws.call_json("AWSEvents.PutRule", &rule).await?;
    aws.call_json("AWSEvents.PutTargets", &json!({"Rule": name, "Targets": [target]})).await?;
    Ok(())
}

/// The definition of `release`, `retire`, `rollback` or `guard` as the lab runs it, with these values for the placeholders.
///
/// # Errors
/// The file cannot be read, or has a placeholder without a value.
pub fn definition(machine: &str, values: &BTreeMap<String, String>) -> Result<String, StateMachineError> {
    let path = workspace().join("statemachine").join(format!("{machine}.asl.json"));
    match fs::read_to_string(&path) {
        Ok(text) => filled(machine, &text, values),
        Err(source) => Err(StateMachineError::Read { path, source }),
    }
}

/// The definition with every `${name}` replaced.
fn filled(machine: &str, text: &str, values: &BTreeMap<String, String>) -> Result<String, StateMachineError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${") {
        let (name, after) = from.split_once('}').unwrap_or((from, ""));
        let value = values.get(name).ok_or_else(|| StateMachineError::Placeholder {
            machine: machine.to_owned(),
            placeholder: name.to_owned(),
            known: values.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_filled_or_refused() {
        let values = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b_arn".to_owned(), "arn:b".to_owned())]);
        assert_eq!(filled("release", "x ${a} ${b_arn}${a}", &values).unwrap(), "x 1 arn:b1");
        let error = filled("release", "x ${c} y", &values).unwrap_err().to_string();
        assert_eq!(error, "release.asl.json has the unknown placeholder ${c}; known: a, b_arn");
        assert!(filled("release", "x ${a", &values).is_ok());
    }
}
