//! Executions of the state machines.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::aws::{Aws, AwsError};

/// An execution, running or ended.
#[derive(Clone, Debug)]
pub struct Execution {
    aws: Aws,
    arn: String,
}

/// How an execution stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It runs.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed: for a release that rolled back, or was refused, the normal end.
    Failed,
    /// Its machine's or its own time was up.
    TimedOut,
    /// It was stopped.
    Aborted,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How.
    pub status: Status,
    /// The error's name, if it did not succeed.
    pub error: Option<String>,
    /// The error's cause.
    pub cause: Option<String>,
    /// The output, if it succeeded.
    pub output: Option<Value>,
    /// The history's events, oldest first.
    pub events: Vec<Value>,
}

impl Outcome {
    /// The states entered, in order.
    #[must_use]
    pub fn states(&self) -> Vec<String> {
        states(&self.events)
    }
}

/// An execution did not do what was waited for.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The emulator refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// It still runs.
    #[error("{arn} still runs after {seconds} s; its states so far: {}", states.join(", "))]
    StillRunning {
        /// The execution.
        arn: String,
        /// How long it was waited for.
        seconds: u64,
        /// The states it entered.
        states: Vec<String>,
    },
}

impl Execution {
    /// Starts an execution of a machine.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn start(aws: &Aws, machine: &str, name: Option<&str>, input: &Value) -> Result<Self, AwsError> {
        let mut body = json!({"stateMachineArn": machine, "input": input.to_string()});
        if let Some(name) = name {
            body["name"] = name.into();
        }
        let answer = aws.call_json("AWSStepFunctions.StartExecution", &body).await?;
        Ok(Self::of(aws, answer["executionArn"].as_str().unwrap_or_default()))
    }

    /// The execution of this ARN.
    #[must_use]
    pub fn of(aws: &Aws, arn: impl Into<String>) -> Self {
        Self { aws: aws.clone(), arn: arn.into() }
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// How it stands.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn status(&self) -> Result<Status, AwsError> {
        Ok(status(&self.describe().await?))
    }

    /// What it was started with.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn input(&self) -> Result<Value, AwsError> {
        let described = self.describe().await?;
        let text = described["input"].as_str().unwrap_or_default();
        Ok(serde_json::from_str(text).unwrap_or_default())
    }

    /// DescribeExecution's answer.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn describe(&self) -> Result<Value, AwsError> {
        self.aws.call_json("AWSStepFunctions.DescribeExecution", &json!({ "executionArn": self.arn })).await
    }

    /// The events so far, oldest first.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn history(&self) -> Result<Vec<Value>, AwsError> {
        let mut events = Vec::new();
        let mut body = json!({"executionArn": self.arn, "maxResults": 1000});
        loop {
            let mut page = self.aws.call_json("AWSStepFunctions.GetExecutionHistory", &body).await?;
            if let Value::Array(more) = page["events"].take() {
                events.extend(more);
            }
            match page["nextToken"].take() {
                Value::String(token) => body["nextToken"] = token.into(),
                _ => return Ok(events),
            }
        }
    }

    /// The states entered so far, in order.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn states(&self) -> Result<Vec<String>, AwsError> {
        Ok(states(&self.history().await?))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`ExecutionError::StillRunning`] when it has not within `timeout`.
    pub async fn wait(&self, timeout: Duration) -> Result<Outcome, ExecutionError> {
        let started = Instant::now();
        loop {
            let described = self.describe().await?;
            let status = status(&described);
            if status != Status::Running {
                let text = |name: &str| described[name].as_str().map(ToOwned::to_owned);
                return Ok(Outcome {
                    status,
                    error: text("error"),
                    cause: text("cause"),
                    output: text("output").and_then(|output| serde_json::from_str(&output).ok()),
                    events: self.history().await?,
                });
            }
            if started.elapsed() > timeout {
                return Err(ExecutionError::StillRunning {
                    arn: self.arn.clone(),
                    seconds: timeout.as_secs(),
                    states: self.states().await?,
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops it, as an operator would: no Catch runs.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn stop(&self) -> Result<(), AwsError> {
        let body = json!({"executionArn": self.arn, "error": "Stopped", "cause": "stopped in the lab"});
        self.aws.call_json("AWSStepFunctions.StopExecution", &body).await.map(drop)
    }
}

fn status(described: &Value) -> Status {
    match described["status"].as_str() {
        Some("SUCCEEDED") => Status::Succeeded,
        Some("FAILED") => Status::Failed,
        Some("TIMED_OUT") => Status::TimedOut,
        Some("ABORTED") => Status::Aborted,
        _ => Status::Running,
    }
}

fn states(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| event["stateEnteredEventDetails"]["name"].as_str())
        .map(ToOwned::to_owned)
        .collect()
}
