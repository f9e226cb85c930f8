//! The CloudWatch that gets every call that is not answered here.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Request, Response, Uri};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::pool::{Body, full};
use crate::proxy;
use crate::shared::Shared;

/// An HTTP server, looked up once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upstream(SocketAddr);

impl Upstream {
    /// Reads `http://host:port` and looks the host up.
    pub(crate) async fn resolve(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        if uri.scheme_str() != Some("http") || uri.path() != "/" {
            return None;
        }
        let host = (uri.host()?.to_owned(), uri.port_u16().unwrap_or(80));
        tokio::net::lookup_host(host).await.ok()?.next().map(Self)
    }

    /// Passes a request on and its answer back, byte for byte.
    pub(super) async fn pass(self, shared: &Shared, parts: Parts, body: Bytes) -> Result<Response<Body>, ApiError> {
        let mut request = Request::new(full(body));
        *request.method_mut() = parts.method;
        *request.headers_mut() = parts.headers;
        proxy::strip(request.headers_mut());
        if let Some(path) = parts.uri.path_and_query() {
            *request.uri_mut() = Uri::from(path.clone());
        }
        self.send(shared, request).await
    }

    /// The results of those queries of a `GetMetricData` request that are not answered here.
    pub(super) async fn metric_data(
        self,
        shared: &Shared,
        request: &Value,
        queries: &[&Value],
        ascending: bool,
    ) -> Result<Vec<Value>, ApiError> {
        let mut ask = json!({
            "MetricDataQueries": queries,
            "StartTime": request["StartTime"],
            "EndTime": request["EndTime"],
            "ScanBy": if ascending { "TimestampAscending" } else { "TimestampDescending" },
        });
        let mut results = Vec::new();
        loop {
            let mut answer = self.call(shared, "GetMetricData", &ask).await?;
            if let Value::Array(mut more) = answer["MetricDataResults"].take() {
                // Not every upstream heeds ScanBy (ministack does not).
                for result in &mut more {
                    order(result, ascending);
                }
                results.extend(more);
            }
            match answer["NextToken"].take() {
                Value::String(token) if !token.is_empty() => ask["NextToken"] = token.into(),
                _ => return Ok(results),
            }
        }
    }

    /// Calls an action over the JSON protocol.
    pub(super) async fn call(self, shared: &Shared, action: &str, body: &Value) -> Result<Value, ApiError> {
        let scope = format!("20260101/{}/monitoring/aws4_request", shared.settings.region);
        let request = Request::post("/")
            .header("host", self.0.to_string())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("GraniteServiceVersion20100801.{action}"))
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential=lab/{scope}, SignedHeaders=host, Signature=00"),
            )
            .body(full(body.to_string()))
            .map_err(broken)?;
        let answer = self.send(shared, request).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.map_err(broken)?.to_bytes();
        // An object, and nothing else: fields of it are taken out.
        let answer: Map<String, Value> = serde_json::from_slice(&bytes).map_err(broken)?;
        let answer = Value::Object(answer);
        if status.is_success() {
            return Ok(answer);
        }
        let code = answer["__type"].as_str().unwrap_or("InternalServiceFault");
        let code = code.rsplit('#').next().unwrap_or_default();
        Err(ApiError::new(code, answer["message"].as_str().unwrap_or_default()))
    }

    async fn send(self, shared: &Shared, request: Request<Body>) -> Result<Response<Body>, ApiError> {
        let mut response = shared.pool.send(self.0, request).await.map_err(broken)?;
        proxy::strip(response.headers_mut());
        Ok(response)
    }
}

/// Puts the points of a result in the order that was asked for.
fn order(result: &mut Value, ascending: bool) {
    let (Value::Array(times), Value::Array(values)) = (result["Timestamps"].take(), result["Values"].take()) else {
        return;
    };
    let mut points: Vec<(Value, Value)> = times.into_iter().zip(values).collect();
    let seconds = |time: &Value| time.as_f64().unwrap_or_default();
    points.sort_by(|(one, _), (other, _)| seconds(one).total_cmp(&seconds(other)));
    if !ascending {
        points.reverse();
    }
    let (times, values): (Vec<Value>, Vec<Value>) = points.into_iter().unzip();
    result["Timestamps"] = times.into();
    result["Values"] = values.into();
}

/// Leaves the later half of a result's points out, as [`super::answer::Page::in_part`] does.
pub(super) fn in_part(result: &mut Value) {
    for list in ["Timestamps", "Values"] {
        if let Value::Array(points) = &mut result[list] {
            points.truncate(points.len() / 2);
        }
    }
    result["StatusCode"] = "PartialData".into();
}

fn broken(error: impl std::fmt::Display) -> ApiError {
    ApiError::new("BadGateway", format!("the CloudWatch behind this one does not answer: {error}"))
}
