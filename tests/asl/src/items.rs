//! A DynamoDB table in memory, as the state machines and the functions use one.
//!
//! What it knows, it does as DynamoDB does
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html>); all else is an error, and never
//! left out. Reserved words are not refused, numbers are whole, and an index holds whole items.

mod attribute;
mod expression;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

pub use attribute::Item;
use attribute::{Path, get, typed};
use expression::{Condition, Parser};
use update::Update;

/// A table with a text as its key.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Items {
    /// The key's attribute.
    pub key: String,
    /// Items by their key, with it. They are shared: a copy of a table copies none.
    pub items: BTreeMap<String, Arc<Item>>,
}

/// Why a call failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{name}: {message}")]
pub struct ItemError {
    /// DynamoDB's name of it, without a prefix.
    pub name: &'static str,
    /// What is wrong.
    pub message: String,
}

impl ItemError {
    fn validation(message: impl Into<String>) -> Self {
        Self { name: "ValidationException", message: message.into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct UpdateItem {
    table_name: String,
    key: Item,
    condition_expression: Option<String>,
    update_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
    #[serde(default)]
    expression_attribute_values: Item,
    #[serde(default)]
    return_values: ReturnValues,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ReturnValues {
    #[default]
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct GetItem {
    table_name: String,
    key: Item,
    /// Every read is.
    #[serde(default, rename = "ConsistentRead")]
    _consistent_read: bool,
    projection_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Scan {
    table_name: String,
    index_name: Option<String>,
    limit: Option<usize>,
    exclusive_start_key: Option<Item>,
    #[serde(default)]
    consistent_read: bool,
    projection_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
}

impl Items {
    /// An empty table.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), items: BTreeMap::new() }
    }

    /// An item.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.items.get(key).map(|item| &**item)
    }

    /// Puts an item, `{"owner": {"S": "…"}, …}` with its key, in the place of any that has it.
    ///
    /// # Errors
    /// If it is none.
    pub fn put(&mut self, item: &Value) -> Result<(), ItemError> {
        let item: Item = read(item)?;
        item.values().try_for_each(typed)?;
        let key = self.key_of(&item)?;
        self.items.insert(key, item.into());
        Ok(())
    }

    /// Makes a call: `updateItem`, `getItem` or `scan`, named as in a state machine, with the API's arguments; gives the
    /// API's answer.
    ///
    /// A `scan` of an index expects the index to be named like its key attribute.
    ///
    /// # Errors
    /// `ConditionalCheckFailedException`, or `ValidationException` for all that DynamoDB refuses or this does not know.
    pub fn call(&mut self, action: &str, arguments: &Value) -> Result<Value, ItemError> {
        match action {
            "updateItem" => self.update(read(arguments)?),
            "getItem" => self.read_one(&read(arguments)?),
            "scan" => self.scan(&read(arguments)?),
            _ => Err(ItemError::validation(format!("{action} is not known"))),
        }
    }

    fn update(&mut self, call: UpdateItem) -> Result<Value, ItemError> {
        table(&call.table_name)?;
        let key = self.whole_key(&call.key)?;
        call.expression_attribute_values.values().try_for_each(typed)?;
        let mut parser = Parser::new(&call.expression_attribute_names, &call.expression_attribute_values);
        let condition = call.condition_expression.map(|text| parser.parse(&text, Condition::parse)).transpose()?;
        let update = match call.update_expression {
            Some(text) => parser.parse(&text, Update::parse)?,
            None => Update::default(),
        };
        parser.all_used()?;
        if update.paths().any(|path| path[0] == self.key) {
            let message = format!("Cannot update attribute {}. This attribute is part of the key", self.key);
            return Err(ItemError::validation(message));
        }
        let nothing = Item::new();
        let old = self.items.get(&key).cloned();
        if let Some(condition) = condition
            && !condition.holds(old.as_deref().unwrap_or(&nothing))?
        {
            let message = "The conditional request failed".into();
            return Err(ItemError { name: "ConditionalCheckFailedException", message });
        }
        let new = Arc::new(update.applied(old.as_deref().unwrap_or(&call.key))?);
        self.items.insert(key, new.clone());
        let attributes = match call.return_values {
            ReturnValues::None => None,
            ReturnValues::AllOld => old.as_deref().cloned(),
            ReturnValues::AllNew => Some(new.as_ref().clone()),
            ReturnValues::UpdatedOld => old.map(|old| fragments(&old, update.paths())),
            ReturnValues::UpdatedNew => Some(fragments(&new, update.paths())),
        };
        Ok(match attributes.filter(|attributes| !attributes.is_empty()) {
            Some(attributes) => json!({ "Attributes": attributes }),
            None => json!({}),
        })
    }

    fn read_one(&self, call: &GetItem) -> Result<Value, ItemError> {
        table(&call.table_name)?;
        let key = self.whole_key(&call.key)?;
        let projection = projection(call.projection_expression.as_deref(), &call.expression_attribute_names)?;
        Ok(match self.items.get(&key) {
            Some(item) => json!({"Item": projected(item, projection.as_deref())}),
            None => json!({}),
        })
    }

    fn scan(&self, call: &Scan) -> Result<Value, ItemError> {
        table(&call.table_name)?;
        if call.consistent_read && call.index_name.is_some() {
            return Err(ItemError::validation("Consistent reads are not supported on global secondary indexes"));
        }
        if call.limit == Some(0) {
            return Err(ItemError::validation("Limit must be at least 1"));
        }
        let projection = projection(call.projection_expression.as_deref(), &call.expression_attribute_names)?;
        let from = match &call.exclusive_start_key {
            Some(key) => {
                let names: BTreeSet<&String> = [&self.key].into_iter().chain(&call.index_name).collect();
                if key.keys().collect::<BTreeSet<_>>() != names {
                    return Err(ItemError::validation("The provided starting key is invalid"));
                }
                Bound::Excluded(self.key_of(key)?)
            }
            None => Bound::Unbounded,
        };
        let indexed = |item: &Item| call.index_name.as_ref().is_none_or(|name| item.contains_key(name));
        let found = self.items.range((from, Bound::Unbounded)).map(|(_, item)| item).filter(|item| indexed(item));
        let found: Vec<&Arc<Item>> = found.take(call.limit.unwrap_or(usize::MAX)).collect();
        let items: Vec<Item> = found.iter().map(|item| projected(item, projection.as_deref())).collect();
        let mut answer = json!({"Items": items, "Count": found.len(), "ScannedCount": found.len()});
        // It does not look whether anything follows.
        if let Some(last) = found.last().filter(|_| Some(found.len()) == call.limit) {
            let names = [&self.key].into_iter().chain(&call.index_name);
            answer["LastEvaluatedKey"] = names.map(|name| (name.clone(), last[name].clone())).collect();
        }
        Ok(answer)
    }

    /// The key in an item.
    fn key_of(&self, item: &Item) -> Result<String, ItemError> {
        match item.get(&self.key).and_then(|value| value["S"].as_str()) {
            Some(key) if !key.is_empty() => Ok(key.to_owned()),
            _ => Err(ItemError::validation(format!("the key {} is missing, empty or not a text", self.key))),
        }
    }

    fn whole_key(&self, key: &Item) -> Result<String, ItemError> {
        if key.len() > 1 {
            return Err(ItemError::validation("The provided key element does not match the schema"));
        }
        self.key_of(key)
    }
}

fn read<T: serde::de::DeserializeOwned>(arguments: &Value) -> Result<T, ItemError> {
    T::deserialize(arguments).map_err(|error| ItemError::validation(error.to_string()))
}

/// There is but one table; a call must name it.
fn table(name: &str) -> Result<(), ItemError> {
    if name.is_empty() { Err(ItemError::validation("TableName is empty")) } else { Ok(()) }
}

fn projection(text: Option<&str>, names: &BTreeMap<String, String>) -> Result<Option<Vec<Path>>, ItemError> {
    let values = Item::new();
    let mut parser = Parser::new(names, &values);
    let paths = text.map(|text| parser.parse(text, Parser::paths)).transpose()?;
    parser.all_used()?;
    Ok(paths)
}

fn projected(item: &Item, projection: Option<&[Path]>) -> Item {
    projection.map_or_else(|| item.clone(), |paths| fragments(item, paths.iter()))
}

/// What is at the paths, in the maps that it is in.
fn fragments<'a>(item: &Item, paths: impl Iterator<Item = &'a Path>) -> Item {
    let mut fragments = Item::new();
    for path in paths {
        let Some(value) = get(item, path) else { continue };
        let (last, parents) = path.split_last().expect("a path has a name");
        let mut at = &mut fragments;
        for parent in parents {
            let map = at.entry(parent.clone()).or_insert_with(|| json!({"M": {}}));
            at = map["M"].as_object_mut().expect("paths do not overlap");
        }
        at.insert(last.clone(), value.clone());
    }
    fragments
}

#[cfg(test)]
mod tests;
