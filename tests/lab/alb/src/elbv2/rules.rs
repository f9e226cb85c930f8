//! Rules. A change replaces the whole list of actions; there is no compare-and-set.

use std::time::Instant;

use super::describe::{arn_of, existing, exists, nothing, only, page, texts};
use super::tags;
use crate::action::{self, Action, number, parse_list};
use crate::condition;
use crate::error::ApiError;
use crate::faults::Faults;
use crate::node::{Node, fields};
use crate::state::{Config, Rule, State};

/// "Target groups per load balancer" (quota).
const MAX_GROUPS_PER_LOAD_BALANCER: usize = 100;

pub(super) fn create(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let listener = existing(state, parameters, "ListenerArn", "listener")?;
    refuse_transforms(parameters)?;
    let priority = number(parameters, "Priority", 1, 50_000)?
        .ok_or_else(|| ApiError::validation("A rule priority must be specified"))?;
    let conditions = condition::parse_list(parameters.list("Conditions"))?;
    if conditions.is_empty() {
        return Err(ApiError::validation("A rule condition must be specified"));
    }
    let actions = parse_list(parameters.list("Actions"), &[])?;
    check_groups(state, load_balancer(state, listener)?, &actions)?;
    let tags = tags::read(parameters)?;
    let taken = |rule: &&Rule| rule.listener == listener && rule.priority == Some(priority);
    if state.rules.values().any(|rule| taken(&rule)) {
        return Err(priority_in_use(priority));
    }
    let id = state.new_id();
    let rule = Rule::new(
        state.prefix.rule(listener, &id),
        listener.to_owned(),
        Some(priority),
        Config { conditions, actions },
    );
    let answer = only("Rules", node(&rule, &rule.current));
    state.tags.insert(rule.arn.clone(), tags.into_iter().collect());
    state.rules.insert(rule.arn.clone(), rule);
    state.refresh_use();
    Ok(answer)
}

/// The rules of a listener, the default rule with them as the last.
pub(super) fn describe(state: &mut State, parameters: &Node, faults: &Faults) -> Result<Node, ApiError> {
    let (now, stale_since) = (Instant::now(), faults.stale_since());
    let told = |rule: &Rule| node(rule, rule.told(now, stale_since));
    let arns = parameters.strs("RuleArns");
    for arn in &arns {
        exists(state, arn_of("listener-rule", arn)?)?;
    }
    let rules = match parameters.str("ListenerArn") {
        Some(arn) => {
            let arn = exists(state, arn_of("listener", arn)?)?;
            let rules = state.rules_of(arn).into_iter();
            rules.filter(|rule| arns.is_empty() || arns.contains(&rule.arn)).map(told).collect()
        }
        None if arns.is_empty() => {
            return Err(ApiError::validation("You must specify either a listener ARN or rule ARNs"));
        }
        None => arns.iter().filter_map(|arn| state.rules.get(arn)).map(told).collect(),
    };
    page("Rules", rules, parameters)
}

/// Replaces what is given and keeps what is not. The default rule is changed with `ModifyListener`.
pub(super) fn modify(state: &mut State, parameters: &Node, faults: &Faults) -> Result<Node, ApiError> {
    let arn = existing(state, parameters, "RuleArn", "listener-rule")?;
    refuse_transforms(parameters)?;
    let rule = find(state, arn)?;
    if rule.priority.is_none() {
        return Err(default_rule("modified"));
    }
    let mut config = rule.current.clone();
    if let conditions @ [_, ..] = parameters.list("Conditions") {
        config.conditions = condition::parse_list(conditions)?;
    }
    if let actions @ [_, ..] = parameters.list("Actions") {
        config.actions = parse_list(actions, &config.actions)?;
        check_groups(state, load_balancer(state, &rule.listener)?, &config.actions)?;
    }
    let answer = match state.rules.get_mut(arn) {
        Some(rule) => {
            rule.change(config, Instant::now(), faults.lag(&[arn]));
            only("Rules", node(rule, &rule.current))
        }
        None => return Err(not_found()),
    };
    state.refresh_use();
    Ok(answer)
}

pub(super) fn delete(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let arn = existing(state, parameters, "RuleArn", "listener-rule")?;
    if find(state, arn)?.priority.is_none() {
        return Err(default_rule("deleted"));
    }
    state.rules.remove(arn);
    state.tags.remove(arn);
    state.refresh_use();
    Ok(nothing())
}

