//! Machines that run, one event at a time.
//!
//! A [`Program`] is a machine with everything parsed; an [`Execution`] is plain data. An execution that runs rests at a
//! Task or a Wait, and its caller says how that went. There is no clock and no chance: times are given, and the
//! delay before a retry is the longest that its jitter allows.
//!
//! ```
//! use spillway_asl::interpret::{Pending, Program, Status};
//! use spillway_asl::machine::Machine;
//!
//! let machine = Machine::parse(r#"{"Comment": "", "QueryLanguage": "JSONata", "StartAt": "Ask", "TimeoutSeconds": 60,
//!     "States": {
//!         "Ask": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 5,
//!                 "Arguments": {"Payload": "{% $states.input.question %}"},
//!                 "Assign": {"answer": "{% $states.result.Payload %}"}, "Next": "Done"},
//!         "Done": {"Type": "Succeed", "Output": "{% $answer %}"}}}"#)?;
//! let program = Program::compile(&machine, "arn:aws:states:us-east-1:000000000000:stateMachine:asks")?;
//! let now = "2026-11-23T05:00:00Z".parse()?;
//! let mut execution = program.start("arn:…:execution:asks:1", "1", serde_json::json!({"question": 6}), now);
//! let Pending::Call { arguments, .. } = program.pending(&execution, now) else { panic!() };
//! assert_eq!(arguments?, serde_json::json!({"Payload": 6}));
//! program.succeed(&mut execution, serde_json::json!({"Payload": 42}), now);
//! assert_eq!(execution.status, Status::Succeeded { output: 42.into() });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::eval::{Scope, States, Template, Undefined, Variables, timestamp};
pub use crate::execution::{Execution, QUERY_EVALUATION_ERROR, Status};
use crate::machine::{Machine, Retrier};
use crate::step::{Assign, Kind, Step, Task, Went};

/// The error of a Task that took longer than its `TimeoutSeconds`.
pub const TIMEOUT: &str = "States.Timeout";
/// What `States.ALL` does not match.
const BEYOND_ALL: [&str; 2] = ["States.DataLimitExceeded", "States.Runtime"];

/// What an execution rests at.
#[derive(Clone, Debug, PartialEq)]
pub enum Pending<'a> {
    /// A Task.
    Call {
        /// The resource's ARN, with any `.waitForTaskToken`.
        resource: &'a str,
        /// What it is called with. If they have no value, nothing is called: [`Program::fail`] with
        /// [`QUERY_EVALUATION_ERROR`] is what follows.
        arguments: Result<Value, Undefined>,
        /// After how many seconds [`TIMEOUT`] follows.
        timeout_seconds: Option<u64>,
        /// Whether the answer comes with a task token.
        callback: bool,
    },
    /// A Wait.
    Wait {
        /// When it is over; may be in the past.
        until: Timestamp,
    },
    /// Nothing: it has ended.
    Ended,
}

/// Where an error led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Failed {
    /// To the same Task once more.
    Retry {
        /// After so many seconds.
        after_seconds: u64,
    },
    /// To where a Catch leads; which may be the end.
    Caught,
    /// To the end.
    Ended,
}

/// A machine, ready to run.
#[derive(Clone, Debug)]
pub struct Program {
    arn: String,
    timeout: SignedDuration,
    start: usize,
    steps: Vec<Step>,
    at: BTreeMap<Arc<str>, usize>,
}

/// What `$states` has besides input and context.
#[derive(Clone, Copy, Default)]
struct Given<'a> {
    result: Option<&'a Value>,
    error_output: Option<&'a Value>,
    token: Option<&'a str>,
}

