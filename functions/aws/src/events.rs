//! The event bus: lifecycle events for whoever listens.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use spillway_core::event::{Event, SOURCE};

use crate::client::{TURNED_AWAY, api_error, invalid_answer};
use crate::error::ApiError;
use crate::ports::Events;

const PUT: &str = "PutEvents";
/// Entries of one call: <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>.
const MOST: usize = 10;
/// What an entry fails with where it may be put again:
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>.
const RETRIABLE: [&str; 2] = ["InternalFailure", "InternalException"];

/// The account's default bus.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: Client,
}

impl EventBus {
    /// That of the configured account and region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    async fn put_some(&self, events: &[Event]) -> Result<(), ApiError> {
        let subject = events.first().map(|event| event.id.clone()).unwrap_or_default();
        let mut entries = Vec::with_capacity(events.len());
        for event in events {
            let detail = serde_json::to_string(event)
                .map_err(|error| invalid_answer(PUT, &subject, format!("the event is no JSON: {error}")))?;
            let time = aws_smithy_types::DateTime::from_secs(event.time.as_second());
            let entry = PutEventsRequestEntry::builder()
                .source(SOURCE)
                .detail_type(event.kind.detail_type())
                .time(time)
                .resources(&event.release.execution)
                .detail(detail);
            entries.push(entry.build());
        }
        let call = self.client.put_events().set_entries(Some(entries));
        let answer = call.send().await.map_err(|error| api_error(PUT, &subject, &error))?;
        if answer.failed_entry_count == 0 {
            return Ok(());
        }
        // Events have an identity: those that were put may be put again with the others.
        let failed = answer.entries().iter().find(|entry| entry.error_code.is_some());
        let code = failed.and_then(|entry| entry.error_code.clone()).unwrap_or_else(|| "InvalidAnswer".to_owned());
        let message = failed.and_then(|entry| entry.error_message.clone()).unwrap_or_default();
        let transient = RETRIABLE.contains(&code.as_str()) || TURNED_AWAY.contains(&code.as_str());
        let message = format!("{} of {} entries failed: {message}", answer.failed_entry_count, events.len());
        Err(ApiError { operation: PUT, subject, code, message, transient })
    }
}

impl Events for EventBus {
    async fn put(&self, events: &[Event]) -> Result<(), ApiError> {
        for some in events.chunks(MOST) {
            self.put_some(some).await?;
        }
        Ok(())
    }
}
