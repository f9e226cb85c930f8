//! The actions of a rule: what the API was told, kept to be told back, and what the data plane does.

use std::time::Duration;

use crate::error::ApiError;
use crate::node::{Node, fields};

/// At most this many target groups in one forward action (quota "Target groups per action").
const MAX_GROUPS: usize = 5;
const MAX_WEIGHT: u32 = 999;
const MAX_STICKY_SECONDS: u64 = 604_800;

/// One action, read from a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// As `DescribeRules` tells it.
    pub(crate) described: Node,
    pub(crate) kind: Kind,
}

/// What an action does on the data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Forward(Forward),
    FixedResponse {
        status: u16,
        content_type: String,
        body: String,
    },
    Redirect(Redirect),
    /// Let through here; real load balancers authenticate on HTTPS listeners only. The OIDC secret is
    /// kept for `UseExistingClientSecret`.
    Authenticate {
        secret: Option<String>,
    },
}

/// The groups of a forward action with their weights, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    pub(crate) groups: Vec<(String, u32)>,
    pub(crate) sticky: Option<Duration>,
}

/// The parts of a redirect's target, with `#{…}` keywords in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) status: u16,
    pub(crate) protocol: String,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

/// Reads the whole list of actions that replaces `existing`. The checks and codes are those of the
/// API's model: exactly one routing action, the last to be performed.
pub(crate) fn parse_list(nodes: &[Node], existing: &[Action]) -> Result<Vec<Action>, ApiError> {
    let mut actions = nodes.iter().map(|node| parse(node, existing)).collect::<Result<Vec<_>, _>>()?;
    if actions.len() > 1 {
        let mut orders = Vec::new();
        for action in &actions {
            let order = number::<u32>(&action.described, "Order", 1, 50_000)?
                .ok_or_else(|| ApiError::validation("An action order must be specified for each of several actions"))?;
            if orders.contains(&order) {
                return Err(ApiError::validation(format!("The action order '{order}' is not unique")));
            }
            orders.push(order);
        }
        actions.sort_by_key(|action| action.described.str("Order").and_then(|text| text.parse::<u32>().ok()));
    }
    let routing = |action: &Action| !matches!(action.kind, Kind::Authenticate { .. });
    let routing_actions = actions.iter().filter(|action| routing(action)).count();
    if routing_actions > 1 || actions.len() > 2 {
        return Err(ApiError::new("TooManyActions", "You've reached the limit on the number of actions per rule"));
    }
    if !actions.last().is_some_and(routing) {
        return Err(ApiError::new(
            "InvalidLoadBalancerAction",
            "The last action must be a forward, redirect, or fixed-response action",
        ));
    }
    Ok(actions)
}

/// The forward action of a list, if it has one.
pub(crate) fn forward(actions: &[Action]) -> Option<&Forward> {
    actions.iter().find_map(|action| match &action.kind {
        Kind::Forward(forward) => Some(forward),
        _ => None,
    })
}

fn parse(node: &Node, existing: &[Action]) -> Result<Action, ApiError> {
    let kind = node.str("Type").ok_or_else(|| ApiError::validation("An action type must be specified"))?;
    match kind {
        "forward" => parse_forward(node),
        "fixed-response" => parse_fixed_response(node),
        "redirect" => parse_redirect(node),
        "authenticate-oidc" => parse_oidc(node, existing),
        "authenticate-cognito" => parse_cognito(node),
        "jwt-validation" => Err(ApiError::not_modelled("The action type 'jwt-validation'")),
        other => Err(ApiError::validation(format!("'{other}' is not a valid action type"))),
    }
}