impl Program {
    /// Makes a machine ready to run; its `arn` is what the context object says. Placeholders must be filled
    /// ([`crate::machine::fill`]).
    ///
    /// # Errors
    /// The first state with an expression that is not in the subset, or a transition to nowhere or in a circle of choices.
    pub fn compile(machine: &Machine, arn: &str) -> Result<Self, String> {
        let at: BTreeMap<Arc<str>, usize> =
            machine.states.keys().enumerate().map(|(index, name)| (name.as_str().into(), index)).collect();
        let find = |name: &str| at.get(name).copied().ok_or_else(|| format!("there is no state {name}"));
        let mut steps = Vec::new();
        for (name, state) in &machine.states {
            let kind = Kind::compile(state, &find).map_err(|error| format!("{name}: {error}"))?;
            let reads = |fields: &[&str]| kind.templates().into_iter().any(|template| template.reads(fields));
            steps.push(Step {
                name: name.as_str().into(),
                reads_input: reads(&["input"]),
                reads_context: reads(&["context"]),
                reads_execution_input: reads(&["context", "Execution", "Input"]),
                kind,
            });
        }
        // As often as there are states: no way is longer.
        for _ in 0..steps.len() {
            for index in 0..steps.len() {
                steps[index].reads_input |= steps[index].kind.passes_to().iter().any(|next| steps[*next].reads_input);
            }
        }
        let program = Self {
            arn: arn.to_owned(),
            timeout: SignedDuration::from_secs(i64::try_from(machine.timeout_seconds).map_err(|_| "TimeoutSeconds")?),
            start: find(&machine.start_at)?,
            steps,
            at,
        };
        program.refuse_circles()?;
        Ok(program)
    }

    /// Choices change nothing: a circle of them has no end.
    fn refuse_circles(&self) -> Result<(), String> {
        let leads_to = |index: usize| match &self.steps[index].kind {
            Kind::Choice { rules, default } => rules.iter().map(|(_, next)| *next).chain([*default]).collect(),
            _ => Vec::new(),
        };
        for first in 0..self.steps.len() {
            let (mut seen, mut open) = (Vec::new(), leads_to(first));
            while let Some(index) = open.pop() {
                if index == first {
                    return Err(format!("{}: a circle of choices", self.steps[first].name));
                }
                if !seen.contains(&index) {
                    seen.push(index);
                    open.extend(leads_to(index));
                }
            }
        }
        Ok(())
    }

    /// Starts an execution, and goes on to the first Task or Wait.
    #[must_use]
    pub fn start(&self, arn: &str, name: &str, input: Value, now: Timestamp) -> Execution {
        let input = Arc::new(input);
        let mut execution = Execution {
            arn: arn.into(),
            name: name.into(),
            input: input.clone(),
            started_at: now,
            redriven_at: None,
            redrives: 0,
            state: self.steps[self.start].name.clone(),
            state_input: input.clone(),
            entered_at: now,
            wait_until: None,
            variables: Variables::new(),
            retries: Vec::new(),
            status: Status::Running,
            events: 1,
        };
        self.enter(&mut execution, self.start, &input, now);
        execution
    }

