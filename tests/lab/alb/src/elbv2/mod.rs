//! The ELBv2 API, version 2015-12-01, over the AWS Query protocol.

mod describe;
mod listeners;
mod load_balancers;
mod rules;
mod tags;
mod target_groups;
mod targets;

use std::sync::Arc;
use std::time::Instant;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;

use crate::counts::ApiCall;
use crate::error::ApiError;
use crate::faults::{Fate, Service};
use crate::node::{Node, escape};
use crate::pool::{Body, full};
use crate::server::Closed;
use crate::shared::Shared;

const NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";
const MAX_BODY: usize = 1 << 20;

/// Serves one call.
pub(crate) async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
    let query = request.uri().query().unwrap_or_default().as_bytes().to_vec();
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await.map_err(|_| Closed)?.to_bytes();
    let parameters = Node::from_form(if body.is_empty() { &query } else { &body });
    let action = parameters.str("Action").unwrap_or_default().to_owned();
    let at = Timestamp::now();
    let (result, lost) = match shared.faults.decide(Service::Elbv2, &action, Instant::now()) {
        Fate::Fail { code, message } => (Err(ApiError { code, message }), false),
        Fate::Serve { lose_response } => (call(&shared, &action, &parameters), lose_response),
    };
    shared.calls.push(ApiCall {
        resource: resource(&parameters),
        error: result.as_ref().err().map(|error| error.code.clone()),
        action: action.clone(),
        at,
    });
    if lost { Err(Closed) } else { Ok(answer(&action, &result)) }
}

fn call(shared: &Arc<Shared>, action: &str, parameters: &Node) -> Result<Node, ApiError> {
    let mut state = shared.state();
    state.prune(Instant::now());
    let state = &mut *state;
    match action {
        "CreateLoadBalancer" => load_balancers::create(state, parameters),
        "DescribeLoadBalancers" => load_balancers::describe(state, parameters),
        "DeleteLoadBalancer" => load_balancers::delete(state, parameters),
        "CreateTargetGroup" => target_groups::create(state, parameters),
        "DescribeTargetGroups" => target_groups::describe(state, parameters),
        "DeleteTargetGroup" => target_groups::delete(state, parameters, &shared.faults),
        "ModifyTargetGroup" => target_groups::modify(state, parameters),
        "DescribeTargetGroupAttributes" => target_groups::describe_attributes(state, parameters),
        "ModifyTargetGroupAttributes" => target_groups::modify_attributes(state, parameters),
        "CreateListener" => listeners::create(shared, state, parameters),
        "DescribeListeners" => listeners::describe(state, parameters, &shared.faults),
        "ModifyListener" => listeners::modify(shared, state, parameters),
        "DeleteListener" => listeners::delete(state, parameters),
        "CreateRule" => rules::create(state, parameters),
        "DescribeRules" => rules::describe(state, parameters, &shared.faults),
        "ModifyRule" => rules::modify(state, parameters, &shared.faults),
        "DeleteRule" => rules::delete(state, parameters),
        "SetRulePriorities" => rules::set_priorities(state, parameters),
        "RegisterTargets" => targets::register(state, parameters),
        "DeregisterTargets" => targets::deregister(state, parameters, shared.settings.deregistration_delay),
        "DescribeTargetHealth" => targets::describe_health(state, parameters),
        "AddTags" => tags::add(state, parameters),
        "RemoveTags" => tags::remove(state, parameters),
        "DescribeTags" => tags::describe(state, parameters),
        other => {
            Err(ApiError::new("InvalidAction", format!("Could not find operation {other} for version 2015-12-01")))
        }
    }
}

/// The ARN that a call is about, the most particular one it names.
fn resource(parameters: &Node) -> Option<String> {
    ["RuleArn", "ListenerArn", "TargetGroupArn", "LoadBalancerArn"]
        .into_iter()
        .find_map(|name| parameters.str(name).map(ToOwned::to_owned))
        .or_else(|| {
            ["RuleArns", "ListenerArns", "TargetGroupArns", "LoadBalancerArns", "ResourceArns"]
                .into_iter()
                .find_map(|name| parameters.strs(name).into_iter().next())
        })
}

fn answer(action: &str, result: &Result<Node, ApiError>) -> Response<Body> {
    let id = format!("{:032x}", fastrand::u128(..));
    let (status, xml) = match result {
        Ok(node) => {
            let mut content = String::new();
            node.write_xml(&mut content);
            let xml = format!(
                "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{content}</{action}Result>\
                 <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
            );
            (StatusCode::OK, xml)
        }
        Err(error) => {
            let status = match error.code.as_str() {
                "HealthUnavailable" | "InternalFailure" => StatusCode::INTERNAL_SERVER_ERROR,
                "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
                "AccessDenied" => StatusCode::FORBIDDEN,
                _ => StatusCode::BAD_REQUEST,
            };
            let who = if status.is_server_error() { "Receiver" } else { "Sender" };
            let (mut code, mut message) = (String::new(), String::new());
            escape(&error.code, &mut code);
            escape(&error.message, &mut message);
            let xml = format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{who}</Type><Code>{code}</Code>\
                 <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
            );
            (status, xml)
        }
    };
    let mut response = Response::new(full(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}
