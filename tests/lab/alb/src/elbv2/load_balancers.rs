//! Load balancers. They exist at once; their addresses are 127.0.0.1.

use jiff::Timestamp;

use super::describe::{existing, exists, name, nothing, only, page, texts};
use super::{listeners, tags};
use crate::arn;
use crate::error::ApiError;
use crate::node::{Node, fields};
use crate::state::{LoadBalancer, LoadBalancerSpec, State};

/// The same settings again are the same load balancer ("this operation is idempotent").
pub(super) fn create(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let name = name(parameters)?;
    if name.starts_with("internal-") {
        return Err(ApiError::validation("A load balancer name cannot begin with 'internal-'"));
    }
    match parameters.str("Type").unwrap_or("application") {
        "application" => {}
        "network" | "gateway" => {
            return Err(ApiError::not_modelled("A load balancer that is not of type 'application'"));
        }
        other => return Err(ApiError::validation(format!("'{other}' is not a valid load balancer type"))),
    }
    let mut subnets = parameters.strs("Subnets");
    let mappings = parameters.list("SubnetMappings").iter();
    subnets.extend(mappings.filter_map(|mapping| mapping.str("SubnetId").map(ToOwned::to_owned)));
    let spec = LoadBalancerSpec {
        name: name.to_owned(),
        scheme: parameters.str("Scheme").unwrap_or("internet-facing").to_owned(),
        ip_address_type: parameters.str("IpAddressType").unwrap_or("ipv4").to_owned(),
        subnets,
        security_groups: parameters.strs("SecurityGroups"),
    };
    if let Some(known) = state.load_balancers.values().find(|known| known.spec.name == name) {
        if known.spec == spec {
            return Ok(only("LoadBalancers", node(state, known)));
        }
        return Err(ApiError::new(
            "DuplicateLoadBalancerName",
            format!("A load balancer with the same name '{name}' exists, but with different settings"),
        ));
    }
    let tags = tags::read(parameters)?;
    let id = state.new_id();
    let load_balancer = LoadBalancer { arn: state.prefix.load_balancer(name, &id), created: Timestamp::now(), spec };
    let answer = only("LoadBalancers", node(state, &load_balancer));
    state.tags.insert(load_balancer.arn.clone(), tags.into_iter().collect());
    state.load_balancers.insert(load_balancer.arn.clone(), load_balancer);
    Ok(answer)
}

pub(super) fn describe(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let (arns, names) = (parameters.strs("LoadBalancerArns"), parameters.strs("Names"));
    for arn in &arns {
        exists(state, arn)?;
    }
    for name in &names {
        if !state.load_balancers.values().any(|known| known.spec.name == *name) {
            return Err(ApiError::new("LoadBalancerNotFound", format!("Load balancers '[{name}]' not found")));
        }
    }
    let wanted = state.load_balancers.values().filter(|known| {
        (arns.is_empty() || arns.contains(&known.arn)) && (names.is_empty() || names.contains(&known.spec.name))
    });
    page("LoadBalancers", wanted.map(|known| node(state, known)).collect(), parameters)
}

/// Deletes the load balancer with its listeners and rules; one that is not there is no error.
pub(super) fn delete(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let arn = match existing(state, parameters, "LoadBalancerArn", "loadbalancer") {
        Err(error) if error.code == "LoadBalancerNotFound" => return Ok(nothing()),
        arn => arn?,
    };
    let of_it = state.listeners.values().filter(|listener| listener.load_balancer == arn);
    for listener in of_it.map(|listener| listener.arn.clone()).collect::<Vec<_>>() {
        listeners::remove(state, &listener);
    }
    state.load_balancers.remove(arn);
    state.tags.remove(arn);
    state.refresh_use();
    Ok(nothing())
}

fn node(state: &State, load_balancer: &LoadBalancer) -> Node {
    let spec = &load_balancer.spec;
    let default = ["subnet-a".to_owned(), "subnet-b".to_owned()];
    let subnets = if spec.subnets.is_empty() { &default[..] } else { &spec.subnets };
    let zones = subnets.iter().zip('a'..='z').map(|(subnet, letter)| {
        fields([
            ("ZoneName", Node::text(format!("{}{letter}", state.region))),
            ("SubnetId", Node::text(subnet)),
            ("LoadBalancerAddresses", Node::List(Vec::new())),
        ])
    });
    let id = arn::load_balancer_dimension(&load_balancer.arn).rsplit('/').next().unwrap_or_default();
    fields([
        ("LoadBalancerArn", Node::text(&load_balancer.arn)),
        ("DNSName", Node::text("127.0.0.1")),
        ("CanonicalHostedZoneId", Node::text(format!("Z{}", id.to_uppercase()))),
        ("CreatedTime", Node::text(format!("{:.3}", load_balancer.created))),
        ("LoadBalancerName", Node::text(&spec.name)),
        ("Scheme", Node::text(&spec.scheme)),
        ("VpcId", Node::text("vpc-lab")),
        ("State", fields([("Code", Node::text("active"))])),
        ("Type", Node::text("application")),
        ("AvailabilityZones", Node::List(zones.collect())),
        ("SecurityGroups", texts(&spec.security_groups)),
        ("IpAddressType", Node::text(&spec.ip_address_type)),
    ])
}