    /// What an execution rests at.
    #[must_use]
    pub fn pending(&self, execution: &Execution, now: Timestamp) -> Pending<'_> {
        let step = self.step(execution);
        match (&execution.status, &step.kind, execution.wait_until) {
            (Status::Running, Kind::Task(task), _) => {
                let callback = task.callback();
                let token = callback.then(|| execution.token());
                let given = Given { token: token.as_deref(), ..Given::default() };
                Pending::Call {
                    resource: &task.resource,
                    arguments: evaluate(execution, step, self, given, now, |scope| task.arguments.evaluate(scope)),
                    timeout_seconds: task.timeout_seconds,
                    callback,
                }
            }
            (Status::Running, _, Some(until)) => Pending::Wait { until },
            _ => Pending::Ended,
        }
    }

    /// The Task has succeeded: assigns, and goes on. An `Assign` without a value is an error of the Task, although its
    /// effect has happened: then where that error led to.
    ///
    /// # Panics
    /// If the execution does not rest at a Task.
    pub fn succeed(&self, execution: &mut Execution, result: Value, now: Timestamp) -> Option<Failed> {
        let task = self.task(execution);
        execution.events += task.events();
        let given = Given { result: Some(&result), ..Given::default() };
        match self.assign(execution, &task.assign, given, now) {
            Ok(()) => {
                execution.events += 1;
                self.enter(execution, task.next, &Arc::new(result), now);
                None
            }
            Err(undefined) => {
                execution.events += 1;
                Some(self.failed(execution, task, QUERY_EVALUATION_ERROR, &undefined.to_string(), now))
            }
        }
    }

    /// The Task has failed: its Retry and Catch decide.
    ///
    /// # Panics
    /// If the execution does not rest at a Task.
    pub fn fail(&self, execution: &mut Execution, error: &str, cause: &str, now: Timestamp) -> Failed {
        let task = self.task(execution);
        // Arguments without a value are not scheduled: the one event is EvaluationFailed.
        execution.events += if error == QUERY_EVALUATION_ERROR { 1 } else { task.events() };
        self.failed(execution, task, error, cause, now)
    }

    fn failed(&self, execution: &mut Execution, task: &Task, error: &str, cause: &str, now: Timestamp) -> Failed {
        // The first that matches, even if it retries no more.
        if let Some(index) = task.retry.iter().position(|retrier| matches(&retrier.error_equals, error)) {
            let (retrier, retries) = (&task.retry[index], &mut execution.retries[index]);
            if *retries < retrier.max_attempts {
                let after_seconds = delay(retrier, *retries);
                *retries += 1;
                return Failed::Retry { after_seconds };
            }
        }
        let Some((_, assign, next)) = task.catch.iter().find(|(catcher, ..)| matches(&catcher.error_equals, error))
        else {
            execution.end(Status::Failed { error: error.to_owned(), cause: cause.to_owned() });
            return Failed::Ended;
        };
        let error_output = json!({"Error": error, "Cause": cause});
        let given = Given { error_output: Some(&error_output), ..Given::default() };
        if let Err(undefined) = self.assign(execution, assign, given, now) {
            execution.end_undefined(&undefined);
            return Failed::Ended;
        }
        execution.events += 1;
        self.enter(execution, *next, &Arc::new(error_output), now);
        Failed::Caught
    }

    /// The Wait is over: assigns, and goes on.
    ///
    /// # Panics
    /// If the execution does not rest at a Wait.
    pub fn waited(&self, execution: &mut Execution, now: Timestamp) {
        let Kind::Wait { assign, next, .. } = &self.step(execution).kind else {
            panic!("{} is not a Wait", execution.state)
        };
        assert_eq!(execution.status, Status::Running, "{} has ended", execution.arn);
        match self.assign(execution, assign, Given::default(), now) {
            Ok(()) => {
                execution.events += 1;
                let input = execution.state_input.clone();
                self.enter(execution, *next, &input, now);
            }
            Err(undefined) => execution.end_undefined(&undefined),
        }
    }

    /// Lets an execution that failed, timed out or was stopped go on at the state where it ended, with all retries
    /// (<https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html>): a Task is called again, a Choice
    /// chooses again, a Wait waits again, a Fail fails again. `false`, and nothing happens, if it runs or has succeeded.
    pub fn redrive(&self, execution: &mut Execution, now: Timestamp) -> bool {
        if matches!(execution.status, Status::Running | Status::Succeeded { .. }) {
            return false;
        }
        execution.status = Status::Running;
        execution.redriven_at = Some(now);
        execution.redrives += 1;
        execution.events += 1;
        let index = self.at[&execution.state];
        if let Kind::Task(task) = &self.steps[index].kind {
            execution.retries = vec![0; task.retry.len()];
        } else {
            let input = execution.state_input.clone();
            self.enter(execution, index, &input, now);
        }
        true
    }

    /// When the machine's time is up for an execution; a redrive gives it all its time again.
    #[must_use]
    pub fn deadline(&self, execution: &Execution) -> Timestamp {
        let since = execution.redriven_at.unwrap_or(execution.started_at);
        since.checked_add(self.timeout).unwrap_or(Timestamp::MAX)
    }

    fn step(&self, execution: &Execution) -> &Step {
        &self.steps[self.at[&execution.state]]
    }

    fn task(&self, execution: &Execution) -> &Task {
        assert_eq!(execution.status, Status::Running, "{} has ended", execution.arn);
        match &self.step(execution).kind {
            Kind::Task(task) => task,
            _ => panic!("{} is not a Task", execution.state),
        }
    }

    /// Every expression sees the variables as they were before.
    fn assign(
        &self,
        execution: &mut Execution,
        assign: &Assign,
        given: Given<'_>,
        now: Timestamp,
    ) -> Result<(), Undefined> {
        if assign.is_empty() {
            return Ok(());
        }
        let values = evaluate(execution, self.step(execution), self, given, now, |scope| {
            let value = |(name, template): &(String, Template)| Ok((name.clone(), Arc::new(template.evaluate(scope)?)));
            assign.iter().map(value).collect::<Result<Vec<_>, Undefined>>()
        })?;
        execution.variables.extend(values);
        Ok(())
    }

    /// Goes to a state, and through any Choice, to a Task, a Wait or the end.
    fn enter(&self, execution: &mut Execution, mut index: usize, input: &Arc<Value>, now: Timestamp) {
        execution.entered_at = now;
        execution.wait_until = None;
        execution.retries.clear();
        loop {
            let step = &self.steps[index];
            execution.state = step.name.clone();
            execution.events += 1;
            execution.state_input = if step.reads_input { input.clone() } else { Arc::new(Value::Null) };
            let went = match &step.kind {
                Kind::Task(task) => {
                    execution.retries.resize(task.retry.len(), 0);
                    return;
                }
                kind => evaluate(execution, step, self, Given::default(), now, |scope| kind.go(scope)),
            };
            match went {
                Ok(Went::On(next)) => {
                    execution.events += 1;
                    index = next;
                }
                Ok(Went::Until(until)) => {
                    execution.wait_until = Some(until);
                    return;
                }
                Ok(Went::End(status)) => {
                    // A Fail is not exited.
                    execution.events += u64::from(matches!(status, Status::Succeeded { .. }));
                    return execution.end(status);
                }
                Err(undefined) => return execution.end_undefined(&undefined),
            }
        }
    }
}

