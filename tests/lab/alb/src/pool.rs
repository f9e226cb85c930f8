//! Pooled HTTP/1.1 connections to targets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Bytes};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::tasks::Tasks;

/// A body that is passed on as it comes.
pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// How long a connection may take ("the connection timeout (10 seconds)", troubleshooting guide).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections by address.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<SocketAddr, Vec<SendRequest<Body>>>>,
    tasks: Arc<Tasks>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    #[error("the connection took too long")]
    ConnectTimeout,
    #[error("the connection broke before the answer")]
    Broken(#[source] hyper::Error),
}

impl Pool {
    pub(crate) fn new(tasks: Arc<Tasks>) -> Self {
        Self { idle: Mutex::default(), tasks }
    }

    /// Sends a request and returns the answer as soon as its head is there. A pooled connection that
    /// the target has closed meanwhile is no error: the request goes out again on another one if it was
    /// not sent yet, or if sending it twice does no harm.
    pub(crate) async fn send(
        self: &Arc<Self>,
        address: SocketAddr,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        let replay = (request.method().is_idempotent() && request.body().is_end_stream()).then(|| copy_head(&request));
        loop {
            let pooled = self.take(address);
            let reused = pooled.is_some();
            let mut sender = match pooled {
                Some(sender) => sender,
                None => self.connect(address).await?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.give_back(address, sender);
                    return Ok(response.map(BodyExt::boxed));
                }
                Err(mut error) => {
                    request = match (error.take_message(), &replay) {
                        (Some(unsent), _) if reused => unsent,
                        (None, Some(head)) if reused => copy_head(head),
                        _ => return Err(SendError::Broken(error.into_error())),
                    };
                }
            }
        }
    }

    fn take(&self, address: SocketAddr) -> Option<SendRequest<Body>> {
        let mut idle = self.lock();
        let senders = idle.get_mut(&address)?;
        while let Some(sender) = senders.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    async fn connect(&self, address: SocketAddr) -> Result<SendRequest<Body>, SendError> {
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| SendError::ConnectTimeout)?
            .map_err(SendError::Connect)?;
        stream.set_nodelay(true).map_err(SendError::Connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(SendError::Broken)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%address, %error, "connection to a target ended");
            }
        });
        Ok(sender)
    }

    /// Pools the connection once the answer's body has been read.
    fn give_back(self: &Arc<Self>, address: SocketAddr, mut sender: SendRequest<Body>) {
        let pool = Arc::clone(self);
        self.tasks.spawn(async move {
            if sender.ready().await.is_ok() {
                pool.lock().entry(address).or_default().push(sender);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<SendRequest<Body>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy_head(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn full(content: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(content.into()).map_err(|never| match never {}).boxed()
}
