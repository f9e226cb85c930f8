//! Listeners: each binds a real socket, and has a default rule with the default actions.

use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::describe::{arn_of, existing, exists, nothing, only, page};
use super::rules::check_groups;
use super::tags;
use crate::action::{Action, number, parse_list};
use crate::error::ApiError;
use crate::faults::Faults;
use crate::node::{Node, fields};
use crate::proxy;
use crate::server;
use crate::shared::Shared;
use crate::state::{Config, Listener, Rule, State};

/// The same settings again are the same listener ("this operation is idempotent").
pub(super) fn create(shared: &Arc<Shared>, state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let load_balancer = existing(state, parameters, "LoadBalancerArn", "loadbalancer")?;
    if parameters.str("Protocol").is_none() {
        return Err(ApiError::validation("A listener protocol must be specified"));
    }
    check_protocol(parameters)?;
    let port: u16 = number(parameters, "Port", 1, 65535)?
        .ok_or_else(|| ApiError::validation("A listener port must be specified"))?;
    let actions = parse_list(parameters.list("DefaultActions"), &[])?;
    check_groups(state, load_balancer, &actions)?;
    let tags = tags::read(parameters)?;
    if let Some(known) = on_port(state, load_balancer, port) {
        let same = state.rules.get(&known.default_rule).is_some_and(|rule| rule.current.actions == actions);
        if same {
            return Ok(only("Listeners", node(known, actions_of(state, known))));
        }
        return Err(duplicate());
    }
    let id = state.new_id();
    let arn = state.prefix.listener(load_balancer, &id);
    let accepting = listen(shared, &arn, port)?;
    let id = state.new_id();
    let rule = Rule::new(state.prefix.rule(&arn, &id), arn.clone(), None, Config { conditions: Vec::new(), actions });
    let listener = Listener {
        arn: arn.clone(),
        load_balancer: load_balancer.to_owned(),
        port,
        default_rule: rule.arn.clone(),
        accepting,
    };
    state.rules.insert(rule.arn.clone(), rule);
    state.tags.insert(arn.clone(), tags.into_iter().collect());
    let answer = only("Listeners", node(&listener, actions_of(state, &listener)));
    state.listeners.insert(arn, listener);
    state.refresh_use();
    Ok(answer)
}

pub(super) fn describe(state: &mut State, parameters: &Node, faults: &Faults) -> Result<Node, ApiError> {
    let arns = parameters.strs("ListenerArns");
    for arn in &arns {
        exists(state, arn_of("listener", arn)?)?;
    }
    let load_balancer = match parameters.str("LoadBalancerArn") {
        Some(arn) => Some(exists(state, arn_of("loadbalancer", arn)?)?),
        None if arns.is_empty() => {
            return Err(ApiError::validation("You must specify either listener ARNs or a load balancer ARN"));
        }
        None => None,
    };
    let wanted = state.listeners.values().filter(|known| {
        (arns.is_empty() || arns.contains(&known.arn)) && load_balancer.is_none_or(|arn| known.load_balancer == arn)
    });
    let (now, stale_since) = (Instant::now(), faults.stale_since());
    let told = |known: &Listener| {
        let rule = state.rules.get(&known.default_rule);
        node(known, rule.map_or(&[][..], |rule| &rule.told(now, stale_since).actions))
    };
    page("Listeners", wanted.map(told).collect(), parameters)
}

/// Replaces what is given; the default actions as a whole.
pub(super) fn modify(shared: &Arc<Shared>, state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let arn = existing(state, parameters, "ListenerArn", "listener")?;
    check_protocol(parameters)?;
    let not_found = || ApiError::new("ListenerNotFound", "One or more listeners not found");
    let listener = state.listeners.get(arn).ok_or_else(not_found)?;
    let (load_balancer, default_rule) = (listener.load_balancer.clone(), listener.default_rule.clone());
    let new_port = number::<u16>(parameters, "Port", 1, 65535)?.filter(|port| *port != listener.port);
    let actions = match parameters.list("DefaultActions") {
        [] => None,
        nodes => {
            let existing = state.rules.get(&default_rule).map_or(&[][..], |rule| &rule.current.actions);
            let actions = parse_list(nodes, existing)?;
            check_groups(state, &load_balancer, &actions)?;
            Some(actions)
        }
    };
    if let Some(port) = new_port {
        if on_port(state, &load_balancer, port).is_some() {
            return Err(duplicate());
        }
        let accepting = listen(shared, arn, port)?;
        let listener = state.listeners.get_mut(arn).ok_or_else(not_found)?;
        listener.accepting.abort();
        listener.accepting = accepting;
        listener.port = port;
    }
    if let (Some(actions), Some(rule)) = (actions, state.rules.get_mut(&default_rule)) {
        let config = Config { conditions: Vec::new(), actions };
        rule.change(config, Instant::now(), shared.faults.lag(&[arn, &default_rule]));
    }
    state.refresh_use();
    let listener = state.listeners.get(arn).ok_or_else(not_found)?;
    Ok(only("Listeners", node(listener, actions_of(state, listener))))
}

pub(super) fn delete(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let arn = existing(state, parameters, "ListenerArn", "listener")?;
    remove(state, arn);
    state.refresh_use();
    Ok(nothing())
}

/// Removes a listener with its rules.
pub(super) fn remove(state: &mut State, arn: &str) {
    if let Some(listener) = state.listeners.remove(arn) {
        listener.accepting.abort();
    }
    state.rules.retain(|_, rule| rule.listener != arn);
    state.tags.remove(arn);
}

fn listen(shared: &Arc<Shared>, arn: &str, port: u16) -> Result<AbortHandle, ApiError> {
    let socket = StdListener::bind((Ipv4Addr::LOCALHOST, port))
        .and_then(|socket| {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)
        })
        .map_err(|error| {
            ApiError::new(
                "InvalidConfigurationRequest",
                format!("The stand-in cannot listen on 127.0.0.1:{port}: {error}"),
            )
        })?;
    let arn: Arc<str> = arn.into();
    let own = Arc::clone(shared);
    Ok(server::run(&shared.tasks, socket, move |client, request| {
        proxy::serve(Arc::clone(&own), Arc::clone(&arn), client, request)
    }))
}

fn check_protocol(parameters: &Node) -> Result<(), ApiError> {
    match parameters.str("Protocol") {
        None | Some("HTTP") => Ok(()),
        Some("HTTPS") => Err(ApiError::not_modelled("A listener with the protocol HTTPS")),
        Some(other) => Err(ApiError::new(
            "UnsupportedProtocol",
            format!("The protocol '{other}' is not supported by application load balancers"),
        )),
    }
}

fn on_port<'a>(state: &'a State, load_balancer: &str, port: u16) -> Option<&'a Listener> {
    state.listeners.values().find(|known| known.load_balancer == load_balancer && known.port == port)
}

fn duplicate() -> ApiError {
    ApiError::new("DuplicateListener", "A listener already exists on this port for this load balancer")
}

/// The default actions as they were last set.
fn actions_of<'a>(state: &'a State, listener: &Listener) -> &'a [Action] {
    state.rules.get(&listener.default_rule).map_or(&[], |rule| &rule.current.actions)
}

fn node(listener: &Listener, actions: &[Action]) -> Node {
    let actions = actions.iter().map(|action| action.described.clone()).collect();
    fields([
        ("ListenerArn", Node::text(&listener.arn)),
        ("LoadBalancerArn", Node::text(&listener.load_balancer)),
        ("Port", Node::text(listener.port)),
        ("Protocol", Node::text("HTTP")),
        ("DefaultActions", Node::List(actions)),
    ])
}
