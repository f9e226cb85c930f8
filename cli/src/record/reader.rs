//! From the events of an execution to its record, all at once or as they come.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use spillway_aws::executions::{Event, Status, names};
use spillway_core::cost::Cost;
use spillway_core::decision::{Check, Command, Decision};
use spillway_core::failure::readable;
use spillway_core::hook::{Call, Point};
use spillway_core::plan::Plan;
use spillway_core::progress::Progress;
use spillway_core::rollback::Standing;
use spillway_core::weight::Percent;

use super::Record;
use super::check::Checked;
use super::timeline::{Entry, What};

/// What a failed condition is called: an expected answer, and no failure.
const CONDITION: &str = "ConditionalCheckFailed";

/// The states of the release machine that are read: those that wait for a lease that another execution holds;
const WAITING: &[&str] = &["Queue", "Supersede", "WaitForLease"];
/// that take the lease;
const ACQUIRING: &[&str] = &["AcquireLease", "AcquireInTurn", "AdoptLease"];
/// that ask a hook;
const HOOKS: &[&str] = &["AskBeforeTraffic", "AskHook", "AskAfterRollback"];
/// that begin a rollback;
const ROLLBACK_BEGINS: &[&str] = &["RollBackPromptly", "RenewForRollBack", "WaitOutLease"];
/// that roll back;
const ROLLBACK: &[&str] = &["RollBackPromptly", "RollBack"];
/// that call people;
const PAGES: &[&str] = &["PageHeld", "PageOperator"];
/// that start the retirement;
const RETIRE: &[&str] = &["RetireStable", "RetireCandidate", "RetireDead"];
/// and that do one thing each.
const TURN: &str = "TakeTurn";
const PLAN: &str = "PlanRelease";
const ATTACH: &str = "AttachCandidate";
const PREPARE: &str = "PrepareCandidate";
const TEST: &str = "OpenTestRoutes";
const SHIFT: &str = "ShiftWeight";
const COMMAND: &str = "RenewForCheck";
const CHECK: &str = "EvaluateHealth";

/// All of them.
#[cfg(test)]
pub const STATES: &[&[&str]] = &[
    WAITING,
    ACQUIRING,
    HOOKS,
    ROLLBACK_BEGINS,
    ROLLBACK,
    PAGES,
    RETIRE,
    &[TURN, PLAN, ATTACH, PREPARE, TEST, SHIFT, COMMAND, CHECK],
];

/// A record in the making.
#[derive(Clone, Debug)]
pub struct Reader {
    record: Record,
    /// The operator's word as it was read last.
    command: Command,
    /// The point of the hook that was asked last.
    asked: Option<Point>,
    /// What the candidate lacked at the last look.
    missing: String,
    /// Why a rollback would begin now.
    failure: String,
    rolling_back: bool,
}

impl Reader {
    /// Of the execution with this ARN, which may be empty if it is to be found in the history.
    pub fn new(arn: &str, started: Timestamp) -> Self {
        Self {
            record: Record::begun(arn, started),
            command: Command::None,
            asked: None,
            missing: String::new(),
            failure: String::new(),
            rolling_back: false,
        }
    }

    /// What has been read so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The same, at the end.
    pub fn into_record(self) -> Record {
        self.record
    }

