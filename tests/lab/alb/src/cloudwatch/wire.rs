//! The three wire protocols of CloudWatch: Smithy RPC v2 CBOR (the Rust SDK, boto3), AWS JSON 1.0, and
//! AWS Query.

use ciborium::Value as Cbor;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Page;
use crate::error::ApiError;
use crate::node::{Node, escape, fields};
use crate::pool::{Body, full};

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// How a request came, and its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Cbor,
    Json,
    Query,
}

/// The protocol and the action of a request.
pub(super) fn identify(parts: &Parts, body: &[u8]) -> (Protocol, String) {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let path = parts.uri.path();
    if let (Some("rpc-v2-cbor"), Some((_, operation))) = (header("smithy-protocol"), path.rsplit_once("/operation/")) {
        return (Protocol::Cbor, operation.to_owned());
    }
    if let Some((_, operation)) = header("x-amz-target").and_then(|target| target.rsplit_once('.')) {
        return (Protocol::Json, operation.to_owned());
    }
    let form = Node::from_form(form(parts, body));
    (Protocol::Query, form.str("Action").unwrap_or_default().to_owned())
}

/// The request in the shape of the JSON protocol.
pub(super) fn decode(protocol: Protocol, parts: &Parts, body: &[u8]) -> Result<Value, ApiError> {
    let malformed = || ApiError::new("SerializationException", "The request cannot be read");
    match protocol {
        Protocol::Cbor => {
            let value: Cbor = ciborium::from_reader(body).map_err(|_| malformed())?;
            from_cbor(&value).ok_or_else(malformed)
        }
        Protocol::Json => serde_json::from_slice(body).map_err(|_| malformed()),
        Protocol::Query => Ok(Node::from_form(form(parts, body)).to_json()),
    }
}

/// The answer to `GetMetricData`; `more` are results of elsewhere, in the shape of the JSON protocol.
pub(super) fn encode(protocol: Protocol, page: &Page, more: &[Value]) -> Response<Body> {
    let body = match protocol {
        Protocol::Cbor => {
            let mut results: Vec<Cbor> = page
                .results
                .iter()
                .map(|series| {
                    let times = series.points.iter().map(|(at, _)| epoch(*at)).collect();
                    let values = series.points.iter().map(|(_, value)| Cbor::Float(*value)).collect();
                    map([
                        ("Id", Cbor::Text(series.id.clone())),
                        ("Label", Cbor::Text(series.label.clone())),
                        ("Timestamps", Cbor::Array(times)),
                        ("Values", Cbor::Array(values)),
                        ("StatusCode", Cbor::Text(status(series.complete).to_owned())),
                    ])
                })
                .collect();
            results.extend(more.iter().map(result_to_cbor));
            let mut answer = vec![("MetricDataResults", Cbor::Array(results)), ("Messages", Cbor::Array(Vec::new()))];
            if let Some(token) = &page.token {
                answer.push(("NextToken", Cbor::Text(token.clone())));
            }
            cbor_bytes(&map(answer))
        }
        Protocol::Json => {
            let mut results: Vec<Value> = page
                .results
                .iter()
                .map(|series| {
                    json!({
                        "Id": series.id,
                        "Label": series.label,
                        "Timestamps": series.points.iter().map(|(at, _)| at).collect::<Vec<_>>(),
                        "Values": series.points.iter().map(|(_, value)| value).collect::<Vec<_>>(),
                        "StatusCode": status(series.complete),
                    })
                })
                .collect();
            results.extend_from_slice(more);
            let mut answer = json!({"MetricDataResults": results, "Messages": []});
            if let Some(token) = &page.token {
                answer["NextToken"] = token.clone().into();
            }
            answer.to_string().into_bytes()
        }
        Protocol::Query => {
            let mut results: Vec<Node> = page
                .results
                .iter()
                .map(|series| {
                    let times = series.points.iter().map(|(at, _)| Node::text(iso(*at))).collect();
                    let values = series.points.iter().map(|(_, value)| Node::text(value)).collect();
                    result_node(&series.id, &series.label, times, values, status(series.complete))
                })
                .collect();
            results.extend(more.iter().map(result_to_node));
            let mut answer = fields([("MetricDataResults", Node::List(results))]);
            if let Some(token) = &page.token {
                answer.set("NextToken", Node::text(token));
            }
            let mut content = String::new();
            answer.write_xml(&mut content);
            format!(
                "<GetMetricDataResponse xmlns=\"{NAMESPACE}\"><GetMetricDataResult>{content}</GetMetricDataResult>\
                 <ResponseMetadata><RequestId>{:032x}</RequestId></ResponseMetadata></GetMetricDataResponse>",
                fastrand::u128(..)
            )
            .into_bytes()
        }
    };
    respond(protocol, StatusCode::OK, body)
}

