//! An HTTP/1.1 server on a socket: the APIs' and each listener's.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::pool::Body;
use crate::tasks::Tasks;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
pub(crate) struct Closed;

/// Accepts connections until aborted; connections that were accepted go on.
pub(crate) fn run<H, F>(tasks: &Arc<Tasks>, listener: TcpListener, handler: H) -> AbortHandle
where
    H: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Closed>> + Send + 'static,
{
    let own = Arc::downgrade(tasks);
    tasks.spawn(async move {
        loop {
            let (stream, client) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
            let handler = handler.clone();
            let Some(tasks) = own.upgrade() else { return };
            tasks.spawn(async move {
                let service = service_fn(move |request| handler(client, request));
                if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(%client, %error, "a connection ended");
                }
            });
        }
    })
}
