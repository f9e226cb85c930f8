//! What runs the slots.

use spillway_aws::compute::discovery::{EcsWorkload, GroupWorkload};
use spillway_aws::compute::{AutoScaling, Ecs};
use spillway_aws::load_balancer::discovery::TargetGroup;
use spillway_core::definition::{AutoScalingGroup, AutoScalingGroupName, Compute, EcsName, EcsService};
use spillway_core::slot::Slot;

use super::{choose, missing, slots};
use crate::ask::{Ask, Question};
use crate::operator::failure::Failure;

/// Everything that registers in target groups by itself.
#[derive(Clone, Debug, Default)]
pub struct There {
    pub services: Vec<EcsWorkload>,
    pub groups: Vec<GroupWorkload>,
}

/// `blue=ecs:shop/checkout-a`.
pub fn named(text: &str) -> Result<(Slot, Compute), String> {
    let allowed = || {
        "allowed: blue= or green=, with ecs:CLUSTER/SERVICE, ecs:CLUSTER/SERVICE/CONTAINER, asg:NAME or external"
            .to_owned()
    };
    let (slot, text) = text.split_once('=').ok_or_else(allowed)?;
    let slot = slots::slot_of(slot).ok_or_else(allowed)?;
    let compute = match text.split_once(':') {
        None if text == "external" => Some(Compute::External),
        Some(("asg", name)) => {
            AutoScalingGroupName::parse(name).ok().map(|name| Compute::AutoScalingGroup(AutoScalingGroup { name }))
        }
        Some(("ecs", path)) => {
            let mut parts = path.splitn(3, '/');
            let mut part = || parts.next().and_then(|name| EcsName::parse(name).ok());
            match (part(), part(), path.split('/').count()) {
                (Some(cluster), Some(service), 2) => {
                    Some(Compute::EcsService(EcsService { cluster, service, container: None }))
                }
                (Some(cluster), Some(service), 3) => part()
                    .map(|container| Compute::EcsService(EcsService { cluster, service, container: Some(container) })),
                _ => None,
            }
        }
        _ => None,
    };
    Ok((slot, compute.ok_or_else(allowed)?))
}

/// Looks for all of it.
pub async fn survey(ecs: &Ecs, auto_scaling: &AutoScaling) -> Result<There, Failure> {
    let settled = |error| {
        let failure = Failure::from(error);
        Failure::Context(
            "what runs the slots cannot be looked for; --compute blue=… --compute green=… says it instead".into(),
            Box::new(failure),
        )
    };
    Ok(There { services: ecs.all().await.map_err(settled)?, groups: auto_scaling.all().await.map_err(settled)? })
}

/// What runs both slots: of one kind, or what is missing.
pub fn of_both(
    there: &There,
    named: &[(Slot, Compute)],
    groups: [&[&TargetGroup]; 2],
    ask: &mut dyn Ask,
) -> Result<[Compute; 2], Failure> {
    let mut found = Vec::with_capacity(2);
    for slot in Slot::BOTH {
        let explicit = named.iter().find(|(known, _)| *known == slot).map(|(_, compute)| compute.clone());
        found.push(match explicit {
            Some(compute) => compute,
            None => behind(there, slot, groups[slot as usize], ask)?,
        });
    }
    let [blue, green]: [Compute; 2] = found.try_into().map_err(|_| Failure::Refused("there are two slots".into()))?;
    if std::mem::discriminant(&blue) == std::mem::discriminant(&green) {
        return Ok([blue, green]);
    }
    let (slot, has, other) =
        if blue == Compute::External { (Slot::Blue, &blue, &green) } else { (Slot::Green, &green, &blue) };
    let names: Vec<&str> = groups[slot as usize].iter().map(|group| group.arn.name()).collect();
    Err(Failure::Refused(missing::compute(slot, &names.join(", "), has, other)))
}

