//! Executions of the state machines: started, looked at, and found by their machine's name.

mod history;

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use jiff::Timestamp;

use crate::client::{api_error, unexpected};
use crate::error::ApiError;
use crate::ports::Executions;

pub use history::Event;
pub use spillway_core::execution::Status;

const DESCRIBE: &str = "DescribeExecution";
const LIST: &str = "ListExecutions";
const LIST_MACHINES: &str = "ListStateMachines";
const START: &str = "StartExecution";
/// Executions of one page.
const LISTED: i32 = 100;

/// The error code of a name that is taken: by a release that has ended, or by one that was started with other input.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>.
pub const NAME_IS_TAKEN: &str = "ExecutionAlreadyExists";
/// The error code of an execution that does not exist, or not any more.
pub const UNKNOWN_EXECUTION: &str = "ExecutionDoesNotExist";

/// Step Functions.
#[derive(Clone, Debug)]
pub struct StateMachines {
    client: Client,
}

/// An execution as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// How it stands.
    pub status: Status,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` while it runs.
    pub stopped: Option<Timestamp>,
    /// Its input, JSON text; empty if it cannot be read.
    pub input: String,
    /// Its output, JSON text, if it succeeded.
    pub output: Option<String>,
    /// The name of its error, if it failed.
    pub error: Option<String>,
    /// What the error says.
    pub cause: Option<String>,
}

/// An execution as it is listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its ARN.
    pub arn: String,
    /// How it stands.
    pub status: Status,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; `None` while it runs.
    pub stopped: Option<Timestamp>,
}

/// The machine's and the execution's name in the ARN of an execution:
/// `arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME`.
#[must_use]
pub fn names(execution: &str) -> Option<(&str, &str)> {
    let mut parts = execution.splitn(8, ':').skip(5);
    match (parts.next(), parts.next(), parts.next()) {
        (Some("execution"), Some(machine), Some(name)) if !machine.is_empty() && !name.is_empty() => {
            Some((machine, name))
        }
        _ => None,
    }
}

/// The ARN of the execution of this machine that has this name.
#[must_use]
pub fn execution_arn(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))
}

impl StateMachines {
    /// Those of the configured account and region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// The ARN of the machine of this name; `None` if there is none.
    ///
    /// # Errors
    /// The call's.
    pub async fn find(&self, name: &str) -> Result<Option<String>, ApiError> {
        let mut pages = self.client.list_state_machines().max_results(1000).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(LIST_MACHINES, name, &error))?;
            if let Some(found) = page.state_machines.into_iter().find(|machine| machine.name == name) {
                return Ok(Some(found.state_machine_arn));
            }
        }
        Ok(None)
    }

    /// Starts an execution, and gives its ARN. One that runs under this name with the same input is the same
    /// execution, so that a call whose answer was lost can be made again: hence the name is not optional.
    ///
    /// # Errors
    /// The call's; its code is [`NAME_IS_TAKEN`] for a name that had another use.
    pub async fn start(&self, machine: &str, name: &str, input: &str) -> Result<String, ApiError> {
        let call = self.client.start_execution().state_machine_arn(machine).name(name).input(input);
        let answer = call.send().await.map_err(|error| api_error(START, name, &error))?;
        Ok(answer.execution_arn)
    }

    /// The execution as it stands; what the answer says may be some seconds old.
    ///
    /// # Errors
    /// The call's; its code is [`UNKNOWN_EXECUTION`] if there is none.
    pub async fn describe(&self, execution: &str) -> Result<Execution, ApiError> {
        let call = self.client.describe_execution().execution_arn(execution);
        let answer = call.send().await.map_err(|error| api_error(DESCRIBE, execution, &error))?;
        Ok(Execution {
            arn: answer.execution_arn,
            status: status(DESCRIBE, execution, &answer.status)?,
            started: time(&answer.start_date),
            stopped: answer.stop_date.as_ref().map(time),
            input: answer.input.unwrap_or_default(),
            output: answer.output,
            error: answer.error,
            cause: answer.cause,
        })
    }

    /// ARNs of the machine's latest executions, at most `most` (1 to 1000), the latest first.
    ///
    /// # Errors
    /// The call's.
    pub async fn latest(&self, machine: &str, most: i32) -> Result<Vec<String>, ApiError> {
        let call = self.client.list_executions().state_machine_arn(machine).max_results(most);
        let answer = call.send().await.map_err(|error| api_error(LIST, machine, &error))?;
        Ok(answer.executions.into_iter().map(|execution| execution.execution_arn).collect())
    }

    /// A page of the machine's executions, the latest first, and the token of the next one. Executions that ended more
    /// than 90 days ago are not listed.
    ///
    /// # Errors
    /// The call's.
    pub async fn list(&self, machine: &str, token: Option<String>) -> Result<(Vec<Listed>, Option<String>), ApiError> {
        let call = self.client.list_executions().state_machine_arn(machine).max_results(LISTED);
        let answer = call.set_next_token(token).send().await.map_err(|error| api_error(LIST, machine, &error))?;
        let listed = answer.executions.into_iter().map(|execution| {
            Ok(Listed {
                status: status(LIST, machine, &execution.status)?,
                started: time(&execution.start_date),
                stopped: execution.stop_date.as_ref().map(time),
                arn: execution.execution_arn,
            })
        });
        Ok((listed.collect::<Result<_, ApiError>>()?, answer.next_token))
    }
}

impl Executions for StateMachines {
    async fn details(&self, execution: &str) -> Result<Execution, ApiError> {
        self.describe(execution).await
    }
}

fn time(time: &aws_smithy_types::DateTime) -> Timestamp {
    Timestamp::from_second(time.secs()).unwrap_or_default()
}

fn status(operation: &'static str, subject: &str, status: &ExecutionStatus) -> Result<Status, ApiError> {
    Ok(match status {
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Status::Running,
        ExecutionStatus::Succeeded => Status::Succeeded,
        ExecutionStatus::Failed => Status::Failed,
        ExecutionStatus::TimedOut => Status::TimedOut,
        ExecutionStatus::Aborted => Status::Stopped,
        other => {
            let message = format!("the execution's status is {other}");
            return Err(unexpected(operation, subject, "InvalidAnswer", message));
        }
    })
}
