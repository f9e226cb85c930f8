//! The lease table in DynamoDB, read only: the state machines write it.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use spillway_core::definition::ServiceName;
use spillway_core::lease::LeaseRecord;

use crate::client::{api_error, invalid_answer};
use crate::error::ApiError;
use crate::ports::Leases;

const GET: &str = "GetItem";

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

impl Leases for LeaseTable {
    async fn read(&self, service: &ServiceName) -> Result<Option<LeaseRecord>, ApiError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("service", AttributeValue::S(service.as_str().into()))
            // An eventually consistent read can show a lease that was lost already.
            .consistent_read(true)
            // OWNER is a reserved word:
            // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
            .projection_expression("#owner, #fence")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#fence", "fence")
            .send()
            .await
            .map_err(|error| api_error(GET, service.as_str(), &error))?;
        let Some(item) = answer.item else { return Ok(None) };
        let malformed = |attribute: &str, value: &AttributeValue| {
            invalid_answer(GET, service.as_str(), format!("the lease's {attribute} is {value:?}"))
        };
        let owner = match item.get("owner") {
            None => None,
            Some(AttributeValue::S(owner)) => Some(owner.clone()),
            Some(other) => return Err(malformed("owner", other)),
        };
        let fence = match item.get("fence") {
            None => 0,
            Some(value @ AttributeValue::N(digits)) => digits.parse().map_err(|_| malformed("fence", value))?,
            Some(other) => return Err(malformed("fence", other)),
        };
        Ok(Some(LeaseRecord { owner, fence }))
    }
}
