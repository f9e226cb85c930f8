//! An HTTP server on loopback that answers in the place of AWS.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// One call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The API operation.
    pub action: String,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// The parameters of an AWS Query request.
    pub fn form(&self) -> BTreeMap<String, String> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (decoded(k), decoded(v))).collect()
    }

    /// The members of an AWS JSON request.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The members of an RPC v2 CBOR request.
    pub fn cbor(&self) -> ciborium::Value {
        ciborium::from_reader(&self.body[..]).unwrap()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    delay: Duration,
}

impl Answer {
    fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, body: body.into(), delay: Duration::ZERO }
    }

    /// The result of an AWS Query operation.
    pub fn xml(action: &str, result: &str) -> Self {
        let body = format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>");
        Self::new(200, "text/xml", body)
    }

    /// An error of an AWS Query operation.
    pub fn xml_error(status: u16, code: &str, message: &str) -> Self {
        let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::new(status, "text/xml", format!("<ErrorResponse>{error}</ErrorResponse>"))
    }

    /// The result of an AWS JSON operation.
    pub fn json(body: &serde_json::Value) -> Self {
        Self::new(200, "application/x-amz-json-1.1", body.to_string())
    }

    /// An error of an AWS JSON operation.
    pub fn json_error(code: &str, message: &str) -> Self {
        let body = serde_json::json!({"__type": code, "message": message});
        Self::new(400, "application/x-amz-json-1.1", body.to_string())
    }

    /// The result of an RPC v2 CBOR operation.
    pub fn cbor(body: &ciborium::Value) -> Self {
        let mut bytes = Vec::new();
        ciborium::into_writer(body, &mut bytes).unwrap();
        Self::new(200, "application/cbor", bytes)
    }

    /// Something that no AWS service says.
    pub fn garbage(status: u16) -> Self {
        Self::new(status, "text/html", "<html>Bad gateway")
    }

    /// The same, later.
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// The server; it ends with the test's runtime.
pub struct Double {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Double {
    /// Starts one that answers with what `respond` makes of a call.
    pub async fn start(respond: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double = Self { address: listener.local_addr().unwrap(), calls: Arc::default() };
        let (calls, respond) = (double.calls.clone(), Arc::new(respond));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (calls, respond) = (calls.clone(), respond.clone());
                let service = service_fn(move |request| answer(request, calls.clone(), respond.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        double
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls of one operation so far.
    pub fn calls_of(&self, action: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.action == action).collect()
    }

    /// What the functions' clients are configured with, pointed here and quick to try again.
    pub async fn config(&self) -> SdkConfig {
        config(&self.url()).await
    }
}

/// The functions' configuration, pointed at `url` and quick to try again.
pub async fn config(url: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(500)).build();
    spillway_aws::client::config_loader()
        .region(Region::new("eu-west-1"))
        .credentials_provider(
            Credentials::builder().access_key_id("A").secret_access_key("S").provider_name("test").build(),
        )
        .endpoint_url(url)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(1)))
        .load()
        .await
}

async fn answer(
    request: Request<Incoming>,
    calls: Arc<Mutex<Vec<Call>>>,
    respond: Arc<impl Fn(&Call) -> Answer>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
    let mut call = Call { action: String::new(), body: request.into_body().collect().await.unwrap().to_bytes() };
    call.action = match (target, path.split_once("/operation/")) {
        (Some(target), _) => target.rsplit('.').next().unwrap().into(),
        (None, Some((_, operation))) => operation.into(),
        // A REST call has its path.
        (None, None) => call.form().remove("Action").unwrap_or(path),
    };
    calls.lock().unwrap().push(call.clone());
    let answer = respond(&call);
    tokio::time::sleep(answer.delay).await;
    let response = Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type)
        // Without it the client does not take an answer for RPC v2 CBOR.
        .header("smithy-protocol", "rpc-v2-cbor");
    Ok(response.body(Full::new(answer.body.into())).unwrap())
}
