//! What the function is invoked with.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use spillway_core::event::announcement::Page;
use spillway_core::execution::Status;

const STATUS_CHANGE: &str = "Step Functions Execution Status Change";

/// One of the two things that it hears.
#[derive(Debug)]
pub enum Heard {
    /// An execution has begun or ended.
    Change(Change),
    /// Messages to the topic for pages.
    Pages(Vec<Page>),
}

/// An execution that has begun or ended, as far as the event tells.
#[derive(Debug)]
pub struct Change {
    pub arn: String,
    pub status: Status,
    pub time: Timestamp,
    pub input: Option<String>,
    pub output: Option<String>,
    pub error: Option<String>,
    pub cause: Option<String>,
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html>
#[derive(Deserialize)]
struct StatusChange {
    time: Timestamp,
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    execution_arn: String,
    status: StatusName,
    #[serde(default)]
    input: Option<String>,
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum StatusName {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notifications {
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    sns: Notification,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    #[serde(default)]
    subject: Option<String>,
    message: String,
    timestamp: Timestamp,
}

/// What a state machine pages with.
#[derive(Deserialize)]
struct Message {
    service: String,
    execution: String,
    #[serde(default)]
    failure: Value,
}

impl Heard {
    /// Reads it.
    ///
    /// # Errors
    /// Which field is not as it must be, and what is allowed.
    pub fn parse(event: Value) -> Result<Self, String> {
        if event.get("Records").is_some() {
            let Notifications { records } = read(event)?;
            return records.into_iter().enumerate().map(page).collect::<Result<_, _>>().map(Self::Pages);
        }
        match event.get("detail-type").and_then(Value::as_str) {
            Some(STATUS_CHANGE) => read(event).map(change).map(Self::Change),
            Some(other) => Err(format!("detail-type: {other:?} is not known; allowed: {STATUS_CHANGE:?}")),
            None => Err(format!(
                "detail-type: missing; allowed: {STATUS_CHANGE:?}, or an event with Records, which SNS sends"
            )),
        }
    }
}

fn change(StatusChange { time, detail }: StatusChange) -> Change {
    let Detail { execution_arn: arn, status, input, output, error, cause } = detail;
    let status = match status {
        StatusName::Running => Status::Running,
        StatusName::Succeeded => Status::Succeeded,
        StatusName::Failed => Status::Failed,
        StatusName::TimedOut => Status::TimedOut,
        StatusName::Aborted => Status::Stopped,
    };
    Change { arn, status, time, input, output, error, cause }
}

fn page((at, Record { sns }): (usize, Record)) -> Result<Page, String> {
    let Notification { subject, message, timestamp } = sns;
    let message = serde_json::from_str(&message).map_err(|error| error.to_string());
    let Message { service, execution, failure } =
        message.and_then(read).map_err(|error| format!("Records[{at}].Sns.Message: {error}"))?;
    Ok(Page { subject: subject.unwrap_or_default(), service, execution, failure, time: timestamp })
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| format!("{}: {}", error.path(), error.inner()))
}
