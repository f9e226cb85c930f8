//! The lease table as operators see and change it: the whole item, commands, and freezes.
//!
//! The state machines own the item. What is written here is one attribute at a time, `command` under a condition.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;

use crate::client::api_error;
use crate::error::ApiError;

const GET: &str = "GetItem";
const SCAN: &str = "Scan";
const UPDATE: &str = "UpdateItem";

/// Key of the item whose freeze is for all services.
pub const ALL: &str = "*";

/// The error code of a condition that does not hold.
const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

type Attributes = HashMap<String, AttributeValue>;

/// The table of leases: one item for each service, its key `service`.
#[derive(Clone, Debug)]
pub struct OperatorTable {
    client: Client,
    table: String,
}

/// An item of the table. What is absent, or of a type that it should not have, is `None`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Item {
    /// The service.
    pub service: String,
    /// ARN of the execution that holds the lease; `None` while it is free.
    pub owner: Option<String>,
    /// Grows with every acquisition.
    pub fence: Option<String>,
    /// What the owner does, or how the last one ended.
    pub phase: Option<String>,
    /// The operator's wish; `none` where there is none.
    pub command: Option<String>,
    /// When the owner took the lease, RFC 3339.
    pub acquired_at: Option<String>,
    /// The input of the latest release that took the lease, JSON text.
    pub intent: Option<String>,
    /// The owner's plan, JSON text.
    pub plan: Option<String>,
    /// The release that waits for its turn.
    pub waiting: Option<Waiting>,
    /// Until when nothing may start or advance.
    pub freeze: Option<Freeze>,
    /// ARN of the latest release that was promoted.
    pub promoted_by: Option<String>,
    /// The plan of that release, JSON text, as long as it can be undone.
    pub promoted_plan: Option<String>,
    /// The version with the traffic, JSON text.
    pub live_version: Option<String>,
    /// The slot with the traffic.
    pub live_slot: Option<String>,
}

/// A release that waits for its turn.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Waiting {
    /// Its execution's ARN.
    pub execution: String,
    /// Its input, JSON text.
    pub intent: Option<String>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
}

/// Until then nothing may start or advance.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Freeze {
    /// Why.
    pub reason: String,
    /// Who says so.
    pub owner: String,
    /// Until when, RFC 3339.
    pub until: String,
}

impl Item {
    /// The wish that the owner has not taken out yet.
    #[must_use]
    pub fn wish(&self) -> Option<&str> {
        self.command.as_deref().filter(|command| *command != "none" && self.owner.is_some())
    }
}

impl Freeze {
    /// Whether it is still on. One whose end cannot be read is.
    #[must_use]
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.until.parse::<Timestamp>().map_or(true, |until| now < until)
    }
}

impl OperatorTable {
    /// The table of this name or ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    /// The item of a service, or of [`ALL`], read consistently; `None` if there is none.
    ///
    /// # Errors
    /// The call's.
    pub async fn read(&self, service: &str) -> Result<Option<Item>, ApiError> {
        let call = self.client.get_item().table_name(&self.table).key("service", text(service)).consistent_read(true);
        let answer = call.send().await.map_err(|error| api_error(GET, service, &error))?;
        Ok(answer.item.as_ref().map(item))
    }

