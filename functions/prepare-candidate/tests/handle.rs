//! The handler in an in-memory world.

use jiff::{SignedDuration, Timestamp};
use prepare_candidate::{Error, Event, Next, Output, Ports, Role, handle};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_core::compute::{GroupState, Instance, Preparation, Rollout};
use spillway_core::decision::Command;
use spillway_core::definition::Compute;
use spillway_core::event::Kind;
use spillway_core::hook::{Call, Point, Reply};
use spillway_core::lease::{Freeze, Waiting};
use spillway_core::plan::{Plan, PlannedRoute};
use spillway_core::scaling::Scaling;
use spillway_core::targets::TargetState;
use spillway_core::weight::Percent;
use spillway_world::{Fault, World, group, lease, plan, rejected, route};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn image() -> Value {
    json!({"image": format!("shop@sha256:{}", "a".repeat(64))})
}

async fn call(world: &World, plan: &Plan, preparation: Preparation, at: Timestamp) -> Result<Output, Error> {
    let ports = Ports { services: world, revisions: world, groups: world, targets: world, leases: world };
    handle(
        ports,
        || at,
        Event { lease: lease(), plan: plan.clone(), preparation, role: Role::Candidate, hook: Reply::default() },
    )
    .await
}

fn healthy(world: &World, count: usize) {
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy; count]);
}

#[tokio::test]
async fn an_image_is_registered_once_deployed_and_awaited() {
    let (world, plan) = (World::of_shop(), plan(&image()));
    let asked = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(asked.next, Next::Wait);
    assert_eq!(asked.preparation.task_definition.as_deref(), Some("shop:1+1"));
    assert_eq!(world.state().services["shop-green"].desired, 2, "as many as the stable service has");

    let rolling = call(&world, &plan, asked.preparation, now()).await.unwrap();
    assert!(rolling.next == Next::Wait && rolling.reason.contains("deployments are active"), "{}", rolling.reason);
    world.settle("shop-green");
    let unhealthy = call(&world, &plan, rolling.preparation, now()).await.unwrap();
    assert!(
        unhealthy.next == Next::Wait && unhealthy.reason.contains("green: no target; 2 must be healthy"),
        "{}",
        unhealthy.reason
    );
    healthy(&world, 1);
    assert_eq!(call(&world, &plan, unhealthy.preparation.clone(), now()).await.unwrap().next, Next::Wait);
    healthy(&world, 2);
    assert_eq!(call(&world, &plan, unhealthy.preparation, now()).await.unwrap().next, Next::Shift);
    assert_eq!(world.state().changes, ["RegisterTaskDefinition shop:1+1", "UpdateService shop-green shop:1+1 2"]);
}

#[tokio::test]
async fn a_repeated_first_call_changes_nothing_twice() {
    let (world, plan) = (World::of_shop(), plan(&image()));
    call(&world, &plan, Preparation::default(), now()).await.unwrap();
    // Its answer was lost, so the machine calls again with nothing remembered.
    call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(world.state().changes.len(), 2, "{:?}", world.state().changes);

    let world = World::of_shop();
    world.plan_fault(Fault::lost_answer("UpdateService", "shop-green"));
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap_err().name(), "Unavailable");
    let again = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert!(again.preparation.deployment.is_some());
    assert_eq!(world.state().changes.len(), 2);
}

#[tokio::test]
async fn the_circuit_breakers_revision_is_not_ours() {
    let (world, plan) = (World::of_shop(), plan(&image()));
    healthy(&world, 2);
    let asked = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    {
        let mut state = world.state();
        let service = state.services.get_mut("shop-green").unwrap();
        service.task_definition = "shop:1".into();
        (service.running, service.pending) = (2, 0);
        for deployment in &mut service.deployments {
            deployment.primary = !deployment.primary;
            deployment.rollout = Some(if deployment.primary { Rollout::Completed } else { Rollout::Failed });
        }
    }
    let error = call(&world, &plan, asked.preparation, now()).await.unwrap_err();
    assert_eq!(error.name(), "CandidateFailed");
}

