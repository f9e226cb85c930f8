//! The handler in an in-memory world.

/// What comes before the first traffic.
mod before_traffic;
/// Auto Scaling groups, and what scales slots.
mod scaling;

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

/// An Auto Scaling group of version 1 without instances.
fn of_group(min: u32, max: u32, desired: u32) -> GroupState {
    GroupState { version: Some("1".into()), min, max, desired, ..GroupState::default() }
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
