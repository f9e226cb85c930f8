//! What there is: load balancers, their listeners and rules, target groups, and tags. For the command line; no function
//! asks for it.

use aws_sdk_elasticloadbalancingv2::types::{
    Listener as ApiListener, LoadBalancerTypeEnum, Rule as ApiRule, TargetGroup as ApiGroup,
};
use spillway_core::arn::{RouteArn, TargetGroupArn};
use spillway_core::route::Action;

use super::{DESCRIBE_LISTENERS, DESCRIBE_LOAD_BALANCERS, DESCRIBE_RULES, LoadBalancers, actions};
use crate::client::api_error;
use crate::error::ApiError;

const DESCRIBE_GROUPS: &str = "DescribeTargetGroups";
const DESCRIBE_TAGS: &str = "DescribeTags";
/// The most ARNs of one call: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html>.
const MOST_ARNS: usize = 20;

/// An Application Load Balancer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
}

/// A listener.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// Its port.
    pub port: i32,
    /// `HTTP` or `HTTPS`.
    pub protocol: String,
}

/// A rule, or a listener's default action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The rule's ARN, or for a default action the listener's.
    pub arn: RouteArn,
    /// Its priority; `default` for a listener's default action.
    pub priority: String,
    /// Its conditions in words; empty where there are none.
    pub conditions: String,
    /// Its actions; or why they cannot be read.
    pub actions: Result<Vec<Action>, String>,
}

/// A target group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: TargetGroupArn,
    /// `HTTP`, `HTTPS`, …
    pub protocol: String,
    /// Its port; 0 where it has none.
    pub port: i32,
    /// Its VPC; empty where it has none.
    pub vpc: String,
    /// `instance`, `ip`, `lambda` or `alb`.
    pub target_type: String,
    /// The path of its health checks.
    pub health_check_path: String,
    /// ARNs of the load balancers that use it: one at most.
    pub load_balancers: Vec<String>,
}

impl LoadBalancers {
    /// All Application Load Balancers.
    ///
    /// # Errors
    /// The call's.
    pub async fn all(&self) -> Result<Vec<LoadBalancer>, ApiError> {
        let mut pages = self.client.describe_load_balancers().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(DESCRIBE_LOAD_BALANCERS, "", &error))?;
            let application =
                page.load_balancers().iter().filter(|one| one.r#type() == Some(&LoadBalancerTypeEnum::Application));
            found.extend(application.map(|one| LoadBalancer {
                arn: one.load_balancer_arn().unwrap_or_default().to_owned(),
                name: one.load_balancer_name().unwrap_or_default().to_owned(),
                vpc: one.vpc_id().unwrap_or_default().to_owned(),
            }));
        }
        Ok(found)
    }

    /// A load balancer's listeners, in the order of their ports, each with its default action and its other rules in
    /// the order of their priorities.
    ///
    /// # Errors
    /// The call's.
    pub async fn listeners(&self, load_balancer: &str) -> Result<Vec<(Listener, Vec<Rule>)>, ApiError> {
        let mut pages = self.client.describe_listeners().load_balancer_arn(load_balancer).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(DESCRIBE_LISTENERS, load_balancer, &error))?;
            found.extend(page.listeners.unwrap_or_default());
        }
        found.sort_by_key(ApiListener::port);
        let mut listeners = Vec::with_capacity(found.len());
        for listener in &found {
            let arn = listener.listener_arn().unwrap_or_default();
            let mut rules = self.rules(arn).await?;
            rules.extend(default_of(listener));
            let protocol = listener.protocol().map_or("", |protocol| protocol.as_str()).to_owned();
            listeners
                .push((Listener { arn: arn.to_owned(), port: listener.port().unwrap_or_default(), protocol }, rules));
        }
        Ok(listeners)
    }

    async fn rules(&self, listener: &str) -> Result<Vec<Rule>, ApiError> {
        let mut pages = self.client.describe_rules().listener_arn(listener).into_paginator().send();
        let mut rules = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(DESCRIBE_RULES, listener, &error))?;
            // The default rule cannot be modified by itself; it is read with its listener.
            rules.extend(page.rules().iter().filter(|rule| rule.is_default() != Some(true)).filter_map(rule_of));
        }
        rules.sort_by_key(|rule| rule.priority.parse::<u32>().unwrap_or(u32::MAX));
        Ok(rules)
    }

    /// All target groups of the account and region.
    ///
    /// # Errors
    /// The call's.
    pub async fn target_groups(&self) -> Result<Vec<TargetGroup>, ApiError> {
        let mut pages = self.client.describe_target_groups().into_paginator().send();
        let mut groups = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(DESCRIBE_GROUPS, "", &error))?;
            groups.extend(page.target_groups().iter().filter_map(group_of));
        }
        Ok(groups)
    }

    /// The value of a tag of each of these rules, listeners and target groups, in order; `None` where there is none.
    ///
    /// # Errors
    /// The call's.
    pub async fn tag(&self, arns: &[&str], key: &str) -> Result<Vec<Option<String>>, ApiError> {
        let mut values = Vec::with_capacity(arns.len());
        for some in arns.chunks(MOST_ARNS) {
            let call =
                self.client.describe_tags().set_resource_arns(Some(some.iter().map(ToString::to_string).collect()));
            let answer = call.send().await.map_err(|error| api_error(DESCRIBE_TAGS, some.join(", "), &error))?;
            let value = |arn: &&str| {
                let described = answer.tag_descriptions().iter().find(|one| one.resource_arn() == Some(*arn))?;
                let tag = described.tags().iter().find(|tag| tag.key() == Some(key))?;
                Some(tag.value().unwrap_or_default().to_owned())
            };
            values.extend(some.iter().map(value));
        }
        Ok(values)
    }
}