#[tokio::test]
async fn a_revision_that_failed_in_an_earlier_release_is_deployed_anew() {
    let (world, plan) = (World::of_shop(), plan(&json!({"task_definition": "shop:1"})));
    if let Some(service) = world.state().services.get_mut("shop-green") {
        (service.desired, service.deployments[0].rollout) = (2, Some(Rollout::Failed));
    }
    let asked = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert_eq!(world.state().changes, ["UpdateService shop-green - 2"]);
    world.settle("shop-green");
    healthy(&world, 2);
    assert_eq!(call(&world, &plan, asked.preparation, now()).await.unwrap().next, Next::Shift);
}

#[tokio::test]
async fn its_time_is_limited() {
    let (world, plan) = (World::of_shop(), plan(&image()));
    let asked = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    let later = now().checked_add(SignedDuration::from_secs(i64::from(plan.readiness.timeout_seconds))).unwrap();
    let error = call(&world, &plan, asked.preparation, later).await.unwrap_err();
    assert_eq!(error.name(), "CandidateNotReady");
    assert!(error.to_string().contains("1800 s"), "{error}");
}

#[tokio::test]
async fn external_compute_is_only_looked_at() {
    let world = World::of_shop();
    let mut plan = plan(&json!({"opaque": "2"}));
    (plan.stable.compute, plan.candidate.compute) = (Compute::External, Compute::External);
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap().next, Next::Wait);
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy, TargetState::Initial]);
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap().next, Next::Wait);
    healthy(&world, 3);
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap().next, Next::Shift);
    assert!(world.state().changes.is_empty());
}

/// The service's own function brings external compute up; its targets are awaited after that.
#[tokio::test]
async fn a_hook_provisions_external_compute() {
    let world = World::of_shop();
    let mut plan = plan(&json!({"opaque": "build 2"}));
    (plan.stable.compute, plan.candidate.compute) = (Compute::External, Compute::External);
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:fleet";
    let hook = json!({"function": function, "timeout_seconds": 2400});
    plan.hooks = serde_json::from_value(json!({"provision": hook, "before_traffic": hook})).unwrap();
    // Others have left something there.
    healthy(&world, 1);
    let ask = |preparation: &Preparation, point: Point, answer: Value, seconds: i64| {
        let ports = Ports { services: &world, revisions: &world, groups: &world, targets: &world, leases: &world };
        let hook = Reply { point: (!answer.is_null()).then_some(point), answer };
        let (role, plan, preparation) = (Role::Candidate, plan.clone(), preparation.clone());
        let event = Event { lease: lease(), plan, preparation, role, hook };
        handle(ports, move || now() + SignedDuration::from_secs(seconds), event)
    };
    let asked = ask(&Preparation::default(), Point::Provision, Value::Null, 0).await.unwrap();
    assert_eq!((asked.next, asked.wait_seconds), (Next::Hook, plan.readiness.poll_seconds));
    let payload = serde_json::to_value(asked.hook.unwrap().payload).unwrap();
    assert_eq!(
        (&payload["point"], &payload["slot"], &payload["targets"], &payload["version"]),
        (&json!("provision"), &json!("green"), &json!(2), &json!({"opaque": "build 2"}))
    );
    let late = ask(&asked.preparation, Point::Provision, json!("wait"), 2399).await.unwrap();
    assert_eq!(late.next, Next::Hook, "it has its own time, and not that of readiness");
    let failed = ask(&late.preparation, Point::Provision, json!("fail"), 2399).await.unwrap_err();
    assert_eq!((failed.name(), failed.to_string().as_str()), ("HookFailed", "the provision hook says fail"));
    let over = ask(&late.preparation, Point::Provision, json!("wait"), 2400).await.unwrap_err();
    assert_eq!(over.to_string(), "no ok within 2400 s: the provision hook says wait");

    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy, TargetState::Initial]);
    let up = ask(&late.preparation, Point::Provision, json!("ok"), 2399).await.unwrap();
    assert_eq!((up.next, up.preparation.provisioned), (Next::Wait, true), "{}", up.reason);
    let unready = ask(&up.preparation, Point::Provision, json!("ok"), 4198).await.unwrap();
    assert_eq!(unready.next, Next::Wait, "the targets have all of their time");
    assert_eq!(
        ask(&up.preparation, Point::Provision, json!("ok"), 4199).await.unwrap_err().name(),
        "CandidateNotReady"
    );
    healthy(&world, 2);
    // The ok of one hook is not that of the other.
    let tested = ask(&unready.preparation, Point::Provision, json!("ok"), 4100).await.unwrap();
    assert_eq!((tested.next, tested.hook.map(|call| call.payload.point)), (Next::Hook, Some(Point::BeforeTraffic)));
    assert_eq!(ask(&tested.preparation, Point::BeforeTraffic, json!("ok"), 4110).await.unwrap().next, Next::Shift);
    assert!(world.state().changes.is_empty());
}

