//! The frame that every function runs in: start-up, logs, and errors with names.

use std::future::Future;

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Level};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::error::{Named, diagnostic};

/// Answers invocations with `handle` until the environment is shut down.
///
/// The event is parsed here, so that a malformed one is a named error too.
///
/// # Errors
/// Those of the Lambda runtime.
pub async fn serve<Event, Output, Error, Handle, Answer>(handle: Handle) -> Result<(), lambda_runtime::Error>
where
    Event: DeserializeOwned,
    Output: Serialize,
    Error: Named,
    Handle: Fn(Event) -> Answer,
    Answer: Future<Output = Result<Output, Error>>,
{
    start_logging();
    let handle = &handle;
    lambda_runtime::run(service_fn(move |invocation: LambdaEvent<Value>| async move {
        let span = span(&invocation.payload, &invocation.context.request_id);
        let payload = with_deadline(invocation.payload, invocation.context.deadline);
        answer(payload, handle).instrument(span).await
    }))
    .await
}

/// Errors that quote what they were given. Their messages are for whoever asked, and stay out of the logs.
const QUOTING: [&str; 3] = ["InvalidDefinition", "InvalidInput", "ReleaseRefused"];

async fn answer<Event, Output, Error, Handle, Answer>(payload: Value, handle: &Handle) -> Result<Output, Diagnostic>
where
    Event: DeserializeOwned,
    Error: Named,
    Handle: Fn(Event) -> Answer,
    Answer: Future<Output = Result<Output, Error>>,
{
    let event: Event = serde_path_to_error::deserialize(payload).map_err(|error| {
        let (field, inner) = (error.path(), error.inner());
        tracing::error!(error = "InvalidInput", %field);
        Diagnostic { error_type: "InvalidInput".into(), error_message: format!("{field}: {inner}") }
    })?;
    // Boxed: nested SDK futures are too deep for the compiler otherwise.
    match Box::pin(handle(event)).await {
        Ok(output) => {
            tracing::info!("done");
            Ok(output)
        }
        Err(error) => {
            let diagnostic = diagnostic(&error);
            let message = diagnostic.error_message.as_str();
            let message = (!QUOTING.contains(&diagnostic.error_type.as_str())).then_some(message);
            tracing::error!(error = diagnostic.error_type, message);
            Err(diagnostic)
        }
    }
}

/// Tells the handler when its invocation is ended at the latest, by the lease that it works under: what it may still
/// change then, the lease must cover.
fn with_deadline(mut payload: Value, milliseconds: u64) -> Value {
    let deadline = i64::try_from(milliseconds).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    if let (Some(Value::Object(lease)), Some(deadline)) = (payload.get_mut("lease"), deadline) {
        lease.insert("deadline".into(), deadline.to_string().into());
    }
    payload
}

/// Which release and which step a log line is about. Payloads are not logged.
fn span(payload: &Value, request: &str) -> tracing::Span {
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let release = text("/lease/owner").rsplit(':').next().unwrap_or_default();
    let step = payload.pointer("/progress/position").and_then(Value::as_u64);
    tracing::span!(Level::ERROR, "invocation", service = text("/lease/service"), release, step, request)
}

/// JSON lines on standard output, which Lambda sends to the log group. `RUST_LOG` sets the level: `error`, `warn` or
/// `info`. No more than that, since the libraries below would tell of whole requests.
fn start_logging() {
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(Level::INFO);
    let level = level.min(Level::INFO);
    // Those repeat events that they cannot read, and errors as they were answered, which may quote their input.
    let quiet = ("lambda_runtime", LevelFilter::OFF);
    let targets = Targets::new()
        .with_default(level)
        .with_targets([quiet])
        .with_target("lambda_runtime::layers::api_client", level);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .finish()
        .with(targets)
        .init();
}
