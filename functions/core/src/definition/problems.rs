//! Reading a definition with every problem reported at once.
//!
//! serde stops at the first error. So the reader notes that error with its path, puts a known good value
//! in its place, and reads again until the rest is clean; the values put in are never returned. Then the
//! rules that no single field can break are checked on what the author wrote.

use serde_json::Value;
use thiserror::Error;

use super::{HealthPolicy, ServiceDefinition, Strategy, rules};

/// One thing that is wrong with a definition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Where: a JSON path such as `slots.blue.target_groups[0]`; `$` is the whole document.
    pub path: String,
    /// The value there, shortened, as JSON; empty where nothing is.
    pub value: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}: {}", self.path, self.message)
        } else {
            write!(f, "{}: {}: {}", self.path, self.value, self.message)
        }
    }
}

/// A definition that cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub struct InvalidDefinition {
    /// Every problem found, at least one.
    pub problems: Vec<Problem>,
}

impl std::fmt::Display for InvalidDefinition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.problems.len();
        write!(f, "the service definition has {count} problem{}", if count == 1 { "" } else { "s" })?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

/// The definition that repairs are taken from: one list item and one of each kind of compute is enough.
const WELL_FORMED: &str = include_str!("../../definition/example.json");

/// More problems than this are not looked for.
const MOST_PROBLEMS: usize = 100;

pub(super) fn read(text: &str) -> Result<ServiceDefinition, InvalidDefinition> {
    let written: Value = serde_json::from_str(text).map_err(|error| InvalidDefinition {
        problems: vec![Problem { path: "$".into(), value: String::new(), message: format!("not JSON: {error}") }],
    })?;
    let mut patched = written.clone();
    // By which editors find the schema.
    if let Some(fields) = patched.as_object_mut()
        && fields.get("$schema").is_some_and(Value::is_string)
    {
        fields.remove("$schema");
    }
    let mut problems: Vec<Problem> = Vec::new();
    let mut repaired: Vec<String> = Vec::new();
    let definition = loop {
        match serde_path_to_error::deserialize::<_, ServiceDefinition>(&patched) {
            Ok(definition) => break Some(definition),
            Err(error) if problems.len() < MOST_PROBLEMS => {
                let message = error.inner().to_string();
                let fault = Fault::locate(&patched, error.path(), &message);
                problems.push(fault.problem(&written, &message));
                repaired.push(fault.path());
                if !fault.repair(&mut patched) {
                    break None;
                }
            }
            Err(_) => break None,
        }
    };
    if let Some(definition) = &definition {
        let untouched =
            |p: &Problem| !repaired.iter().any(|r| r == "$" || p.path.starts_with(r) || r.starts_with(&p.path));
        problems.extend(rules::broken(definition, &written).into_iter().filter(untouched));
    }
    match definition {
        Some(definition) if problems.is_empty() => Ok(definition),
        _ => Err(InvalidDefinition { problems }),
    }
}

/// The rules for strategy and health, in a definition that is otherwise the example.
pub(super) fn policy(strategy: &Strategy, health: &HealthPolicy) -> Result<(), InvalidDefinition> {
    let mut definition = read(WELL_FORMED)?;
    definition.strategy = strategy.clone();
    definition.health = health.clone();
    let written = serde_json::to_value(&definition).unwrap_or_default();
    // Alarms live where the routes do, and there are none here.
    let at_home = |problem: &Problem| !(problem.path.starts_with("health.alarms[") && problem.path.ends_with("].arn"));
    let problems: Vec<Problem> = rules::broken(&definition, &written).into_iter().filter(at_home).collect();
    if problems.is_empty() { Ok(()) } else { Err(InvalidDefinition { problems }) }
}