    /// Reads events, in order; those that were read before are left out.
    ///
    /// # Errors
    /// An answer of a function that this version does not understand.
    pub fn read(&mut self, events: &[Event]) -> Result<(), String> {
        for event in events.iter().filter(|event| event.id > self.record.seen).collect::<Vec<_>>() {
            self.event(event)?;
            self.record.seen = event.id;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        match event.kind.as_str() {
            "ExecutionStarted" => self.started(event),
            "ExecutionRedriven" => {
                (self.record.status, self.record.ended, self.record.ending) = (Status::Running, None, None);
                self.tell(event.at, What::Redriven, "");
            }
            "TaskSucceeded" | "LambdaFunctionSucceeded" => {
                let output: Value =
                    event.output.as_deref().map(serde_json::from_str).transpose().ok().flatten().unwrap_or_default();
                self.answered(event.at, &output)?;
            }
            "TaskFailed"
            | "TaskTimedOut"
            | "TaskStartFailed"
            | "TaskSubmitFailed"
            | "LambdaFunctionFailed"
            | "LambdaFunctionTimedOut"
            | "LambdaFunctionStartFailed"
            | "LambdaFunctionScheduleFailed"
            | "EvaluationFailed" => self.failed(event),
            "ExecutionSucceeded" => self.ended(event, Status::Succeeded),
            "ExecutionFailed" => self.ended(event, Status::Failed),
            "ExecutionTimedOut" => self.ended(event, Status::TimedOut),
            "ExecutionAborted" => self.ended(event, Status::Stopped),
            kind if kind.ends_with("StateEntered") => self.entered(event),
            _ => {}
        }
        Ok(())
    }

    fn tell(&mut self, at: Timestamp, what: What, why: impl Into<String>) {
        self.record.timeline.push(Entry { at, what, why: why.into() });
    }

    fn started(&mut self, event: &Event) {
        let input: Value = event.input.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let record = &mut self.record;
        input["service"].as_str().unwrap_or_default().clone_into(&mut record.service);
        record.version = serde_json::from_value(input["version"].clone()).ok();
        record.started = event.at;
        let why = record.version.as_ref().map(ToString::to_string).unwrap_or_default();
        self.tell(event.at, What::Started, why);
    }

    fn entered(&mut self, event: &Event) {
        let state = event.state.as_deref().unwrap_or_default();
        if WAITING.contains(&state)
            && !matches!(self.record.timeline.last(), Some(Entry { what: What::WaitingForTurn, .. }))
        {
            self.tell(event.at, What::WaitingForTurn, self.missing.clone());
        }
        if ROLLBACK_BEGINS.contains(&state) && !self.rolling_back {
            self.rolling_back = true;
            self.tell(event.at, What::RollingBack, self.failure.clone());
        }
        state.clone_into(&mut self.record.state);
    }

    /// What a task has answered; a function's answer is its payload.
    fn answered(&mut self, at: Timestamp, output: &Value) -> Result<(), String> {
        let answer = output.get("Payload").unwrap_or(output);
        let state = self.record.state.clone();
        match state.as_str() {
            TURN => self.missing = text(answer, "reason"),
            PLAN => self.planned(at, answer)?,
            ATTACH | SHIFT => self.shifted(at, &state, answer)?,
            PREPARE => self.prepared(at, answer),
            TEST => self.tell(at, What::TestRoutesOpened, ""),
            COMMAND => {
                let word = answer.pointer("/Attributes/command/S").cloned().unwrap_or_default();
                self.heard(at, serde_json::from_value(word).unwrap_or_default());
            }
            CHECK => self.checked(at, answer)?,
            state if ACQUIRING.contains(&state) => {
                let owner = answer.pointer("/Attributes/owner/S").and_then(Value::as_str);
                if let Some(owner) = owner.filter(|_| self.record.arn.is_empty()) {
                    owner.clone_into(&mut self.record.arn);
                    names(owner).map_or(owner, |(_, name)| name).clone_into(&mut self.record.release);
                }
            }
            state if HOOKS.contains(&state) => {
                self.tell(at, What::HookAnswered { point: self.asked }, hook_words(answer));
            }
            state if ROLLBACK.contains(&state) => self.gave_back(at, answer),
            state if PAGES.contains(&state) => self.tell(at, What::Paged, ""),
            state if RETIRE.contains(&state) => self.tell(at, What::RetirementStarted, ""),
            _ => {}
        }
        Ok(())
    }

    fn planned(&mut self, at: Timestamp, answer: &Value) -> Result<(), String> {
        let plan: Plan = parsed("the plan", &answer["plan"])?;
        let what = What::Planned {
            strategy: plan.strategy,
            steps: plan.steps.iter().map(|step| step.weight).collect(),
            stable: plan.stable.slot,
            candidate: plan.candidate.slot,
        };
        let warnings = match plan.warnings.len() {
            0 => String::new(),
            1 => "with 1 warning".into(),
            many => format!("with {many} warnings"),
        };
        self.tell(at, what, warnings);
        plan.service.as_str().clone_into(&mut self.record.service);
        self.record.version = Some(plan.version.clone());
        self.record.plan = Some(plan);
        Ok(())
    }

    fn shifted(&mut self, at: Timestamp, state: &str, answer: &Value) -> Result<(), String> {
        let progress: Progress = parsed("the progress of a shift", &answer["progress"])?;
        let (from, to) = (self.record.weight, progress.weight);
        self.record.weight = to;
        self.record.progress = progress;
        let what = if state == ATTACH { What::Attached } else { What::Shifted { from, to } };
        self.tell(at, what, "");
        Ok(())
    }

    fn prepared(&mut self, at: Timestamp, answer: &Value) {
        let reason = text(answer, "reason");
        self.heard(at, serde_json::from_value(answer["command"].clone()).unwrap_or_default());
        match answer["next"].as_str().unwrap_or_default() {
            "shift" | "consume_command" => self.tell(at, What::Prepared, reason),
            next => {
                // The same is missing at many looks.
                if reason != self.missing {
                    self.missing.clone_from(&reason);
                    self.tell(at, What::Preparing, reason);
                }
                if next == "hook" {
                    self.ask(at, &answer["hook"]);
                }
            }
        }
    }

    fn heard(&mut self, at: Timestamp, word: Command) {
        if word != self.command && !matches!(word, Command::None | Command::Unknown) {
            self.tell(at, What::Command { word }, "");
        }
        self.command = word;
    }

    fn ask(&mut self, at: Timestamp, hook: &Value) {
        if let Ok(call) = serde_json::from_value::<Call>(hook.clone()) {
            self.asked = Some(call.payload.point);
            self.tell(at, What::HookAsked { point: call.payload.point }, call.function.as_str());
        }
    }

    fn checked(&mut self, at: Timestamp, answer: &Value) -> Result<(), String> {
        let check: Check = parsed("a check", answer)?;
        let weight = check.progress.weight;
        let (before, after) = (&self.record.progress, &check.progress);
        let changes = [
            (
                before.held_since.is_some(),
                after.held_since.is_some(),
                What::HoldBegan { weight },
                What::HoldEnded { weight },
            ),
            (
                before.waiting_since.is_some(),
                after.waiting_since.is_some(),
                What::WaitBegan { weight },
                What::WaitEnded { weight },
            ),
        ];
        self.tell(at, What::Checked { weight, decision: check.decision }, check.reason.clone());
        for (was, is, begins, ends) in changes {
            match (was, is) {
                (false, true) => self.tell(at, begins, check.reason.clone()),
                (true, false) if check.decision != Decision::RollBack => self.tell(at, ends, ""),
                _ => {}
            }
        }
        if let Some(hook) = &check.hook {
            self.asked = Some(hook.payload.point);
            self.tell(at, What::HookAsked { point: hook.payload.point }, hook.function.as_str());
        }
        let record = &mut self.record;
        let last = record.minutes.last().map(|minute| minute.minute);
        // A check that was repeated tells its minutes again.
        let new = check.evidence.minutes.iter().filter(|minute| last.is_none_or(|last| minute.minute > last));
        record.minutes.extend(new.cloned());
        record.progress = check.progress.clone();
        record.cost = check.cost.or(record.cost);
        self.failure.clone_from(&check.reason);
        record.checks.push(Checked { at, check });
        Ok(())
    }

    fn gave_back(&mut self, at: Timestamp, answer: &Value) {
        let standings: Vec<Standing> = answer["routes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|route| serde_json::from_value(route["standing"].clone()).ok())
            .collect();
        let all = self.record.plan.as_ref().map_or(standings.len(), |plan| plan.routes.len());
        let done = standings.len() == all && standings.iter().all(|standing| standing.is_settled());
        if let Ok(cost) = serde_json::from_value::<Cost>(answer["cost"].clone()) {
            self.record.cost = Some(cost);
        }
        let cause = text(answer, "cause");
        let said = matches!(self.record.timeline.last(), Some(Entry { what: What::GivingBack { done: before }, why, .. }) if *before == done && *why == cause);
        if done {
            self.record.weight = Percent::ZERO;
        }
        if !said {
            self.tell(at, What::GivingBack { done }, cause);
        }
        if answer["next"] == "hook" {
            self.ask(at, &answer["hook"]);
        }
    }

    fn failed(&mut self, event: &Event) {
        let error = event.error.clone().unwrap_or_default();
        if error.contains(CONDITION) {
            return;
        }
        let cause = readable(event.cause.as_deref().unwrap_or_default());
        let why = if cause.is_empty() || cause.starts_with(&error) { cause } else { format!("{error}: {cause}") };
        let why = if why.is_empty() { error } else { why };
        let state = self.record.state.clone();
        if HOOKS.contains(&state.as_str()) {
            self.tell(event.at, What::HookAnswered { point: self.asked }, why);
        } else {
            self.failure.clone_from(&why);
            self.tell(event.at, What::TaskFailed { state }, why);
        }
    }

    fn ended(&mut self, event: &Event, status: Status) {
        let record = &mut self.record;
        (record.status, record.ended) = (status, Some(event.at));
        let ending = match status {
            Status::Running | Status::Succeeded => record.state.clone(),
            Status::Failed => event.error.clone().unwrap_or_else(|| "Failed".into()),
            Status::TimedOut => "TimedOut".into(),
            Status::Stopped => "Stopped".into(),
        };
        let output: Value =
            event.output.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        record.cause = match status {
            // Without an output of its own, what the last check said.
            Status::Succeeded => output["reason"].as_str().unwrap_or(&self.failure).to_owned(),
            _ => readable(event.cause.as_deref().unwrap_or_default()),
        };
        record.cost = serde_json::from_value(output["cost"].clone()).ok().or(record.cost);
        record.ending = Some(ending.clone());
        let cause = record.cause.clone();
        self.tell(event.at, What::Ended { ending }, cause);
    }
}

fn text(answer: &Value, field: &str) -> String {
    answer[field].as_str().unwrap_or_default().to_owned()
}

fn parsed<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, String> {
    T::deserialize(value)
        .map_err(|error| format!("{what}: {error}; allowed: the history of a release of this version of Spillway"))
}

/// A hook's answer as it would be said.
fn hook_words(answer: &Value) -> String {
    match (answer.as_str().or_else(|| answer["result"].as_str()), answer["reason"].as_str()) {
        (Some(result), Some(reason)) => format!("{result}: {reason}"),
        (Some(result), None) => result.to_owned(),
        _ => answer.to_string(),
    }
}
