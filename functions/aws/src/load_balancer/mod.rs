//! Routes and targets of Application Load Balancers.

pub mod actions;
pub mod discovery;

use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum;
use spillway_core::arn::{RouteArn, RouteKind, TargetGroupArn};
use spillway_core::route::Action;
use spillway_core::targets::TargetState;

use crate::client::{api_error, invalid_answer, unexpected};
use crate::error::ApiError;
use crate::ports::{Routes, Targets, Zones};

const DESCRIBE_HEALTH: &str = "DescribeTargetHealth";
const DESCRIBE_LISTENERS: &str = "DescribeListeners";
const DESCRIBE_LOAD_BALANCERS: &str = "DescribeLoadBalancers";
const DESCRIBE_RULES: &str = "DescribeRules";

/// Elastic Load Balancing v2.
#[derive(Clone, Debug)]
pub struct LoadBalancers {
    client: Client,
}

impl LoadBalancers {
    /// The load balancers of the configuration's account and region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

/// A listener's default rule is read and changed through the listener, every other rule by itself:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyRule.html>.
impl Routes for LoadBalancers {
    async fn read(&self, route: &RouteArn) -> Result<Vec<Action>, ApiError> {
        let arn = route.as_str();
        let (operation, found) = match route.kind() {
            RouteKind::Rule => {
                let answer = self.client.describe_rules().rule_arns(arn).send().await;
                let answer = answer.map_err(|error| api_error(DESCRIBE_RULES, arn, &error))?;
                let mut rules = answer.rules.unwrap_or_default().into_iter();
                let rule = rules.find(|rule| rule.rule_arn() == Some(arn));
                let rule =
                    rule.ok_or_else(|| unexpected(DESCRIBE_RULES, arn, "RuleNotFound", "there is no such rule"))?;
                (DESCRIBE_RULES, rule.actions)
            }
            RouteKind::ListenerDefault => {
                let answer = self.client.describe_listeners().listener_arns(arn).send().await;
                let answer = answer.map_err(|error| api_error(DESCRIBE_LISTENERS, arn, &error))?;
                let mut listeners = answer.listeners.unwrap_or_default().into_iter();
                let listener = listeners.find(|listener| listener.listener_arn() == Some(arn));
                let listener = listener.ok_or_else(|| {
                    unexpected(DESCRIBE_LISTENERS, arn, "ListenerNotFound", "there is no such listener")
                })?;
                (DESCRIBE_LISTENERS, listener.default_actions)
            }
        };
        actions::from_api(&found.unwrap_or_default())
            .map_err(|unreadable| invalid_answer(operation, arn, unreadable.to_string()))
    }

    async fn write(&self, route: &RouteArn, actions: &[Action]) -> Result<(), ApiError> {
        let arn = route.as_str();
        let actions = Some(actions::to_api(actions));
        match route.kind() {
            RouteKind::Rule => {
                let answer = self.client.modify_rule().rule_arn(arn).set_actions(actions).send().await;
                answer.map(|_| ()).map_err(|error| api_error("ModifyRule", arn, &error))
            }
            RouteKind::ListenerDefault => {
                let answer = self.client.modify_listener().listener_arn(arn).set_default_actions(actions).send().await;
                answer.map(|_| ()).map_err(|error| api_error("ModifyListener", arn, &error))
            }
        }
    }
}

impl Targets for LoadBalancers {
    async fn states(&self, group: &TargetGroupArn) -> Result<Vec<TargetState>, ApiError> {
        let arn = group.as_str();
        let answer = self.client.describe_target_health().target_group_arn(arn).send().await;
        let answer = answer.map_err(|error| api_error(DESCRIBE_HEALTH, arn, &error))?;
        let targets = answer.target_health_descriptions();
        targets
            .iter()
            .map(|target| {
                let state = target.target_health().and_then(|health| health.state());
                state.and_then(target_state).ok_or_else(|| {
                    let state = state.map_or("missing", TargetHealthStateEnum::as_str);
                    invalid_answer(DESCRIBE_HEALTH, arn, format!("a target's state is {state}"))
                })
            })
            .collect()
    }
}

impl Zones for LoadBalancers {
    async fn zones(&self, route: &RouteArn) -> Result<Vec<String>, ApiError> {
        let arn = route.load_balancer_arn();
        let answer = self.client.describe_load_balancers().load_balancer_arns(&arn).send().await;
        let answer = answer.map_err(|error| api_error(DESCRIBE_LOAD_BALANCERS, &arn, &error))?;
        let found = answer.load_balancers().iter().find(|found| found.load_balancer_arn() == Some(&arn));
        let found = found.ok_or_else(|| {
            unexpected(DESCRIBE_LOAD_BALANCERS, &arn, "LoadBalancerNotFound", "there is no such load balancer")
        })?;
        Ok(found.availability_zones().iter().filter_map(|zone| zone.zone_name()).map(Into::into).collect())
    }
}

/// The state of this name: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html>.
fn target_state(state: &TargetHealthStateEnum) -> Option<TargetState> {
    Some(match state {
        TargetHealthStateEnum::Initial => TargetState::Initial,
        TargetHealthStateEnum::Healthy => TargetState::Healthy,
        TargetHealthStateEnum::Unhealthy => TargetState::Unhealthy,
        TargetHealthStateEnum::UnhealthyDraining => TargetState::UnhealthyDraining,
        TargetHealthStateEnum::Unused => TargetState::Unused,
        TargetHealthStateEnum::Draining => TargetState::Draining,
        TargetHealthStateEnum::Unavailable => TargetState::Unavailable,
        _ => return None,
    })
}
