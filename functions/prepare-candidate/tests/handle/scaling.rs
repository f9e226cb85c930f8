use super::*;

/// From blue to green, both of them Auto Scaling groups, of version 2.
fn of_templates() -> Plan {
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.version = serde_json::from_value(json!({"launch_template_version": "2"})).unwrap();
    for (side, name) in [(&mut plan.stable, "asg-blue"), (&mut plan.candidate, "asg-green")] {
        side.compute = serde_json::from_value(json!({"auto_scaling_group": {"name": name}})).unwrap();
    }
    plan
}

fn instance(version: &str) -> Instance {
    let state = "InService".into();
    Instance { id: "i-1".into(), version: Some(version.into()), state, in_service: true, protected: false }
}

#[tokio::test]
async fn an_auto_scaling_group_gets_the_version_and_the_capacity() {
    let world = World::of_shop();
    let plan = of_templates();
    let blue = GroupState { instances: vec![instance("1"); 2], ..of_group(1, 4, 2) };
    let green = of_group(0, 4, 0);
    world.state().groups.extend([("asg-blue".into(), blue), ("asg-green".into(), green)]);
    healthy(&world, 2);

    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap().next, Next::Wait);
    assert_eq!(world.state().changes, ["UpdateAutoScalingGroup asg-green 1 4 2"]);
    world.state().groups.get_mut("asg-green").unwrap().instances = vec![instance("2"), instance("2")];
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap().next, Next::Shift);
    assert_eq!(world.state().changes.len(), 1);
}

/// As planning records it.
fn owed(text: &Value) -> Vec<Scaling> {
    serde_json::from_value(text.clone()).unwrap()
}

#[tokio::test]
async fn neither_service_scales_in_from_the_first_call_on() {
    let (world, mut plan) = (World::of_shop(), plan(&image()));
    let service = |name: &str| json!({"ecs_service": {"cluster": "lab", "service": name}});
    plan.scaling = owed(&json!([service("shop-blue"), service("shop-green"), service("deleted")]));
    world.state().scalable.extend([("shop-blue".into(), false), ("shop-green".into(), false)]);
    let held = ["RegisterScalableTarget shop-blue true", "RegisterScalableTarget shop-green true"];
    let asked = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(world.state().changes[..2], held, "before any capacity is asked for");
    assert_eq!(world.state().changes[2..], ["RegisterTaskDefinition shop:1+1", "UpdateService shop-green shop:1+1 2"]);
    // Its answer was lost.
    call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(world.state().changes.len(), 4);
    // Whoever sets it otherwise later means it.
    world.state().scalable.insert("shop-blue".into(), false);
    call(&world, &plan, asked.preparation, now()).await.unwrap();
    assert_eq!(world.state().changes.len(), 4);
}

#[tokio::test]
async fn what_cannot_be_kept_from_scaling_in_gets_no_traffic() {
    let (world, mut plan) = (World::of_shop(), plan(&image()));
    plan.scaling = owed(&json!([{"ecs_service": {"cluster": "lab", "service": "shop-blue"}}]));
    world.state().scalable.insert("shop-blue".into(), false);
    let denied = rejected("RegisterScalableTarget", "shop-blue", "AccessDeniedException");
    world.plan_fault(Fault::before("RegisterScalableTarget", "shop-blue", denied));
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap_err().name(), "CallRejected");
    world.state().lease_reads_left = Some(1);
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap_err().name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}

/// The stable group keeps what it has; the candidate's gets its floor with its version, and not before.
#[tokio::test]
async fn neither_group_scales_in_below_what_the_stable_one_has() {
    let world = World::of_shop();
    let mut plan = of_templates();
    let group = |name: &str, rebalanced: bool| json!({"auto_scaling_group": {"name": name, "min": 1, "floor": 3, "rebalanced": rebalanced}});
    plan.scaling = owed(&json!([group("asg-blue", true), group("asg-green", false), group("deleted", true)]));
    let blue = GroupState { instances: vec![instance("1"); 3], ..of_group(1, 4, 3) };
    world.state().groups.extend([("asg-blue".into(), blue), ("asg-green".into(), of_group(0, 4, 0))]);
    let first = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(
        world.state().changes,
        [
            "UpdateAutoScalingGroup asg-blue 3 4 3",
            "SuspendProcesses asg-blue",
            "UpdateAutoScalingGroup asg-green 3 4 3",
        ]
    );
    call(&world, &plan, first.preparation, now()).await.unwrap();
    call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(world.state().changes.len(), 3);
}

