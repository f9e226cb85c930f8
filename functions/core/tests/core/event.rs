//! Lifecycle events: what they are made of, and the promise that they keep.

use jiff::Timestamp;
use serde_json::{Value, json};
#[cfg(feature = "schema")]
use spillway_core::event::Event;
use spillway_core::event::announcement::{self, Execution, Page};
use spillway_core::event::{Kind, Severity};
use spillway_core::execution::Status;

const NAMES: [(&str, &str); 3] = [("release", "checkout-7"), ("rollback", "undo-1"), ("retire", "checkout-7")];

fn arn(machine: &str) -> String {
    let (_, name) = NAMES.iter().find(|(of, _)| *of == machine).unwrap();
    format!("arn:aws:states:eu-west-1:123456789012:execution:spillway-{machine}:{name}")
}

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn input() -> Value {
    let digest = "0123456789abcdef".repeat(4);
    json!({"service": "checkout", "version": {"image": format!("shop@sha256:{digest}")}})
}

fn execution(machine: &str, status: Status) -> Execution {
    let input = if machine == "retire" {
        json!({"service": "checkout", "plan": {"version": input()["version"]}, "slot": "blue"})
    } else {
        input()
    };
    let (output, error, cause) = (Value::Null, String::new(), String::new());
    Execution { arn: arn(machine), status, time: now(), input, output, error, cause }
}

fn succeeded(machine: &str, output: Value) -> Execution {
    Execution { output, ..execution(machine, Status::Succeeded) }
}

fn failed(machine: &str, error: &str, cause: &str) -> Execution {
    Execution { error: error.into(), cause: cause.into(), ..execution(machine, Status::Failed) }
}

type Expected<'a> = Option<(Kind, Severity, &'a str)>;

