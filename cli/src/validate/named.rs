//! Whether what a definition names is there, and belongs together, beyond what planning asks.

use spillway_aws::compute::discovery::{EcsWorkload, GroupWorkload};
use spillway_aws::load_balancer::discovery::{LoadBalancer, TargetGroup};
use spillway_core::definition::{ServiceDefinition, SlotDefinition};
use spillway_core::slot::Slot;

/// Problems of the target groups. Each must be there, speak HTTP or HTTPS, be in its load balancer's network, and be used
/// by no other load balancer than the one at its position: `behind` has that one's ARN, where it is known.
pub fn groups(
    definition: &ServiceDefinition,
    behind: &[Option<String>],
    groups: &[TargetGroup],
    load_balancers: &[LoadBalancer],
) -> Vec<String> {
    let mut problems = Vec::new();
    for slot in Slot::BOTH {
        for (index, arn) in definition.slots.get(slot).target_groups.iter().enumerate() {
            let place = format!("slots.{slot}.target_groups[{index}]");
            let Some(group) = groups.iter().find(|group| group.arn == *arn) else {
                problems.push(format!("{place}: {arn}: there is no such target group in this account and region"));
                continue;
            };
            if !["HTTP", "HTTPS"].contains(&group.protocol.as_str()) {
                problems.push(format!(
                    "{place}: {}: of the protocol {}; allowed: HTTP, HTTPS",
                    arn.name(),
                    group.protocol
                ));
            }
            let Some(behind) = behind.get(index).and_then(Option::as_ref) else { continue };
            if let Some(other) = group.load_balancers.iter().find(|other| *other != behind) {
                problems.push(format!(
                    "{place}: {}: load balancer {} uses it, and the route is of {}; a target group belongs to one load \
                     balancer",
                    arn.name(),
                    short(other),
                    short(behind)
                ));
            }
            let vpc = load_balancers.iter().find(|one| one.arn == *behind).map_or("", |one| one.vpc.as_str());
            if !vpc.is_empty() && !group.vpc.is_empty() && group.vpc != vpc {
                problems.push(format!(
                    "{place}: {}: in {}, and its load balancer is in {vpc}; allowed: a group of that VPC",
                    arn.name(),
                    group.vpc
                ));
            }
        }
    }
    problems
}

/// A load balancer's name.
fn short(arn: &str) -> &str {
    arn.split("loadbalancer/app/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(arn)
}

/// Target groups that an ECS service does not register its tasks in.
pub fn service(slot: Slot, chosen: &SlotDefinition, found: &EcsWorkload) -> Vec<String> {
    let behind: Vec<&str> = found.behind.iter().map(|(arn, _)| arn.as_str()).collect();
    unregistered(slot, chosen, &behind)
}

/// Target groups that an Auto Scaling group does not register its instances in.
pub fn group(slot: Slot, chosen: &SlotDefinition, found: &GroupWorkload) -> Vec<String> {
    let behind: Vec<&str> = found.behind.iter().map(String::as_str).collect();
    unregistered(slot, chosen, &behind)
}

fn unregistered(slot: Slot, chosen: &SlotDefinition, behind: &[&str]) -> Vec<String> {
    let missing = chosen.target_groups.iter().filter(|group| !behind.contains(&group.as_str()));
    missing
        .map(|group| {
            format!(
                "slots.{slot}.compute: {} does not register in {}; what it starts would get no traffic there",
                chosen.compute,
                group.name()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

    fn definition() -> ServiceDefinition {
        ServiceDefinition::from_json(include_str!("../../../functions/core/definition/example.json")).unwrap()
    }

    fn there(definition: &ServiceDefinition) -> Vec<TargetGroup> {
        let group = |slot: Slot| TargetGroup {
            arn: definition.slots.get(slot).target_groups[0].clone(),
            protocol: "HTTP".into(),
            port: 80,
            vpc: "vpc-1".into(),
            target_type: "ip".into(),
            health_check_path: "/".into(),
            load_balancers: Vec::new(),
        };
        Slot::BOTH.into_iter().map(group).collect()
    }

    #[test]
    fn groups_must_be_there_and_belong_to_the_load_balancer() {
        let definition = definition();
        let behind = [Some(format!("{HOME}:loadbalancer/app/shop/1"))];
        let load_balancers =
            [LoadBalancer { arn: behind[0].clone().unwrap(), name: "shop".into(), vpc: "vpc-1".into() }];
        let found = |change: &dyn Fn(&mut Vec<TargetGroup>)| {
            let mut there = there(&definition);
            change(&mut there);
            groups(&definition, &behind, &there, &load_balancers)
        };
        assert_eq!(found(&|_| {}), Vec::<String>::new());
        assert_eq!(found(&|groups| groups[0].load_balancers.push(behind[0].clone().unwrap())), Vec::<String>::new());
        for (problems, expected) in [
            (found(&|groups| drop(groups.remove(1))), "slots.green.target_groups[0]: arn:"),
            (
                found(&|groups| groups[1].load_balancers.push(format!("{HOME}:loadbalancer/app/other/2"))),
                "slots.green.target_groups[0]: checkout-green: load balancer other uses it, and the route is of shop",
            ),
            (
                found(&|groups| groups[0].vpc = "vpc-2".into()),
                "checkout-blue: in vpc-2, and its load balancer is in vpc-1",
            ),
            (found(&|groups| groups[0].protocol = "TCP".into()), "of the protocol TCP; allowed: HTTP, HTTPS"),
        ] {
            assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        }
    }

    #[test]
    fn compute_must_register_in_every_group() {
        let definition = definition();
        let chosen = &definition.slots.blue;
        let arn = chosen.target_groups[0].as_str().to_owned();
        let here = EcsWorkload { behind: vec![(arn.clone(), "app".into())], ..EcsWorkload::default() };
        assert_eq!(service(Slot::Blue, chosen, &here), Vec::<String>::new());
        let nowhere = service(Slot::Blue, chosen, &EcsWorkload::default());
        assert!(nowhere[0].contains("ECS service checkout-blue does not register in checkout-blue"), "{nowhere:?}");
        let here = GroupWorkload { behind: vec![arn], ..GroupWorkload::default() };
        assert_eq!(group(Slot::Blue, chosen, &here), Vec::<String>::new());
    }
}
