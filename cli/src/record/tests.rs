//! Records of releases of the lab, and of what the lab does not do.

use super::timeline::{Entry, What, told};
use super::*;
use crate::record::check::Hosts;
use crate::record::reader::{Reader, STATES};
use serde_json::{Value, json};
use spillway_aws::executions::Event;
use spillway_core::decision::{Command, Decision};
use spillway_core::hook::Point;

const PROMOTED: &str = include_str!("../../tests/cmd/promoted.history.json");
const ROLLED_BACK: &str = include_str!("../../tests/cmd/rolled-back.history.json");

fn has(record: &Record, wanted: impl Fn(&What) -> bool) -> bool {
    record.timeline.iter().any(|entry| wanted(&entry.what))
}

#[test]
fn a_promoted_release_is_read_whole() {
    let record = Record::from_file(PROMOTED).unwrap();
    assert_eq!((record.service.as_str(), record.release.as_str()), ("shop", "first"));
    assert!(record.arn.ends_with(":execution:spillway-release:first"), "{}", record.arn);
    assert_eq!((record.status, record.ending.as_deref()), (Status::Succeeded, Some("Promoted")));
    assert_eq!((record.weight, record.progress.highest), (Percent::ALL, Percent::ALL));
    let shifts: Vec<(f64, f64)> = record
        .timeline
        .iter()
        .filter_map(|entry| match entry.what {
            What::Shifted { from, to } => Some((from.into(), to.into())),
            _ => None,
        })
        .collect();
    assert_eq!(shifts, [(0.0, 10.0), (10.0, 50.0), (50.0, 100.0)]);
    assert!(has(&record, |what| *what == What::Command { word: Command::Approve }));
    assert!(has(&record, |what| matches!(what, What::WaitBegan { weight } if *weight == Percent::whole(10))));
    assert!(has(&record, |what| matches!(what, What::WaitEnded { .. })));
    let check = record.last_check().unwrap();
    assert_eq!(check.weight(), Percent::ALL);
    assert_eq!(check.candidate_hosts(), Some(Hosts { healthy: 2, registered: 2 }));
    assert_eq!(check.share().unwrap().fraction(), Some(1.0));
    // Every period once, in order, and as many answers as the last check counts.
    assert!(record.minutes.is_sorted_by(|a, b| a.minute < b.minute));
    let answers: f64 = record.minutes.iter().map(|minute| minute.candidate.requests).sum();
    assert_eq!(answers, check.candidate().requests);
}

#[test]
fn a_release_that_was_rolled_back_is_read_whole() {
    let record = Record::from_file(ROLLED_BACK).unwrap();
    assert_eq!((record.status, record.ending.as_deref()), (Status::Failed, Some("RolledBack")));
    assert_eq!(record.weight, Percent::ZERO);
    let check = record.last_check().unwrap();
    assert_eq!(check.check.decision, Decision::RollBack);
    assert!(check.judged().any(|gate| gate.e_value >= gate.proof_at), "{:?}", check.check.evidence.gates);
    assert!(record.excess_errors().unwrap() > 0.0);
    assert!(
        has(&record, |what| *what == What::RollingBack)
            && has(&record, |what| *what == What::GivingBack { done: true })
    );
    assert!(record.timeline.is_sorted_by_key(|entry| entry.at));
    assert_eq!(record.cost.unwrap().amount.map(|amount| amount > 0.0), Some(true));
    assert!(told(&record.timeline).len() < record.timeline.len());
}

#[test]
fn events_that_come_one_by_one_and_again_make_the_same_record() {
    let events = file::events(PROMOTED).unwrap();
    let whole = Record::from_file(PROMOTED).unwrap();
    let mut reader = Reader::new("", events[0].at);
    for event in &events {
        reader.read(std::slice::from_ref(event)).unwrap();
    }
    reader.read(&events).unwrap();
    assert_eq!(*reader.record(), whole);
}

#[test]
fn the_state_machine_has_the_states_that_are_read() {
    let machine: Value = serde_json::from_str(include_str!("../../../statemachine/release.asl.json")).unwrap();
    for state in STATES.iter().copied().flatten() {
        assert!(machine["States"][state].is_object(), "{state}");
    }
}

/// Events in order, a second apart.
#[derive(Default)]
struct Story(Vec<Event>);

impl Story {
    fn then(mut self, kind: &str, change: impl FnOnce(&mut Event)) -> Self {
        let id = self.0.len() as i64 + 1;
        let mut event = Event { id, at: Timestamp::from_second(id).unwrap(), kind: kind.into(), ..Event::default() };
        change(&mut event);
        self.0.push(event);
        self
    }

    fn started(self) -> Self {
        let input = json!({"service": "shop", "version": {"opaque": "v2"}}).to_string();
        self.then("ExecutionStarted", |event| event.input = Some(input))
    }

    fn entered(self, state: &str) -> Self {
        self.then("TaskStateEntered", |event| event.state = Some(state.into()))
    }

