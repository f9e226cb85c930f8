//! A history in a file: what `aws stepfunctions get-execution-history --include-execution-data` prints.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use spillway_aws::executions::Event;

/// What is allowed.
const ALLOWED: &str = "allowed: what `aws stepfunctions get-execution-history --include-execution-data` prints";

/// `GetExecutionHistory`'s answer:
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html>.
#[derive(Deserialize)]
struct History {
    events: Vec<Told>,
    #[serde(default, alias = "NextToken")]
    next_token: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    id: i64,
    timestamp: Value,
    r#type: String,
    #[serde(flatten)]
    details: serde_json::Map<String, Value>,
}

/// The events of a history, oldest first.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub fn events(text: &str) -> Result<Vec<Event>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let history: History = serde_json::from_str(text).map_err(|error| format!("{error}; {ALLOWED}"))?;
    let mut events = history.events.into_iter().map(event).collect::<Result<Vec<Event>, String>>()?;
    events.sort_by_key(|event| event.id);
    if history.next_token.is_some() || !std::iter::zip(&events, 1..).all(|(event, id)| event.id == id) {
        return Err(format!("events are missing; {ALLOWED}, without --max-items"));
    }
    let answers = || events.iter().filter(|event| event.kind == "TaskSucceeded");
    if answers().next().is_some() && answers().all(|event| event.output.is_none()) {
        return Err(format!("what the tasks have answered is not in it; {ALLOWED}"));
    }
    Ok(events)
}

fn event(told: Told) -> Result<Event, String> {
    let at = time(&told.timestamp).ok_or_else(|| {
        format!(
            "events: {}: timestamp: {}: not a time; allowed: ISO 8601 or seconds since 1970",
            told.id, told.timestamp
        )
    })?;
    // The details of one event are in a field that is named after its type.
    let details = told.details.iter().find(|(name, _)| name.ends_with("EventDetails")).map(|(_, details)| details);
    let field = |name: &str| details?.get(name)?.as_str().map(ToOwned::to_owned);
    let entered = told.r#type.ends_with("StateEntered") || told.r#type.ends_with("StateExited");
    Ok(Event {
        id: told.id,
        at,
        state: field("name").filter(|_| entered),
        input: field("input").filter(|_| told.r#type == "ExecutionStarted"),
        output: field("output").filter(|_| !entered),
        error: field("error"),
        cause: field("cause"),
        kind: told.r#type,
    })
}

/// The AWS command line writes ISO 8601 or, if so configured, seconds.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(seconds) => {
            let milliseconds = (seconds.as_f64()? * 1e3).round();
            #[allow(clippy::cast_possible_truncation, reason = "saturates, and is then refused")]
            Timestamp::from_millisecond(milliseconds as i64).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_times_are_read_and_the_order_does_not_matter() {
        let text = r#"{"events": [
            {"id": 2, "timestamp": 1764000001.5, "type": "PassStateEntered", "previousEventId": 1,
             "stateEnteredEventDetails": {"name": "Plan", "input": "{}"}},
            {"id": 1, "timestamp": "2025-11-24T16:00:00.250000+00:00", "type": "ExecutionStarted",
             "executionStartedEventDetails": {"input": "{\"service\":\"shop\"}", "roleArn": "r"}}]}"#;
        let [started, entered] = &events(text).unwrap()[..] else { panic!("two events") };
        assert_eq!(
            (started.at.to_string(), started.input.as_deref()),
            ("2025-11-24T16:00:00.25Z".into(), Some("{\"service\":\"shop\"}"))
        );
        assert_eq!((entered.at.to_string(), entered.state.as_deref()), ("2025-11-24T16:00:01.5Z".into(), Some("Plan")));
        assert_eq!((&entered.input, &entered.output), (&None, &None));
    }

    #[test]
    fn what_is_no_whole_history_is_told_apart() {
        let succeeded = r#"{"id": 1, "timestamp": 1.0, "type": "TaskSucceeded", "taskSucceededEventDetails": {}}"#;
        for (text, expected) in [
            ("{}".to_owned(), "missing field `events`"),
            (r#"{"events": [{"id": 2, "timestamp": 1, "type": "X"}]}"#.into(), "events are missing; allowed"),
            (r#"{"events": [], "NextToken": "x"}"#.into(), "events are missing; allowed"),
            (
                r#"{"events": [{"id": 1, "timestamp": "soon", "type": "X"}]}"#.into(),
                "events: 1: timestamp: \"soon\": not a time",
            ),
            (format!(r#"{{"events": [{succeeded}]}}"#), "what the tasks have answered is not in it"),
        ] {
            let problem = events(&text).unwrap_err();
            assert!(problem.starts_with(expected), "{problem}");
        }
    }
}
