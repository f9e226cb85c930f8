//! What a release leaves behind: the history of its execution, as a record that can be told, drawn and summed up.
//!
//! [`reader`] makes it from events, all at once or as they come; [`file`] has the events of a history in a file;
//! [`timeline`] is what happened, and [`check`] what each look at the metrics saw.

pub mod aftermath;
pub mod check;
mod explanation;
pub mod file;
pub mod reader;
#[cfg(test)]
mod tests;
pub mod timeline;

use jiff::Timestamp;
use serde::Serialize;
use spillway_aws::executions::{Execution, Status, names};
use spillway_core::cost::Cost;
use spillway_core::failure::readable;
use spillway_core::judge::latency::Quantile;
use spillway_core::judge::recording::Minute;
use spillway_core::judge::replay::Policy;
use spillway_core::plan::Plan;
use spillway_core::progress::Progress;
use spillway_core::version::Version;
use spillway_core::weight::Percent;

use check::Checked;
use reader::Reader;
use timeline::{Entry, What};

/// What is known of a release.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The service.
    pub service: String,
    /// The release's name.
    pub release: String,
    /// Its execution's ARN; empty if that is not told.
    pub arn: String,
    /// How its execution stands.
    #[serde(serialize_with = "status_word")]
    pub status: Status,
    /// How it ended, by the name of its ending: `Promoted`, `RolledBack`, `Refused`, …; `Stopped` and `TimedOut` where no
    /// state machine had a say. `None` while it runs.
    pub ending: Option<String>,
    /// What the ending says.
    pub cause: String,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What was to be released, if that can be read.
    pub version: Option<Version>,
    /// The plan; `None` for a release that did not get that far.
    pub plan: Option<Plan>,
    /// The state of the machine that was entered last.
    pub state: String,
    /// How far it has come.
    pub progress: Progress,
    /// The candidate's weight as far as it is known: 0 once all traffic was given back.
    pub weight: Percent,
    /// What happened.
    pub timeline: Vec<Entry>,
    /// The checks.
    pub checks: Vec<Checked>,
    /// The metric periods that the checks have seen, each as the first of them knew it.
    pub minutes: Vec<Minute>,
    /// What the second slot has cost: of the retirement if that is known, or else until the latest check, or the rollback.
    pub cost: Option<Cost>,
    /// Whether that cost is of all the time that two slots ran.
    pub cost_is_final: bool,
    /// Whether an undo, or the guard, has given all traffic back after the release had ended.
    pub undone: bool,
    /// The number of the last event that was read.
    pub seen: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn status_word<S: serde::Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match status {
        Status::Running => "running",
        Status::Succeeded => "succeeded",
        Status::Failed => "failed",
        Status::TimedOut => "timed_out",
        Status::Stopped => "stopped",
    })
}

impl Record {
    /// Of an execution of which nothing is known yet but its ARN, or not even that.
    pub fn begun(arn: &str, started: Timestamp) -> Self {
        Self {
            service: String::new(),
            release: names(arn).map_or(arn, |(_, name)| name).to_owned(),
            arn: arn.to_owned(),
            status: Status::Running,
            ending: None,
            cause: String::new(),
            started,
            ended: None,
            version: None,
            plan: None,
            state: String::new(),
            progress: Progress::default(),
            weight: Percent::ZERO,
            timeline: Vec::new(),
            checks: Vec::new(),
            minutes: Vec::new(),
            cost: None,
            cost_is_final: false,
            undone: false,
            seen: 0,
        }
    }

    /// Of an execution of which no more is known than how it stands.
    pub fn standing(execution: &Execution) -> Self {
        let already = execution.output.as_deref().is_some_and(|output| output.contains("\"already_stable\""));
        let ending = match execution.status {
            Status::Running => None,
            Status::Succeeded if already => Some("AlreadyStable".to_owned()),
            Status::Succeeded => Some("Promoted".to_owned()),
            Status::Failed => Some(execution.error.clone().unwrap_or_else(|| "Failed".to_owned())),
            Status::TimedOut => Some("TimedOut".to_owned()),
            Status::Stopped => Some("Stopped".to_owned()),
        };
        Self {
            status: execution.status,
            ending,
            cause: readable(execution.cause.as_deref().unwrap_or_default()),
            ended: execution.stopped,
            ..Self::begun(&execution.arn, execution.started)
        }
    }

    /// The record of a history in a file.
    ///
    /// # Errors
    /// What is wrong with the file, and what is allowed.
    pub fn from_file(text: &str) -> Result<Self, String> {
        let events = file::events(text)?;
        let Some(first) = events.first() else {
            return Err("there is no event in it; allowed: the history of a release".into());
        };
        let mut reader = Reader::new("", first.at);
        reader.read(&events)?;
        let record = reader.into_record();
        let input = first.input.as_deref().and_then(|input| serde_json::from_str::<serde_json::Value>(input).ok());
        if record.service.is_empty() || input.is_none_or(|input| input.get("version").is_none()) {
            return Err(
                "it is not a release's: its input has no service and version; allowed: the history of a release".into(),
            );
        }
        Ok(record)
    }

    /// The latest that is known of a quantile of a slot's response time, in seconds.
    pub fn latency(&self, quantile: Quantile, candidate: bool) -> Option<f64> {
        let of = |minute: &Minute| {
            if candidate { &minute.candidate } else { &minute.stable }.latency.get(&quantile).copied()
        };
        self.minutes.iter().rev().find_map(of)
    }

    /// The latest check.
    pub fn last_check(&self) -> Option<&Checked> {
        self.checks.last()
    }

    /// Whether users ever reached the candidate.
    pub fn exposed(&self) -> bool {
        self.progress.exposed_at.is_some()
    }

    /// What the release was judged by, for a replay; `None` without a plan.
    pub fn policy(&self) -> Option<Policy> {
        let told = |checked: &Checked| Some(checked.check.evidence.before).filter(|before| before.requests > 0.0);
        Some(Policy { before: self.checks.iter().rev().find_map(told), ..Policy::of(self.plan.as_ref()?) })
    }

    /// Whether the slot without traffic has been scaled down.
    pub fn retired(&self) -> bool {
        let retired = |entry: &Entry| matches!(&entry.what, What::RetirementEnded { ending } if ending == "Retired");
        self.timeline.iter().any(retired)
    }

    /// Errors of the candidate beyond what the stable version's rate would have made of its requests, up to the latest
    /// check; 0 where it has fewer, `None` where there is no check. Without stable traffic, all of them.
    pub fn excess_errors(&self) -> Option<f64> {
        let check = self.last_check()?;
        let (candidate, stable) = (check.candidate(), check.stable());
        let usual = stable.error_rate().or(check.check.evidence.before.error_rate()).unwrap_or(0.0);
        Some((candidate.errors - candidate.requests * usual).max(0.0))
    }
}