/// Both forms are told back: `TargetGroupArn` whenever there is one group, `ForwardConfig` always.
fn parse_forward(node: &Node) -> Result<Action, ApiError> {
    let short = node.str("TargetGroupArn");
    let config = node.get("ForwardConfig");
    let tuples = config.map_or(&[][..], |config| config.list("TargetGroups"));
    let mut groups: Vec<(String, u32)> = Vec::new();
    for tuple in tuples {
        let arn =
            tuple.str("TargetGroupArn").ok_or_else(|| ApiError::validation("A target group ARN must be specified"))?;
        if groups.iter().any(|(known, _)| known == arn) {
            return Err(ApiError::validation(format!("Target group '{arn}' is specified more than once")));
        }
        let weight = number(tuple, "Weight", 0, MAX_WEIGHT)?.unwrap_or(1);
        groups.push((arn.to_owned(), weight));
    }
    match (short, groups.as_slice()) {
        (None, []) => {
            return Err(ApiError::validation("A forward action must specify at least one target group"));
        }
        (Some(arn), []) => groups.push((arn.to_owned(), 1)),
        (Some(arn), [(only, _)]) if arn == only => {}
        (Some(_), _) => {
            return Err(ApiError::new(
                "InvalidLoadBalancerAction",
                "TargetGroupArn and ForwardConfig must name the same single target group",
            ));
        }
        (None, _) => {}
    }
    if groups.len() > MAX_GROUPS {
        return Err(ApiError::validation(format!("A forward action can have at most {MAX_GROUPS} target groups")));
    }
    let stickiness = config.and_then(|config| config.get("TargetGroupStickinessConfig"));
    let enabled = stickiness.and_then(|node| node.str("Enabled")).unwrap_or("false");
    let seconds = match stickiness {
        Some(node) => number::<u64>(node, "DurationSeconds", 1, MAX_STICKY_SECONDS)?,
        None => None,
    };
    if enabled == "true" && seconds.is_none() {
        return Err(ApiError::validation("DurationSeconds must be specified when target group stickiness is enabled"));
    }
    let mut described = node.clone();
    described.remove("ForwardConfig");
    if let [(only, _)] = groups.as_slice() {
        described.set("TargetGroupArn", Node::text(only));
    }
    let mut stickiness = fields([("Enabled", Node::text(enabled))]);
    if let Some(seconds) = seconds {
        stickiness.set("DurationSeconds", Node::text(seconds));
    }
    let tuples = groups
        .iter()
        .map(|(arn, weight)| fields([("TargetGroupArn", Node::text(arn)), ("Weight", Node::text(weight))]));
    described.set(
        "ForwardConfig",
        fields([("TargetGroups", Node::List(tuples.collect())), ("TargetGroupStickinessConfig", stickiness)]),
    );
    let sticky = seconds.filter(|_| enabled == "true").map(Duration::from_secs);
    Ok(Action { described, kind: Kind::Forward(Forward { groups, sticky }) })
}

fn parse_fixed_response(node: &Node) -> Result<Action, ApiError> {
    let config = config(node, "FixedResponseConfig")?;
    let status: u16 = number(config, "StatusCode", 200, 599)?
        .filter(|status| !(300..400).contains(status))
        .ok_or_else(|| ApiError::validation("A fixed response needs a status code 2XX, 4XX or 5XX"))?;
    let content_type = config.str("ContentType").unwrap_or("text/plain");
    if !["text/plain", "text/css", "text/html", "application/javascript", "application/json"].contains(&content_type) {
        return Err(ApiError::validation(format!("'{content_type}' is not a valid content type")));
    }
    let kind = Kind::FixedResponse {
        status,
        content_type: content_type.to_owned(),
        body: config.str("MessageBody").unwrap_or_default().to_owned(),
    };
    Ok(Action { described: node.clone(), kind })
}

