//! Faults that a call can run into.

use spillway_aws::error::ApiError;

/// A fault, waiting for its call.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The API operation.
    pub operation: &'static str,
    /// Part of what the call is about; empty matches every call.
    pub subject: String,
    /// Whether the effect happens all the same, and only its answer is lost.
    pub after_effect: bool,
    /// What the caller gets.
    pub error: ApiError,
}

impl Fault {
    /// The call fails and does nothing.
    #[must_use]
    pub fn before(operation: &'static str, subject: &str, error: ApiError) -> Self {
        Self { operation, subject: subject.into(), after_effect: false, error }
    }

    /// The call does what it should, and its answer is lost.
    #[must_use]
    pub fn lost_answer(operation: &'static str, subject: &str) -> Self {
        let error = ApiError {
            operation,
            subject: subject.into(),
            code: "Timeout".into(),
            message: "no answer".into(),
            transient: true,
        };
        Self { operation, subject: subject.into(), after_effect: true, error }
    }

    pub(crate) fn matches(&self, operation: &str, subject: &str) -> bool {
        self.operation == operation && subject.contains(&self.subject)
    }
}

/// A throttled call.
#[must_use]
pub fn throttled(operation: &'static str) -> ApiError {
    ApiError {
        operation,
        subject: String::new(),
        code: "Throttling".into(),
        message: "Rate exceeded".into(),
        transient: true,
    }
}

/// A call that will never succeed.
#[must_use]
pub fn rejected(operation: &'static str, subject: &str, code: &str) -> ApiError {
    ApiError { operation, subject: subject.into(), code: code.into(), message: "rejected".into(), transient: false }
}
