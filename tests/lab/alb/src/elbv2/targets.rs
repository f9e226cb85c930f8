//! Targets of a group and their health.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::describe::{nothing, required};
use super::target_groups::find;
use crate::action::number;
use crate::error::ApiError;
use crate::node::{Node, fields};
use crate::state::State;
use crate::target_group::{HealthPort, Target, TargetGroup, TargetType};

/// A target as a request names it.
struct Named {
    id: String,
    port: Option<u16>,
    zone: Option<String>,
}

impl Named {
    fn is(&self, target: &Target) -> bool {
        target.id == self.id && self.port.is_none_or(|port| target.port == port)
    }
}

pub(super) fn register(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let named = read(parameters, find(state, parameters)?)?;
    if named.is_empty() {
        return Err(ApiError::validation("At least one target must be specified"));
    }
    let region = state.region.clone();
    for target in named {
        let registration = state.new_registration();
        let group = find(state, parameters)?;
        let port = target.port.unwrap_or(group.port);
        group.register(&target.id, port, target.zone, &region, registration);
    }
    Ok(nothing())
}

/// "If the specified target does not exist, the action returns successfully."
pub(super) fn deregister(state: &mut State, parameters: &Node, delay: Duration) -> Result<Node, ApiError> {
    let group = find(state, parameters)?;
    let now = Instant::now();
    for target in read(parameters, group)? {
        group.deregister(&target.id, target.port, delay, now);
    }
    Ok(nothing())
}

pub(super) fn describe_health(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let group = find(state, parameters)?;
    let wanted = read(parameters, group)?;
    let mut descriptions = Vec::new();
    if wanted.is_empty() {
        descriptions.extend(group.targets.iter().map(|target| describe(group, target)));
    }
    for named in &wanted {
        let before = descriptions.len();
        let known = group.targets.iter().filter(|target| named.is(target));
        descriptions.extend(known.map(|target| describe(group, target)));
        if descriptions.len() == before {
            let target = target_node(&named.id, named.port.unwrap_or(group.port), named.zone.as_deref());
            let health = fields([
                ("State", Node::text("unused")),
                ("Reason", Node::text("Target.NotRegistered")),
                ("Description", Node::text("Target is not registered to the target group")),
            ]);
            descriptions.push(fields([("Target", target), ("TargetHealth", health)]));
        }
    }
    Ok(fields([("TargetHealthDescriptions", Node::List(descriptions))]))
}

fn describe(group: &TargetGroup, target: &Target) -> Node {
    let port = match group.health_check.port {
        HealthPort::Traffic => target.port,
        HealthPort::Fixed(port) => port,
    };
    let (state, reason, description) = target.health.describe();
    let mut health = fields([("State", Node::text(state))]);
    if let Some(reason) = reason {
        health.set("Reason", Node::text(reason));
    }
    if let Some(description) = description {
        health.set("Description", Node::text(description));
    }
    // Targets named by IP address are always told with their zone.
    let zone = match group.target_type {
        TargetType::Ip => Some(target.given_zone.as_deref().unwrap_or(&target.zone)),
        TargetType::Instance => target.given_zone.as_deref(),
    };
    fields([
        ("Target", target_node(&target.id, target.port, zone)),
        ("HealthCheckPort", Node::text(port)),
        ("TargetHealth", health),
    ])
}

fn target_node(id: &str, port: u16, zone: Option<&str>) -> Node {
    let mut node = fields([("Id", Node::text(id)), ("Port", Node::text(port))]);
    if let Some(zone) = zone {
        node.set("AvailabilityZone", Node::text(zone));
    }
    node
}

fn read(parameters: &Node, group: &TargetGroup) -> Result<Vec<Named>, ApiError> {
    let mut named = Vec::new();
    for node in parameters.list("Targets") {
        let id = required(node, "Id")?;
        let (valid, kind) = match group.target_type {
            TargetType::Ip => (id.parse::<IpAddr>().is_ok(), "IP address"),
            TargetType::Instance => (id.starts_with("i-"), "instance ID"),
        };
        if !valid {
            return Err(ApiError::new(
                "InvalidTarget",
                format!("The following targets are not valid: '{id}' is not an {kind}"),
            ));
        }
        named.push(Named {
            id: id.to_owned(),
            port: number(node, "Port", 1, 65535)?,
            zone: node.str("AvailabilityZone").map(ToOwned::to_owned),
        });
    }
    Ok(named)
}
