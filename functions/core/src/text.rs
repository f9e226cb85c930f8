//! Checked text: strings that can only hold what they promise.

use thiserror::Error;

/// A text that is not what its field needs.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[error("not {what}; allowed: {allowed}")]
pub struct InvalidText {
    /// What was expected, with its article: "a target group ARN".
    pub what: &'static str,
    /// What is allowed, in words or as a pattern.
    pub allowed: &'static str,
}

/// Declares a string type with a fallible constructor, serde both ways, and a JSON Schema.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $pattern:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses the text.
            ///
            /// # Errors
            /// [`crate::text::InvalidText`], which says what is allowed.
            pub fn parse(text: impl Into<String>) -> Result<Self, $crate::text::InvalidText> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    Ok(Self(text))
                } else {
                    Err($crate::text::InvalidText { what: $what, allowed: $allowed })
                }
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::text::InvalidText;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": concat!("Must be ", $what, ": ", $allowed, "."),
                    "pattern": $pattern,
                })
            }
        }
    };
}
pub(crate) use checked_text;

/// Whether the text is 1 to `longest` characters of ASCII letters, digits and the given others.
pub(crate) fn is_word(text: &str, longest: usize, others: &str) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || others.as_bytes().contains(&b))
}