/// Where reading stopped, and why.
struct Fault {
    steps: Vec<Step>,
    kind: FaultKind,
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

enum FaultKind {
    Missing,
    Unknown,
    Invalid,
}

impl Fault {
    fn locate(document: &Value, path: &serde_path_to_error::Path, message: &str) -> Self {
        use serde_path_to_error::Segment;
        let mut steps: Vec<Step> = Vec::new();
        for segment in path {
            match segment {
                Segment::Seq { index } => steps.push(Step::Index(*index)),
                Segment::Map { key } => steps.push(Step::Key(key.clone())),
                Segment::Enum { variant } => steps.push(Step::Key(variant.clone())),
                Segment::Unknown => {}
            }
        }
        // An externally tagged enum is a one-key object: the tag may or may not be in the path, and what
        // is not in the document cannot be where it is wrong.
        while !steps.is_empty() && lookup(document, &steps).is_none() {
            steps.pop();
        }
        let quoted =
            |prefix: &str| message.strip_prefix(prefix).and_then(|rest| rest.split('`').next()).map(String::from);
        if let Some(field) = quoted("missing field `") {
            steps.push(Step::Key(field));
            return Self { steps, kind: FaultKind::Missing };
        }
        if let Some(field) = quoted("unknown field `") {
            if !matches!(steps.last(), Some(Step::Key(last)) if *last == field) {
                steps.push(Step::Key(field));
            }
            return Self { steps, kind: FaultKind::Unknown };
        }
        Self { steps, kind: FaultKind::Invalid }
    }

    fn path(&self) -> String {
        path_text(&self.steps)
    }

    fn problem(&self, written: &Value, message: &str) -> Problem {
        let message = match self.kind {
            FaultKind::Missing => "missing; this field is required".into(),
            FaultKind::Unknown | FaultKind::Invalid => {
                message.replace("expected u32", "expected a whole number from 0")
            }
        };
        Problem { path: self.path(), value: lookup(written, &self.steps).map(shown).unwrap_or_default(), message }
    }

    /// Puts the document right at this place; false if that is not possible.
    fn repair(&self, document: &mut Value) -> bool {
        if let FaultKind::Unknown = self.kind {
            let Some((Step::Key(field), parent)) = self.steps.split_last() else { return false };
            return lookup_mut(document, parent)
                .and_then(Value::as_object_mut)
                .is_some_and(|object| object.remove(field).is_some());
        }
        let good: Value = serde_json::from_str(WELL_FORMED).unwrap_or_default();
        // The example has one of each list: any index stands for its first.
        let model: Vec<Step> = self
            .steps
            .iter()
            .map(|step| if let Step::Index(_) = step { Step::Index(0) } else { step.clone() })
            .collect();
        let replacement = lookup(&good, &model).cloned().or_else(|| fallback(&self.steps));
        let Some(replacement) = replacement else { return false };
        match self.steps.split_last() {
            None => *document = replacement,
            Some((Step::Key(field), parent)) => match lookup_mut(document, parent) {
                Some(Value::Object(object)) => {
                    object.insert(field.clone(), replacement);
                }
                _ => return false,
            },
            Some((Step::Index(index), parent)) => match lookup_mut(document, parent) {
                Some(Value::Array(items)) if *index < items.len() => items[*index] = replacement,
                _ => return false,
            },
        }
        true
    }
}

/// Good values for places that the example does not show.
fn fallback(steps: &[Step]) -> Option<Value> {
    match steps.last()? {
        Step::Key(key) if key == "name" || key == "cluster" || key == "service" || key == "container" => {
            Some("x".into())
        }
        Step::Key(key) if key == "auto_scaling_group" => Some(serde_json::json!({"name": "x"})),
        Step::Key(key) if key == "compute" => Some("external".into()),
        Step::Key(key) if key.ends_with("_seconds") || key == "weight" => Some(1.into()),
        _ => None,
    }
}

fn lookup<'a>(document: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(document, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn lookup_mut<'a>(document: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(document, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn path_text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => {
                use std::fmt::Write as _;
                let _ = write!(text, "[{index}]");
            }
        }
    }
    if text.is_empty() { "$".into() } else { text }
}

/// A value as JSON, short enough for a line.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 120 {
        return text;
    }
    let head: String = text.chars().take(117).collect();
    format!("{head}...")
}

/// The value at a path such as `slots.blue.target_groups[0]`, shown; empty where nothing is.
pub(super) fn shown_at(document: &Value, path: &str) -> String {
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    document.pointer(&pointer).map(shown).unwrap_or_default()
}
