//! An execution of a state machine, as plain data.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::eval::{Undefined, Variables};

/// The error of an expression without a value.
pub const QUERY_EVALUATION_ERROR: &str = "States.QueryEvaluationError";

/// An execution: everything that decides how it goes on.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Execution {
    /// Its ARN.
    pub arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// What it was started with.
    pub input: Arc<Value>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it was last redriven.
    pub redriven_at: Option<Timestamp>,
    /// How often it was redriven.
    pub redrives: u64,
    /// The state that it is at, or ended at.
    pub state: Arc<str>,
    /// `$states.input` there: what the state before put out. `null` if nothing from here on reads it before it changes,
    /// so that executions are equal that go on alike.
    pub state_input: Arc<Value>,
    /// When it entered the state.
    pub entered_at: Timestamp,
    /// When a Wait is over.
    pub wait_until: Option<Timestamp>,
    /// What was assigned.
    pub variables: Variables,
    /// How often each of the state's retriers has retried.
    pub retries: Vec<u64>,
    /// How it stands.
    pub status: Status,
    /// Events of its history, of which AWS allows 25 000. A call under way counts once it has ended.
    pub events: u64,
}

/// How an execution stands.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Status {
    /// It rests at a Task or a Wait.
    Running,
    /// It came to a Succeed.
    Succeeded {
        /// What it put out.
        output: Value,
    },
    /// It came to a Fail, or to an error that nothing caught.
    Failed {
        /// The error's name.
        error: String,
        /// What it says.
        cause: String,
    },
    /// It was stopped: no Catch ran.
    Aborted,
    /// Its machine's time was up: no Catch ran.
    TimedOut,
}

impl Execution {
    /// Stops it, as an operator would: no Catch runs. Nothing happens if it has ended.
    pub fn abort(&mut self) {
        if self.status == Status::Running {
            self.end(Status::Aborted);
        }
    }

    /// Its time is up ([`crate::interpret::Program::deadline`]): no Catch runs. Nothing happens if it has ended.
    pub fn time_out(&mut self) {
        if self.status == Status::Running {
            self.end(Status::TimedOut);
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.status != Status::Running
    }

    /// A variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name).map(|value| &**value)
    }

    /// The task token of the attempt under way, if it has one.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{}#{}", self.arn, self.events)
    }

    /// The size of the variables as one JSON object, in bytes.
    #[must_use]
    pub fn variables_size(&self) -> usize {
        // Each with quotes, colon and comma; of two braces and one comma less.
        1 + self.variables.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>().max(1)
    }

    pub(crate) fn end(&mut self, status: Status) {
        self.events += 1;
        self.status = status;
    }

    pub(crate) fn end_undefined(&mut self, undefined: &Undefined) {
        self.events += 1;
        self.end(Status::Failed { error: QUERY_EVALUATION_ERROR.to_owned(), cause: undefined.to_string() });
    }
}

fn size(value: &Value) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Counting cannot fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}
