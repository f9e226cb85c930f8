//! An error as the APIs answer it.

/// An error code of the API with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// `ValidationError`, for everything that is not as the API's model says.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    /// What the real service has and this stand-in does not: loudly refused, never ignored.
    pub(crate) fn not_modelled(what: &str) -> Self {
        Self::validation(format!("{what} is not modelled by this stand-in"))
    }
}