    fn answered(self, state: &str, payload: &Value) -> Self {
        let output = json!({"StatusCode": 200, "Payload": payload}).to_string();
        self.entered(state).then("TaskSucceeded", |event| event.output = Some(output))
    }

    fn failed(self, kind: &str, error: &str, cause: &str) -> Self {
        self.then(kind, |event| (event.error, event.cause) = (Some(error.into()), Some(cause.into())))
    }

    fn read(&self) -> Record {
        let mut reader = Reader::new("arn:aws:states:r:1:execution:spillway-release:r-1", Timestamp::UNIX_EPOCH);
        reader.read(&self.0).unwrap();
        reader.into_record()
    }
}

fn whats(record: &Record) -> Vec<(String, &str)> {
    record.timeline.iter().map(|Entry { what, why, .. }| (what.to_string(), why.as_str())).collect()
}

#[test]
fn hooks_operators_and_failures_are_in_the_timeline() {
    let hook = json!({
        "function": "arn:aws:lambda:eu-west-1:123456789012:function:smoke",
        "payload": {"point": "before_traffic", "service": "shop", "release": "r-1", "version": {"opaque": "v2"},
            "stable": "blue", "candidate": "green", "weight": 0.0, "test_routes": []},
    });
    let story = Story::default()
        .started()
        .answered("TakeTurn", &json!({"next": "queue", "reason": "release r-0 holds the lease"}))
        .entered("Queue")
        .failed("TaskFailed", "States.Timeout", "")
        .entered("Queue")
        .answered("PrepareCandidate", &json!({"next": "wait", "reason": "1 of 2 healthy", "command": "none"}))
        .answered("PrepareCandidate", &json!({"next": "wait", "reason": "1 of 2 healthy", "command": "none"}))
        .answered("PrepareCandidate", &json!({"next": "hook", "reason": "asking", "hook": hook, "command": "none"}))
        .answered("AskBeforeTraffic", &json!({"result": "wait", "reason": "2 of 9"}))
        .entered("AskBeforeTraffic")
        .failed("TaskFailed", "Lambda.Unknown", "exit 1")
        .answered("PrepareCandidate", &json!({"next": "consume_command", "reason": "ready", "command": "approve"}))
        .entered("ConsumeApproval")
        .failed("TaskFailed", "DynamoDB.ConditionalCheckFailedException", "The conditional request failed")
        .entered("ShiftWeight")
        .failed("TaskFailed", "RouteDrifted", r#"{"errorType":"RouteDrifted","errorMessage":"somebody was here"}"#)
        .entered("RollBackPromptly")
        .entered("PageOperator")
        .then("TaskSucceeded", |event| event.output = Some("{}".into()));
    let record = story.read();
    assert_eq!(
        whats(&record),
        [
            ("started".to_owned(), "v2"),
            ("waits for its turn".to_owned(), "release r-0 holds the lease"),
            ("Queue failed".to_owned(), "States.Timeout"),
            ("waits for its turn".to_owned(), "release r-0 holds the lease"),
            ("preparing the candidate".to_owned(), "1 of 2 healthy"),
            ("preparing the candidate".to_owned(), "asking"),
            ("hook before_traffic asked".to_owned(), "arn:aws:lambda:eu-west-1:123456789012:function:smoke"),
            ("hook before_traffic answered".to_owned(), "wait: 2 of 9"),
            ("hook before_traffic answered".to_owned(), "Lambda.Unknown: exit 1"),
            ("operator: approve".to_owned(), ""),
            ("candidate ready".to_owned(), "ready"),
            ("ShiftWeight failed".to_owned(), "RouteDrifted: somebody was here"),
            ("rollback begins".to_owned(), "RouteDrifted: somebody was here"),
            ("people were paged".to_owned(), ""),
        ]
    );
    assert!(has(&record, |what| *what == What::HookAsked { point: Point::BeforeTraffic }));
    assert_eq!((record.status, record.ending.clone()), (Status::Running, None));
}

#[test]
fn ends_that_no_state_tells_have_names() {
    for (kind, status, ending) in [
        ("ExecutionAborted", Status::Stopped, "Stopped"),
        ("ExecutionTimedOut", Status::TimedOut, "TimedOut"),
        ("ExecutionFailed", Status::Failed, "Refused"),
    ] {
        let story = Story::default().started().failed(kind, "Refused", "no");
        let record = story.read();
        assert_eq!((record.status, record.ending.as_deref(), record.cause.as_str()), (status, Some(ending), "no"));
        // A redriven execution goes on.
        let again = Story(story.0).then("ExecutionRedriven", |_| ()).read();
        assert_eq!((again.status, again.ended, again.ending), (Status::Running, None, None));
    }
}

#[test]
fn an_answer_of_another_version_is_an_error_that_says_so() {
    let story = Story::default().started().answered("PlanRelease", &json!({"plan": {"service": "shop"}}));
    let mut reader = Reader::new("", Timestamp::UNIX_EPOCH);
    let problem = reader.read(&story.0).unwrap_err();
    assert!(problem.starts_with("the plan: missing field") && problem.contains("allowed: "), "{problem}");
}