/// An error. The model has names (`InternalServiceFault`) that differ from the Query protocol's codes
/// (`InternalServiceError`); the newer protocols tell both (`awsQueryCompatible`).
pub(super) fn encode_error(protocol: Protocol, error: &ApiError) -> Response<Body> {
    let (name, code, status) = match error.code.as_str() {
        "InternalServiceFault" => ("InternalServiceFault", "InternalServiceError", StatusCode::INTERNAL_SERVER_ERROR),
        "BadGateway" => ("InternalServiceFault", "InternalServiceError", StatusCode::BAD_GATEWAY),
        other => (other, other, StatusCode::BAD_REQUEST),
    };
    let who = if status.is_server_error() { "Receiver" } else { "Sender" };
    let typed = format!("com.amazonaws.cloudwatch#{name}");
    let body = match protocol {
        Protocol::Cbor => {
            cbor_bytes(&map([("__type", Cbor::Text(typed)), ("message", Cbor::Text(error.message.clone()))]))
        }
        Protocol::Json => json!({"__type": typed, "message": error.message}).to_string().into_bytes(),
        Protocol::Query => {
            let (mut escaped, mut message) = (String::new(), String::new());
            escape(code, &mut escaped);
            escape(&error.message, &mut message);
            format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{who}</Type><Code>{escaped}</Code>\
                 <Message>{message}</Message></Error><RequestId>{:032x}</RequestId></ErrorResponse>",
                fastrand::u128(..)
            )
            .into_bytes()
        }
    };
    let mut response = respond(protocol, status, body);
    if let Ok(value) = HeaderValue::from_str(&format!("{code};{who}")) {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
    response
}

fn respond(protocol: Protocol, status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let content_type = match protocol {
        Protocol::Cbor => "application/cbor",
        Protocol::Json => "application/x-amz-json-1.0",
        Protocol::Query => "text/xml",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if protocol == Protocol::Cbor {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    if let Ok(id) = HeaderValue::from_str(&format!("{:032x}", fastrand::u128(..))) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

fn form<'a>(parts: &'a Parts, body: &'a [u8]) -> &'a [u8] {
    if body.is_empty() { parts.uri.query().unwrap_or_default().as_bytes() } else { body }
}

fn status(complete: bool) -> &'static str {
    if complete { "Complete" } else { "PartialData" }
}

fn iso(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

/// Tag 1: seconds since the epoch.
fn epoch(seconds: i64) -> Cbor {
    Cbor::Tag(1, Box::new(Cbor::Integer(seconds.into())))
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Cbor)>) -> Cbor {
    Cbor::Map(entries.into_iter().map(|(key, value)| (Cbor::Text(key.to_owned()), value)).collect())
}

fn cbor_bytes(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = ciborium::into_writer(value, &mut bytes) {
        tracing::error!(%error, "cannot write CBOR to memory");
    }
    bytes
}

fn from_cbor(value: &Cbor) -> Option<Value> {
    Some(match value {
        Cbor::Integer(integer) => i64::try_from(*integer).ok()?.into(),
        Cbor::Float(float) => (*float).into(),
        Cbor::Text(text) => text.clone().into(),
        Cbor::Bool(bool) => (*bool).into(),
        Cbor::Null => Value::Null,
        Cbor::Tag(_, inner) => from_cbor(inner)?,
        Cbor::Array(values) => values.iter().map(from_cbor).collect::<Option<Vec<_>>>()?.into(),
        Cbor::Map(entries) => entries
            .iter()
            .map(|(key, value)| Some((key.as_text()?.to_owned(), from_cbor(value)?)))
            .collect::<Option<serde_json::Map<_, _>>>()?
            .into(),
        _ => return None,
    })
}

fn list<'a>(result: &'a Value, name: &str) -> &'a [Value] {
    result[name].as_array().map_or(&[][..], Vec::as_slice)
}

fn result_to_cbor(result: &Value) -> Cbor {
    let text = |name: &str| Cbor::Text(result[name].as_str().unwrap_or_default().to_owned());
    let float = |value: &Value| Cbor::Float(value.as_f64().unwrap_or_default());
    let times = list(result, "Timestamps").iter().map(|time| Cbor::Tag(1, Box::new(float(time))));
    map([
        ("Id", text("Id")),
        ("Label", text("Label")),
        ("Timestamps", Cbor::Array(times.collect())),
        ("Values", Cbor::Array(list(result, "Values").iter().map(float).collect())),
        ("StatusCode", text("StatusCode")),
    ])
}

#[expect(clippy::cast_possible_truncation, reason = "seconds since the epoch")]
fn result_to_node(result: &Value) -> Node {
    let text = |name: &str| result[name].as_str().unwrap_or_default();
    let times = list(result, "Timestamps").iter();
    let times = times.map(|time| Node::text(iso(time.as_f64().unwrap_or_default() as i64)));
    let values = list(result, "Values").iter().map(Node::text);
    result_node(text("Id"), text("Label"), times.collect(), values.collect(), text("StatusCode"))
}

fn result_node(id: &str, label: &str, times: Vec<Node>, values: Vec<Node>, status: &str) -> Node {
    fields([
        ("Id", Node::text(id)),
        ("Label", Node::text(label)),
        ("Timestamps", Node::List(times)),
        ("Values", Node::List(values)),
        ("StatusCode", Node::text(status)),
    ])
}
