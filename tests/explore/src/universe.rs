//! Everything at one moment: the cloud, the leases, the executions, and invocations that nobody waits for any more.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use spillway_asl::interpret::{Execution, Status};
use spillway_asl::items::Items;

use crate::cloud::Cloud;
use crate::machines::MachineName;
use crate::script::Answer;

/// A moment.
#[derive(Clone, Debug)]
pub struct Universe {
    /// The time.
    pub now: Timestamp,
    /// What the functions see and change.
    pub cloud: Cloud,
    /// The lease table.
    pub table: Items,
    /// All executions, in the order of their start.
    pub executions: Vec<Arc<Process>>,
    /// Invocations that have outlived their task or their execution.
    pub outliving: Vec<Arc<Invocation>>,
    /// What has gone wrong so far.
    pub adversities: Adversities,
    /// How many of the setting's fates have been fulfilled.
    pub fated: u8,
    /// How often an operator has approved.
    pub approved: u8,
    /// Who has called people, and where: machines and states.
    pub pages: BTreeSet<String>,
}

/// An execution, and what it waits for besides its state.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its machine.
    pub machine: MachineName,
    /// The execution.
    pub execution: Execution,
    /// It does nothing before: a retry's delay, or a call that hangs.
    pub ready_at: Timestamp,
    /// What it hangs in, if it does.
    pub hangs: Option<Hang>,
    /// Whether a guard has heard of its end.
    pub told: bool,
}

/// A call that does not answer.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Hang {
    /// Until its task's time is up.
    Silence,
    /// Until someone sends this token, or its task's time is up.
    Token(String),
}

/// An invocation that was stopped half-way, and may go on until its function's time is up.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The function.
    pub function: &'static str,
    /// Its event.
    pub event: Arc<Value>,
    /// The answers that it had.
    pub had: Vec<Answer>,
    /// When it began.
    pub started: Timestamp,
    /// When it ends at the latest.
    pub deadline: Timestamp,
}

/// What has gone wrong so far.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Adversities {
    /// How many things.
    pub count: u8,
    /// Whether one of them may change how a release ends: anything but a call that fails once.
    pub grave: bool,
    /// Whether the second execution has come.
    pub second: bool,
}

impl Adversities {
    /// Whether nothing has happened that may change how a release ends: at most one call that failed once.
    #[must_use]
    pub fn are_slight(self) -> bool {
        self.count <= 1 && !self.grave
    }
}

impl Process {
    /// Whether its next step can be taken now.
    #[must_use]
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.execution.status == Status::Running
            && self.hangs.is_none()
            && self.ready_at <= now
            && self.execution.wait_until.is_none_or(|until| until <= now)
    }

    /// Whether it waits: in a Wait, or for an answer.
    #[must_use]
    pub fn is_waiting(&self, now: Timestamp) -> bool {
        let waits = self.hangs.is_some() || self.execution.wait_until.is_some_and(|until| until > now);
        self.execution.status == Status::Running && waits
    }

    /// When something happens to it by itself.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        (self.execution.status == Status::Running)
            .then(|| self.ready_at.max(self.execution.wait_until.unwrap_or(self.ready_at)))
    }
}

impl Universe {
    /// The lease's attribute, as text.
    #[must_use]
    pub fn lease(&self, attribute: &str) -> Option<&str> {
        let value = self.table.get("shop")?.get(attribute)?;
        value["S"].as_str().or(value["N"].as_str())
    }

    /// The execution of this ARN.
    #[must_use]
    pub fn process(&self, arn: &str) -> Option<&Process> {
        self.executions.iter().map(|process| &**process).find(|process| &*process.execution.arn == arn)
    }

    /// Whether the lease is held by an execution that has ended, or never was.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        let dead = |owner| self.process(owner).is_none_or(|process| process.execution.has_ended());
        self.lease("owner").is_some_and(dead)
    }

    /// Equal for moments from which everything goes on alike. Times are told from now, since only their distance counts.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut state = DefaultHasher::new();
        let away = |time: Timestamp| time.duration_since(self.now).as_millis();
        self.cloud.fingerprint(self.now, &mut state);
        for (key, item) in &self.table.items {
            key.hash(&mut state);
            for (attribute, value) in item.iter() {
                attribute.hash(&mut state);
                hash(value, self.now, &mut state);
            }
        }
        for process in &self.executions {
            let Execution { arn, state: at, status, variables, retries, redriven_at, redrives, state_input, .. } =
                &process.execution;
            (arn, at, retries, redriven_at.is_some(), redrives).hash(&mut state);
            away(process.execution.started_at).hash(&mut state);
            process.told.hash(&mut state);
            match status {
                Status::Running => {}
                Status::Succeeded { .. } => {
                    // Nothing becomes of it any more.
                    "succeeded".hash(&mut state);
                    continue;
                }
                Status::Failed { error, .. } => error.hash(&mut state),
                Status::Aborted | Status::TimedOut => "stopped".hash(&mut state),
            }
            process.execution.wait_until.map(away).hash(&mut state);
            (away(process.ready_at).max(0), &process.hangs).hash(&mut state);
            hash(state_input, self.now, &mut state);
            for (name, value) in variables {
                name.hash(&mut state);
                hash(value, self.now, &mut state);
            }
        }
        for invocation in &self.outliving {
            (invocation.function, &invocation.had, away(invocation.deadline)).hash(&mut state);
            hash(&invocation.event, self.now, &mut state);
        }
        self.adversities.hash(&mut state);
        (self.fated, self.approved).hash(&mut state);
        self.pages.hash(&mut state);
        state.finish()
    }
}

fn hash(value: &Value, now: Timestamp, state: &mut impl Hasher) {
    match value {
        Value::Null => 0.hash(state),
        Value::Bool(flag) => flag.hash(state),
        Value::Number(number) => number.hash(state),
        Value::String(text) => match time(text) {
            Some(time) => time.duration_since(now).as_millis().hash(state),
            None => text.hash(state),
        },
        Value::Array(items) => {
            items.len().hash(state);
            for item in items {
                hash(item, now, state);
            }
        }
        Value::Object(fields) => {
            fields.len().hash(state);
            for (name, item) in fields {
                name.hash(state);
                hash(item, now, state);
            }
        }
    }
}

/// The time that a text tells, if it tells one.
fn time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let looks = (20..=30).contains(&bytes.len()) && bytes[4] == b'-' && bytes[10] == b'T' && bytes.ends_with(b"Z");
    if looks { text.parse().ok() } else { None }
}
