//! Target groups.

use std::time::Instant;

use super::describe::{arn_of, existing, exists, name, nothing, only, page, required, texts};
use super::tags;
use crate::action::number;
use crate::error::ApiError;
use crate::faults::Faults;
use crate::node::{Node, fields};
use crate::state::State;
use crate::target_group::{HealthCheck, HealthPort, Matcher, Spec, TargetGroup, TargetType};

/// The same settings again are the same target group ("this operation is idempotent").
pub(super) fn create(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let name = name(parameters)?;
    let target_type = match parameters.str("TargetType").unwrap_or("instance") {
        "instance" => TargetType::Instance,
        "ip" => TargetType::Ip,
        other @ ("lambda" | "alb") => return Err(ApiError::not_modelled(&format!("The target type '{other}'"))),
        other => return Err(ApiError::validation(format!("'{other}' is not a valid target type"))),
    };
    let protocol = required(parameters, "Protocol")?;
    if !["HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE"].contains(&protocol) {
        return Err(ApiError::validation(format!("'{protocol}' is not a valid protocol")));
    }
    let port = number(parameters, "Port", 1, 65535)?.ok_or_else(|| ApiError::validation("A port must be specified"))?;
    let defaults = HealthCheck {
        protocol: "HTTP".to_owned(),
        port: HealthPort::Traffic,
        path: "/".to_owned(),
        interval_seconds: 30,
        timeout_seconds: 5,
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: Matcher::parse("200").ok_or_else(|| ApiError::validation("no matcher"))?,
    };
    let health_check = health_check(parameters, defaults)?;
    let id = state.new_id();
    let group = TargetGroup::new(Spec {
        arn: state.prefix.target_group(name, &id),
        name: name.to_owned(),
        protocol: protocol.to_owned(),
        protocol_version: parameters.str("ProtocolVersion").unwrap_or("HTTP1").to_owned(),
        port,
        vpc: parameters.str("VpcId").unwrap_or("vpc-lab").to_owned(),
        target_type,
        health_check,
    });
    if let Some(known) = state.target_groups.values().find(|known| known.name == name) {
        let same = known.protocol == group.protocol
            && known.port == group.port
            && known.vpc == group.vpc
            && known.target_type == group.target_type
            && known.health_check == group.health_check;
        if same {
            return Ok(only("TargetGroups", node(known)));
        }
        return Err(ApiError::new(
            "DuplicateTargetGroupName",
            format!("A target group with the same name '{name}' exists, but with different settings"),
        ));
    }
    let tags = tags::read(parameters)?;
    let answer = only("TargetGroups", node(&group));
    state.tags.insert(group.arn.clone(), tags.into_iter().collect());
    state.target_groups.insert(group.arn.clone(), group);
    Ok(answer)
}

pub(super) fn describe(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let (arns, names) = (parameters.strs("TargetGroupArns"), parameters.strs("Names"));
    for arn in &arns {
        exists(state, arn_of("targetgroup", arn)?)?;
    }
    for name in &names {
        if !state.target_groups.values().any(|known| known.name == *name) {
            return Err(ApiError::new("TargetGroupNotFound", "One or more target groups not found"));
        }
    }
    let load_balancer = match parameters.str("LoadBalancerArn") {
        Some(arn) => Some(exists(state, arn_of("loadbalancer", arn)?)?),
        None => None,
    };
    let wanted = state.target_groups.values().filter(|known| {
        (arns.is_empty() || arns.contains(&known.arn))
            && (names.is_empty() || names.contains(&known.name))
            && load_balancer.is_none_or(|arn| known.used_by.as_deref() == Some(arn))
    });
    page("TargetGroups", wanted.map(node).collect(), parameters)
}

/// Refused while any rule refers to the group, at weight 0 too, and for as long as its release is slow;
/// a group that is not there is no error.
pub(super) fn delete(state: &mut State, parameters: &Node, faults: &Faults) -> Result<Node, ApiError> {
    let arn = arn_of("targetgroup", required(parameters, "TargetGroupArn")?)?;
    let (now, slow_release) = (Instant::now(), faults.current_slow_release());
    if state.target_groups.get(arn).is_some_and(|group| group.is_held(now, slow_release)) {
        return Err(ApiError::new(
            "ResourceInUse",
            format!("Target group '{arn}' is currently in use by a listener or a rule"),
        ));
    }
    state.target_groups.remove(arn);
    state.tags.remove(arn);
    Ok(nothing())
}

pub(super) fn modify(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let group = find(state, parameters)?;
    group.health_check = health_check(parameters, group.health_check.clone())?;
    Ok(only("TargetGroups", node(group)))
}

pub(super) fn describe_attributes(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    Ok(attributes(find(state, parameters)?))
}