/// Evaluates in the scope of an execution's state. The context object is made only of what the state reads.
fn evaluate<T>(
    execution: &Execution,
    step: &Step,
    program: &Program,
    given: Given<'_>,
    now: Timestamp,
    evaluate: impl FnOnce(&Scope<'_>) -> Result<T, Undefined>,
) -> Result<T, Undefined> {
    let context = if step.reads_context { context(execution, step, program, given.token) } else { Value::Null };
    let states = States {
        input: &execution.state_input,
        result: given.result,
        error_output: given.error_output,
        context: &context,
    };
    evaluate(&Scope { variables: &execution.variables, states, now })
}

/// <https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html>
fn context(execution: &Execution, step: &Step, program: &Program, token: Option<&str>) -> Value {
    let mut context = json!({
        "Execution": {
            "Id": *execution.arn,
            "Name": *execution.name,
            "StartTime": timestamp(execution.started_at),
            "RedriveCount": execution.redrives,
        },
        "State": {
            "Name": *execution.state,
            "EnteredTime": timestamp(execution.entered_at),
            "RetryCount": execution.retries.iter().sum::<u64>(),
        },
        "StateMachine": {"Id": program.arn, "Name": program.arn.rsplit(':').next()},
    });
    if step.reads_execution_input {
        context["Execution"]["Input"] = (*execution.input).clone();
    }
    if let Some(time) = execution.redriven_at {
        context["Execution"]["RedriveTime"] = timestamp(time).into();
    }
    if let Some(token) = token {
        context["Task"] = json!({ "Token": token });
    }
    context
}

/// Whether an error is one of these names
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html>).
#[must_use]
pub fn matches(names: &[String], error: &str) -> bool {
    names.iter().any(|name| match name.as_str() {
        "States.ALL" => !BEYOND_ALL.contains(&error),
        "States.TaskFailed" => error != TIMEOUT,
        name => name == error,
    })
}

/// Seconds before the next attempt, when so many retries have been made; rounded up.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts from f64 saturate")]
fn delay(retrier: &Retrier, retries: u64) -> u64 {
    let rate = retrier.backoff_rate.unwrap_or(2.0).powf(retries as f64);
    let seconds = (retrier.interval_seconds.unwrap_or(1) as f64 * rate).ceil() as u64;
    seconds.min(retrier.max_delay_seconds.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