fn default_of(listener: &ApiListener) -> Option<Rule> {
    Some(Rule {
        arn: RouteArn::parse(listener.listener_arn()?).ok()?,
        priority: "default".into(),
        conditions: String::new(),
        actions: actions::from_api(listener.default_actions()).map_err(|unreadable| unreadable.to_string()),
    })
}

fn rule_of(rule: &ApiRule) -> Option<Rule> {
    let conditions = rule.conditions().iter().map(|condition| {
        let field = condition.field().unwrap_or_default();
        let named = condition.http_header_config().and_then(|header| header.http_header_name());
        let values = [
            condition.values(),
            condition.path_pattern_config().map_or(&[], |config| config.values()),
            condition.host_header_config().map_or(&[], |config| config.values()),
            condition.http_header_config().map_or(&[], |config| config.values()),
            condition.http_request_method_config().map_or(&[], |config| config.values()),
        ];
        let values: Vec<&str> =
            values.into_iter().find(|values| !values.is_empty()).into_iter().flatten().map(String::as_str).collect();
        format!("{} {}", named.unwrap_or(field), values.join(" or ")).trim().to_owned()
    });
    Some(Rule {
        arn: RouteArn::parse(rule.rule_arn()?).ok()?,
        priority: rule.priority().unwrap_or_default().to_owned(),
        conditions: conditions.collect::<Vec<_>>().join(", "),
        actions: actions::from_api(rule.actions()).map_err(|unreadable| unreadable.to_string()),
    })
}

fn group_of(group: &ApiGroup) -> Option<TargetGroup> {
    Some(TargetGroup {
        arn: TargetGroupArn::parse(group.target_group_arn()?).ok()?,
        protocol: group.protocol().map_or("", |protocol| protocol.as_str()).to_owned(),
        port: group.port().unwrap_or_default(),
        vpc: group.vpc_id().unwrap_or_default().to_owned(),
        target_type: group.target_type().map_or("", |target_type| target_type.as_str()).to_owned(),
        health_check_path: group.health_check_path().unwrap_or_default().to_owned(),
        load_balancers: group.load_balancer_arns().to_vec(),
    })
}
