//! The part of JSONata that the state machines allow themselves.
//!
//! An expression that fails in a Task sends it to its Catch; in any other state it ends the execution with
//! no compensation. So the others may only follow paths and compare, and even a Task computes nothing but a
//! time-out's end and a parameter's name, and reads recorded JSON. What to do next comes from the functions.

use serde_json::Value;

/// What an expression may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expression {
    /// `$plan.stable.slot`: a variable, or `$states`, and fields.
    Path(Vec<String>),
    /// `$ready = true`, `$next = 'bake'`, `$fence = $lease.fence`.
    Equals(Box<Self>, Box<Self>),
    /// `$quiet_at > $latest`: of two times of one form, the later one.
    After(Box<Self>, Box<Self>),
    /// `'bake'`, `true`.
    Literal(Value),
    /// `$exists($states.context.Execution.RedriveTime)`: never fails.
    Exists(Vec<String>),
    /// `$string($failure)`: never fails on a value that is there.
    Text(Vec<String>),
    /// `$substring($string($states.result.Payload), 0, 4000)`: the same, no longer than so many characters.
    Excerpt(Vec<String>, usize),
    /// `$parse($states.result.Attributes.plan.S)`: JSON that was recorded as text.
    Parsed(Vec<String>),
    /// `'/spillway/services/' & $states.input.service`.
    Joined(String, Vec<String>),
    /// `$fromMillis($toMillis($states.result.until))`: a time, if it is one.
    Instant(Vec<String>),
    /// `$fromMillis($millis() + 45000)`: now and so many milliseconds.
    FromNow(String),
}

impl Expression {
    /// Reads what stands between `{%` and `%}`.
    ///
    /// # Errors
    /// The text, when it is none of the above.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let refused = || Err(format!("not in the subset: {text}"));
        for (sign, make) in [(" = ", Self::Equals as fn(Box<Self>, Box<Self>) -> Self), (" > ", Self::After)] {
            if let Some((left, right)) = text.split_once(sign) {
                return Ok(make(Box::new(Self::parse(left)?), Box::new(Self::parse(right)?)));
            }
        }
        if let Some(millis) = text.strip_prefix("$fromMillis($millis() + ").and_then(|rest| rest.strip_suffix(')')) {
            return Ok(Self::FromNow(millis.into()));
        }
        if let Some(inner) = text.strip_prefix("$substring($string(").and_then(|rest| rest.strip_suffix(')')) {
            let parts = inner.split_once("), 0, ").map(|(inner, most)| (path(inner), most.parse().ok()));
            return match parts {
                Some((Some(path), Some(most))) => Ok(Self::Excerpt(path, most)),
                _ => refused(),
            };
        }
        for (function, end, make) in [
            ("$exists(", ")", Self::Exists as fn(Vec<String>) -> Self),
            ("$string(", ")", Self::Text),
            ("$parse(", ")", Self::Parsed),
            ("$fromMillis($toMillis(", "))", Self::Instant),
        ] {
            if let Some(inner) = text.strip_prefix(function).and_then(|rest| rest.strip_suffix(end)) {
                return path(inner).map_or_else(refused, |path| Ok(make(path)));
            }
        }
        if let Some((literal, variable)) = text.split_once(" & ") {
            return match (quoted(literal), path(variable)) {
                (Some(literal), Some(path)) => Ok(Self::Joined(literal, path)),
                _ => refused(),
            };
        }
        if let Some(literal) = quoted(text) {
            return Ok(Self::Literal(literal.into()));
        }
        if ["true", "false"].contains(&text) {
            return Ok(Self::Literal((text == "true").into()));
        }
        path(text).map_or_else(refused, |path| Ok(Self::Path(path)))
    }

    /// Every path in it.
    #[must_use]
    pub fn paths(&self) -> Vec<&[String]> {
        match self {
            Self::Path(path)
            | Self::Exists(path)
            | Self::Text(path)
            | Self::Excerpt(path, _)
            | Self::Parsed(path)
            | Self::Instant(path)
            | Self::Joined(_, path) => {
                vec![path]
            }
            Self::Equals(left, right) | Self::After(left, right) => [left.paths(), right.paths()].concat(),
            Self::Literal(_) | Self::FromNow(_) => Vec::new(),
        }
    }

    /// Whether it only follows paths and compares, and so cannot fail where its variables are assigned.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Path(_) | Self::Literal(_) | Self::Exists(_) | Self::Text(_) | Self::Excerpt(..) => true,
            Self::Equals(left, right) | Self::After(left, right) => left.is_plain() && right.is_plain(),
            Self::Joined(..) | Self::Parsed(_) | Self::Instant(_) | Self::FromNow(_) => false,
        }
    }
}

fn quoted(text: &str) -> Option<String> {
    let inner = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    (!inner.contains('\'')).then(|| inner.into())
}

fn path(text: &str) -> Option<Vec<String>> {
    // What JSONata takes for a value, and not for a field.
    const VALUES: [&str; 3] = ["null", "true", "false"];
    let parts: Vec<String> = text.trim().strip_prefix('$')?.split('.').map(Into::into).collect();
    let named = |part: &String| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let begun = |part: &String| !part.starts_with(|first: char| first.is_ascii_digit());
    let field = |part: &String| begun(part) && !VALUES.contains(&part.as_str());
    (parts.iter().all(named) && parts[1..].iter().all(field)).then_some(parts)
}

/// The expression that a text is; `None` if it is a literal.
///
/// # Errors
/// A text that is not in the subset, or of which only a part is an expression.
pub fn embedded(text: &str) -> Result<Option<Expression>, String> {
    match text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}")) {
        Some(inner) => Expression::parse(inner).map(Some),
        None if text.contains("{%") => Err(format!("an expression inside of a text: {text}")),
        None => Ok(None),
    }
}

/// Every expression in a value, however deep. Strings without `{% %}` are literals.
///
/// # Errors
/// The first text that is not in the subset.
pub fn expressions(value: &Value) -> Result<Vec<Expression>, String> {
    match value {
        Value::String(text) => Ok(embedded(text)?.into_iter().collect()),
        Value::Array(items) => items.iter().map(expressions).collect::<Result<Vec<_>, _>>().map(|all| all.concat()),
        Value::Object(fields) => {
            fields.values().map(expressions).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
        }
        _ => Ok(Vec::new()),
    }
}
