//! How a release ended, for people and for machines.

use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_aws::executions::{self, Execution, Status};

use super::release::service_of;
use super::words;

/// Errors are told from inside out to this depth.
const DEPTH: usize = 6;

/// What each ending means; the rest of it is in the cause.
fn meaning(ending: &str) -> &'static str {
    match ending {
        "Promoted" | "promoted" => "all traffic is on the new version",
        "AlreadyStable" | "already_stable" => "this version had all traffic already; nothing was changed",
        "RolledBack" | "rolled_back" => "all traffic is on the old version again",
        "StableDead" => "the old version has no healthy host, so the new one has all traffic; people were paged",
        "Refused" => "nothing was changed",
        "LeaseHeld" => "nothing was changed: another execution is changing the service",
        "LeaseLost" => "someone else has taken the service over; this release stopped touching it",
        "LeaseNotFreed" => {
            "the lease could not be given back: the guard does that, and rolls back what was not promoted by then"
        }
        "RollBackFailed" => "traffic may be split; people were paged, and the lease is kept",
        "NothingToUndo" => "nothing was changed: no release was promoted since the last one that was planned",
        "freed" => "nothing had been changed, and the lease is free",
        "not_dead" => "nothing was changed: someone else was faster",
        "Outrun" => "nothing was changed: a newer release took its place while it waited",
        "SameFailed" => "nothing was changed: another release tried the same version, and did not promote it",
        _ => "",
    }
}

/// What a field of the output says.
fn said(execution: &Execution, field: &str) -> Option<String> {
    let output: Value = serde_json::from_str(execution.output.as_deref()?).ok()?;
    Some(output.get(field)?.as_str()?.to_owned())
}

/// The ending's name: the error's, or what the output says, or how the execution stands.
pub fn name(execution: &Execution) -> String {
    match execution.status {
        Status::Running => "running".into(),
        Status::Succeeded => said(execution, "outcome").unwrap_or_else(|| {
            let machine = executions::names(&execution.arn).map_or("", |(machine, _)| machine);
            if machine.ends_with("-rollback") { "rolled_back".into() } else { "promoted".into() }
        }),
        Status::Stopped => "stopped".into(),
        Status::TimedOut => "timed out".into(),
        Status::Failed => execution.error.clone().unwrap_or_else(|| "failed".into()),
    }
}

/// The ending in words: its name, what that means, and its cause on lines of its own.
pub fn text(execution: &Execution) -> String {
    let name = name(execution);
    let meaning = match (execution.status, name.as_str()) {
        (Status::Running, _) => "",
        // Neither runs any Catch.
        (Status::Stopped | Status::TimedOut, _) => {
            "traffic and lease are as they were then, until the guard has seen to them"
        }
        (_, name) => meaning(name),
    };
    let mut text = if meaning.is_empty() { name } else { format!("{name}: {meaning}") };
    let cause = execution.cause.as_deref().map(readable).or_else(|| said(execution, "reason"));
    if let Some(cause) = cause.filter(|cause| !cause.is_empty()) {
        for line in cause.lines() {
            text.push_str("\n  ");
            text.push_str(line);
        }
    }
    text
}

/// The ending for machines.
pub fn json(execution: &Execution) -> Value {
    let time = |time: Timestamp| format!("{time:.0}");
    json!({
        "service": service_of(&execution.input),
        "execution": execution.arn,
        "name": words::name(&execution.arn),
        "status": match execution.status {
            Status::Running => "running",
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
            Status::TimedOut => "timed_out",
            Status::Stopped => "stopped",
        },
        "ending": (execution.status != Status::Running).then(|| name(execution)),
        "started": time(execution.started),
        "stopped": execution.stopped.map(time),
        "error": execution.error,
        "cause": execution.cause.as_deref().map(readable),
        "output": execution.output.as_deref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text))),
    })
}

/// A cause without its wrapping: Step Functions' `{"Error", "Cause"}`, a function's `{"errorType", "errorMessage"}`, or
/// the ARN of another execution.
pub fn readable(cause: &str) -> String {
    unwrapped(cause, DEPTH)
}

fn unwrapped(text: &str, depth: usize) -> String {
    let text = text.trim();
    let Ok(Value::Object(object)) = serde_json::from_str(text) else { return text.to_owned() };
    let field = |name: &str| object.get(name).and_then(Value::as_str);
    let inner = |text: &str| if depth == 0 { text.to_owned() } else { unwrapped(text, depth - 1) };
    if let Some(message) = field("errorMessage") {
        return inner(message);
    }
    match (field("Error"), field("Cause").filter(|cause| !cause.is_empty())) {
        (Some(error), Some(cause)) => {
            let cause = inner(cause);
            if cause.starts_with(error) { cause } else { format!("{error}: {cause}") }
        }
        (Some(error), None) => error.to_owned(),
        (None, Some(cause)) => inner(cause),
        (None, None) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_unwrapped() {
        for (cause, expected) in [
            ("held at 5 %", "held at 5 %"),
            (r#"{"errorType":"ReleaseRefused","errorMessage":"an alarm fires\nno hosts"}"#, "an alarm fires\nno hosts"),
            (
                r#"{"Error":"ReleaseRefused","Cause":"{\"errorType\":\"ReleaseRefused\",\"errorMessage\":\"no\"}"}"#,
                "ReleaseRefused: no",
            ),
            (r#"{"Error":"States.Timeout"}"#, "States.Timeout"),
            (r#"{"Error":"States.Timeout","Cause":""}"#, "States.Timeout"),
            (r#"{"Cause":"why"}"#, "why"),
            (r#"{"other":1}"#, r#"{"other":1}"#),
            ("[1]", "[1]"),
            ("", ""),
        ] {
            assert_eq!(readable(cause), expected, "{cause}");
        }
    }

    #[test]
    fn endings_say_what_they_mean() {
        let execution = |status, error: Option<&str>, cause: Option<&str>, output: Option<&str>| Execution {
            arn: "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:r".into(),
            status,
            started: Timestamp::UNIX_EPOCH,
            stopped: None,
            input: "{}".into(),
            output: output.map(Into::into),
            error: error.map(Into::into),
            cause: cause.map(Into::into),
        };
        for (execution, expected) in [
            (execution(Status::Succeeded, None, None, None), "promoted: all traffic is on the new version"),
            (
                execution(Status::Succeeded, None, None, Some(r#"{"outcome":"AlreadyStable"}"#)),
                "AlreadyStable: this version had all traffic already; nothing was changed",
            ),
            (
                execution(Status::Failed, Some("RolledBack"), Some("rolled back from 5 %: errors"), None),
                "RolledBack: all traffic is on the old version again\n  rolled back from 5 %: errors",
            ),
            (execution(Status::Failed, Some("New"), None, None), "New"),
            (execution(Status::Failed, None, None, None), "failed"),
        ] {
            assert_eq!(text(&execution), expected);
        }
    }
}
