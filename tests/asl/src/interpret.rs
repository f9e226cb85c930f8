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
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:states:us-east-1:000000000000:execution:m:e";

    fn now() -> Timestamp {
        "2026-11-23T05:00:00Z".parse().unwrap()
    }

    /// A machine of these states that starts at `T`; `Done` succeeds with the variable x, `Caught` fails with y.
    fn program(states: &Value) -> Result<Program, String> {
        let mut all = json!({
            "Done": {"Type": "Succeed", "Output": {"x": "{% $x %}"}},
            "Caught": {"Type": "Fail", "Error": "Caught", "Cause": "{% $string($y) %}"},
        });
        all.as_object_mut().unwrap().extend(states.as_object().unwrap().clone());
        let machine = json!({
            "Comment": "", "QueryLanguage": "JSONata", "StartAt": "T", "TimeoutSeconds": 600, "States": all,
        });
        let machine = Machine::parse(&machine.to_string()).map_err(|error| error.to_string())?;
        Program::compile(&machine, "arn:aws:states:us-east-1:000000000000:stateMachine:m")
    }

    /// A Task `T` with these fields besides the usual ones.
    fn task(fields: &Value) -> Value {
        let mut task = json!({
            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 40, "Arguments": {},
            "Assign": {"x": "{% $states.result.x %}"}, "Next": "Done",
        });
        task.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        task
    }

    fn start(program: &Program) -> Execution {
        program.start(ARN, "e", json!({"service": "shop"}), now())
    }

    fn arguments(program: &Program, execution: &Execution) -> Value {
        match program.pending(execution, now()) {
            Pending::Call { arguments, .. } => arguments.unwrap(),
            pending => panic!("{pending:?}"),
        }
    }

    fn failed(error: &str, cause: &str) -> Status {
        Status::Failed { error: error.into(), cause: cause.into() }
    }

    #[test]
    fn retriers_and_catchers_are_the_first_that_match() {
        let retry = json!([
            {"ErrorEquals": ["None"], "MaxAttempts": 0},
            {"ErrorEquals": ["Few"], "MaxAttempts": 2, "IntervalSeconds": 3, "BackoffRate": 1.5},
            {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 4, "MaxDelaySeconds": 5},
            {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1},
        ]);
        let catch = json!([
            {"ErrorEquals": ["Few"], "Next": "Done", "Assign": {"x": "few"}},
            {"ErrorEquals": ["States.ALL"], "Next": "Caught", "Assign": {"y": "{% $states.errorOutput %}"}},
        ]);
        let program = program(&json!({"T": task(&json!({"Retry": retry, "Catch": catch}))})).unwrap();
        let caught = |error: &str| failed("Caught", &format!(r#"{{"Cause":"why","Error":"{error}"}}"#));
        let few = Status::Succeeded { output: json!({"x": "few"}) };
        // Errors, the delays that follow, and the end.
        let cases: [(&[&str], &[u64], Status); 7] = [
            (&["None"], &[], caught("None")),
            (&["Few", "Few", "Few"], &[3, 5], few),
            (&["Other"; 5], &[1, 2, 4, 5], caught("Other")),
            (
                &["Few", "Other", "Few", "Other", "Few"],
                &[3, 1, 5, 2],
                Status::Succeeded { output: json!({"x": "few"}) },
            ),
            (&["States.Timeout", "States.Timeout"], &[1], caught("States.Timeout")),
            (&["States.QueryEvaluationError"; 5], &[1, 2, 4, 5], caught("States.QueryEvaluationError")),
            (&["States.Runtime"; 5], &[1, 2, 4, 5], failed("States.Runtime", "why")),
        ];
        for (errors, delays, expected) in cases {
            let mut execution = start(&program);
            let mut waited = Vec::new();
            for error in errors {
                if let Failed::Retry { after_seconds } = program.fail(&mut execution, error, "why", now()) {
                    waited.push(after_seconds);
                }
            }
            assert_eq!((waited.as_slice(), &execution.status), (delays, &expected), "{errors:?}");
        }
    }

    #[test]
    fn an_assign_without_a_value_is_an_error_after_the_effect() {
        let query = json!([{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}]);
        let catch =
            json!([{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "Done", "Assign": {"x": "caught"}}]);
        let program = program(&json!({"T": task(&json!({"Retry": query, "Catch": catch}))})).unwrap();
        let mut execution = start(&program);
        let retried = program.succeed(&mut execution, json!({}), now());
        assert_eq!(retried, Some(Failed::Retry { after_seconds: 1 }));
        assert_eq!(program.succeed(&mut execution, json!({"y": 1}), now()), Some(Failed::Caught));
        assert_eq!(execution.status, Status::Succeeded { output: json!({"x": "caught"}) });
        // ExecutionStarted, entered, twice (scheduled, started, succeeded, evaluation failed), exited, Done, the end.
        assert_eq!(execution.events, 1 + 1 + 2 * 4 + 1 + 2 + 1);
    }

    #[test]
    fn an_error_that_nothing_can_catch_ends_the_execution() {
        let wait = |seconds: Value| json!({"Type": "Wait", "Seconds": seconds, "Next": "Done"});
        let until = json!({"Type": "Wait", "Timestamp": "{% $x %}", "Next": "Done"});
        let choice =
            json!({"Type": "Choice", "Choices": [{"Condition": "{% $x %}", "Next": "Done"}], "Default": "Done"});
        let fail = json!({"Type": "Fail", "Error": "F", "Cause": "{% $x %}"});
        for (next, x) in [
            (wait("{% $z %}".into()), json!(1)),
            (wait("{% $x %}".into()), json!(1.5)),
            (wait("{% $x %}".into()), json!(-1)),
            (wait("{% $x %}".into()), json!("1")),
            (until.clone(), json!("soon")),
            (until, json!(5)),
            (choice, json!("yes")),
            (fail, json!({})),
        ] {
            let program = program(&json!({"T": task(&json!({"Next": "N"})), "N": next})).unwrap();
            let mut execution = start(&program);
            assert_eq!(program.succeed(&mut execution, json!({"x": x}), now()), None);
            let Status::Failed { error, .. } = &execution.status else { panic!("{next}: {:?}", execution.status) };
            assert_eq!((error.as_str(), &*execution.state), (QUERY_EVALUATION_ERROR, "N"), "{next}");
            assert_eq!(program.pending(&execution, now()), Pending::Ended);
        }
        let catch = json!([{"ErrorEquals": ["States.ALL"], "Next": "Done", "Assign": {"x": "{% $z %}"}}]);
        let program = program(&json!({"T": task(&json!({"Catch": catch}))})).unwrap();
        let mut execution = start(&program);
        assert_eq!(program.fail(&mut execution, "Boom", "", now()), Failed::Ended);
        assert!(matches!(execution.status, Status::Failed { error, .. } if error == QUERY_EVALUATION_ERROR));
    }

    #[test]
    fn choices_are_walked_through_and_variables_change_at_once() {
        let swap = task(&json!({"Assign": {"x": "{% $y %}", "y": "{% $x %}"}, "Next": "C"}));
        let choice = json!({
            "Type": "Choice", "Choices": [{"Condition": "{% $x = 'b' %}", "Next": "Caught"}], "Default": "W",
        });
        let program = program(&json!({
            "T": task(&json!({"Assign": {"x": "a", "y": "b"}, "Next": "U"})), "U": swap, "C": choice,
            "W": {"Type": "Wait", "Seconds": 60, "Assign": {"x": "{% $states.input %}"}, "Next": "Done"},
        }))
        .unwrap();
        let mut execution = start(&program);
        program.succeed(&mut execution, json!({}), now());
        program.succeed(&mut execution, json!({}), now());
        assert_eq!(execution.status, failed("Caught", "a"));
        assert_eq!(execution.variables_size(), json!({"x": "b", "y": "a"}).to_string().len());

        // The Wait's input is what the Task before the Choice put out, and kept for it.
        let mut execution = start(&program);
        program.succeed(&mut execution, json!({}), now());
        assert_eq!(*execution.state_input, Value::Null);
        execution.variables.insert("y".into(), json!("c").into());
        program.succeed(&mut execution, json!({"from": "U"}), now());
        let until = "2026-11-23T05:01:00Z".parse().unwrap();
        assert_eq!(program.pending(&execution, now()), Pending::Wait { until });
        program.waited(&mut execution, until);
        assert_eq!(execution.status, Status::Succeeded { output: json!({"x": {"from": "U"}}) });
        // Two Tasks, a Choice, a Wait and a Succeed.
        assert_eq!(execution.events, 1 + 5 + 5 + 2 + 2 + 2 + 1);
    }

    #[test]
    fn the_context_tells_of_execution_state_retries_and_token() {
        let context = json!({"Arguments": {"all": "{% $states.context %}", "until": "{% $fromMillis($millis() + 1) %}"},
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Retry": [{"ErrorEquals": ["A"], "MaxAttempts": 1}, {"ErrorEquals": ["B"], "MaxAttempts": 1}]});
        let program = program(&json!({"T": task(&context)})).unwrap();
        let mut execution = start(&program);
        let first = arguments(&program, &execution);
        let state = json!({"Name": "T", "EnteredTime": "2026-11-23T05:00:00.000Z", "RetryCount": 0});
        assert_eq!(first["all"]["State"], state);
        assert_eq!(
            first["all"]["Execution"],
            json!({"Id": ARN, "Name": "e", "Input": {"service": "shop"},
            "StartTime": "2026-11-23T05:00:00.000Z", "RedriveCount": 0})
        );
        assert_eq!(first["all"]["StateMachine"]["Name"], "m");
        assert_eq!(first["all"]["Task"]["Token"], execution.token());
        assert_eq!(first["until"], "2026-11-23T05:00:00.001Z");
        assert!(matches!(program.fail(&mut execution, "A", "", now()), Failed::Retry { .. }));
        assert!(matches!(program.fail(&mut execution, "B", "", now()), Failed::Retry { .. }));
        let third = arguments(&program, &execution);
        assert_eq!(third["all"]["State"]["RetryCount"], 2);
        assert_ne!(third["all"]["Task"]["Token"], first["all"]["Task"]["Token"]);
        // ExecutionStarted, entered, twice (scheduled, started, submitted, failed).
        assert_eq!(execution.events, 10);
    }

    #[test]
    fn a_redrive_goes_on_where_it_ended() {
        let retry = json!([{"ErrorEquals": ["Boom"], "MaxAttempts": 1}]);
        let redriven = json!({"redriven": "{% $exists($states.context.Execution.RedriveTime) %}"});
        let program = program(&json!({"T": task(&json!({"Retry": retry, "Arguments": redriven}))})).unwrap();
        let mut execution = start(&program);
        assert!(!program.redrive(&mut execution, now()), "it runs");
        assert_eq!(arguments(&program, &execution), json!({"redriven": false}));
        assert!(matches!(program.fail(&mut execution, "Boom", "", now()), Failed::Retry { .. }));
        assert_eq!(program.fail(&mut execution, "Boom", "", now()), Failed::Ended);
        let later = now() + SignedDuration::from_secs(3600);
        for end in [Execution::abort, Execution::time_out, |_: &mut Execution| {}] {
            let mut execution = execution.clone();
            assert!(program.redrive(&mut execution, later));
            end(&mut execution);
            assert_eq!(execution.has_ended(), program.redrive(&mut execution, later));
            assert_eq!(program.deadline(&execution), later + SignedDuration::from_secs(600));
            assert_eq!(arguments(&program, &execution), json!({"redriven": true}));
            assert!(matches!(program.fail(&mut execution, "Boom", "", later), Failed::Retry { .. }));
            program.succeed(&mut execution, json!({"x": 1}), later);
            assert!(!program.redrive(&mut execution, later), "it has succeeded");
        }
        // A Fail fails again.
        let program = self::program(&json!({"T": {"Type": "Fail", "Error": "F", "Cause": "c"}})).unwrap();
        let mut execution = start(&program);
        assert!(program.redrive(&mut execution, later));
        assert_eq!((&execution.status, execution.events), (&failed("F", "c"), 6));
    }

    #[test]
    fn what_cannot_run_does_not_compile() {
        let choice = |to: &str| json!({"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": to}], "Default": "Done"});
        for (states, expected) in [
            (json!({"T": task(&json!({"Next": "Nowhere"}))}), "T: there is no state Nowhere"),
            (json!({"T": task(&json!({"Arguments": "{% $sum(1) %}"}))}), "T: not in the subset: $sum(1)"),
            (json!({"T": task(&json!({"Resource": "${arn}"}))}), "T: a placeholder is not filled: ${arn}"),
            (json!({"T": choice("U"), "U": choice("T")}), "T: a circle of choices"),
            (json!({"U": task(&json!({}))}), "there is no state T"),
        ] {
            assert_eq!(program(&states).unwrap_err(), expected);
        }
    }
}
