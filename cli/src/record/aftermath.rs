//! What other executions did to a release after its own had ended: an undo or a recovery, and its retirement.

use jiff::Timestamp;
use serde_json::Value;
use spillway_aws::executions::{Execution, Status};
use spillway_core::weight::Percent;

use super::Record;
use super::timeline::{Entry, What};
use crate::operator::ending::readable;

impl Record {
    /// Takes in the retirement of the slot that the release, or its undo, left without traffic.
    pub fn add_retirement(&mut self, retirement: &Execution) {
        let output = output(retirement);
        if let Ok(cost) = serde_json::from_value(output["cost"].clone()) {
            (self.cost, self.cost_is_final) = (Some(cost), true);
        }
        let started = |entry: &Entry| entry.what == What::RetirementStarted;
        if !self.timeline.iter().any(started) {
            self.insert(retirement.started, What::RetirementStarted, String::new());
        }
        if let Some((at, ending, why)) = end(retirement, &output) {
            self.insert(at, What::RetirementEnded { ending }, why);
        }
    }

    /// Takes in an undo of the release, or its recovery by the guard: the execution of `PREFIX-rollback`.
    pub fn add_undo(&mut self, undo: &Execution) {
        let output = output(undo);
        let recovery = serde_json::from_str::<Value>(&undo.input).is_ok_and(|input| input["owner"].is_string());
        let whose =
            if recovery { "by the guard: the release's execution had ended before its time" } else { "by an operator" };
        self.insert(undo.started, What::UndoStarted, whose.to_owned());
        if let Some((at, ending, why)) = end(undo, &output) {
            if ending == "RolledBack" {
                self.weight = Percent::ZERO;
            }
            self.undone = ending == "RolledBack";
            self.insert(at, What::UndoEnded { ending }, why);
        }
    }

    fn insert(&mut self, at: Timestamp, what: What, why: String) {
        self.timeline.push(Entry { at, what, why });
        // What is written down to the second began no earlier than what is written down to the millisecond before it.
        self.timeline.sort_by_key(|entry| entry.at);
    }
}

fn output(execution: &Execution) -> Value {
    execution.output.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// When and how an execution ended, and what it said.
fn end(execution: &Execution, output: &Value) -> Option<(Timestamp, String, String)> {
    let ending = match execution.status {
        Status::Running => return None,
        Status::Succeeded => capitals(output["outcome"].as_str().unwrap_or("succeeded")),
        Status::Failed => execution.error.clone().unwrap_or_else(|| "Failed".into()),
        Status::TimedOut => "TimedOut".into(),
        Status::Stopped => "Stopped".into(),
    };
    let cause = execution.cause.as_deref().map(readable).or_else(|| Some(output["reason"].as_str()?.to_owned()));
    Some((execution.stopped.unwrap_or(execution.started), ending, cause.unwrap_or_default()))
}

/// `rolled_back` as the state machines name their endings: `RolledBack`.
fn capitals(outcome: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    outcome.split('_').map(word).collect()
}
