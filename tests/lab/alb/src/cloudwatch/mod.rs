//! CloudWatch: answers `GetMetricData` on `AWS/ApplicationELB`, passes every other call on, and keeps the
//! alarms on these metrics in the state that the metrics call for.

mod alarm;
mod alarms;
mod answer;
mod evaluation;
mod query;
mod stat;
mod upstream;
mod wire;

use std::sync::Arc;
use std::time::Instant;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) use alarms::start as watch_alarms;
pub(crate) use upstream::Upstream;

use crate::counts::ApiCall;
use crate::error::ApiError;
use crate::faults::{Fate, Service};
use crate::pool::Body;
use crate::server::Closed;
use crate::shared::Shared;

const MAX_BODY: usize = 4 << 20;

/// Serves one call.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    upstream: Option<Upstream>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(|_| Closed)?.to_bytes();
    let (protocol, action) = wire::identify(&parts, &body);
    let at = Timestamp::now();
    let (result, lost) = match shared.faults.decide(Service::CloudWatch, &action, Instant::now()) {
        Fate::Fail { code, message } => (Err(ApiError { code, message }), false),
        Fate::Serve { lose_response } => (call(&shared, upstream, protocol, &action, parts, body).await, lose_response),
    };
    shared.calls.push(ApiCall {
        action,
        at,
        resource: None,
        error: result.as_ref().err().map(|error| error.code.clone()),
    });
    match result {
        _ if lost => Err(Closed),
        Ok(response) => Ok(response),
        Err(error) => Ok(wire::encode_error(protocol, &error)),
    }
}

async fn call(
    shared: &Shared,
    upstream: Option<Upstream>,
    protocol: wire::Protocol,
    action: &str,
    parts: Parts,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let request = match action {
        "GetMetricData" => wire::decode(protocol, &parts, &body)?,
        _ => Value::Null,
    };
    let (here, elsewhere) = query::split(&request);
    let partial = action == "GetMetricData" && shared.faults.take_partial();
    if here.is_empty() && !partial {
        return match upstream {
            Some(upstream) => upstream.pass(shared, parts, body).await,
            None => Err(ApiError::not_modelled(&format!("Without an upstream, {action}"))),
        };
    }
    if shared.faults.metrics_dropped() && !here.is_empty() {
        return Err(ApiError::new("InternalServiceFault", "Request processing has failed because of an unknown error"));
    }
    if !here.is_empty() && elsewhere.iter().any(|query| !query["Expression"].is_null()) {
        return Err(ApiError::not_modelled("An Expression beside a metric of AWS/ApplicationELB"));
    }
    let parsed = query::parse(&request, &here)?;
    // What comes from elsewhere is on the first page; it is no part of the paging here.
    let mut more = match upstream {
        _ if elsewhere.is_empty() || parsed.token.is_some() => Vec::new(),
        Some(upstream) => upstream.metric_data(shared, &request, &elsewhere, parsed.ascending).await?,
        None => return Err(ApiError::not_modelled("Without an upstream, another namespace")),
    };
    let mut page = answer::answer(shared, &parsed, Timestamp::now())?;
    if partial {
        page = page.in_part();
        more.iter_mut().for_each(upstream::in_part);
    }
    Ok(wire::encode(protocol, &page, &more))
}
