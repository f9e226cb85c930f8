//! Machines with a part taken out, each of which the explorer must notice.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::{Map, Value};

use crate::ending::Endings;
use crate::machines::{MachineName, Machines, Sources};
use crate::scenario;
use crate::search::explore;
use crate::setting::Setting;

/// A machine with something missing.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The machine.
    pub machine: MachineName,
    /// The state.
    pub state: String,
    /// What is missing.
    pub missing: String,
    /// All machines, this one among them.
    pub sources: Sources,
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}: {}", self.machine.name(), self.state, self.missing)
    }
}

/// Every Catch, every Retry, every time-out, every condition and every part of one taken out, and every renewal of the lease
/// left out, one at a time.
#[must_use]
pub fn all(sources: &Sources) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for (machine, source) in sources {
        for (state, definition) in source["States"].as_object().into_iter().flatten() {
            let mut add = |missing: String, change: &dyn Fn(&mut Value)| {
                let mut sources = sources.clone();
                if let Some(source) = sources.get_mut(machine) {
                    change(source);
                }
                mutants.push(Mutant { machine: *machine, state: state.clone(), missing, sources });
            };
            let path = |field: &str| format!("/States/{state}/{field}");
            for (field, word) in [("Catch", "Catch"), ("Retry", "Retry")] {
                let entries = definition[field].as_array().map_or(0, Vec::len);
                for at in 0..entries {
                    let names = names(&definition[field][at]);
                    // One that forbids what a later one would do.
                    let negative = definition[field][at]["MaxAttempts"] == 0;
                    let word = if negative { "Retry none" } else { word };
                    add(format!("{word} {names}"), &|source| {
                        if let Some(Value::Array(entries)) = source.pointer_mut(&path(field)) {
                            entries.remove(at);
                        }
                    });
                }
            }
            if definition.get("TimeoutSeconds").is_some() {
                add("TimeoutSeconds".into(), &|source| remove(source, state, "TimeoutSeconds"));
            }
            if definition["Arguments"].get("ConditionExpression").is_some() {
                add("condition".into(), &|source| {
                    if let Some(Value::Object(arguments)) = source.pointer_mut(&path("Arguments")) {
                        conditional(arguments, None);
                    }
                });
            }
            let condition = definition["Arguments"]["ConditionExpression"].as_str().unwrap_or_default();
            for (part, rest) in without_a_part(condition) {
                add(format!("condition {part}"), &|source| {
                    if let Some(Value::Object(arguments)) = source.pointer_mut(&path("Arguments")) {
                        conditional(arguments, Some(&rest));
                    }
                });
            }
            if state.starts_with("Renew") {
                let next = definition["Next"].clone();
                add("the renewal itself".into(), &|source| bypass(source, state, &next));
            }
        }
    }
    mutants
}

/// A mutant that leads to more states than this is not explored further.
const ENOUGH: usize = 60_000;

/// A small setting, how it ends with the machines that ship, what it comes to, and after how many states.
struct Known {
    setting: Setting,
    endings: Endings,
    covered: BTreeSet<(MachineName, String)>,
    states: usize,
}

/// Those of these mutants that none of the small settings shows to be mutants, in order.
///
/// # Panics
/// If the machines that ship do not stand the exploration themselves.
#[must_use]
pub fn unnoticed(sources: &Sources, mutants: Vec<Mutant>) -> Vec<String> {
    let machines = Machines::of(sources).expect("they ship");
    let mut known: Vec<Known> = in_parallel(scenario::small(), |setting| {
        let endings = Endings::of(&setting, &machines);
        let found = explore(&setting, &machines, Some(&endings), ENOUGH);
        if let Some(counterexample) = found.counterexample {
            panic!("{}: {counterexample}", setting.name);
        }
        Some(Known { setting, endings, covered: found.covered, states: found.states })
    });
    known.sort_by_key(|known| (known.states, known.setting.name));
    let mut unnoticed = in_parallel(mutants, |mutant| (!is_noticed(&mutant, &known)).then(|| mutant.to_string()));
    unnoticed.sort();
    unnoticed
}

/// The smallest settings that come to its state first.
fn is_noticed(mutant: &Mutant, known: &[Known]) -> bool {
    let Ok(machines) = Machines::of(&mutant.sources) else { return true };
    let place = (mutant.machine, mutant.state.clone());
    let comes_to_it = || known.iter().filter(|known| known.covered.contains(&place));
    let is_missed = |setting: &Setting, endings: &Endings| {
        explore(setting, &machines, Some(endings), ENOUGH).counterexample.is_some()
    };
    // What is missed although nothing goes wrong is missed at once.
    comes_to_it().any(|known| is_missed(&Setting { adversities: 0, ..known.setting.clone() }, &known.endings))
        || comes_to_it().any(|known| is_missed(&known.setting, &known.endings))
}