/// Nothing serves yet whose place the candidate could take: it keeps the sizes that people gave it, also when it is emptied of
/// another version in between.
#[tokio::test]
async fn the_first_candidate_keeps_its_own_sizes() {
    let world = World::of_shop();
    let mut plan = of_templates();
    let (blue, green) = (of_group(0, 0, 0), GroupState { instances: vec![instance("1"); 3], ..of_group(2, 4, 3) });
    if let (Compute::AutoScalingGroup(stable), Compute::AutoScalingGroup(candidate)) =
        (&plan.stable.compute, &plan.candidate.compute)
    {
        plan.scaling = Scaling::of_groups([(&stable.name, &blue), (&candidate.name, &green)], &[]).into();
    }
    world.state().groups.extend([("asg-blue".into(), blue), ("asg-green".into(), green)]);
    let emptied = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    world.state().groups.get_mut("asg-green").unwrap().instances.clear();
    call(&world, &plan, emptied.preparation, now()).await.unwrap();
    let changes = world.state().changes.clone();
    let sizes: Vec<&String> = changes.iter().filter(|change| change.starts_with("UpdateAutoScalingGroup")).collect();
    assert_eq!(sizes, ["UpdateAutoScalingGroup asg-green 0 4 0", "UpdateAutoScalingGroup asg-green 3 4 3"]);
    assert!(matches!(&plan.scaling[1], Scaling::AutoScalingGroup(own) if own.min == 2), "what it gets back");
}

/// What an earlier release owes to compute of former slots is no part of this one.
#[tokio::test]
async fn what_is_in_no_slot_any_more_is_not_held() {
    let (world, mut plan) = (World::of_shop(), plan(&image()));
    let service = |name: &str| json!({"ecs_service": {"cluster": "lab", "service": name}});
    let group = json!({"auto_scaling_group": {"name": "former", "min": 1, "floor": 3, "rebalanced": true}});
    plan.scaling = owed(&json!([service("shop-blue"), service("former"), group]));
    world.state().scalable.extend([("shop-blue".into(), false), ("former".into(), false)]);
    world.state().groups.insert("former".into(), of_group(1, 4, 3));
    call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(world.state().changes[0], "RegisterScalableTarget shop-blue true");
    let touched: Vec<String> =
        world.state().changes.iter().filter(|change| change.contains("former")).cloned().collect();
    assert_eq!(touched, Vec::<String>::new());
}

/// Instances of another version go even if they are protected; those of this one come through their lifecycle hooks.
#[tokio::test]
async fn protected_instances_go_and_waiting_ones_are_waited_for() {
    let world = World::of_shop();
    let plan = of_templates();
    let old = Instance { protected: true, ..instance("1") };
    let green = GroupState { instances: vec![old], ..of_group(1, 4, 1) };
    world.state().groups.extend([("asg-blue".into(), of_group(1, 4, 1)), ("asg-green".into(), green)]);
    healthy(&world, 1);
    for _ in 0..2 {
        assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap().next, Next::Wait);
    }
    let emptied = ["UpdateAutoScalingGroup asg-green 0 4 0", "SetInstanceProtection asg-green i-1"];
    assert_eq!(world.state().changes, emptied);
    let going = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(going.reason, "1 instances of another version are going (1 InService)");
    world.state().groups.get_mut("asg-green").unwrap().instances.clear();
    call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(world.state().changes[2..], ["UpdateAutoScalingGroup asg-green 1 4 1"]);

    let new = Instance { state: "Pending:Wait".into(), in_service: false, ..instance("2") };
    world.state().groups.get_mut("asg-green").unwrap().instances = vec![new];
    let hooked = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!((hooked.next, hooked.reason.as_str()), (Next::Wait, "0 of 1 instances are in service (1 Pending:Wait)"));
    world.state().groups.get_mut("asg-green").unwrap().instances = vec![instance("2")];
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap().next, Next::Shift);
    assert_eq!(world.state().changes.len(), 3);
}
