//! Machines with a part taken out, each of which the explorer must notice.

use serde_json::Value;

use crate::machines::{MachineName, Sources};

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

/// Every Catch, every Retry, every time-out and every condition taken out, and every renewal of the lease left out, one at a
/// time.
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
                        arguments.remove("ConditionExpression");
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

fn names(entry: &Value) -> String {
    let names: Vec<&str> = entry["ErrorEquals"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.join(" ")
}

fn remove(source: &mut Value, state: &str, field: &str) {
    if let Some(Value::Object(definition)) = source.pointer_mut(&format!("/States/{state}")) {
        definition.remove(field);
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
