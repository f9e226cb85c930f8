//! How times, releases and leases are told to people.

use jiff::Timestamp;
use serde_json::Value;
use spillway_aws::executions;
use spillway_aws::operator::{ALL, Freeze};

/// A length of time in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn length(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let (large, small) = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{seconds} s"),
        (0, 0, _) => ((minutes, "min"), (seconds % 60, "s")),
        (0, ..) => ((hours, "h"), (minutes % 60, "min")),
        _ => ((days, "d"), (hours % 24, "h")),
    };
    if small.0 == 0 {
        format!("{} {}", large.0, large.1)
    } else {
        format!("{} {} {} {}", large.0, large.1, small.0, small.1)
    }
}

/// When something began, and how long ago that is; the text itself if it is no time.
pub fn since(text: &str, now: Timestamp) -> String {
    match text.parse::<Timestamp>() {
        Ok(then) => format!("since {then:.0}, for {}", length(now.duration_since(then).as_secs())),
        Err(_) => format!("since {text}"),
    }
}

/// The name of an execution; the text itself if it is no ARN.
pub fn name(execution: &str) -> &str {
    executions::names(execution).map_or(execution, |(_, name)| name)
}

/// What a release's input, or its plan, says is released.
pub fn version(text: &str) -> Option<String> {
    let text: Value = serde_json::from_str(text).ok()?;
    version_of(text.get("version")?)
}

/// A version in words.
pub fn version_of(version: &Value) -> Option<String> {
    let (kind, what) = version.as_object()?.iter().next()?;
    Some(format!("{} {}", kind.replace('_', " "), what.as_str()?))
}

/// A freeze in words.
pub fn frozen(service: &str, freeze: &Freeze) -> String {
    let what = if service == ALL { "all services are" } else { &format!("{service} is") };
    format!("{what} frozen until {} by {}: {}", freeze.until, freeze.owner, freeze.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units() {
        for (seconds, expected) in [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (200, "3 min 20 s"),
            (3600, "1 h"),
            (7500, "2 h 5 min"),
            (86400, "1 d"),
            (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
        ] {
            assert_eq!(length(seconds), expected);
        }
    }

    #[test]
    fn versions_are_told_in_words() {
        for (intent, expected) in [
            (r#"{"service":"shop","version":{"image":"shop@sha256:ab"}}"#, Some("image shop@sha256:ab")),
            (r#"{"version":{"launch_template_version":"3"}}"#, Some("launch template version 3")),
            ("{}", None),
            ("nonsense", None),
        ] {
            assert_eq!(version(intent).as_deref(), expected);
        }
    }
}
