//! What other executions did to a release after its own had ended: an undo or a recovery, and its retirement.

use jiff::Timestamp;
use serde_json::Value;
use spillway_aws::executions::{Event, Execution, Status};
use spillway_core::cost::Cost;
use spillway_core::failure::readable;
use spillway_core::weight::Percent;

use super::Record;
use super::timeline::{Entry, What};

impl Record {
    /// Takes in the retirement of the slot that the release, or its undo, left without traffic. What it has said since is in
    /// its latest events, the latest first, which are needed only where it has no output of its own.
    pub fn add_retirement(&mut self, retirement: &Execution, latest: &[Event]) {
        let output = output(retirement);
        let told = serde_json::from_value(output["cost"].clone()).ok();
        self.cost = told.or_else(|| latest.iter().find_map(cost)).or(self.cost);
        let started = |entry: &Entry| entry.what == What::RetirementStarted;
        if !self.timeline.iter().any(started) {
            self.insert(retirement.started, What::RetirementStarted, String::new());
        }
        if let Some((at, ending, why)) = end(retirement, &output, latest) {
            self.cost_is_final = ending == "Retired";
            self.insert(at, What::RetirementEnded { ending }, why);
        }
    }

    /// Takes in an undo of the release, or its recovery by the guard: an execution of `PREFIX-rollback`, with its latest
    /// events, as with a retirement.
    pub fn add_undo(&mut self, undo: &Execution, latest: &[Event]) {
        let output = output(undo);
        let recovery = serde_json::from_str::<Value>(&undo.input).is_ok_and(|input| input["owner"].is_string());
        let whose =
            if recovery { "by the guard: the release's execution had ended before its time" } else { "by an operator" };
        self.insert(undo.started, What::UndoStarted, whose.to_owned());
        if let Some((at, ending, why)) = end(undo, &output, latest) {
            if ending == "RolledBack" {
                self.weight = Percent::ZERO;
                // Several guards may recover it, and all but one find nothing left to do.
                self.undone = true;
            }
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

/// Whether the execution itself says all that there is to know of its end.
pub fn is_told(execution: &Execution) -> bool {
    let output = output(execution);
    output["outcome"].is_string() || execution.status == Status::Running
}

/// The cost that an attempt of a retirement has told.
pub fn cost(event: &Event) -> Option<Cost> {
    let output: Value = serde_json::from_str(event.output.as_deref()?).ok()?;
    serde_json::from_value(output.get("Payload").unwrap_or(&output).get("cost")?.clone()).ok()
}

/// When and how an execution ended, and what it said.
fn end(execution: &Execution, output: &Value, latest: &[Event]) -> Option<(Timestamp, String, String)> {
    let last_state = || latest.iter().find_map(|event| event.state.clone()).unwrap_or_else(|| "Succeeded".into());
    let ending = match execution.status {
        Status::Running => return None,
        Status::Succeeded => output["outcome"].as_str().map_or_else(last_state, capitals),
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