/// What each beginning and end of each machine is told as.
#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn beginnings_and_ends_are_told() {
    use Kind::{Page, Promoted, Refused, Retired, RolledBack, Started};
    use Severity::{Critical, Info, Warning};
    let refusal = json!({"Error": "Refused", "Cause": json!({"errorMessage": "2 reasons not to start"}).to_string()});
    let holder = json!({"owner": "arn:another", "phase": "baking", "since": "2027-01-15T08:00:00Z"});
    let unavailable =
        json!({"Error": "Unavailable", "Cause": json!({"errorMessage": "ModifyRule: Throttling"}).to_string()});
    let version = format!("started: image {}", input()["version"]["image"].as_str().unwrap());
    let promoted = json!({"outcome": "promoted", "service": "checkout", "reason": "promoted at 100 %: it is well"});
    let cases: Vec<(Execution, Expected<'_>)> = vec![
        (execution("release", Status::Running), Some((Started, Info, &version))),
        (succeeded("release", promoted), Some((Promoted, Info, "promoted at 100 %: it is well"))),
        (
            succeeded("release", json!({"outcome": "promoted", "reason": "release-1 has brought it"})),
            Some((Promoted, Info, "promoted: release-1 has brought it")),
        ),
        (
            succeeded(
                "release",
                json!({"outcome": "already_stable", "reason": json!({"errorMessage": "it is live"}).to_string()}),
            ),
            Some((Refused, Info, "refused: it is live")),
        ),
        (
            failed("release", "Refused", &refusal.to_string()),
            Some((Refused, Warning, "refused: 2 reasons not to start")),
        ),
        (
            failed("release", "LeaseHeld", "held by arn:another"),
            Some((Refused, Warning, "refused: held by arn:another")),
        ),
        (failed("release", "Outrun", "a newer one"), Some((Refused, Warning, "refused: a newer one"))),
        (failed("release", "SameFailed", "tried already"), Some((Refused, Warning, "refused: tried already"))),
        (
            failed("release", "RolledBack", "rolled back from 25 %: errors: candidate 9 % of 900"),
            Some((RolledBack, Warning, "rolled back from 25 %: errors: candidate 9 % of 900")),
        ),
        (
            failed("release", "StableDead", "rolled back from 25 %: it hangs; no host"),
            Some((
                Page,
                Critical,
                "paged after a release found the stable slot dead: no healthy host to go back to, so the candidate keeps \
                 all traffic; it was to be rolled back from 25 %: it hangs; no host",
            )),
        ),
        (
            failed("release", "RollBackFailed", &unavailable.to_string()),
            Some((Page, Critical, "paged after a rollback failed: Unavailable: ModifyRule: Throttling")),
        ),
        (
            failed("release", "LeaseNotFreed", "arn:me"),
            Some((
                Page,
                Warning,
                "paged after a release ended with LeaseNotFreed: the lease could not be given back: the guard does that, \
                 and rolls back what was not promoted by then",
            )),
        ),
        (
            failed("release", "States.DataLimitExceeded", "too large"),
            Some((Page, Critical, "paged after a release failed: States.DataLimitExceeded: too large")),
        ),
        (
            execution("release", Status::Stopped),
            Some((
                Page,
                Critical,
                "paged after a release was stopped: the guard takes over, if it held the lease; a machine that is stopped gives nothing back",
            )),
        ),
        (
            execution("rollback", Status::TimedOut),
            Some((
                Page,
                Critical,
                "paged after an undo ran out of time: the guard takes over, if it held the lease; a machine that is stopped gives nothing back",
            )),
        ),
        (execution("rollback", Status::Running), None),
        (
            succeeded("rollback", json!({"outcome": "rolled_back", "reason": "undone by an operator"})),
            Some((RolledBack, Warning, "rolled back: undone by an operator")),
        ),
        (succeeded("rollback", json!({"outcome": "freed"})), None),
        (succeeded("rollback", json!({"outcome": "not_dead"})), None),
        (
            failed("rollback", "LeaseHeld", &holder.to_string()),
            Some((Refused, Warning, "refused: held by arn:another, baking, since 2027-01-15T08:00:00Z")),
        ),
        (
            failed("rollback", "NothingToUndo", "checkout"),
            Some((Refused, Warning, "refused: no release was promoted since the last one that was planned")),
        ),
        (
            succeeded(
                "retire",
                json!({"outcome": "retired", "slot": "blue", "cost": {"slot_hours": 1.5, "amount": null}}),
            ),
            Some((Retired, Info, "retired: slot blue scaled down; 1.5 slot-hours")),
        ),
        (succeeded("retire", json!({"outcome": "superseded", "slot": "blue"})), None),
        (
            failed("retire", "RetirementFailed", "AccessDenied"),
            Some((
                Page,
                Warning,
                "paged after a retirement failed: RetirementFailed: AccessDenied; it costs money, and harms no user",
            )),
        ),
        (execution("retire", Status::Stopped), None),
    ];
    for (execution, expected) in cases {
        let told = announcement::of(&execution).unwrap();
        let found = told.as_ref().map(|event| (event.kind, event.severity, event.reason.as_str()));
        assert_eq!(found, expected, "{execution:?}");
        if let Some(event) = told {
            let service = event.service.as_str();
            assert_eq!((service, event.release.execution.as_str()), ("checkout", execution.arn.as_str()));
            assert!(event.id.starts_with(&format!("{}#{}", execution.arn, event.kind.name())), "{}", event.id);
            assert_eq!(announcement::of(&execution).unwrap().unwrap().id, event.id, "told twice, it is the same");
        }
    }
}

#[test]
fn others_are_refused_by_name() {
    let guard = "arn:aws:states:eu-west-1:123456789012:execution:spillway-guard:g-1";
    for other in [guard, "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release", "", "release"] {
        let execution = Execution { arn: other.into(), ..execution("release", Status::Running) };
        let error = announcement::of(&execution).unwrap_err().to_string();
        assert!(error.contains("allowed: PREFIX-release, PREFIX-rollback, PREFIX-retire"), "{error}");
    }
}

fn page(subject: &str, failure: Value) -> Page {
    let (service, execution) = ("checkout".into(), arn("release"));
    Page { subject: subject.into(), service, execution, failure, time: now() }
}

