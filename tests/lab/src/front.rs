//! What the functions take for AWS: the emulator behind a front that can throttle, fail and lose their calls.
//!
//! Only the functions call it. The state machines' own calls stay inside of the emulator.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use spillway_lab_alb::{Fate, Faults, Service};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The front; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Front {
    url: String,
    faults: Arc<Faults>,
    _tasks: JoinSet<()>,
}

/// What serves a call.
#[derive(Clone, Debug)]
struct Behind {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    faults: Arc<Faults>,
}

/// Why a call was not answered.
type Unanswered = Box<dyn std::error::Error + Send + Sync>;

impl Front {
    /// A front of the emulator at this URL.
    pub(crate) async fn start(url: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let front = format!("http://{}", listener.local_addr()?);
        let faults = Arc::new(Faults::default());
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let behind = Behind { url: url.to_owned(), client, faults: Arc::clone(&faults) };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                while connections.try_join_next().is_some() {}
                let behind = behind.clone();
                let service = service_fn(move |request| behind.clone().serve(request));
                connections.spawn(async move {
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Ok(Self { url: front, faults, _tasks: tasks })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Behind {
    async fn serve(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Unanswered> {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        // What is not of the JSON protocols has no action that a fault could name.
        let action = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
        match self.faults.decide(Service::Other, &action, Instant::now()) {
            // The Query services' name for it, which the JSON ones do not have.
            Fate::Fail { code, message } if code == "Throttling" => Ok(refusal("ThrottlingException", &message)),
            Fate::Fail { code, message } => Ok(refusal(&code, &message)),
            Fate::Serve { lose_response } => {
                let answer = self.pass(request).await?;
                // An error closes the connection.
                if lose_response { Err(format!("the answer to {action} is lost").into()) } else { Ok(answer) }
            }
        }
    }

    /// Passes a request on, and its answer back.
    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Unanswered> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = format!("{}{path}", self.url).parse()?;
        for header in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            parts.headers.remove(header);
        }
        let body = body.collect().await?.to_bytes();
        let answer = self.client.request(Request::from_parts(parts, Full::from(body))).await?;
        let (mut parts, body) = answer.into_parts();
        for header in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            parts.headers.remove(header);
        }
        Ok(Response::from_parts(parts, Full::from(body.collect().await?.to_bytes())))
    }
}

/// An error as the JSON protocols tell it.
fn refusal(code: &str, message: &str) -> Response<Full<Bytes>> {
    let status = match code {
        "InternalServerError" | "ServerException" => StatusCode::INTERNAL_SERVER_ERROR,
        "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(Full::from(json!({"__type": code, "message": message}).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Aws;
    use serde_json::json;

    /// Calls pass, are refused, or take effect and are not answered.
    #[tokio::test]
    async fn calls_meet_their_faults() {
        let behind = Front::start("http://127.0.0.1:9").await.unwrap();
        // The front before it finds one that answers nothing but refusals.
        let front = Front::start(behind.url()).await.unwrap();
        let aws = Aws::new(front.url());
        let get = async || aws.call_json("DynamoDB_20120810.GetItem", &json!({})).await.unwrap_err();
        behind.faults().fail_next("GetItem", 2, "ResourceNotFoundException", "there is no table");
        assert_eq!(get().await.code, "ResourceNotFoundException");
        front.faults().fail_next("GetItem", 1, "InternalServerError", "injected");
        let error = get().await;
        assert_eq!((error.code.as_str(), error.status), ("InternalServerError", Some(500)));
        front.faults().lose_response("GetItem", 1);
        assert_eq!(get().await.status, None);
        // The second one of those behind was used up by the one whose answer was lost.
        assert_eq!(get().await.status, None);
    }
}