    /// All items, read to the last page, in the order of their services.
    ///
    /// # Errors
    /// The call's.
    pub async fn all(&self) -> Result<Vec<Item>, ApiError> {
        let call = self.client.scan().table_name(&self.table).consistent_read(true);
        let mut pages = call.into_paginator().send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(SCAN, &self.table, &error))?;
            items.extend(page.items.unwrap_or_default().iter().map(item));
        }
        items.sort_by(|one, other| one.service.cmp(&other.service));
        Ok(items)
    }

    /// Writes a command, if owner, fence and command are still those that were `seen`; false if not. The command is
    /// among them so that nobody's `abort` is lost to somebody else's `pause`.
    ///
    /// # Errors
    /// The call's.
    pub async fn command(&self, seen: &Item, command: &str) -> Result<bool, ApiError> {
        let mut call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("service", text(&seen.service))
            .update_expression("SET #command = :command")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#fence", "fence")
            .expression_attribute_names("#command", "command")
            .expression_attribute_values(":owner", text(seen.owner.as_deref().unwrap_or_default()))
            .expression_attribute_values(
                ":fence",
                AttributeValue::N(seen.fence.clone().unwrap_or_else(|| "0".to_owned())),
            )
            .expression_attribute_values(":command", text(command));
        let unchanged = match &seen.command {
            Some(before) => {
                call = call.expression_attribute_values(":seen", text(before));
                "#command = :seen"
            }
            None => "attribute_not_exists(#command)",
        };
        let condition = format!("#owner = :owner AND #fence = :fence AND {unchanged}");
        match call.condition_expression(condition).send().await {
            Ok(_) => Ok(true),
            Err(error) => lost(api_error(UPDATE, &seen.service, &error), false),
        }
    }

    /// Freezes a service, or [`ALL`], and gives the freeze that this one takes the place of. An item that does not
    /// exist yet begins with the freeze alone, as a free lease.
    ///
    /// # Errors
    /// The call's.
    pub async fn freeze(&self, service: &str, freeze: &Freeze) -> Result<Option<Freeze>, ApiError> {
        let value = HashMap::from([
            ("reason".to_owned(), text(&freeze.reason)),
            ("owner".to_owned(), text(&freeze.owner)),
            ("until".to_owned(), text(&freeze.until)),
        ]);
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("service", text(service))
            .update_expression("SET #freeze = :freeze")
            .expression_attribute_names("#freeze", "freeze")
            .expression_attribute_values(":freeze", AttributeValue::M(value))
            .return_values(ReturnValue::UpdatedOld);
        let answer = call.send().await.map_err(|error| api_error(UPDATE, service, &error))?;
        Ok(answer.attributes.as_ref().and_then(frozen))
    }

    /// Ends the freeze of a service, or of [`ALL`], and gives it; `None` if there was none.
    ///
    /// # Errors
    /// The call's.
    pub async fn unfreeze(&self, service: &str) -> Result<Option<Freeze>, ApiError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("service", text(service))
            .condition_expression("attribute_exists(#freeze)")
            .update_expression("REMOVE #freeze")
            .expression_attribute_names("#freeze", "freeze")
            .return_values(ReturnValue::AllOld);
        match call.send().await {
            // A freeze that is not shaped like one is gone, too.
            Ok(answer) => Ok(Some(answer.attributes.as_ref().and_then(frozen).unwrap_or_default())),
            Err(error) => lost(api_error(UPDATE, service, &error), None),
        }
    }
}

/// Tells a condition that does not hold from a call that failed.
fn lost<T>(error: ApiError, otherwise: T) -> Result<T, ApiError> {
    if error.code == CONDITION_FAILED { Ok(otherwise) } else { Err(error) }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn string(attributes: &Attributes, name: &str) -> Option<String> {
    attributes.get(name).and_then(|value| value.as_s().ok()).cloned()
}

fn map<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a Attributes> {
    attributes.get(name).and_then(|value| value.as_m().ok())
}

fn frozen(attributes: &Attributes) -> Option<Freeze> {
    let freeze = map(attributes, "freeze")?;
    let field = |name| string(freeze, name).unwrap_or_default();
    Some(Freeze { reason: field("reason"), owner: field("owner"), until: field("until") })
}

fn item(attributes: &Attributes) -> Item {
    let field = |name| string(attributes, name);
    let waiting = map(attributes, "waiting").and_then(|waiting| {
        let execution = string(waiting, "execution")?;
        Some(Waiting { execution, intent: string(waiting, "intent"), since: string(waiting, "since") })
    });
    Item {
        service: field("service").unwrap_or_default(),
        owner: field("owner"),
        fence: attributes.get("fence").and_then(|value| value.as_n().ok()).cloned(),
        phase: field("phase"),
        command: field("command"),
        acquired_at: field("acquired_at"),
        intent: field("intent"),
        plan: field("plan"),
        waiting,
        freeze: frozen(attributes),
        promoted_by: field("promoted_by"),
        promoted_plan: field("promoted_plan"),
        live_version: field("live_version"),
        live_slot: field("live_slot"),
    }
}
