//! What must be made before there is a definition.

use spillway_aws::load_balancer::discovery::{LoadBalancer, TargetGroup};
use spillway_core::definition::Compute;
use spillway_core::slot::Slot;

/// The longest name of a target group:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html>.
const LONGEST_NAME: usize = 32;

/// There is one slot's group, and not the other's.
pub fn group(one: &TargetGroup, slot: Slot, load_balancer: &LoadBalancer, free: &[&TargetGroup]) -> String {
    let name = one.arn.name();
    let base = super::slots::without_colour(name);
    let room = LONGEST_NAME - slot.to_string().len() - 1;
    let new = format!("{}-{slot}", base.chars().take(room).collect::<String>().trim_end_matches('-'));
    let mut options = format!("--name {new} --protocol {} --port {} --vpc-id {}", one.protocol, one.port, one.vpc);
    for (option, value) in [("--target-type", &one.target_type), ("--health-check-path", &one.health_check_path)] {
        if !value.is_empty() {
            options.extend([" ", option, " ", value]);
        }
    }
    let mut text = format!(
        "slots.{slot}: only one slot exists: {name}, behind {}; nothing was written. Make the other one:
  1. its target group, a copy of {name}:
       aws elbv2 create-target-group {options}
  2. what runs behind it: a second ECS service or Auto Scaling group that registers there. ECS takes a target group only
     if a load balancer uses it: attach it to the route with weight 0 first
Or let Terraform make both slots' groups and rules: infra/modules/service, with target_groups and listener_rules.
allowed: --slot {slot}={new} once it is there",
        load_balancer.name
    );
    if !free.is_empty() {
        let free: Vec<String> = free.iter().map(|group| format!("--slot {slot}={}", group.arn.name())).collect();
        text.push_str("; or one of those that no load balancer uses: ");
        text.push_str(&free.join(", "));
    }
    text
}

/// One slot is run by something, and nothing like it runs the other.
pub fn compute(slot: Slot, groups: &str, found: &Compute, other: &Compute) -> String {
    let make = match other {
        Compute::EcsService(ecs) => format!(
            "a second ECS service like {}, with {groups} as its target group:
       aws ecs describe-services --cluster {} --services {}   # what to copy
       aws ecs create-service --cluster {} --service-name NAME --desired-count 0 --load-balancers …
     ECS takes a target group only if a load balancer uses it: attach it to the route with weight 0 first",
            ecs.service, ecs.cluster, ecs.service, ecs.cluster
        ),
        Compute::AutoScalingGroup(group) => format!(
            "a second Auto Scaling group like {}, with {groups} among its target groups:
       aws autoscaling create-auto-scaling-group --auto-scaling-group-name NAME --min-size 0 --desired-capacity 0 …",
            group.name
        ),
        Compute::External => "what deploys to it".to_owned(),
    };
    format!(
        "slots.{slot}.compute: {found}, while the other slot has {other}; both need the same kind; nothing was written. Make
     {make}
allowed: --compute {slot}=… once it is there; or --compute blue=external --compute green=external, where others deploy and scale both"
    )
}