/// Sets all priorities given, or none.
pub(super) fn set_priorities(state: &mut State, parameters: &Node) -> Result<Node, ApiError> {
    let mut wanted: Vec<(String, String, u32)> = Vec::new();
    for pair in parameters.list("RulePriorities") {
        let arn = existing(state, pair, "RuleArn", "listener-rule")?;
        let rule = find(state, arn)?;
        if rule.priority.is_none() {
            return Err(default_rule("given a priority"));
        }
        let priority = number(pair, "Priority", 1, 50_000)?
            .ok_or_else(|| ApiError::validation("A rule priority must be specified"))?;
        wanted.push((arn.to_owned(), rule.listener.clone(), priority));
    }
    for (index, (_, listener, priority)) in wanted.iter().enumerate() {
        let moving = |arn: &String| wanted.iter().any(|(known, ..)| known == arn);
        let taken = state
            .rules
            .values()
            .any(|rule| rule.listener == *listener && rule.priority == Some(*priority) && !moving(&rule.arn));
        let twice = wanted[..index].iter().any(|(_, other, same)| other == listener && same == priority);
        if taken || twice {
            return Err(priority_in_use(*priority));
        }
    }
    let mut nodes = Vec::new();
    for (arn, _, priority) in wanted {
        if let Some(rule) = state.rules.get_mut(&arn) {
            rule.priority = Some(priority);
            nodes.push(node(rule, &rule.current));
        }
    }
    Ok(fields([("Rules", Node::List(nodes))]))
}

/// Every group of a forward action must exist, speak HTTP, and belong to no other load balancer.
pub(super) fn check_groups(state: &State, load_balancer: &str, actions: &[Action]) -> Result<(), ApiError> {
    let Some(forward) = action::forward(actions) else { return Ok(()) };
    let mut new = 0;
    for (arn, _) in &forward.groups {
        let arn = exists(state, arn_of("targetgroup", arn)?)?;
        let Some(group) = state.target_groups.get(arn) else { continue };
        if !["HTTP", "HTTPS"].contains(&group.protocol.as_str()) {
            return Err(ApiError::new(
                "IncompatibleProtocols",
                format!("The protocol of target group '{arn}' is not compatible with a listener of protocol HTTP"),
            ));
        }
        match &group.used_by {
            Some(other) if other != load_balancer => {
                return Err(ApiError::new(
                    "TargetGroupAssociationLimit",
                    format!("The following target groups cannot be associated with more than one load balancer: {arn}"),
                ));
            }
            Some(_) => {}
            None => new += 1,
        }
    }
    let used = state.target_groups.values().filter(|group| group.used_by.as_deref() == Some(load_balancer)).count();
    if used + new > MAX_GROUPS_PER_LOAD_BALANCER {
        return Err(ApiError::new(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            "You've reached the limit on the number of unique target groups per load balancer across all listeners",
        ));
    }
    Ok(())
}

fn find<'a>(state: &'a State, arn: &str) -> Result<&'a Rule, ApiError> {
    state.rules.get(arn).ok_or_else(not_found)
}

fn load_balancer<'a>(state: &'a State, listener: &str) -> Result<&'a str, ApiError> {
    state.load_balancer_of(listener).ok_or_else(|| ApiError::new("ListenerNotFound", "One or more listeners not found"))
}

fn refuse_transforms(parameters: &Node) -> Result<(), ApiError> {
    if parameters.list("Transforms").is_empty() {
        Ok(())
    } else {
        Err(ApiError::not_modelled("A rule with transforms"))
    }
}

fn not_found() -> ApiError {
    ApiError::new("RuleNotFound", "One or more rules not found")
}

fn default_rule(done: &str) -> ApiError {
    ApiError::new("OperationNotPermitted", format!("Default rule cannot be {done}"))
}

fn priority_in_use(priority: u32) -> ApiError {
    ApiError::new("PriorityInUse", format!("Priority '{priority}' is currently in use"))
}

fn node(rule: &Rule, config: &Config) -> Node {
    let priority = rule.priority.map_or_else(|| "default".to_owned(), |priority| priority.to_string());
    let described = |nodes: &mut dyn Iterator<Item = Node>| Node::List(nodes.collect());
    fields([
        ("RuleArn", Node::text(&rule.arn)),
        ("Priority", Node::text(priority)),
        ("Conditions", described(&mut config.conditions.iter().map(|condition| condition.described.clone()))),
        ("Actions", described(&mut config.actions.iter().map(|action| action.described.clone()))),
        ("IsDefault", Node::text(rule.priority.is_none())),
        ("Transforms", texts::<String>([])),
    ])
}
