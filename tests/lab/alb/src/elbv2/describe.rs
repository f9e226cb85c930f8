//! What the API operations have in common: required parameters, look-ups by ARN, names, and paging.

use crate::action::number;
use crate::arn;
use crate::error::ApiError;
use crate::node::{Node, fields};
use crate::state::State;

/// A parameter that has to be there.
pub(super) fn required<'a>(parameters: &'a Node, name: &str) -> Result<&'a str, ApiError> {
    parameters.str(name).ok_or_else(|| ApiError::validation(format!("The parameter {name} must be specified")))
}

/// An ARN that names a resource of a kind (`targetgroup`, `listener`, …), whether it exists or not.
pub(super) fn arn_of<'a>(kind: &str, arn: &'a str) -> Result<&'a str, ApiError> {
    if arn::is(kind, arn) { Ok(arn) } else { Err(ApiError::validation(format!("'{arn}' is not a valid {kind} ARN"))) }
}

/// A parameter that is the ARN of an existing resource of a kind.
pub(super) fn existing<'a>(state: &State, parameters: &'a Node, name: &str, kind: &str) -> Result<&'a str, ApiError> {
    let arn = required(parameters, name)?;
    exists(state, arn_of(kind, arn)?)
}

/// The ARN of an existing resource; otherwise the error of its kind.
pub(super) fn exists<'a>(state: &State, arn: &'a str) -> Result<&'a str, ApiError> {
    let (known, code, what) = if arn::is("loadbalancer", arn) {
        (state.load_balancers.contains_key(arn), "LoadBalancerNotFound", "load balancers")
    } else if arn::is("targetgroup", arn) {
        (state.target_groups.contains_key(arn), "TargetGroupNotFound", "target groups")
    } else if arn::is("listener", arn) {
        (state.listeners.contains_key(arn), "ListenerNotFound", "listeners")
    } else if arn::is("listener-rule", arn) {
        (state.rules.contains_key(arn), "RuleNotFound", "rules")
    } else {
        return Err(ApiError::validation(format!("'{arn}' is not a valid ARN")));
    };
    if known { Ok(arn) } else { Err(ApiError::new(code, format!("One or more {what} not found"))) }
}

/// A name of a load balancer or target group: at most 32 letters, digits and hyphens, no hyphen at
/// either end.
pub(super) fn name(parameters: &Node) -> Result<&str, ApiError> {
    let name = required(parameters, "Name")?;
    let valid = name.len() <= 32
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if valid { Ok(name) } else { Err(ApiError::validation(format!("The name '{name}' is not valid"))) }
}

/// One page of a list. The marker is where the next one begins.
pub(super) fn page(list: &str, items: Vec<Node>, parameters: &Node) -> Result<Node, ApiError> {
    let size: usize = number(parameters, "PageSize", 1, 400)?.unwrap_or(400);
    let from = match parameters.str("Marker") {
        Some(marker) => marker
            .strip_prefix("page-")
            .and_then(|text| usize::from_str_radix(text, 16).ok())
            .ok_or_else(|| ApiError::validation(format!("The marker '{marker}' is not valid")))?,
        None => 0,
    };
    let more = items.len() > from + size;
    let nodes = items.into_iter().skip(from).take(size).collect();
    let mut page = fields([(list, Node::List(nodes))]);
    if more {
        page.set("NextMarker", Node::text(format!("page-{:x}", from + size)));
    }
    Ok(page)
}

/// An answer with a single resource in a list.
pub(super) fn only(list: &str, node: Node) -> Node {
    fields([(list, Node::List(vec![node]))])
}

/// The answer of an action that has nothing to say.
pub(super) fn nothing() -> Node {
    Node::Struct(Vec::new())
}

/// A list of texts.
pub(super) fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Node {
    Node::List(values.into_iter().map(Node::text).collect())
}
