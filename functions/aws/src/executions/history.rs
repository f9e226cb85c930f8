//! What an execution has done, event by event.

use aws_sdk_sfn::types::HistoryEvent;
use jiff::Timestamp;

use super::StateMachines;
use crate::client::{api_error, unexpected};
use crate::error::ApiError;

const HISTORY: &str = "GetExecutionHistory";
/// Events of one answer: with their data some megabytes at most, which an attempt's time is enough for.
const PAGE: i32 = 200;
/// Events of an execution at most:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>.
const MOST_EVENTS: usize = 25_000;

/// One event of an execution, as far as it tells how a release went. What states were given is left out: it holds the
/// plan again and again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Event {
    /// Its number, from 1 on.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Its type: `TaskSucceeded`.
    pub kind: String,
    /// The state that was entered or left.
    pub state: Option<String>,
    /// What the execution was started with, JSON text; of the first event.
    pub input: Option<String>,
    /// What a task has answered, or the execution has ended with, JSON text.
    pub output: Option<String>,
    /// The name of the error of what has failed.
    pub error: Option<String>,
    /// What that error says.
    pub cause: Option<String>,
}

impl StateMachines {
    /// The events of an execution after the one with the number `after`, oldest first: all of them after 0, and none if
    /// nothing has happened since.
    ///
    /// They are read from the latest backwards, so that a look at what is new takes one call. Events that come while it is
    /// read are told by the next look.
    ///
    /// # Errors
    /// The call's, with the code [`UNKNOWN_EXECUTION`](super::UNKNOWN_EXECUTION) for an execution that does not exist, or
    /// that ended more than 90 days ago; an answer that leaves events out.
    pub async fn history(&self, execution: &str, after: i64) -> Result<Vec<Event>, ApiError> {
        let enough = |events: &[Event]| events.last().is_some_and(|event| event.id <= after + 1);
        let mut events = self.latest_events(execution, |events| enough(events)).await?;
        events.retain(|event| event.id > after);
        events.reverse();
        let complete = std::iter::zip(&events, after + 1..).all(|(event, id)| event.id == id);
        if complete { Ok(events) } else { Err(unexpected(HISTORY, execution, "InvalidAnswer", "events are missing")) }
    }

    /// The latest events of an execution, newest first: pages of them, until `enough` of those read so far, or all.
    ///
    /// # Errors
    /// The call's.
    pub async fn latest_events(
        &self,
        execution: &str,
        enough: impl Fn(&[Event]) -> bool,
    ) -> Result<Vec<Event>, ApiError> {
        let mut events: Vec<Event> = Vec::new();
        let mut token = None;
        while events.len() <= MOST_EVENTS {
            let call = self.client.get_execution_history().execution_arn(execution).reverse_order(true);
            let call = call.include_execution_data(true).max_results(PAGE).set_next_token(token.take());
            let answer = call.send().await.map_err(|error| api_error(HISTORY, execution, &error))?;
            events.extend(answer.events.into_iter().map(event));
            token = answer.next_token;
            if token.is_none() || enough(&events) {
                return Ok(events);
            }
        }
        let message = format!("more than {MOST_EVENTS} events, which no execution has");
        Err(unexpected(HISTORY, execution, "InvalidAnswer", message))
    }
}

fn event(told: HistoryEvent) -> Event {
    // Told to the millisecond, as a floating-point number.
    let milliseconds = told.timestamp.secs() * 1000 + i64::from((told.timestamp.subsec_nanos() + 500_000) / 1_000_000);
    let mut event = Event {
        id: told.id,
        at: Timestamp::from_millisecond(milliseconds).unwrap_or_default(),
        kind: told.r#type.as_str().to_owned(),
        ..Event::default()
    };
    // One of them is there, by the event's type.
    if let Some(details) = told.state_entered_event_details {
        event.state = Some(details.name);
    }
    if let Some(details) = told.state_exited_event_details {
        event.state = Some(details.name);
    }
    if let Some(details) = told.execution_started_event_details {
        event.input = details.input;
    }
    let outputs = [
        told.task_succeeded_event_details.and_then(|details| details.output),
        told.lambda_function_succeeded_event_details.and_then(|details| details.output),
        told.execution_succeeded_event_details.and_then(|details| details.output),
    ];
    event.output = outputs.into_iter().flatten().next();
    macro_rules! failures {
        ($($field:ident),*) => { [$(told.$field.map(|details| (details.error, details.cause))),*] };
    }
    let failures = failures![
        task_failed_event_details,
        task_timed_out_event_details,
        task_start_failed_event_details,
        task_submit_failed_event_details,
        lambda_function_failed_event_details,
        lambda_function_timed_out_event_details,
        lambda_function_start_failed_event_details,
        lambda_function_schedule_failed_event_details,
        evaluation_failed_event_details,
        execution_failed_event_details,
        execution_aborted_event_details,
        execution_timed_out_event_details
    ];
    if let Some((error, cause)) = failures.into_iter().flatten().next() {
        (event.error, event.cause) = (error, cause);
    }
    event
}
