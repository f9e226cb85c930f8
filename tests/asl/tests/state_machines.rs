//! The state machines that ship keep the rules, and the rules can be broken.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spillway_asl::interpret::Program;
use spillway_asl::lint::lint;
use spillway_asl::machine::{Machine, fill};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join("statemachine").join(name)).unwrap()
}

const MACHINES: [&str; 4] = ["release.asl.json", "retire.asl.json", "rollback.asl.json", "guard.asl.json"];

#[test]
fn the_machines_keep_every_rule() {
    for name in MACHINES {
        let machine = Machine::parse(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(lint(&machine), Vec::<String>::new(), "{name}");
    }
}

/// A change to a machine, and what the lint must say about it.
#[test]
fn every_rule_can_be_broken() {
    let cases: [(&str, Value, &str); 13] = [
        ("/States/ShiftWeight/TimeoutSeconds", Value::Null, "ShiftWeight: has no TimeoutSeconds"),
        ("/States/ShiftWeight/TimeoutSeconds", json!(20), "may end before its function"),
        ("/States/ShiftWeight/Retry", Value::Null, "ShiftWeight: has no Retry"),
        ("/States/ShiftWeight/Catch", Value::Null, "ShiftWeight: does not catch States.ALL"),
        ("/States/ShiftWeight/Retry/0/ErrorEquals/0", json!("States.ALL"), "States.ALL does not stand alone"),
        ("/States/ShiftWeight/Retry/0/ErrorEquals/0", json!("Unavailable"), "does not retry Lambda.ServiceException"),
        ("/States/RollBack/Retry/0/JitterStrategy", Value::Null, "retries without full jitter"),
        ("/States/IsReady/Default", json!("Nowhere"), "goes to Nowhere, which does not exist"),
        ("/States/Bake/Next", json!("ShiftWeight"), "ShiftWeight: Bake comes before it and does not renew"),
        ("/States/WhatNext/Choices/0/Condition", json!("{% $count($plan) > 1 %}"), "not in the subset"),
        ("/States/Bake/Seconds", json!("{% $fromMillis($millis() + 1) %}"), "computes where no error can be caught"),
        ("/States/PlanRelease/Assign/record", Value::Null, "uses $record, which some path"),
        ("/States/FreeRolledBack/Next", json!("Promoted"), "succeeds after a rollback"),
    ];
    for (pointer, value, expected) in cases {
        let mut machine: Value = serde_json::from_str(&text("release.asl.json")).unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match machine.pointer_mut(parent).unwrap() {
            Value::Object(object) if value.is_null() => {
                object.remove(field).unwrap();
            }
            Value::Object(object) => {
                object.insert(field.into(), value).unwrap();
            }
            Value::Array(items) => items[field.parse::<usize>().unwrap()] = value,
            _ => panic!("{pointer}"),
        }
        let broken = lint(&Machine::parse(&machine.to_string()).unwrap());
        assert!(broken.iter().any(|rule| rule.contains(expected)), "{pointer}: {broken:?}");
    }
}

/// A machine with something in every placeholder.
fn filled(name: &str) -> Machine {
    let text = text(name);
    let placeholders = text.split("${").skip(1).map(|part| part.split('}').next().unwrap());
    let values =
        placeholders.map(|name| (name.to_owned(), if name.contains("milli") { "60000" } else { name }.to_owned()));
    Machine::parse(&fill(&text, &values.collect()).unwrap()).unwrap()
}

#[test]
fn the_machines_can_be_interpreted() {
    for name in MACHINES {
        Program::compile(&filled(name), name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let unfilled = Machine::parse(&text(name)).unwrap();
        assert!(Program::compile(&unfilled, name).unwrap_err().contains("a placeholder is not filled"));
        assert!(fill(&text(name), &BTreeMap::new()).unwrap_err().starts_with("no value for ${"), "{name}");
    }
}

/// Terraform and the lab fill the same placeholders.
#[test]
fn placeholders_are_the_documented_ones() {
    let mut found = BTreeSet::new();
    for name in MACHINES {
        for part in text(name).split("${").skip(1) {
            found.insert(part.split('}').next().unwrap().to_owned());
        }
    }
    let documented = std::fs::read_to_string(root().join("statemachine/README.md")).unwrap();
    let listed: BTreeSet<String> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `${")?.split('}').next().map(str::to_owned))
        .collect();
    assert_eq!(found, listed);
}

/// Error names are API: one that a machine waits for must be one that a function can give.
#[test]
fn every_error_name_exists_in_the_code() {
    let mut sources = String::new();
    collect(&root().join("functions"), &mut sources);
    // What every error says its name is.
    let names: String = sources
        .split("fn name(&self) -> &'static str {")
        .skip(1)
        .filter_map(|rest| rest.split("\n    }\n").next())
        .collect();
    let mut checked = 0;
    for name in MACHINES {
        let machine = Machine::parse(&text(name)).unwrap();
        for (state, task) in machine.tasks() {
            let waited_for =
                task.retry.iter().flat_map(|r| &r.error_equals).chain(task.catch.iter().flat_map(|c| &c.error_equals));
            for error in waited_for.filter(|error| !error.contains('.')) {
                checked += 1;
                assert!(names.contains(&format!("\"{error}\"")), "{name}, {state}: no function fails with {error}");
            }
        }
    }
    assert!(checked > 10);
}

fn collect(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.components().any(|part| part.as_os_str() == "tests")
        {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
