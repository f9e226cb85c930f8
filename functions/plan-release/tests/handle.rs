//! The handler in an in-memory world.

use plan_release::{Error, Event, Output, handle};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_core::slot::Slot;
use spillway_core::targets::TargetState;
use spillway_world::{World, definition, forwarding, group, lease, route};

async fn plan(world: &World, definition: &Value, request: Value) -> Result<Output, Error> {
    let event = Event { lease: lease(), definition: definition.to_string(), request };
    handle(world, world, event).await
}

fn release(overrides: &Value) -> Value {
    json!({"service": "shop", "version": {"opaque": "2"}, "overrides": overrides})
}

fn with_routes(first: &[(&str, u16)], second: &[(&str, u16)]) -> World {
    let world = World::of_shop();
    world.state().routes.insert(route(1).as_str().into(), forwarding(first));
    world.state().routes.insert(route(2).as_str().into(), forwarding(second));
    world
}

#[tokio::test]
async fn plans_without_changing_anything() {
    let world = World::of_shop();
    let output = plan(&world, &definition(), json!({"service": "shop", "version": {"opaque": "2"}})).await.unwrap();
    assert_eq!((output.plan.stable.slot, output.plan.candidate.slot), (Slot::Blue, Slot::Green));
    assert_eq!(output.plan.routes[0].original, forwarding(&[("blue", 1)]));
    assert_eq!(output.plan.stable.groups[0].load_balancer.as_str(), "app/shop/1");
    assert_eq!(serde_json::from_str::<spillway_core::plan::Plan>(&output.record).unwrap(), output.plan);
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn roles_come_from_live_weights() {
    let none = json!({});
    let blue = json!({"stable": "blue"});
    let green = json!({"stable": "green"});
    for (first, second, overrides, expected) in [
        (vec![("blue", 1)], vec![("blue", 1)], &none, Ok(Slot::Blue)),
        (vec![("green", 1)], vec![("green", 7), ("blue", 0)], &none, Ok(Slot::Green)),
        (vec![("blue", 100), ("green", 0)], vec![("blue", 1)], &none, Ok(Slot::Blue)),
        (vec![("blue", 1)], vec![("blue", 1)], &blue, Ok(Slot::Blue)),
        (vec![("blue", 1)], vec![("blue", 1)], &green, Err("carries no traffic")),
        (vec![("blue", 60), ("green", 40)], vec![("blue", 1)], &none, Err("both slots carry traffic")),
        (vec![("blue", 60), ("green", 40)], vec![("blue", 1)], &blue, Ok(Slot::Blue)),
        (vec![("blue", 60), ("green", 40)], vec![("blue", 1)], &green, Err("does not forward to")),
        (vec![("blue", 1)], vec![("green", 1)], &none, Err("both slots carry traffic")),
        (vec![("blue", 0), ("green", 0)], vec![("blue", 0)], &none, Err("neither slot carries traffic")),
        (vec![("stranger", 1)], vec![("blue", 1)], &none, Err("forwards to neither slot")),
        (vec![("blue", 1), ("stranger", 1)], vec![("blue", 1)], &none, Err("belongs to neither slot")),
        (vec![("blue", 1), ("stranger", 0)], vec![("blue", 1)], &none, Ok(Slot::Blue)),
        (vec![("blue", 0), ("green", 0)], vec![("blue", 1)], &none, Err("no traffic to the stable slot")),
    ] {
        let world = with_routes(&first, &second);
        world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy]);
        let result = plan(&world, &definition(), release(overrides)).await;
        match (result, expected) {
            (Ok(output), Ok(slot)) => assert_eq!(output.plan.stable.slot, slot, "{first:?} {second:?}"),
            (Err(error), Err(text)) => {
                assert_eq!(error.name(), "ReleaseRefused");
                assert!(error.to_string().contains(text), "{first:?} {second:?}: {error}");
            }
            (result, expected) => panic!("{first:?} {second:?} {overrides}: {result:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn refuses_without_a_healthy_stable_slot_unless_told_why() {
    for targets in [
        vec![],
        vec![TargetState::Unhealthy],
        vec![TargetState::Unused],
        vec![TargetState::Unavailable, TargetState::Initial],
    ] {
        let world = World::of_shop();
        world.state().targets.insert(group("blue").as_str().into(), targets);
        let error = plan(&world, &definition(), release(&json!({}))).await.unwrap_err();
        assert!(error.to_string().contains("no healthy target"), "{error}");
        let output =
            plan(&world, &definition(), release(&json!({"without_stable": "first deployment"}))).await.unwrap();
        assert_eq!(output.plan.without_stable.as_deref(), Some("first deployment"));
        // There is nothing to be careful with: all traffic at once.
        assert_eq!(output.plan.steps.iter().map(|step| f64::from(step.weight)).collect::<Vec<_>>(), [100.0]);
    }
}

#[tokio::test]
async fn what_was_asked_for_must_make_sense() {
    let world = World::of_shop();
    for (request, expected) in [
        (json!({"service": "shop"}), "missing field `version`"),
        (json!({"service": "shop", "version": {"image": "shop:latest"}}), "by digest"),
        (json!({"service": "shop", "version": "2"}), "version:"),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"stabel": "blue"}}),
            "unknown field `stabel`",
        ),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"without_stable": " "}}),
            "a reason in words",
        ),
        (json!({"service": "shop", "version": {"opaque": "2"}, "overide": {}}), "unknown field `overide`"),
        (json!({"service": "shop", "version": {"launch_template_version": "2"}}), "cannot be brought onto ECS service"),
        (json!([]), "input:"),
    ] {
        let error = plan(&world, &definition(), request.clone()).await.unwrap_err();
        assert_eq!(error.name(), "ReleaseRefused", "{request}");
        assert!(error.to_string().contains(expected), "{request}: {error}");
    }
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn an_invalid_definition_lists_its_problems() {
    let world = World::of_shop();
    let mut broken = definition();
    broken["strategy"]["type"] = json!("yolo");
    broken["routes"][0] = json!("nowhere");
    let error = plan(&world, &broken, release(&json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "InvalidDefinition");
    assert!(error.to_string().contains("strategy.type") && error.to_string().contains("routes[0]"), "{error}");

    let mut other = definition();
    other["service"] = json!("shoe");
    let error = plan(&world, &other, release(&json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("\"shoe\""), "{error}");
}
