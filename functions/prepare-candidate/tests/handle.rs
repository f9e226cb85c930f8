//! The handler in an in-memory world.

use jiff::{SignedDuration, Timestamp};
use prepare_candidate::{Error, Event, Output, Ports, handle};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_core::compute::{GroupState, Instance, Preparation, Rollout};
use spillway_core::definition::Compute;
use spillway_core::plan::Plan;
use spillway_core::targets::TargetState;
use spillway_world::{Fault, World, group, lease, plan};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn image() -> Value {
    json!({"image": format!("shop@sha256:{}", "a".repeat(64))})
}

async fn call(world: &World, plan: &Plan, preparation: Preparation, at: Timestamp) -> Result<Output, Error> {
    let ports = Ports { services: world, revisions: world, groups: world, targets: world, leases: world };
    handle(ports, || at, Event { lease: lease(), plan: plan.clone(), preparation }).await
}

fn healthy(world: &World, count: usize) {
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy; count]);
}

#[tokio::test]
async fn an_image_is_registered_once_deployed_and_awaited() {
    let (world, plan) = (World::of_shop(), plan(&image()));
    let asked = call(&world, &plan, Preparation::default(), now()).await.unwrap();
    assert!(!asked.ready);
    assert_eq!(asked.preparation.task_definition.as_deref(), Some("shop:1+1"));
    assert_eq!(world.state().services["shop-green"].desired, 2, "as many as the stable service has");

    let rolling = call(&world, &plan, asked.preparation, now()).await.unwrap();
    assert!(!rolling.ready && rolling.reason.contains("deployments are active"), "{}", rolling.reason);
    world.settle("shop-green");
    let unhealthy = call(&world, &plan, rolling.preparation, now()).await.unwrap();
    assert!(
        !unhealthy.ready && unhealthy.reason.contains("0 of 0 targets healthy, 2 expected"),
        "{}",
        unhealthy.reason
    );
    healthy(&world, 1);
    assert!(!call(&world, &plan, unhealthy.preparation.clone(), now()).await.unwrap().ready);
    healthy(&world, 2);
    assert!(call(&world, &plan, unhealthy.preparation, now()).await.unwrap().ready);
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
    assert!(call(&world, &plan, asked.preparation, now()).await.unwrap().ready);
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
    assert!(!call(&world, &plan, Preparation::default(), now()).await.unwrap().ready);
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy, TargetState::Initial]);
    assert!(!call(&world, &plan, Preparation::default(), now()).await.unwrap().ready);
    healthy(&world, 3);
    assert!(call(&world, &plan, Preparation::default(), now()).await.unwrap().ready);
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn an_auto_scaling_group_gets_the_version_and_the_capacity() {
    let world = World::of_shop();
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.version = serde_json::from_value(json!({"launch_template_version": "2"})).unwrap();
    for (side, name) in [(&mut plan.stable, "asg-blue"), (&mut plan.candidate, "asg-green")] {
        side.compute = serde_json::from_value(json!({"auto_scaling_group": {"name": name}})).unwrap();
    }
    let instance = |version: &str| Instance { version: Some(version.into()), in_service: true };
    let blue = GroupState { version: Some("1".into()), min: 1, max: 4, desired: 2, instances: vec![instance("1"); 2] };
    let green = GroupState { version: Some("1".into()), min: 0, max: 4, desired: 0, instances: vec![] };
    world.state().groups.extend([("asg-blue".into(), blue), ("asg-green".into(), green)]);
    healthy(&world, 2);

    assert!(!call(&world, &plan, Preparation::default(), now()).await.unwrap().ready);
    assert_eq!(world.state().changes, ["UpdateAutoScalingGroup asg-green 1 4 2"]);
    world.state().groups.get_mut("asg-green").unwrap().instances = vec![instance("2"), instance("2")];
    assert!(call(&world, &plan, Preparation::default(), now()).await.unwrap().ready);
    assert_eq!(world.state().changes.len(), 1);
}

#[tokio::test]
async fn touches_nothing_without_the_lease() {
    let world = World::of_shop();
    world.state().leases.get_mut("shop").unwrap().owner = None;
    let error = call(&world, &plan(&image()), Preparation::default(), now()).await.unwrap_err();
    assert_eq!(error.name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}
