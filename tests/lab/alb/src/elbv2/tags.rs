//! Tags of every kind of resource.

use super::describe::{exists, nothing, required};
use crate::error::ApiError;
use crate::node::{Node, fields};
use crate::state::State;

const MAX_TAGS: usize = 50;

pub(super) fn add(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let arns = arns(state, parameters)?;
    let tags = read(parameters)?;
    for arn in arns {
        let known = state.tags.entry(arn).or_default();
        known.extend(tags.iter().cloned());
        if known.len() > MAX_TAGS {
            return Err(ApiError::new("TooManyTags", "You've reached the limit on the number of tags"));
        }
    }
    Ok(nothing())
}

pub(super) fn remove(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    for arn in arns(state, parameters)? {
        if let Some(tags) = state.tags.get_mut(&arn) {
            for key in parameters.strs("TagKeys") {
                tags.remove(&key);
            }
        }
    }
    Ok(nothing())
}

pub(super) fn describe(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let descriptions = arns(state, parameters)?.into_iter().map(|arn| {
        let tags = state.tags.get(&arn).into_iter().flatten();
        let tags = tags.map(|(key, value)| fields([("Key", Node::text(key)), ("Value", Node::text(value))]));
        fields([("Tags", Node::List(tags.collect())), ("ResourceArn", Node::text(&arn))])
    });
    Ok(fields([("TagDescriptions", Node::List(descriptions.collect()))]))
}

/// The tags that a resource is created with, or that are added.
pub(super) fn read(parameters: &Node) -> Result<Vec<(String, String)>, ApiError> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for tag in parameters.list("Tags") {
        let key = required(tag, "Key")?;
        if tags.iter().any(|(known, _)| known == key) {
            return Err(ApiError::new("DuplicateTagKeys", "A tag key was specified more than once"));
        }
        tags.push((key.to_owned(), tag.str("Value").unwrap_or_default().to_owned()));
    }
    Ok(tags)
}

fn arns(state: &State, parameters: &Node) -> Result<Vec<String>, ApiError> {
    let arns = parameters.strs("ResourceArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(ApiError::validation("Between 1 and 20 resource ARNs must be specified"));
    }
    for arn in &arns {
        exists(state, arn)?;
    }
    Ok(arns)
}
