//! Attributes of items.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::ItemError;

/// An item: attributes by name, each with its type.
pub type Item = Map<String, Value>;

/// A path into an item: names of maps, and at last of an attribute; at least one.
pub(super) type Path = Vec<String>;

/// Refuses what is no attribute value.
pub(super) fn typed(value: &Value) -> Result<(), ItemError> {
    let invalid = || ItemError::validation(format!("not an attribute value: {value}"));
    let (kind, content) = single(value).ok_or_else(invalid)?;
    match (kind, content) {
        ("S", Value::String(_)) | ("BOOL", Value::Bool(_)) | ("NULL", Value::Bool(true)) => Ok(()),
        ("N", Value::String(_)) => number(value).map(drop).ok_or_else(invalid),
        ("M", Value::Object(fields)) => fields.values().try_for_each(typed),
        ("L", Value::Array(items)) => items.iter().try_for_each(typed),
        _ => Err(invalid()),
    }
}

/// What is at a path; nothing if there is none, or a parent is no map.
pub(super) fn get<'a>(item: &'a Item, path: &[String]) -> Option<&'a Value> {
    let (name, rest) = path.split_first()?;
    let value = item.get(name)?;
    if rest.is_empty() { Some(value) } else { get(value.get("M")?.as_object()?, rest) }
}

/// The map that holds a path's last name.
pub(super) fn parent<'a>(item: &'a mut Item, path: &[String]) -> Result<&'a mut Item, ItemError> {
    let mut at = item;
    for name in &path[..path.len() - 1] {
        let map = at.get_mut(name).and_then(|value| value.get_mut("M")).and_then(Value::as_object_mut);
        at = map.ok_or_else(|| {
            ItemError::validation("The document path provided in the update expression is invalid for update")
        })?;
    }
    Ok(at)
}

/// A whole number; others are not understood.
pub(super) fn number(value: &Value) -> Option<i128> {
    let text = value.get("N")?.as_str()?;
    // As DynamoDB writes them.
    text.parse().ok().filter(|number: &i128| number.to_string() == text)
}

/// Whether two values are equal.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    left == right
}

/// The order of two texts or two numbers; there is none of other values.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (single(left)?, single(right)?) {
        (("S", left), ("S", right)) => Some(left.as_str()?.as_bytes().cmp(right.as_str()?.as_bytes())),
        (("N", _), ("N", _)) => Some(number(left)?.cmp(&number(right)?)),
        _ => None,
    }
}

fn single(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.iter().next().map(|(kind, content)| (kind.as_str(), content))
}
