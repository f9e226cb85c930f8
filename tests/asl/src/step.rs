//! The states of a machine with everything parsed, and what those do that are no Task.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::eval::{Scope, Template, Undefined};
use crate::execution::Status;
use crate::machine::{Catcher, Retrier, State};

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    /// Whether `$states.input` matters here or in a Choice or Wait's next.
    pub(crate) reads_input: bool,
    pub(crate) reads_context: bool,
    pub(crate) reads_execution_input: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Task(Task),
    Choice { rules: Vec<(Template, usize)>, default: usize },
    Wait { duration: Duration, assign: Assign, next: usize },
    Succeed { output: Template },
    Fail { error: Template, cause: Template },
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) resource: String,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) arguments: Template,
    pub(crate) assign: Assign,
    pub(crate) retry: Vec<Retrier>,
    pub(crate) catch: Vec<(Catcher, Assign, usize)>,
    pub(crate) next: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Duration {
    Seconds(Template),
    Timestamp(Template),
}

/// Variables and their values.
pub(crate) type Assign = Vec<(String, Template)>;

/// The most seconds that a Wait may have
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html>).
const LONGEST_WAIT: f64 = 99_999_999.0;

/// Where a state that is no Task leads to.
pub(crate) enum Went {
    On(usize),
    Until(Timestamp),
    End(Status),
}

impl Kind {
    pub(crate) fn compile(state: &State, find: &impl Fn(&str) -> Result<usize, String>) -> Result<Self, String> {
        let assigns = |assign: &BTreeMap<String, Value>| -> Result<Assign, String> {
            assign.iter().map(|(name, value)| Ok((name.clone(), Template::compile(value)?))).collect()
        };
        let text = |text: &str| Template::compile(&text.into());
        Ok(match state {
            State::Task(task) => {
                let catch = task
                    .catch
                    .iter()
                    .map(|catcher| Ok::<_, String>((catcher.clone(), assigns(&catcher.assign)?, find(&catcher.next)?)));
                // The resource holds placeholders too.
                text(&task.resource)?;
                Self::Task(Task {
                    resource: task.resource.clone(),
                    timeout_seconds: task.timeout_seconds,
                    arguments: Template::compile(&task.arguments)?,
                    assign: assigns(&task.assign)?,
                    retry: task.retry.clone(),
                    catch: catch.collect::<Result<_, _>>()?,
                    next: find(&task.next)?,
                })
            }
            State::Choice(choice) => {
                let rules =
                    choice.choices.iter().map(|rule| Ok::<_, String>((text(&rule.condition)?, find(&rule.next)?)));
                Self::Choice { rules: rules.collect::<Result<_, _>>()?, default: find(&choice.default)? }
            }
            State::Wait(wait) => {
                let duration = match (&wait.seconds, &wait.timestamp) {
                    (seconds, Value::Null) => Duration::Seconds(Template::compile(seconds)?),
                    (Value::Null, timestamp) => Duration::Timestamp(Template::compile(timestamp)?),
                    _ => return Err("has both Seconds and Timestamp".into()),
                };
                Self::Wait { duration, assign: assigns(&wait.assign)?, next: find(&wait.next)? }
            }
            State::Succeed(succeed) => Self::Succeed { output: Template::compile(&succeed.output)? },
            State::Fail(fail) => Self::Fail { error: text(&fail.error)?, cause: text(&fail.cause)? },
        })
    }

    pub(crate) fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Task(task) => {
                let caught = task.catch.iter().flat_map(|(_, assign, _)| assign);
                [&task.arguments].into_iter().chain(task.assign.iter().chain(caught).map(|(_, value)| value)).collect()
            }
            Self::Choice { rules, .. } => rules.iter().map(|(condition, _)| condition).collect(),
            Self::Wait { duration: Duration::Seconds(value) | Duration::Timestamp(value), assign, .. } => {
                [value].into_iter().chain(assign.iter().map(|(_, value)| value)).collect()
            }
            Self::Succeed { output } => vec![output],
            Self::Fail { error, cause } => vec![error, cause],
        }
    }

    /// The states that get its input as theirs.
    pub(crate) fn passes_to(&self) -> Vec<usize> {
        match self {
            Self::Choice { rules, default } => rules.iter().map(|(_, next)| *next).chain([*default]).collect(),
            Self::Wait { next, .. } => vec![*next],
            Self::Task(_) | Self::Succeed { .. } | Self::Fail { .. } => Vec::new(),
        }
    }

    /// What a state does that is no Task.
    pub(crate) fn go(&self, scope: &Scope<'_>) -> Result<Went, Undefined> {
        let wrong = |field: &str, expected: &str, value: &Value| Undefined {
            expression: field.to_owned(),
            problem: format!("returned an unexpected result type: expected {expected}, but was {value}"),
        };
        let text = |field: &str, template: &Template| match template.evaluate(scope)? {
            Value::String(text) => Ok(text),
            value => Err(wrong(field, "a string", &value)),
        };
        match self {
            Self::Task(_) => unreachable!("a Task rests"),
            Self::Choice { rules, default } => {
                for (condition, next) in rules {
                    match condition.evaluate(scope)? {
                        Value::Bool(true) => return Ok(Went::On(*next)),
                        Value::Bool(false) => {}
                        value => return Err(wrong("Condition", "a boolean", &value)),
                    }
                }
                Ok(Went::On(*default))
            }
            Self::Wait { duration: Duration::Seconds(seconds), .. } => {
                let value = seconds.evaluate(scope)?;
                let seconds =
                    value.as_f64().filter(|seconds| (0.0..=LONGEST_WAIT).contains(seconds) && seconds.fract() == 0.0);
                let seconds = seconds.ok_or_else(|| wrong("Seconds", "a whole number of seconds", &value))?;
                let until = scope.now.checked_add(SignedDuration::from_secs_f64(seconds));
                Ok(Went::Until(until.unwrap_or(Timestamp::MAX)))
            }
            Self::Wait { duration: Duration::Timestamp(timestamp), .. } => {
                let time = text("Timestamp", timestamp)?;
                time.parse().map(Went::Until).map_err(|_| wrong("Timestamp", "a time", &time.into()))
            }
            Self::Succeed { output } => Ok(Went::End(Status::Succeeded { output: output.evaluate(scope)? })),
            Self::Fail { error, cause } => {
                Ok(Went::End(Status::Failed { error: text("Error", error)?, cause: text("Cause", cause)? }))
            }
        }
    }
}

impl Task {
    pub(crate) fn callback(&self) -> bool {
        self.resource.ends_with(".waitForTaskToken")
    }

    /// Scheduled, started, submitted if there is a token, and succeeded, failed or timed out.
    pub(crate) fn events(&self) -> u64 {
        3 + u64::from(self.callback())
    }
}
