//! Failures as a state machine hands them on.

use serde_json::{Value, json};

/// A failure's name and its message; either may be empty. An error of the state machine has a name, and a function's
/// error has its message wrapped in JSON once more. What is text already has no name.
#[must_use]
pub fn parts(failure: &Value) -> (String, String) {
    if let Some(words) = failure.as_str() {
        return (String::new(), words.to_owned());
    }
    let field = |name: &str| failure.get(name).and_then(Value::as_str).unwrap_or_default();
    let (error, cause) = (field("Error"), field("Cause"));
    let inner = serde_json::from_str::<Value>(cause).ok();
    let message = inner.as_ref().and_then(|inner| inner.get("errorMessage")).and_then(Value::as_str);
    (error.to_owned(), message.unwrap_or(cause).to_owned())
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
}