/// What becomes of these, on two threads.
fn in_parallel<T: Send, R: Send>(items: Vec<T>, each: impl Fn(T) -> Option<R> + Sync) -> Vec<R> {
    let (items, results) = (Mutex::new(items), Mutex::new(Vec::new()));
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).pop();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = next() {
                    let result = each(item);
                    results.lock().unwrap_or_else(PoisonError::into_inner).extend(result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn names(entry: &Value) -> String {
    let names: Vec<&str> = entry["ErrorEquals"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.join(" ")
}

fn remove(source: &mut Value, state: &str, field: &str) {
    if let Some(Value::Object(definition)) = source.pointer_mut(&format!("/States/{state}")) {
        definition.remove(field);
    }
}

/// Each part of a condition that must hold beside others, and what is left without it. An alternative that is taken out asks for
/// more, not for less, and so is none.
fn without_a_part(condition: &str) -> Vec<(String, String)> {
    for sign in [" OR ", " AND "] {
        let parts = split(condition, sign);
        if parts.len() == 1 {
            continue;
        }
        let rest = |at: usize, instead: Option<&str>| {
            let each =
                parts.iter().enumerate().filter_map(|(other, part)| if other == at { instead } else { Some(part) });
            each.collect::<Vec<_>>().join(sign)
        };
        let mut all = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if sign == " AND " {
                all.push(((*part).to_owned(), rest(at, None)));
            }
            let inner = part.strip_prefix('(').and_then(|part| part.strip_suffix(')')).unwrap_or_default();
            let within = without_a_part(inner).into_iter();
            all.extend(within.map(|(part, left)| (part, rest(at, Some(&format!("({left})"))))));
        }
        return all;
    }
    Vec::new()
}

/// The parts of a condition between these signs, but for those in parentheses.
fn split<'a>(condition: &'a str, sign: &str) -> Vec<&'a str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, letter) in condition.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= from && condition[at..].starts_with(sign) => {
                parts.push(&condition[from..at]);
                from = at + sign.len();
            }
            _ => {}
        }
    }
    parts.push(&condition[from..]);
    parts
}

/// Puts another condition or none in the place of the one that is there, and takes out the names and values that nothing uses
/// then: DynamoDB refuses those.
fn conditional(arguments: &mut Map<String, Value>, condition: Option<&str>) {
    arguments.remove("ConditionExpression");
    if let Some(condition) = condition {
        arguments.insert("ConditionExpression".into(), condition.into());
    }
    let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let expressions = format!("{} {}", text("UpdateExpression"), text("ConditionExpression"));
    let words: BTreeSet<&str> = expressions.split(|at: char| !(at.is_alphanumeric() || "_:#".contains(at))).collect();
    for field in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        if let Some(Value::Object(used)) = arguments.get_mut(field) {
            used.retain(|name, _| words.contains(name.as_str()));
            if used.is_empty() {
                arguments.remove(field);
            }
        }
    }
}

/// Leads whatever leads to a state to the one after it.
fn bypass(source: &mut Value, state: &str, next: &Value) {
    fn redirect(value: &mut Value, state: &str, next: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    if matches!(name.as_str(), "Next" | "Default") && field == state {
                        *field = next.clone();
                    } else {
                        redirect(field, state, next);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, state, next)),
            _ => {}
        }
    }
    redirect(source, state, next);
}

#[cfg(test)]
mod tests {
    use super::without_a_part;

    #[test]
    fn conditions_lose_one_part_at_a_time() {
        let parts = |condition| {
            let all = without_a_part(condition).into_iter();
            all.map(|(part, rest)| format!("{part} | {rest}")).collect::<Vec<_>>()
        };
        assert_eq!(parts("a = :a"), Vec::<String>::new());
        assert_eq!(parts("a = :a AND exists(b)"), ["a = :a | exists(b)", "exists(b) | a = :a"]);
        assert_eq!(
            parts("a AND (b OR (c AND d))"),
            ["a | (b OR (c AND d))", "(b OR (c AND d)) | a", "c | a AND (b OR (d))", "d | a AND (b OR (c))",]
        );
    }
}