/// From blue to green, both of them Auto Scaling groups, of version 2.
fn of_templates() -> Plan {
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.version = serde_json::from_value(json!({"launch_template_version": "2"})).unwrap();
    for (side, name) in [(&mut plan.stable, "asg-blue"), (&mut plan.candidate, "asg-green")] {
        side.compute = serde_json::from_value(json!({"auto_scaling_group": {"name": name}})).unwrap();
    }
    plan
}

/// An Auto Scaling group of version 1 without instances.
fn of_group(min: u32, max: u32, desired: u32) -> GroupState {
    GroupState { version: Some("1".into()), min, max, desired, ..GroupState::default() }
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

#[tokio::test]
async fn touches_nothing_without_the_lease() {
    let world = World::of_shop();
    world.state().leases.get_mut("shop").unwrap().owner = None;
    let error = call(&world, &plan(&image()), Preparation::default(), now()).await.unwrap_err();
    assert_eq!(error.name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn a_share_of_the_capacity_can_be_enough_and_every_state_has_its_name() {
    let (world, mut plan) = (World::of_shop(), plan(&json!({"task_definition": "shop:1"})));
    plan.readiness.minimum_healthy_percent = 50;
    world.state().services.get_mut("shop-green").unwrap().desired = 4;
    world.settle("shop-green");
    use TargetState::{Draining, Healthy, Initial, Unavailable, Unhealthy, UnhealthyDraining, Unused};
    for (states, words) in [
        (vec![Unused; 4], "green: 4 unused; 50 % of 4 must be healthy"),
        (
            vec![Healthy, Initial, Unhealthy, Unavailable],
            "green: 1 healthy, 1 initial, 1 unhealthy, 1 unavailable; 50 % of 4",
        ),
        (vec![Healthy, Draining, UnhealthyDraining], "green: 1 healthy, 1 draining, 1 unhealthy.draining; 50 % of 4"),
    ] {
        world.state().targets.insert(group("green").as_str().into(), states);
        let output = call(&world, &plan, Preparation::default(), now()).await.unwrap();
        assert!(output.next == Next::Wait && output.reason.starts_with(words), "{}", output.reason);
    }
    world.state().targets.insert(group("green").as_str().into(), vec![Healthy, Healthy, Initial, Unused]);
    assert_eq!(call(&world, &plan, Preparation::default(), now()).await.unwrap().next, Next::Shift);
}

#[tokio::test]
async fn testers_and_the_hook_come_before_the_first_user() {
    let (world, mut plan) = (World::of_shop(), plan(&json!({"task_definition": "shop:1"})));
    plan.test_routes = vec![PlannedRoute { arn: route(3), ..plan.routes[0].clone() }];
    plan.hooks = serde_json::from_value(
        json!({"before_traffic": {"function": "arn:aws:lambda:eu-west-1:123456789012:function:smoke", "timeout_seconds": 60}}),
    )
    .unwrap();
    world.state().services.get_mut("shop-green").unwrap().desired = 2;
    world.settle("shop-green");
    let ask = |preparation: Preparation, answer: Value, seconds: i64| {
        let ports = Ports { services: &world, revisions: &world, groups: &world, targets: &world, leases: &world };
        let point = (!answer.is_null()).then_some(Point::BeforeTraffic);
        let (role, hook) = (Role::Candidate, Reply { point, answer });
        let event = Event { lease: lease(), plan: plan.clone(), preparation, role, hook };
        handle(ports, move || now().checked_add(SignedDuration::from_secs(seconds)).unwrap(), event)
    };
    let unready = ask(Preparation::default(), Value::Null, 0).await.unwrap();
    assert_eq!(unready.next, Next::Wait);
    healthy(&world, 2);
    let opened = ask(unready.preparation, Value::Null, 1).await.unwrap();
    assert_eq!(opened.next, Next::OpenTestRoutes);
    let asked = ask(opened.preparation, Value::Null, 2).await.unwrap();
    let Some(Call { function, payload }) = asked.hook else { panic!("no call") };
    assert_eq!((asked.next, function.as_str()), (Next::Hook, "arn:aws:lambda:eu-west-1:123456789012:function:smoke"));
    assert_eq!(
        serde_json::to_value(&payload).unwrap(),
        json!({"point": "before_traffic", "service": "shop", "release": "release-1",
            "version": {"task_definition": "shop:1"}, "stable": "blue", "candidate": "green", "weight": 0.0,
            "test_routes": [route(3).as_str()]})
    );
    let waits = ask(asked.preparation.clone(), json!("wait"), 30).await.unwrap();
    assert_eq!((waits.next, waits.reason.as_str()), (Next::Hook, "the before_traffic hook says wait"));
    assert_eq!(ask(waits.preparation.clone(), json!({"result": "ok"}), 40).await.unwrap().next, Next::Shift);
    let failed = ask(waits.preparation.clone(), json!({"result": "fail", "reason": "no cart"}), 40).await.unwrap_err();
    assert_eq!(
        (failed.name(), failed.to_string()),
        ("HookFailed", "the before_traffic hook says fail: no cart".into())
    );
    let late = ask(waits.preparation.clone(), json!("wait"), 62).await.unwrap_err();
    assert_eq!(late.to_string(), "no ok within 60 s: the before_traffic hook says wait");
    // A candidate that has fallen ill meanwhile is waited for; the hook's time goes on, or it could last for ever.
    healthy(&world, 1);
    let ill = ask(waits.preparation.clone(), json!("ok"), 1820).await.unwrap();
    assert_eq!(
        (ill.next, ill.preparation.pending),
        (Next::Wait, waits.preparation.pending),
        "ready at 30 s: not too late"
    );
    healthy(&world, 2);
    assert_eq!(ask(ill.preparation.clone(), json!("ok"), 1825).await.unwrap().next, Next::Shift);
    assert_eq!(ask(ill.preparation, json!("wait"), 1825).await.unwrap_err().name(), "HookFailed");
}

async fn restore(world: &World, plan: &Plan) -> Result<Output, Error> {
    let ports = Ports { services: world, revisions: world, groups: world, targets: world, leases: world };
    let (preparation, hook) = (Preparation::default(), Reply::default());
    handle(ports, now, Event { lease: lease(), plan: plan.clone(), preparation, role: Role::Stable, hook }).await
}

#[tokio::test]
async fn a_rollback_gets_the_stable_slots_capacity_back() {
    let (world, mut plan) = (World::of_shop(), plan(&json!({"task_definition": "shop:2"})));
    plan.stable_hosts = vec![2];
    world.state().services.get_mut("shop-blue").unwrap().desired = 0;
    restore(&world, &plan).await.unwrap();
    restore(&world, &plan).await.unwrap();
    assert_eq!(world.state().changes, ["UpdateService shop-blue - 2"], "its revision stays, and once is enough");

    for side in [&mut plan.stable, &mut plan.candidate] {
        side.compute = serde_json::from_value(json!({"auto_scaling_group": {"name": "asg"}})).unwrap();
    }
    plan.stable_hosts = vec![3, 5];
    let group = of_group(1, 4, 1);
    world.state().groups.insert("asg".into(), group);
    restore(&world, &plan).await.unwrap();
    restore(&world, &plan).await.unwrap();
    assert_eq!(world.state().changes[1..], ["UpdateAutoScalingGroup asg 1 5 5"]);

    // Scaled to zero by its retirement, while the other has grown since.
    let (group, serving) = (of_group(0, 4, 0), of_group(2, 12, 9));
    world.state().groups.extend([("asg".into(), group), ("asg-2".into(), serving)]);
    plan.candidate.compute = serde_json::from_value(json!({"auto_scaling_group": {"name": "asg-2"}})).unwrap();
    restore(&world, &plan).await.unwrap();
    assert_eq!(world.state().changes[2..], ["UpdateAutoScalingGroup asg 2 9 9"]);

    plan.stable.compute = Compute::External;
    restore(&world, &plan).await.unwrap();
    world.state().leases.get_mut("shop").unwrap().fence = 8;
    assert_eq!(restore(&world, &plan).await.unwrap_err().name(), "LeaseLost");
    assert_eq!(world.state().changes.len(), 3);
}

/// People are heard before the first user is exposed: they may stop it, keep it waiting, and be waited for.
#[tokio::test]
async fn people_are_heard_before_the_first_traffic() {
    let freeze = Freeze { reason: "sale".into(), owner: "ann".into(), until: now() + SignedDuration::from_hours(1) };
    for (command, approval, frozen, expected) in [
        (Command::None, false, false, Ok(Next::Shift)),
        (Command::Pause, false, false, Ok(Next::Tell)),
        (Command::Resume, false, false, Ok(Next::Shift)),
        (Command::Abort, false, false, Err("Aborted")),
        // It may be meant for the first step.
        (Command::Approve, false, false, Ok(Next::Shift)),
        (Command::None, true, false, Ok(Next::Tell)),
        (Command::Approve, true, false, Ok(Next::ConsumeCommand)),
        (Command::Promote, true, false, Ok(Next::Shift)),
        (Command::None, false, true, Ok(Next::Tell)),
        (Command::Approve, true, true, Ok(Next::Tell)),
        (Command::Promote, false, true, Ok(Next::Tell)),
        (Command::Abort, false, true, Err("Aborted")),
    ] {
        let (world, mut plan) = (World::of_shop(), plan(&json!({"opaque": "2"})));
        world.state().services.get_mut("shop-green").unwrap().desired = 2;
        world.settle("shop-green");
        healthy(&world, 2);
        plan.approval_at.extend(approval.then_some(Percent::ZERO));
        world.state().leases.get_mut("shop").unwrap().command = command;
        world.state().freeze_of_all = frozen.then(|| freeze.clone());
        let outcome = call(&world, &plan, Preparation::default(), now()).await;
        let next = outcome.as_ref().map(|output| output.next).map_err(Named::name);
        assert_eq!(next, expected, "{command:?} {approval} {frozen}");
        if let Ok(output) = outcome.as_ref()
            && output.next == Next::Tell
        {
            assert_eq!(output.preparation.waiting_since, Some(now()), "{}", output.reason);
            let event = &output.news.as_ref().unwrap().event;
            let kind = if frozen || command == Command::Pause { Kind::Held } else { Kind::ApprovalNeeded };
            assert_eq!((event.kind, &event.reason), (kind, &format!("held at 0 %: {}", output.reason)));
            // Once.
            let again = call(&world, &plan, output.preparation.clone(), now()).await.unwrap();
            assert_eq!((again.next, again.news), (Next::Wait, None));
            // Rarer than looks, and not for ever.
            assert_eq!(output.wait_seconds, 480);
            let late = now() + SignedDuration::from_secs(plan.longest_wait_seconds() as i64 + 1);
            world.state().freeze_of_all =
                frozen.then(|| Freeze { until: late + SignedDuration::from_hours(1), ..freeze.clone() });
            let over = call(&world, &plan, output.preparation.clone(), late).await;
            assert_eq!(over.unwrap_err().name(), "WaitedTooLong");
        }
    }
}

#[tokio::test]
async fn a_newer_release_takes_the_place_before_the_first_traffic() {
    let (world, plan) = (World::of_shop(), plan(&json!({"opaque": "2"})));
    for (supersede, next) in [(false, Ok(Next::Wait)), (true, Err("Superseded"))] {
        let waiting = Waiting { execution: "newer".into(), intent: String::new(), since: now(), supersede };
        world.state().leases.get_mut("shop").unwrap().waiting = Some(waiting);
        let outcome = call(&world, &plan, Preparation::default(), now()).await;
        assert_eq!(outcome.map(|output| output.next).map_err(|error| error.name()), next);
    }
}