fn behind(there: &There, slot: Slot, groups: &[&TargetGroup], ask: &mut dyn Ask) -> Result<Compute, Failure> {
    let is = |arn: &str| groups.iter().any(|group| group.arn.as_str() == arn);
    let services = there.services.iter().filter_map(|workload| {
        let (_, container) = workload.behind.iter().find(|(arn, _)| is(arn))?;
        Some(Compute::EcsService(EcsService {
            cluster: EcsName::parse(&*workload.cluster).ok()?,
            service: EcsName::parse(&*workload.service).ok()?,
            container: EcsName::parse(&**container).ok(),
        }))
    });
    let auto_scaling = there.groups.iter().filter(|group| group.behind.iter().any(|arn| is(arn))).filter_map(|group| {
        Some(Compute::AutoScalingGroup(AutoScalingGroup { name: AutoScalingGroupName::parse(&*group.name).ok()? }))
    });
    let found: Vec<Compute> = services.chain(auto_scaling).collect();
    if found.is_empty() {
        return Ok(Compute::External);
    }
    let question = Question {
        what: format!("of these runs {slot}"),
        options: found.iter().map(ToString::to_string).collect(),
        otherwise: format!("--compute {slot}=COMPUTE"),
    };
    choose(ask, &question, &found).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Nobody;
    use spillway_core::arn::TargetGroupArn;

    fn group(name: &str) -> TargetGroup {
        TargetGroup {
            arn: TargetGroupArn::parse(format!(
                "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{name}/1"
            ))
            .unwrap(),
            protocol: "HTTP".into(),
            port: 80,
            vpc: "vpc-1".into(),
            target_type: "ip".into(),
            health_check_path: "/".into(),
            load_balancers: Vec::new(),
        }
    }

    fn service(name: &str, behind: &str) -> EcsWorkload {
        EcsWorkload {
            cluster: "lab".into(),
            service: name.into(),
            behind: vec![(group(behind).arn.as_str().to_owned(), "app".into())],
            ..EcsWorkload::default()
        }
    }

    fn found(there: &There, named: &[&str]) -> Result<[String; 2], String> {
        let named: Vec<(Slot, Compute)> = named.iter().map(|text| super::named(text).unwrap()).collect();
        let (a, b) = (group("a"), group("b"));
        let found = of_both(there, &named, [&[&a], &[&b]], &mut Nobody);
        found.map(|both| both.map(|compute| compute.to_string())).map_err(|failure| failure.text())
    }

    #[test]
    fn what_registers_in_a_group_runs_its_slot() {
        let pair = There { services: vec![service("one", "a"), service("two", "b")], groups: Vec::new() };
        assert_eq!(found(&pair, &[]), Ok(["ECS service one".into(), "ECS service two".into()]));
        let group = |name: &str, behind: &str| GroupWorkload {
            name: name.into(),
            behind: vec![group(behind).arn.as_str().to_owned()],
            ..GroupWorkload::default()
        };
        let groups = There { services: Vec::new(), groups: vec![group("x", "a"), group("y", "b")] };
        assert_eq!(found(&groups, &[]), Ok(["Auto Scaling group x".into(), "Auto Scaling group y".into()]));
        assert_eq!(found(&There::default(), &[]), Ok(["external compute".into(), "external compute".into()]));
        assert_eq!(
            found(&pair, &["blue=external", "green=external"]),
            Ok(["external compute".into(), "external compute".into()])
        );
    }

    #[test]
    fn what_is_missing_or_twice_there_is_said() {
        let half = There { services: vec![service("one", "a")], groups: Vec::new() };
        let why = found(&half, &[]).unwrap_err();
        assert!(
            why.starts_with("slots.green.compute: external compute, while the other slot has ECS service one"),
            "{why}"
        );
        assert!(
            why.contains("aws ecs create-service --cluster lab") && why.contains("allowed: --compute green=…"),
            "{why}"
        );
        let twice = There { services: vec![service("one", "a"), service("two", "a")], groups: Vec::new() };
        let why = found(&twice, &[]).unwrap_err();
        assert!(why.contains("of these runs blue: there are 2; allowed: --compute blue=COMPUTE"), "{why}");
    }

    #[test]
    fn compute_is_named_in_one_word() {
        for (text, expected) in [
            ("blue=ecs:shop/checkout", Some("ECS service checkout")),
            ("blue=ecs:shop/checkout/app", Some("ECS service checkout")),
            ("green=asg:checkout b", Some("Auto Scaling group checkout b")),
            ("green=external", Some("external compute")),
            ("red=external", None),
            ("blue=ecs:shop", None),
            ("blue=ecs:shop/checkout/app/x", None),
            ("blue=asg:", None),
            ("blue", None),
        ] {
            assert_eq!(named(text).map(|(_, compute)| compute.to_string()).ok().as_deref(), expected, "{text}");
        }
    }
}
