//! The runbook has every page and every alarm, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use spillway_docs::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of the objects in a local value of Terraform: `name = {`, one level below it.
fn keys(text: &str, value: &str) -> Vec<String> {
    let (_, rest) = text.split_once(&format!("\n  {value} = {{\n")).unwrap_or_else(|| panic!("there is no {value}"));
    let (inside, _) = rest.split_once("\n  }").unwrap();
    let key = |line: &str| Some(line.strip_prefix("    ")?.strip_suffix(" = {")?.to_owned());
    inside.lines().filter_map(key).filter(|key| !key.starts_with(' ')).collect()
}

/// Every file of Terraform below a directory.
fn terraform(directory: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            terraform(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "tf") {
            into.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The alarms of an installation `spillway` with a service `checkout`.
fn alarms() -> BTreeSet<String> {
    let engine = keys(&read("infra/modules/engine/pages.tf"), "alarms");
    let service = keys(&read("infra/modules/service/alarms.tf"), "alarm_queries");
    assert!(engine.len() > 5 && service.len() > 2, "{engine:?} {service:?}");
    let mut found: BTreeSet<String> =
        engine.iter().map(|name| format!("spillway-{}", name.replace('_', "-"))).collect();
    found.extend(service.iter().map(|name| format!("spillway-checkout-{name}")));
    let mut files = Vec::new();
    terraform(&root().join("infra/modules"), &mut files);
    for line in files.iter().flat_map(|file| file.lines()) {
        let Some(name) = line.trim().strip_prefix("alarm_name").map(|rest| rest.trim_start_matches([' ', '='])) else {
            continue;
        };
        found.extend(match name.trim_matches('"') {
            // Those above.
            "${var.name}-${replace(each.key, \"_\", \"-\")}" | "${var.engine.name}-${var.service}-${each.key}" => None,
            "${local.name}-releases-untold" => Some("spillway-releases-untold".to_owned()),
            "${local.name}-triggers-dlq" => Some("spillway-checkout-triggers-dlq".to_owned()),
            "${var.engine.name}-housekeeping-dlq" => Some("spillway-housekeeping-dlq".to_owned()),
            "${local.names[each.key]}-failed" => Some("spillway-checkout-housekeeping-failed".to_owned()),
            other => panic!("an alarm that the runbook does not know: {other}"),
        });
    }
    found
}

/// What pages are titled.
fn pages() -> BTreeSet<String> {
    let machines =
        ["release", "rollback", "retire", "guard"].map(|name| read(&format!("statemachine/{name}.asl.json")));
    let subject = |line: &str| Some(line.trim().strip_prefix("\"Subject\": \"")?.strip_suffix("\",")?.to_owned());
    machines.iter().flat_map(|machine| machine.lines()).filter_map(subject).collect()
}

#[test]
fn the_runbook_has_every_page_and_alarm() {
    let page = read("docs/runbook.md");
    let first = |line: &str| Some(line.strip_prefix("| `")?.split(" | ").next()?.to_owned());
    let named: BTreeSet<String> = page
        .lines()
        .filter_map(first)
        .flat_map(|cell| cell.split(", ").map(|name| name.trim_matches('`').to_owned()).collect::<Vec<_>>())
        .filter(|name| name.starts_with("spillway-") || name.starts_with("Spillway: "))
        .collect();
    let mut expected = alarms();
    let pages = pages();
    assert_eq!(pages.len(), 4, "{pages:?}");
    expected.extend(pages);
    assert_eq!(named, expected);
}
