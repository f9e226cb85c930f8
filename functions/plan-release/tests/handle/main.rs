//! The handler in an in-memory world.

/// What the hours before tell of the release.
mod forecast;

/// What keeps a release from starting.
mod refusals;

/// What scales the slots, and what they cost.
mod scaling;

/// What becomes of a release that finds another one.
mod turns;

use jiff::{SignedDuration, Timestamp};
use plan_release::{Conflict, Error, Event, Output, Planned, handle};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_core::compute::GroupState;
use spillway_core::lease::{Freeze, Lease, LeaseRecord, Live};
use spillway_core::plan::AlarmState;
use spillway_core::route::{Action, ActionKind, Forward, Stickiness, WeightedGroup};
use spillway_core::slot::Slot;
use spillway_core::targets::TargetState;
use spillway_core::turn::{Next, Turn};
use spillway_world::{Fault, World, definition, forwarding, group, lease, rejected, route, throttled};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A minute before now, by its distance.
fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

async fn plan(world: &World, definition: &Value, request: Value) -> Result<Planned, Error> {
    let event = Event { lease: lease(), definition: definition.to_string(), request, conflict: None };
    match handle(world, world, world, world, &[], now, event).await? {
        Output::Planned(planned) => Ok(*planned),
        Output::Turn(turn) => panic!("{turn:?}"),
    }
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
    assert_eq!(output.plan.planned_at, Some(now()));
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
        (vec![("blue", 60), ("green", 40)], vec![("blue", 1)], &green, Err("no traffic to the stable slot")),
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

fn freeze(until: Timestamp) -> Freeze {
    Freeze { reason: "the sale".into(), owner: "ann".into(), until }
}

const ALARM: &str = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop";

fn watched() -> Value {
    let source = |metric: &str| json!({"namespace": "Shop", "metric": metric, "dimensions": {"Slot": "{slot}"}});
    let mut definition = definition();
    definition["health"] = json!({
        "alarms": [{"arn": ALARM}, {"arn": format!("{ALARM}-slow")}],
        "metrics": [{"name": "declined", "count": source("Declined"), "denominator": source("Payments")}],
    });
    definition
}

/// What stickiness means for the release is said before it starts, with the numbers; and the plan knows the longest cookie.
#[tokio::test]
async fn a_sticky_plan_says_what_that_will_mean() {
    let world = World::of_shop();
    for (number, seconds) in [(1, 600), (2, 7200)] {
        let mut actions = forwarding(&[("blue", 1)]);
        if let ActionKind::Forward(forward) = &mut actions[0].kind {
            forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(seconds) });
        }
        world.state().routes.insert(route(number).as_str().into(), actions);
    }
    let planned = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!((planned.sticky_seconds, planned.cookie_seconds(), planned.retire_after_seconds), (7200, 7260, 3600));
    let said = planned.warnings.join("\n");
    for words in [
        "clients stay with a slot for up to 7200 s",
        "the loser is taken out of the route until the last cookie has expired",
        &format!(
            "green is not in route {}; clients whose cookie still names it, from a release in the last 600 s",
            route(1)
        ),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let mut long = definition();
    long["retirement"] = json!({"window_seconds": 86_400});
    assert_eq!(plan(&world, &long, release(&json!({}))).await.unwrap().plan.retire_after_seconds, 7260);
    // Attached all the time, so that no release can have taken it out.
    for (number, seconds) in [(1, 600), (2, 7200)] {
        let mut actions = forwarding(&[("blue", 1), ("green", 0)]);
        if let ActionKind::Forward(forward) = &mut actions[0].kind {
            forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(seconds) });
        }
        world.state().routes.insert(route(number).as_str().into(), actions);
    }
    let planned = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!(planned.warnings.iter().filter(|text| text.starts_with("stickiness")).count(), 1);
    // Off is off.
    let planned = plan(&World::of_shop(), &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!((planned.sticky_seconds, planned.cookie_seconds(), planned.retire_after_seconds), (0, 0, 3600));
    assert!(!planned.warnings.iter().any(|text| text.starts_with("stickiness")), "{:?}", planned.warnings);
}

#[tokio::test]
async fn what_the_stable_slot_has_now_is_kept_for_a_rollback() {
    let world = World::of_shop();
    let states = vec![TargetState::Healthy, TargetState::Unavailable, TargetState::Unhealthy];
    world.state().targets.insert(group("blue").as_str().into(), states);
    let planned = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!((planned.stable_hosts.as_slice(), planned.hosts_before(&group("blue"))), (&[2][..], 2));
    assert_eq!(planned.hosts_before(&group("green")), 0);
}

/// A testers' route may lead to either slot; one that cannot be edited, or read, refuses the release.
#[tokio::test]
async fn test_routes_are_adopted() {
    let mut with_test = definition();
    with_test["test_routes"] = json!([route(3).as_str()]);
    for (live, expected) in [
        (Some(vec![("blue", 1)]), Ok(())),
        (Some(vec![("green", 1)]), Ok(())),
        (Some(vec![("green", 0), ("blue", 0)]), Ok(())),
        (Some(vec![("stranger", 1)]), Err("forwards to neither slot")),
        (Some(vec![("blue", 1), ("stranger", 1)]), Err("belongs to neither slot")),
        (None, Err("RuleNotFound")),
    ] {
        let world = World::of_shop();
        if let Some(live) = &live {
            world.state().routes.insert(route(3).as_str().into(), forwarding(live));
        }
        match (plan(&world, &with_test, release(&json!({}))).await, expected) {
            (Ok(output), Ok(())) => {
                let [planned] = output.plan.test_routes.as_slice() else { panic!("{:?}", output.plan.test_routes) };
                assert_eq!((&planned.stable, &planned.candidate), (&group("blue"), &group("green")));
                assert_eq!(planned.original, forwarding(&live.unwrap()));
            }
            (Err(error), Err(words)) => {
                assert_eq!(error.name(), "ReleaseRefused");
                assert!(error.to_string().contains(words) && error.to_string().contains(route(3).as_str()), "{error}");
            }
            (result, _) => panic!("{live:?}: {result:?}"),
        }
    }
}

/// One release has other steps than the definition, which says so in its plan.
#[tokio::test]
async fn a_strategy_is_overridden_for_one_release() {
    let world = World::of_shop();
    let strategy = json!({"type": "canary", "canary": {"steps": [20, 40]}, "adapt": "as_written"});
    let Planned { plan, .. } = plan(&world, &definition(), release(&json!({ "strategy": strategy }))).await.unwrap();
    assert_eq!(plan.steps.iter().map(|step| f64::from(step.weight)).collect::<Vec<_>>(), [20.0, 40.0]);
    assert_eq!(json!(plan.overridden), strategy);
    assert!(plan.warnings[0].starts_with("strategy: adapt \"as_written\", canary "), "{:?}", plan.warnings);
}