pub(super) fn modify_attributes(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let group = find(state, parameters)?;
    let mut changed = group.attributes.clone();
    for attribute in parameters.list("Attributes") {
        let key = required(attribute, "Key")?;
        if !changed.contains_key(key) {
            return Err(ApiError::validation(format!("The attribute key '{key}' is not recognized")));
        }
        let value = attribute.str("Value").unwrap_or_default();
        let neutral = match key {
            "stickiness.enabled" => Some("false"),
            "slow_start.duration_seconds" => Some("0"),
            "load_balancing.algorithm.type" => Some("round_robin"),
            _ => None,
        };
        if neutral.is_some_and(|neutral| neutral != value) {
            return Err(ApiError::not_modelled(&format!("{key} '{value}'")));
        }
        if key == "deregistration_delay.timeout_seconds" {
            number::<u32>(&fields([(key, Node::text(value))]), key, 0, 3600)?;
        }
        changed.insert(key.to_owned(), value.to_owned());
    }
    group.attributes = changed;
    Ok(attributes(group))
}

/// The group that a call is about.
pub(super) fn find<'a>(state: &'a mut State, parameters: &Node) -> Result<&'a mut TargetGroup, ApiError> {
    let arn = existing(state, parameters, "TargetGroupArn", "targetgroup")?;
    state
        .target_groups
        .get_mut(arn)
        .ok_or_else(|| ApiError::new("TargetGroupNotFound", "One or more target groups not found"))
}

fn health_check(parameters: &Node, mut check: HealthCheck) -> Result<HealthCheck, ApiError> {
    if let Some(protocol) = parameters.str("HealthCheckProtocol") {
        if protocol != "HTTP" {
            return Err(ApiError::not_modelled(&format!("The health check protocol '{protocol}'")));
        }
        protocol.clone_into(&mut check.protocol);
    }
    if parameters.str("HealthCheckEnabled") == Some("false") {
        return Err(ApiError::new(
            "InvalidConfigurationRequest",
            "Health checks cannot be disabled for the target types 'instance' and 'ip'",
        ));
    }
    match parameters.str("HealthCheckPort") {
        None => {}
        Some("traffic-port") => check.port = HealthPort::Traffic,
        Some(_) => {
            if let Some(port) = number(parameters, "HealthCheckPort", 1, 65535)? {
                check.port = HealthPort::Fixed(port);
            }
        }
    }
    if let Some(path) = parameters.str("HealthCheckPath") {
        if !path.starts_with('/') {
            return Err(ApiError::validation(format!("Health check path '{path}' must begin with a '/' character")));
        }
        path.clone_into(&mut check.path);
    }
    for (name, min, max, value) in [
        ("HealthCheckIntervalSeconds", 5, 300, &mut check.interval_seconds),
        ("HealthCheckTimeoutSeconds", 2, 120, &mut check.timeout_seconds),
        ("HealthyThresholdCount", 2, 10, &mut check.healthy_threshold),
        ("UnhealthyThresholdCount", 2, 10, &mut check.unhealthy_threshold),
    ] {
        if let Some(given) = number(parameters, name, min, max)? {
            *value = given;
        }
    }
    if check.timeout_seconds >= check.interval_seconds {
        return Err(ApiError::validation(format!(
            "Health check interval must be greater than the timeout ({} seconds)",
            check.timeout_seconds
        )));
    }
    if let Some(codes) = parameters.get("Matcher").and_then(|matcher| matcher.str("HttpCode")) {
        check.matcher = Matcher::parse(codes).ok_or_else(|| {
            ApiError::validation(format!("Health check matcher HTTP code '{codes}' must be within '200-499'"))
        })?;
    }
    Ok(check)
}

fn node(group: &TargetGroup) -> Node {
    let check = &group.health_check;
    let port = match check.port {
        HealthPort::Traffic => "traffic-port".to_owned(),
        HealthPort::Fixed(port) => port.to_string(),
    };
    let target_type = match group.target_type {
        TargetType::Instance => "instance",
        TargetType::Ip => "ip",
    };
    fields([
        ("TargetGroupArn", Node::text(&group.arn)),
        ("TargetGroupName", Node::text(&group.name)),
        ("Protocol", Node::text(&group.protocol)),
        ("Port", Node::text(group.port)),
        ("VpcId", Node::text(&group.vpc)),
        ("HealthCheckProtocol", Node::text(&check.protocol)),
        ("HealthCheckPort", Node::text(port)),
        ("HealthCheckEnabled", Node::text(true)),
        ("HealthCheckIntervalSeconds", Node::text(check.interval_seconds)),
        ("HealthCheckTimeoutSeconds", Node::text(check.timeout_seconds)),
        ("HealthyThresholdCount", Node::text(check.healthy_threshold)),
        ("UnhealthyThresholdCount", Node::text(check.unhealthy_threshold)),
        ("HealthCheckPath", Node::text(&check.path)),
        ("Matcher", fields([("HttpCode", Node::text(&check.matcher.text))])),
        ("LoadBalancerArns", texts(&group.used_by)),
        ("TargetType", Node::text(target_type)),
        ("ProtocolVersion", Node::text(&group.protocol_version)),
        ("IpAddressType", Node::text("ipv4")),
    ])
}

fn attributes(group: &TargetGroup) -> Node {
    let attributes =
        group.attributes.iter().map(|(key, value)| fields([("Key", Node::text(key)), ("Value", Node::text(value))]));
    fields([("Attributes", Node::List(attributes.collect()))])
}
