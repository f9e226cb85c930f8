//! Failures as a state machine hands them on.

use serde_json::{Value, json};

/// Failures are told from inside out to this depth.
const DEPTH: usize = 6;

/// A failure's name and its message; either may be empty. An error of the state machine has a name, and a function's
/// error has its message wrapped in JSON once more. What is text already has no name.
#[must_use]
pub fn parts(failure: &Value) -> (String, String) {
    if let Some(words) = failure.as_str() {
        return (String::new(), words.to_owned());
    }
    let field = |name: &str| failure.get(name).and_then(Value::as_str).unwrap_or_default();
    (field("Error").to_owned(), readable(field("Cause")))
}

/// The same of the cause that an execution ended with: a failure as text, what a function said, or just words.
#[must_use]
pub fn parts_of_cause(cause: &str) -> (String, String) {
    match serde_json::from_str::<Value>(cause) {
        Ok(said) if said.get("errorMessage").is_some_and(Value::is_string) => {
            parts(&json!({"Error": said.get("errorType"), "Cause": cause}))
        }
        Ok(failure @ Value::Object(_)) => parts(&failure),
        _ => (String::new(), cause.to_owned()),
    }
}

/// A cause without its wrapping: Step Functions' `{"Error", "Cause"}`, a function's `{"errorType", "errorMessage"}`, or
/// the ARN of another execution.
#[must_use]
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

/// Both in words: `NAME: message`, or what there is of it.
#[must_use]
pub fn words(parts: &(String, String)) -> String {
    match (parts.0.as_str(), parts.1.as_str()) {
        ("", message) => message.to_owned(),
        (error, "") => error.to_owned(),
        (error, message) => format!("{error}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_it_is_made_of_it_can_be_told() {
        for (failure, expected) in [
            (json!("held for 60 s"), "held for 60 s"),
            (json!({"Error": "States.Timeout"}), "States.Timeout"),
            (json!({"Error": "Refused", "Cause": "no service"}), "Refused: no service"),
            (
                json!({"Error": "Refused", "Cause": "{\"errorType\":\"Refused\",\"errorMessage\":\"no service\"}"}),
                "Refused: no service",
            ),
            (json!({}), ""),
            (json!(3), ""),
        ] {
            assert_eq!(words(&parts(&failure)), expected, "{failure}");
            if failure.is_object() {
                assert_eq!(words(&parts_of_cause(&failure.to_string())), expected, "{failure}");
            }
        }
        assert_eq!(words(&parts_of_cause("plain words")), "plain words");
        let said = json!({"errorType": "Refused", "errorMessage": "no service"}).to_string();
        assert_eq!(words(&parts_of_cause(&said)), "Refused: no service");
        assert_eq!(words(&parts_of_cause("17")), "17");
    }

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
}
