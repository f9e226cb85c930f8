//! Tells of beginnings, ends and pages as lifecycle events.
//!
//! It hears of executions from EventBridge, whose events are best effort, and of pages from their topic, both at least once:
//! what is told twice has the same `id`. Nothing waits for it; whoever is paged is paged without it.

mod heard;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spillway_aws::error::{ApiError, Named};
use spillway_aws::executions::Execution as Described;
use spillway_aws::ports::{Events, Executions};
use spillway_core::event::Event;
use spillway_core::event::announcement::{self, Execution, UnknownMachine};
use spillway_core::execution::Status;
use thiserror::Error;

use heard::{Change, Heard};

/// What was told.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Output {
    /// The `id` of each event. None where a beginning or an end changes nothing for anybody.
    pub told: Vec<String>,
}

/// Why something could not be told.
#[derive(Debug, Error)]
pub enum Error {
    /// The event is none that this function knows.
    #[error("{0}")]
    InvalidInput(String),
    /// The event is about a machine that this function does not know.
    #[error(transparent)]
    UnknownMachine(#[from] UnknownMachine),
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The execution is said to have ended, and to run.
    #[error("DescribeExecution of {0} still tells that it runs, although it has ended")]
    NotEndedYet(String),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::InvalidInput(_) | Self::UnknownMachine(_) => "InvalidInput",
            Self::Api(error) => error.name(),
            Self::NotEndedYet(_) => "Unavailable",
        }
    }
}

/// Tells of what is heard.
///
/// # Errors
/// [`Error`]. Whoever invokes may do so again: what was told then is told again under the same `id`.
pub async fn handle(executions: &impl Executions, bus: &impl Events, event: Value) -> Result<Output, Error> {
    let events = match Heard::parse(event).map_err(Error::InvalidInput)? {
        Heard::Change(change) => announcement::of(&complete(executions, change).await?)?.into_iter().collect(),
        Heard::Pages(pages) => pages.iter().map(announcement::of_page).collect::<Result<Vec<Event>, _>>()?,
    };
    if !events.is_empty() {
        bus.put(&events).await?;
    }
    for event in &events {
        tracing::info!(event = event.kind.name(), id = event.id, reason = event.reason, "told");
    }
    Ok(Output { told: events.into_iter().map(|event| event.id).collect() })
}

/// The execution with all that it began and ended with. An event leaves out what is large:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html>.
async fn complete(executions: &impl Executions, change: Change) -> Result<Execution, Error> {
    let Change { arn, status, time, mut input, mut output, mut error, mut cause } = change;
    let incomplete = input.is_none()
        || (status == Status::Succeeded && !output.as_deref().is_some_and(tells_outcome))
        || (status == Status::Failed && (error.is_none() || cause.is_none()));
    if incomplete {
        let described: Described = executions.details(&arn).await?;
        if status != Status::Running && described.status == Status::Running {
            return Err(Error::NotEndedYet(arn));
        }
        input = Some(described.input);
        (output, error, cause) = (described.output, described.error, described.cause);
    }
    // What is no JSON was never an input of a release, and is told of as what cannot be read.
    let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(Execution {
        arn,
        status,
        time,
        input: json(input),
        output: json(output),
        error: error.unwrap_or_default(),
        cause: cause.unwrap_or_default(),
    })
}

/// Whether an output is one that our machines end with.
fn tells_outcome(output: &str) -> bool {
    serde_json::from_str::<Value>(output).is_ok_and(|output| output.get("outcome").is_some())
}
