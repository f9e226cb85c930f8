//! Errors of AWS calls, and how a function's errors reach the state machine.

use std::fmt::Write as _;

use lambda_runtime::Diagnostic;
use thiserror::Error;

/// A call to AWS that failed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{operation}{}: {code}: {message}", subject_text(.subject))]
pub struct ApiError {
    /// The API operation: `ModifyRule`.
    pub operation: &'static str,
    /// What it was about: an ARN or a name; may be empty.
    pub subject: String,
    /// The error code: the service's own, or `Timeout`, `Connection`, `InvalidAnswer` for what the client saw.
    pub code: String,
    /// The message.
    pub message: String,
    /// Whether the same call may well succeed later.
    pub transient: bool,
}

fn subject_text(subject: &str) -> String {
    if subject.is_empty() { String::new() } else { format!(" of {subject}") }
}

/// Whether the route that was asked for does not exist any more.
#[must_use]
pub fn is_gone(error: &ApiError) -> bool {
    matches!(error.code.as_str(), "RuleNotFound" | "ListenerNotFound")
}

/// An error whose name the state machine can catch.
///
/// Names are API: they arrive in Step Functions as `errorType`.
pub trait Named: std::error::Error {
    /// The name.
    fn name(&self) -> &'static str;
}

impl Named for ApiError {
    fn name(&self) -> &'static str {
        if self.transient { "Unavailable" } else { "CallRejected" }
    }
}

/// An error as the Lambda runtime reports it: the name, and the message with all of its causes.
pub fn diagnostic(error: &dyn Named) -> Diagnostic {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Some errors show their source in their own text.
        let text = inner.to_string();
        if !message.contains(&text) {
            let _ = write!(message, ": {text}");
        }
        cause = inner.source();
    }
    Diagnostic { error_type: error.name().into(), error_message: message }
}
