//! The lease table in DynamoDB, read only: the state machines write it.

use std::collections::HashMap;
use std::str::FromStr;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use spillway_core::decision::Command;
use spillway_core::definition::ServiceName;
use spillway_core::lease::{Freeze, LeaseRecord, Live, Waiting};
use spillway_core::scaling::Scaling;

use crate::client::{api_error, invalid_answer};
use crate::error::ApiError;
use crate::ports::Leases;

const GET: &str = "GetItem";
/// Key of the item that holds the freeze of all services. No service can have this name.
pub const ALL_SERVICES: &str = "*";
/// What a lease is read for; not its plans, which are large.
const ATTRIBUTES: [&str; 12] = [
    "owner",
    "fence",
    "lease_until",
    "phase",
    "acquired_at",
    "intent",
    "command",
    "waiting",
    "freeze",
    "live_version",
    "live_slot",
    "scaling",
];

/// The table of leases: one item for each service, its key `service`.
#[derive(Clone, Debug)]
pub struct LeaseTable {
    client: Client,
    table: String,
}

impl LeaseTable {
    /// The table of this name or ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }
}

impl LeaseTable {
    /// The attributes asked for of one item, read consistently: what was read otherwise may have been lost already.
    async fn item(&self, key: &str, attributes: &[&str]) -> Result<Option<Item>, ApiError> {
        // OWNER is a reserved word:
        // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
        let names = attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect();
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("service", AttributeValue::S(key.into()))
            .consistent_read(true)
            .projection_expression(attributes.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", "))
            .set_expression_attribute_names(Some(names))
            .send()
            .await
            .map_err(|error| api_error(GET, key, &error))?;
        Ok(answer.item.map(|attributes| Item { key: key.to_owned(), attributes }))
    }
}

impl Leases for LeaseTable {
    async fn read(&self, service: &ServiceName) -> Result<Option<LeaseRecord>, ApiError> {
        let Some(item) = self.item(service.as_str(), &ATTRIBUTES).await? else { return Ok(None) };
        Ok(Some(LeaseRecord {
            // What ownership rests on must be readable ...
            owner: item.text("owner")?,
            fence: item.number("fence")?.unwrap_or(0),
            until: item.parsed("lease_until")?,
            // ... and nothing else may keep a release from being rolled back.
            phase: readable(item.text("phase")).unwrap_or_default(),
            since: readable(item.parsed("acquired_at")),
            intent: readable(item.text("intent")),
            command: readable(item.text("command"))
                .map_or(Command::None, |word| serde_json::from_value(word.into()).unwrap_or(Command::Unknown)),
            waiting: readable(waiting(&item)),
            freeze: freeze(&item),
            live: readable(live(&item)),
            scaling: readable(scaling(&item)).unwrap_or_default(),
        }))
    }

    async fn freeze_of_all(&self) -> Result<Option<Freeze>, ApiError> {
        match self.item(ALL_SERVICES, &["freeze"]).await? {
            Some(item) => Ok(freeze(&item)),
            None => Ok(None),
        }
    }
}

/// What was read, or nothing, and a word about it, where it is not what it should be.
fn readable<T>(read: Result<Option<T>, ApiError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "an attribute of the lease is ignored");
        None
    })
}

/// One that cannot be read is one without an end: somebody meant something to stop.
fn freeze(item: &Item) -> Option<Freeze> {
    let read = || {
        let Some(freeze) = item.map("freeze")? else { return Ok(None) };
        Ok(Some(Freeze {
            reason: freeze.needed("reason")?,
            owner: freeze.needed("owner")?,
            until: freeze.parsed("until")?.ok_or_else(|| freeze.malformed("until"))?,
        }))
    };
    read().unwrap_or_else(|error: ApiError| {
        Some(Freeze { reason: error.to_string(), owner: "nobody known".into(), until: Timestamp::MAX })
    })
}

fn waiting(item: &Item) -> Result<Option<Waiting>, ApiError> {
    let Some(waiting) = item.map("waiting")? else { return Ok(None) };
    Ok(Some(Waiting {
        execution: waiting.needed("execution")?,
        intent: waiting.needed("intent")?,
        since: waiting.parsed("since")?.ok_or_else(|| waiting.malformed("since"))?,
        supersede: waiting.flag("supersede")?,
    }))
}

fn live(item: &Item) -> Result<Option<Live>, ApiError> {
    let (Some(version), Some(slot)) = (item.text("live_version")?, item.text("live_slot")?) else { return Ok(None) };
    Ok(Some(Live {
        version: serde_json::from_str(&version).map_err(|_| item.malformed("live_version"))?,
        slot: serde_json::from_value(slot.into()).map_err(|_| item.malformed("live_slot"))?,
    }))
}

fn scaling(item: &Item) -> Result<Option<Vec<Scaling>>, ApiError> {
    let Some(text) = item.text("scaling")? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|_| item.malformed("scaling"))
}

/// An item, or a map in one. What is not of its type is an error, and no nothing.
struct Item {
    key: String,
    attributes: HashMap<String, AttributeValue>,
}

impl Item {
    fn malformed(&self, attribute: &str) -> ApiError {
        // Not the value: what people have released, and why, belongs into no log.
        let found = match self.attributes.get(attribute) {
            None => "missing".to_owned(),
            Some(AttributeValue::S(text)) => format!("a text of {} bytes that cannot be read", text.len()),
            Some(AttributeValue::N(_)) => "a number that cannot be read".to_owned(),
            Some(AttributeValue::M(_)) => "a map".to_owned(),
            Some(_) => "of a type that it never has".to_owned(),
        };
        invalid_answer(GET, &self.key, format!("the lease's {attribute} is {found}"))
    }

    fn text(&self, attribute: &str) -> Result<Option<String>, ApiError> {
        match self.attributes.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.malformed(attribute)),
        }
    }

    fn needed(&self, attribute: &str) -> Result<String, ApiError> {
        self.text(attribute)?.ok_or_else(|| self.malformed(attribute))
    }

    fn parsed<T: FromStr>(&self, attribute: &str) -> Result<Option<T>, ApiError> {
        self.text(attribute)?.map(|text| text.parse().map_err(|_| self.malformed(attribute))).transpose()
    }

    fn number(&self, attribute: &str) -> Result<Option<u64>, ApiError> {
        match self.attributes.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|_| self.malformed(attribute)),
            Some(_) => Err(self.malformed(attribute)),
        }
    }

    fn flag(&self, attribute: &str) -> Result<bool, ApiError> {
        match self.attributes.get(attribute) {
            None => Ok(false),
            Some(AttributeValue::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.malformed(attribute)),
        }
    }

    fn map(&self, attribute: &str) -> Result<Option<Self>, ApiError> {
        match self.attributes.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::M(map)) => {
                Ok(Some(Self { key: format!("{}.{attribute}", self.key), attributes: map.clone() }))
            }
            Some(_) => Err(self.malformed(attribute)),
        }
    }
}
