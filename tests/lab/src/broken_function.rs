//! A function that misbehaves, put in the place of a real one: `lab-application` as a bootstrap.
//!
//! It speaks the Lambda runtime API
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>) and does in every invocation what
//! the variable `SPILLWAY_LAB_FUNCTION` says.

use std::process::ExitCode;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Says how to misbehave, as JSON.
pub(crate) const VARIABLE: &str = "SPILLWAY_LAB_FUNCTION";

/// What a function does instead of its work, in every invocation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Misbehaviour {
    /// Reports an error.
    Fail {
        /// Arrives in Step Functions as the error's name.
        error_type: String,
        /// Arrives in the error's cause.
        message: String,
    },
    /// Never answers: the function's time-out ends it.
    Hang,
    /// Exits without an answer.
    Exit,
    /// Answers this at once, whatever the event.
    Answer(serde_json::Value),
}

impl Misbehaviour {
    /// An error of this type.
    #[must_use]
    pub fn fail(error_type: &str, message: &str) -> Self {
        Self::Fail { error_type: error_type.to_owned(), message: message.to_owned() }
    }
}

/// The runtime API's address, if this process was started as a bootstrap.
#[must_use]
pub fn runtime_api() -> Option<String> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").ok()
}

/// Serves invocations until it is ended.
pub async fn run(runtime: &str) -> ExitCode {
    let misbehaviour = std::env::var(VARIABLE).ok().and_then(|text| serde_json::from_str(&text).ok());
    let Some(misbehaviour) = misbehaviour else {
        eprintln!("{VARIABLE} does not say how to misbehave");
        return ExitCode::FAILURE;
    };
    match serve(runtime, &misbehaviour).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("the runtime API failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(runtime: &str, misbehaviour: &Misbehaviour) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let invocations = format!("http://{runtime}/2018-06-01/runtime/invocation");
    loop {
        let next = Request::get(format!("{invocations}/next")).body(Full::default())?;
        let next = client.request(next).await?;
        let id = next.headers().get("lambda-runtime-aws-request-id").ok_or("no request id")?.to_str()?.to_owned();
        next.into_body().collect().await?;
        let (path, body) = match misbehaviour {
            Misbehaviour::Fail { error_type, message } => {
                ("error", json!({"errorType": error_type, "errorMessage": message, "stackTrace": []}))
            }
            Misbehaviour::Hang => std::future::pending().await,
            Misbehaviour::Exit => return Ok(ExitCode::FAILURE),
            Misbehaviour::Answer(answer) => ("response", answer.clone()),
        };
        let post = Request::builder()
            .method(Method::POST)
            .uri(format!("{invocations}/{id}/{path}"))
            .body(Full::from(body.to_string()))?;
        client.request(post).await?.into_body().collect().await?;
    }
}
