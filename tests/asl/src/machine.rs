//! The part of the Amazon States Language that Spillway uses.
//!
//! <https://states-language.net/spec.html>, and for JSONata
//! <https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A state machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Machine {
    /// What it is for.
    pub comment: String,
    /// Always JSONata.
    pub query_language: String,
    /// Where it starts.
    pub start_at: String,
    /// Seconds until it is stopped.
    pub timeout_seconds: u64,
    /// The states by name.
    pub states: BTreeMap<String, State>,
}

/// A state. Only the types that Spillway uses exist.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "Type", deny_unknown_fields)]
pub enum State {
    /// Does something, and may fail.
    Task(Task),
    /// Goes one way or another.
    Choice(Choice),
    /// Waits.
    Wait(Wait),
    /// Ends well.
    Succeed(Succeed),
    /// Ends badly.
    Fail(Fail),
}

/// A task.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the language's own fields")]
pub struct Task {
    #[serde(default)]
    pub comment: String,
    pub resource: String,
    pub timeout_seconds: Option<u64>,
    pub arguments: Value,
    #[serde(default)]
    pub assign: BTreeMap<String, Value>,
    #[serde(default)]
    pub retry: Vec<Retrier>,
    #[serde(default)]
    pub catch: Vec<Catcher>,
    pub next: String,
}

/// One way to try again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the language's own fields")]
pub struct Retrier {
    pub error_equals: Vec<String>,
    pub interval_seconds: Option<u64>,
    pub backoff_rate: Option<f64>,
    pub max_attempts: u64,
    pub max_delay_seconds: Option<u64>,
    pub jitter_strategy: Option<String>,
}

/// One way out of an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the language's own fields")]
pub struct Catcher {
    pub error_equals: Vec<String>,
    pub next: String,
    #[serde(default)]
    pub assign: BTreeMap<String, Value>,
}

/// A choice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the language's own fields")]
pub struct Choice {
    #[serde(default)]
    pub comment: String,
    pub choices: Vec<Rule>,
    pub default: String,
}

/// One way of a choice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the language's own fields")]
pub struct Rule {
    pub condition: String,
    pub next: String,
}

/// A wait.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the language's own fields")]
pub struct Wait {
    #[serde(default)]
    pub comment: String,
    #[serde(default)]
    pub seconds: Value,
    #[serde(default)]
    pub timestamp: Value,
    #[serde(default)]
    pub assign: BTreeMap<String, Value>,
    pub next: String,
}

/// A good end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the language's own fields")]
pub struct Succeed {
    #[serde(default)]
    pub comment: String,
    pub output: Value,
}

/// A bad end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the language's own fields")]
pub struct Fail {
    #[serde(default)]
    pub comment: String,
    pub error: String,
    pub cause: String,
}

/// A step from one state to another.
#[derive(Clone, Debug)]
pub struct Transition<'a> {
    /// Where to.
    pub to: &'a str,
    /// What is assigned on the way.
    pub assigns: Vec<&'a str>,
}

impl Machine {
    /// Reads a machine.
    ///
    /// # Errors
    /// What is not part of the language, or not of the part that Spillway uses.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The tasks by name.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &Task)> {
        self.states.iter().filter_map(|(name, state)| match state {
            State::Task(task) => Some((name.as_str(), task)),
            _ => None,
        })
    }
}

/// The text of a machine with every `${name}` replaced by its value.
///
/// # Errors
/// The first name that has no value, or that no `}` ends.
pub fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("${") {
        let (name, after) = from.split_once('}').ok_or("a placeholder does not end")?;
        filled.push_str(before);
        filled.push_str(values.get(name).ok_or_else(|| format!("no value for ${{{name}}}"))?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

impl State {
    /// Every way out.
    #[must_use]
    pub fn transitions(&self) -> Vec<Transition<'_>> {
        match self {
            Self::Task(task) => {
                let mut all =
                    vec![Transition { to: &task.next, assigns: task.assign.keys().map(String::as_str).collect() }];
                all.extend(task.catch.iter().map(|catcher| Transition {
                    to: &catcher.next,
                    assigns: catcher.assign.keys().map(String::as_str).collect(),
                }));
                all
            }
            Self::Choice(choice) => choice
                .choices
                .iter()
                .map(|rule| rule.next.as_str())
                .chain([choice.default.as_str()])
                .map(|to| Transition { to, assigns: Vec::new() })
                .collect(),
            Self::Wait(wait) => {
                vec![Transition { to: &wait.next, assigns: wait.assign.keys().map(String::as_str).collect() }]
            }
            Self::Succeed(_) | Self::Fail(_) => Vec::new(),
        }
    }
}