fn parse_redirect(node: &Node) -> Result<Action, ApiError> {
    let given = config(node, "RedirectConfig")?;
    let status = match given.str("StatusCode") {
        Some("HTTP_301") => 301,
        Some("HTTP_302") => 302,
        _ => return Err(ApiError::validation("A redirect needs StatusCode HTTP_301 or HTTP_302")),
    };
    let part = |name: &str, default: &str| given.str(name).unwrap_or(default).to_owned();
    let redirect = Redirect {
        status,
        protocol: part("Protocol", "#{protocol}"),
        host: part("Host", "#{host}"),
        port: part("Port", "#{port}"),
        path: part("Path", "/#{path}"),
        query: part("Query", "#{query}"),
    };
    let mut described = node.clone();
    described.set(
        "RedirectConfig",
        fields([
            ("Protocol", Node::text(&redirect.protocol)),
            ("Port", Node::text(&redirect.port)),
            ("Host", Node::text(&redirect.host)),
            ("Path", Node::text(&redirect.path)),
            ("Query", Node::text(&redirect.query)),
            ("StatusCode", Node::text(format!("HTTP_{status}"))),
        ]),
    );
    Ok(Action { described, kind: Kind::Redirect(redirect) })
}

/// `DescribeRules` omits the client secret; `UseExistingClientSecret` keeps the one there is.
fn parse_oidc(node: &Node, existing: &[Action]) -> Result<Action, ApiError> {
    let given = config(node, "AuthenticateOidcConfig")?;
    for name in ["Issuer", "AuthorizationEndpoint", "TokenEndpoint", "UserInfoEndpoint", "ClientId"] {
        if given.str(name).is_none() {
            return Err(ApiError::validation(format!("AuthenticateOidcConfig needs {name}")));
        }
    }
    let keep = given.str("UseExistingClientSecret") == Some("true");
    let kept = || {
        existing.iter().find_map(|action| match &action.kind {
            Kind::Authenticate { secret } => secret.clone(),
            _ => None,
        })
    };
    let secret = match (given.str("ClientSecret"), keep) {
        (Some(_), true) => {
            return Err(ApiError::validation("ClientSecret cannot be specified when UseExistingClientSecret is true"));
        }
        (Some(secret), false) => Some(secret.to_owned()),
        (None, true) => kept(),
        (None, false) => None,
    };
    if secret.is_none() {
        return Err(ApiError::validation("A ClientSecret is required for AuthenticateOidcConfig"));
    }
    let mut answer = with_defaults(given);
    answer.remove("ClientSecret");
    answer.remove("UseExistingClientSecret");
    let mut described = node.clone();
    described.set("AuthenticateOidcConfig", answer);
    Ok(Action { described, kind: Kind::Authenticate { secret } })
}

fn parse_cognito(node: &Node) -> Result<Action, ApiError> {
    let given = config(node, "AuthenticateCognitoConfig")?;
    for name in ["UserPoolArn", "UserPoolClientId", "UserPoolDomain"] {
        if given.str(name).is_none() {
            return Err(ApiError::validation(format!("AuthenticateCognitoConfig needs {name}")));
        }
    }
    let mut described = node.clone();
    described.set("AuthenticateCognitoConfig", with_defaults(given));
    Ok(Action { described, kind: Kind::Authenticate { secret: None } })
}

/// The defaults of both authenticate actions (API reference).
fn with_defaults(config: &Node) -> Node {
    let mut config = config.clone();
    for (name, default) in [
        ("SessionCookieName", "AWSELBAuthSessionCookie"),
        ("Scope", "openid"),
        ("SessionTimeout", "604800"),
        ("OnUnauthenticatedRequest", "authenticate"),
    ] {
        if config.str(name).is_none() {
            config.set(name, Node::text(default));
        }
    }
    config
}

fn config<'a>(node: &'a Node, name: &str) -> Result<&'a Node, ApiError> {
    node.get(name).ok_or_else(|| ApiError::validation(format!("The action needs a {name}")))
}

/// A number field within its range, if it is there.
pub(crate) fn number<T>(node: &Node, name: &str, min: T, max: T) -> Result<Option<T>, ApiError>
where
    T: Copy + std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let Some(text) = node.str(name) else { return Ok(None) };
    match text.parse::<T>() {
        Ok(value) if value >= min && value <= max => Ok(Some(value)),
        _ => Err(ApiError::validation(format!("{name} '{text}' must be a number from {min} to {max}"))),
    }
}