#[test]
fn pages_are_told() {
    let lost = json!({"Error": "ReadBackDiffers", "Cause": json!({"errorMessage": "route r"}).to_string()});
    for (subject, failure, severity, reason) in [
        (
            "Spillway: a rollback failed",
            lost.clone(),
            Severity::Critical,
            "paged after a rollback failed: ReadBackDiffers: route r",
        ),
        (
            "Spillway: a rollback needs a person",
            json!("no host"),
            Severity::Critical,
            "paged during a rollback: no host",
        ),
        (
            "Spillway: a release that died was rolled back",
            json!("it died"),
            Severity::Warning,
            "paged after a release died: it died",
        ),
        ("Spillway: something new", json!("x"), Severity::Critical, "paged for something new: x"),
        ("", json!("x"), Severity::Critical, "paged: x"),
    ] {
        let event = announcement::of_page(&page(subject, failure)).unwrap();
        assert_eq!((event.kind, event.severity, event.reason.as_str()), (Kind::Page, severity, reason));
    }
    // What the machine pages with and what its end tells are one event.
    let paged = announcement::of_page(&page("Spillway: a rollback failed", lost.clone())).unwrap();
    let ended = announcement::of(&failed("release", "RollBackFailed", &lost.to_string())).unwrap().unwrap();
    assert_eq!((&paged.id, &paged.reason), (&ended.id, &ended.reason));
    // What else it pages with is another.
    let ids = ["a", "b"]
        .map(|why| announcement::of_page(&page("Spillway: a rollback needs a person", json!(why))).unwrap().id);
    assert!(ids[0] != ids[1] && !ids.contains(&paged.id), "{ids:?} {}", paged.id);
}

#[test]
fn each_kind_has_one_name() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        assert_eq!(kind.detail_type(), format!("Spillway release {}", kind.name()));
    }
}

/// Events as they were recorded when their version of the format was made. They are never written anew: a consumer of today
/// has them in its code and its tests.
#[cfg(feature = "schema")]
const RECORDED: &str = include_str!("../../event/recorded.json");

#[cfg(feature = "schema")]
fn broken(event: &Value) -> Vec<String> {
    let schema = jsonschema::validator_for(&Event::json_schema()).unwrap();
    schema.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[cfg(feature = "schema")]
#[test]
fn recorded_events_stay_valid() {
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let kinds: Vec<&str> = recorded.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, Kind::ALL.map(Kind::name));
    for event in &recorded {
        assert_eq!(broken(event), Vec::<String>::new(), "{event}");
        let read: Event = serde_json::from_value(event.clone()).unwrap();
        assert_eq!(&serde_json::to_value(read).unwrap(), event, "nothing is lost");
        // Fields that a later one may have.
        let mut later = event.clone();
        later["later"] = json!({"field": 1});
        assert_eq!(broken(&later), Vec::<String>::new(), "{later}");
    }
}

/// The schema says no where a field is missing or is something else.
#[cfg(feature = "schema")]
#[test]
fn the_schema_refuses_what_is_no_event() {
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let event = &recorded[0];
    for field in ["version", "id", "type", "severity", "time", "service", "release", "reason", "links", "text"] {
        let mut less = event.clone();
        less.as_object_mut().unwrap().remove(field).unwrap();
        assert!(!broken(&less).is_empty(), "without {field}");
    }
    for (field, value) in [
        ("version", json!(2)),
        ("type", json!("finished")),
        ("severity", json!("fatal")),
        ("weight", json!(101)),
        ("release", json!({"name": "x"})),
        ("links", json!({"console": "https://x"})),
        ("observed", json!({"candidate_share": 120, "requests": 1})),
    ] {
        let mut other = event.clone();
        other[field] = value;
        assert!(!broken(&other).is_empty(), "{other}");
    }
}

/// What is made today is valid.
#[cfg(feature = "schema")]
#[test]
fn what_is_told_is_valid() {
    let events = [
        announcement::of(&execution("release", Status::Running)).unwrap().unwrap(),
        announcement::of(&failed("release", "RolledBack", "why")).unwrap().unwrap(),
        announcement::of(&execution("release", Status::Stopped)).unwrap().unwrap(),
        announcement::of_page(&page("Spillway: a rollback failed", json!("x"))).unwrap(),
    ];
    for event in events {
        assert_eq!(broken(&serde_json::to_value(&event).unwrap()), Vec::<String>::new(), "{event:?}");
    }
}

/// The schema in the repository is the one that the types give. `SPILLWAY_BLESS=1` writes it anew.
#[cfg(feature = "schema")]
#[test]
fn the_checked_in_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/event/schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&Event::json_schema()).unwrap());
    if std::env::var_os("SPILLWAY_BLESS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), current, "run the tests once with SPILLWAY_BLESS=1");
}
