//! The data plane: takes a client's request to a target and the answer back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use jiff::Timestamp;

use crate::pool::{Body, SendError, empty, full};
use crate::route::{Chosen, Verb};
use crate::server::Closed;
use crate::shared::Shared;

/// Headers that are about one connection and are not passed on (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Serves one request that arrived at a listener.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    listener: Arc<str>,
    client: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    let (parts, body) = request.into_parts();
    let arrived = Timestamp::now();
    let decision = shared.state().route(&listener, &parts, Instant::now(), arrived).ok_or(Closed)?;
    let load_balancer = decision.load_balancer;
    shared.traffic.arrived(&load_balancer);
    let response = match decision.verb {
        Verb::Forward(chosen) => forward(&shared, &load_balancer, &chosen, client, parts, body.boxed()).await,
        Verb::NoTarget => failed(&shared, &load_balancer, StatusCode::SERVICE_UNAVAILABLE),
        Verb::FixedResponse { status, content_type, body } => {
            shared.traffic.fixed_response(&load_balancer);
            answer(status, CONTENT_TYPE, &content_type, body)
        }
        Verb::Redirect { status, location } => {
            shared.traffic.redirect(&load_balancer);
            answer(status, LOCATION, &location, String::new())
        }
    };
    Ok(response)
}

async fn forward(
    shared: &Arc<Shared>,
    load_balancer: &str,
    chosen: &Chosen,
    client: SocketAddr,
    parts: Parts,
    body: Body,
) -> Response<Body> {
    shared.traffic.chosen(chosen);
    let Some(address) = chosen.address else {
        shared.traffic.connection_error(chosen);
        return failed(shared, load_balancer, StatusCode::GATEWAY_TIMEOUT);
    };
    let request = outgoing(parts, body, client);
    let sent = Instant::now();
    let answer = tokio::time::timeout(shared.settings.idle_timeout, shared.pool.send(address, request)).await;
    match answer {
        Ok(Ok(mut response)) => {
            shared.traffic.answered(chosen, response.status().as_u16(), sent.elapsed());
            strip(response.headers_mut());
            *response.version_mut() = Version::HTTP_11;
            if let Some(cookie) = chosen.set_cookie.as_deref().and_then(|cookie| HeaderValue::from_str(cookie).ok()) {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            response
        }
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a request to a target failed");
            match error {
                SendError::Connect(_) => {
                    shared.traffic.connection_error(chosen);
                    failed(shared, load_balancer, StatusCode::BAD_GATEWAY)
                }
                SendError::ConnectTimeout => {
                    shared.traffic.connection_error(chosen);
                    failed(shared, load_balancer, StatusCode::GATEWAY_TIMEOUT)
                }
                SendError::Broken(_) => failed(shared, load_balancer, StatusCode::BAD_GATEWAY),
            }
        }
        Err(_) => failed(shared, load_balancer, StatusCode::GATEWAY_TIMEOUT),
    }
}

/// An error that the load balancer makes itself, in the words of the real one.
fn failed(shared: &Shared, load_balancer: &str, status: StatusCode) -> Response<Body> {
    shared.traffic.elb_error(load_balancer, status.as_u16());
    let title = format!(
        "{} {}",
        status.as_u16(),
        match status {
            StatusCode::BAD_GATEWAY => "Bad Gateway",
            StatusCode::GATEWAY_TIMEOUT => "Gateway Time-out",
            _ => "Service Temporarily Unavailable",
        }
    );
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         </body>\r\n</html>\r\n"
    );
    let mut response = answer(status.as_u16(), CONTENT_TYPE, "text/html", page);
    response.headers_mut().insert("server", HeaderValue::from_static("awselb/2.0"));
    response
}

fn answer(status: u16, header: HeaderName, value: &str, body: String) -> Response<Body> {
    let mut response = Response::new(if body.is_empty() { empty() } else { full(body) });
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header, value);
    }
    response
}

/// The request as a target gets it, with the headers that an ALB adds ("HTTP headers and Application
/// Load Balancers").
fn outgoing(parts: Parts, body: Body, client: SocketAddr) -> Request<Body> {
    let mut headers = parts.headers;
    strip(&mut headers);
    let port = headers
        .get("host")
        .and_then(|host| host.to_str().ok()?.rsplit_once(':').map(|(_, port)| port.to_owned()))
        .unwrap_or_else(|| "80".to_owned());
    let client = client.ip().to_string();
    let forwarded = match headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()) {
        Some(before) => format!("{before}, {client}"),
        None => client,
    };
    for (name, value) in
        [("x-forwarded-for", forwarded), ("x-forwarded-proto", "http".to_owned()), ("x-forwarded-port", port)]
    {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    let trace = format!("Root=1-{:08x}-{:024x}", Timestamp::now().as_second(), fastrand::u128(..) >> 32);
    if let (false, Ok(trace)) = (headers.contains_key("x-amzn-trace-id"), HeaderValue::from_str(&trace)) {
        headers.insert("x-amzn-trace-id", trace);
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    *request.headers_mut() = headers;
    request
}

/// Removes the headers about the connection, and those that `Connection` names.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}
