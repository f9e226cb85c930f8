//! The CloudWatch that gets every call that is not answered here.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Request, Response, Uri};
use serde_json::{Value, json};

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
    ) -> Result<Vec<Value>, ApiError> {
        let mut ask = json!({
            "MetricDataQueries": queries,
            "StartTime": request["StartTime"],
            "EndTime": request["EndTime"],
            "ScanBy": request["ScanBy"].as_str().unwrap_or("TimestampDescending"),
        });
        let mut results = Vec::new();
        loop {
            let http = Request::post("/")
                .header("host", self.0.to_string())
                .header("content-type", "application/x-amz-json-1.0")
                .header("x-amz-target", "GraniteServiceVersion20100801.GetMetricData")
                .header(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/monitoring/aws4_request, \
                    SignedHeaders=host, Signature=00",
                )
                .body(full(ask.to_string()))
                .map_err(|error| ApiError::new("BadGateway", error.to_string()))?;
            let answer = self.send(shared, http).await?;
            let status = answer.status();
            let bytes = answer.into_body().collect().await.map_err(broken)?.to_bytes();
            let mut answer: Value = serde_json::from_slice(&bytes).map_err(broken)?;
            if !status.is_success() {
                let code = answer["__type"].as_str().unwrap_or("InternalServiceFault");
                let code = code.rsplit('#').next().unwrap_or_default();
                return Err(ApiError::new(code, answer["message"].as_str().unwrap_or_default()));
            }
            if let Value::Array(more) = answer["MetricDataResults"].take() {
                results.extend(more);
            }
            match answer["NextToken"].take() {
                Value::String(token) if !token.is_empty() => ask["NextToken"] = token.into(),
                _ => return Ok(results),
            }
        }
    }

    async fn send(self, shared: &Shared, request: Request<Body>) -> Result<Response<Body>, ApiError> {
        let mut response = shared.pool.send(self.0, request).await.map_err(broken)?;
        proxy::strip(response.headers_mut());
        Ok(response)
    }
}

fn broken(error: impl std::fmt::Display) -> ApiError {
    ApiError::new("BadGateway", format!("the CloudWatch behind this one does not answer: {error}"))
}
