//! How a release ended, for people and for machines.

use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_aws::executions::{self, Execution, Status};
use spillway_core::ending::meaning;
use spillway_core::failure::readable;

use super::release::service_of;
use super::words;

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

#[cfg(test)]
mod tests {
    use super::*;

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
