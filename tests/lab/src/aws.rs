//! A small client for the emulator and the load balancer: the three protocols of AWS as plain HTTP.
//!
//! No SDK: each of its crates costs minutes of compilation, and the lab signs nothing.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::xml::Xml;

/// The region of everything in the lab.
pub const REGION: &str = "us-east-1";
/// The account of everything in the lab.
pub const ACCOUNT: &str = "000000000000";

/// No call takes longer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed: {code}: {message}")]
pub struct AwsError {
    /// Service and action.
    pub call: String,
    /// The error's code as AWS names it; `Unreachable` when there was no answer.
    pub code: String,
    /// The error's message.
    pub message: String,
    /// The HTTP status; `None` when there was no answer.
    pub status: Option<u16>,
}

/// A client of one endpoint.
#[derive(Clone, Debug)]
pub struct Aws {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer: its status and its body.
type Answer = (StatusCode, Bytes);

impl Aws {
    /// A client of the endpoint `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(20)).build(connector);
        Self { url: url.into(), client }
    }

    /// The endpoint.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls an action of a JSON service, named as in `X-Amz-Target`: `DynamoDB_20120810.GetItem`.
    ///
    /// # Errors
    /// The service's, or `Unreachable`.
    pub async fn call_json(&self, target: &str, body: &Value) -> Result<Value, AwsError> {
        let service = service_of(target);
        let version = if service == "dynamodb" || service == "states" { "1.0" } else { "1.1" };
        let request = self
            .request(Method::POST, "/", service)
            .header("x-amz-target", target)
            .header(CONTENT_TYPE, format!("application/x-amz-json-{version}"))
            .body(Full::from(body.to_string()));
        let (status, bytes) = self.send(target, request).await?;
        json_answer(target, status, &bytes)
    }

    /// Calls an action of a Query service; `service` is the name in the credential scope.
    ///
    /// # Errors
    /// The service's, or `Unreachable`.
    pub async fn call_query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Xml, AwsError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        let request = self
            .request(Method::POST, "/", service)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form));
        let call = format!("{service} {action}");
        let (status, bytes) = self.send(&call, request).await?;
        let xml = Xml::parse(&String::from_utf8_lossy(&bytes));
        if status.is_success() {
            return Ok(xml);
        }
        Err(AwsError {
            call,
            code: xml.text_of("Code").to_owned(),
            message: xml.text_of("Message").to_owned(),
            status: Some(status.as_u16()),
        })
    }

    /// Calls a REST service with a JSON body.
    ///
    /// # Errors
    /// The service's, or `Unreachable`.
    pub async fn call_rest(
        &self,
        service: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, AwsError> {
        let call = format!("{service} {method} {path}");
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request =
            self.request(method, path, service).header(CONTENT_TYPE, "application/json").body(Full::from(body));
        let (status, bytes) = self.send(&call, request).await?;
        json_answer(&call, status, &bytes)
    }

    /// Whether the path answers 200.
    pub async fn answers(&self, path: &str) -> bool {
        let request = self.request(Method::GET, path, "health").body(Full::default());
        matches!(self.send(path, request).await, Ok((StatusCode::OK, _)))
    }

    fn request(&self, method: Method, path: &str, service: &str) -> hyper::http::request::Builder {
        let scope = format!("20260101/{REGION}/{service}/aws4_request");
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, format!("AWS4-HMAC-SHA256 Credential=test/{scope}, SignedHeaders=host, Signature=0"))
    }

    async fn send(
        &self,
        call: &str,
        request: Result<Request<Full<Bytes>>, hyper::http::Error>,
    ) -> Result<Answer, AwsError> {
        let unreachable = |error: &dyn std::error::Error| AwsError {
            call: call.to_owned(),
            code: "Unreachable".to_owned(),
            message: chain(error),
            status: None,
        };
        let request = request.map_err(|error| unreachable(&error))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| unreachable(&error))?;
            Ok((status, body.to_bytes()))
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(unreachable(&elapsed)),
        }
    }
}

/// The name in the credential scope of a service that is called by `X-Amz-Target`.
fn service_of(target: &str) -> &'static str {
    match target.split(['.', '_']).next().unwrap_or_default() {
        "DynamoDB" => "dynamodb",
        "AmazonSSM" => "ssm",
        "AWSStepFunctions" => "states",
        "AmazonEC2ContainerServiceV20141113" => "ecs",
        "AmazonSQS" => "sqs",
        "AWSEvents" => "events",
        "GraniteServiceVersion20100801" => "monitoring",
        _ => "execute-api",
    }
}

fn json_answer(call: &str, status: StatusCode, bytes: &[u8]) -> Result<Value, AwsError> {
    let value: Value = match bytes {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes)
            .unwrap_or_else(|_| json!({"message": String::from_utf8_lossy(bytes).into_owned()})),
    };
    if status.is_success() {
        return Ok(value);
    }
    let text = |names: [&str; 3]| names.iter().find_map(|name| value[*name].as_str()).unwrap_or_default().to_owned();
    let code = text(["__type", "code", "Code"]);
    Err(AwsError {
        call: call.to_owned(),
        code: code.rsplit('#').next().unwrap_or_default().to_owned(),
        message: text(["message", "Message", "errorMessage"]),
        status: Some(status.as_u16()),
    })
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A DynamoDB item as plain JSON: numbers as numbers where they fit, sets as arrays.
#[must_use]
pub fn plain(item: &Value) -> Value {
    let Some(fields) = item.as_object() else { return Value::Null };
    fields.iter().map(|(name, value)| (name.clone(), plain_value(value))).collect::<serde_json::Map<_, _>>().into()
}

fn plain_value(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|fields| fields.iter().next()) else { return Value::Null };
    match kind.as_str() {
        "N" => value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| value.clone()),
        "M" => plain(value),
        "L" => value.as_array().into_iter().flatten().map(plain_value).collect(),
        "NULL" => Value::Null,
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_become_plain_json() {
        let item = json!({"service": {"S": "shop"}, "fence": {"N": "7"}, "command": {"NULL": true},
            "plan": {"M": {"steps": {"L": [{"N": "1.5"}, {"BOOL": true}]}}}});
        assert_eq!(
            plain(&item),
            json!({"service": "shop", "fence": 7, "command": null, "plan": {"steps": [1.5, true]}})
        );
    }

    #[test]
    fn errors_name_call_code_and_message() {
        let body =
            br#"{"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "no table"}"#;
        let error = json_answer("DynamoDB_20120810.GetItem", StatusCode::BAD_REQUEST, body).unwrap_err();
        assert_eq!(error.to_string(), "DynamoDB_20120810.GetItem failed: ResourceNotFoundException: no table");
    }
}
