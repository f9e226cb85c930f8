use super::*;

fn with_groups(definition: Value) -> Value {
    let mut definition = definition;
    for slot in ["blue", "green"] {
        definition["slots"][slot]["compute"] = json!({"auto_scaling_group": {"name": format!("asg-{slot}")}});
    }
    definition
}

fn owe(world: &World, scaling: &Value) {
    world.state().leases.get_mut("shop").unwrap().scaling = serde_json::from_value(scaling.clone()).unwrap();
}

#[tokio::test]
async fn each_slot_has_its_price() {
    let mut definition = definition();
    definition["slots"]["green"]["price_per_hour"] = json!(0.35);
    let plan = plan(&World::of_shop(), &definition, release(&json!({}))).await.unwrap().plan;
    assert_eq!((plan.stable.price_per_hour, plan.candidate.price_per_hour), (None, Some(0.35)));
}

/// What an earlier release has not given back yet is owed by this one; what people have suspended is theirs.
#[tokio::test]
async fn what_scales_the_slots_is_recorded() {
    let service = |name: &str| json!({"ecs_service": {"cluster": "lab", "service": name}});
    let (blue, green, former) = (service("shop-blue"), service("shop-green"), service("former"));
    for (blue_suspended, green_suspended, owed, expected) in [
        (None, None, json!([]), json!([])),
        (Some(false), Some(false), json!([]), json!([blue, green])),
        (Some(true), Some(false), json!([]), json!([green])),
        (Some(true), Some(true), json!([green, former]), json!([green, former])),
        (None, Some(false), json!([blue]), json!([green])),
    ] {
        let world = World::of_shop();
        for (name, suspended) in [("shop-blue", blue_suspended), ("shop-green", green_suspended)] {
            world.state().scalable.extend(suspended.map(|suspended| (name.to_owned(), suspended)));
        }
        owe(&world, &owed);
        let planned = plan(&world, &definition(), release(&json!({}))).await.unwrap();
        assert_eq!(serde_json::to_value(&planned.plan.scaling).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Value>(&planned.scaling).unwrap(), expected, "for the lease");
        let after = if expected == json!([]) { 3600 } else { 300 };
        assert_eq!(planned.plan.retire_after_seconds, after);
        assert!(world.state().changes.is_empty());
    }

    let world = World::of_shop();
    let group = |min, desired| GroupState { min, max: 9, desired, ..GroupState::default() };
    world.state().groups.extend([("asg-blue".into(), group(2, 5)), ("asg-green".into(), group(0, 0))]);
    let planned = plan(&world, &with_groups(definition()), release(&json!({}))).await.unwrap();
    let entry = |name: &str| json!({"auto_scaling_group": {"name": name, "min": 2, "floor": 5, "rebalanced": true}});
    assert_eq!(serde_json::to_value(&planned.plan.scaling).unwrap(), json!([entry("asg-blue"), entry("asg-green")]));
}

#[tokio::test]
async fn a_group_that_cannot_become_the_candidate_is_refused() {
    let world = World::of_shop();
    let suspended = |processes: &[&str]| processes.iter().map(|process| (*process).to_owned()).collect();
    let blue = GroupState { desired: 2, suspended: suspended(&["Terminate"]), ..GroupState::default() };
    let green =
        GroupState { suspended: suspended(&["Launch", "AlarmNotification"]), warm_pool: true, ..GroupState::default() };
    world.state().groups.insert("asg-blue".into(), blue);
    let definition = with_groups(definition());
    let named = json!({"service": "shop", "version": {"launch_template_version": "2"}});
    let error = plan(&world, &definition, named.clone()).await.unwrap_err().to_string();
    assert!(error.contains("asg-green") && error.contains("AutoScalingGroupNotFound"), "{error}");
    world.state().groups.insert("asg-green".into(), green);
    let error = plan(&world, &definition, named).await.unwrap_err().to_string();
    assert!(error.contains("slots.green.compute: Launch is suspended for Auto Scaling group asg-green"), "{error}");
    assert!(error.contains("asg-green has a warm pool"), "{error}");
    assert!(!error.contains("AlarmNotification") && !error.contains("Terminate"), "{error}");
    let error = plan(&world, &definition, release(&json!({}))).await.unwrap_err().to_string();
    assert!(error.contains("Launch is suspended") && !error.contains("warm pool"), "{error}");

    world.plan_fault(Fault::before("DescribeAutoScalingGroups", "asg-green", throttled("DescribeAutoScalingGroups")));
    assert_eq!(plan(&world, &definition, release(&json!({}))).await.unwrap_err().name(), "Unavailable");
}
