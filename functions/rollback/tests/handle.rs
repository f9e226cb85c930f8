//! The handler in an in-memory world.

use rollback::{Error, Event, Outcome, Output, handle};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_world::{Fault, World, forwarding, lease, plan, rejected, route, throttled, weights};

async fn roll_back(world: &World, redriven: bool) -> Result<Output, Error> {
    let event =
        Event { lease: lease(), plan: plan(&json!({"opaque": "2"})), redriven, failure: json!("held too long") };
    handle(world, world, event).await
}

fn shifted() -> World {
    let world = World::of_shop();
    for number in [1, 2] {
        world.state().routes.insert(route(number).as_str().into(), forwarding(&[("blue", 5), ("green", 95)]));
    }
    world
}

#[tokio::test]
async fn restores_the_recorded_weights_and_is_idempotent() {
    let world = shifted();
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(1), Some(0)), (Some(1), Some(0))));
    assert!(output.routes.iter().all(|route| route.outcome == Outcome::Restored));
    let again = roll_back(&world, false).await.unwrap();
    assert!(again.routes.iter().all(|route| route.outcome == Outcome::Unchanged));
    assert_eq!(world.state().changes.len(), 2);
}

#[tokio::test]
async fn goes_on_when_one_route_fails_and_names_it() {
    let world = shifted();
    world.plan_fault(Fault::before(
        "ModifyRule",
        route(1).as_str(),
        rejected("ModifyRule", "", "OperationNotPermitted"),
    ));
    let error = roll_back(&world, false).await.unwrap_err();
    assert_eq!(error.name(), "RollbackIncomplete");
    assert!(
        error.to_string().contains(route(1).as_str()) && error.to_string().contains("OperationNotPermitted"),
        "{error}"
    );
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(5), Some(95)), (Some(1), Some(0))));
    roll_back(&world, false).await.unwrap();
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
}

#[tokio::test]
async fn an_accepted_write_without_effect_is_found_by_reading_back() {
    let world = shifted();
    world.state().deaf_routes.insert(route(2).as_str().into());
    let error = roll_back(&world, false).await.unwrap_err();
    assert_eq!(error.name(), "RollbackIncomplete");
    let text = error.to_string();
    assert!(text.contains(route(2).as_str()) && text.contains("still sends traffic"), "{text}");
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
}

#[tokio::test]
async fn brings_the_stable_slot_back_where_it_is_missing_and_leaves_strangers_alone() {
    let world = shifted();
    world.state().routes.insert(route(1).as_str().into(), forwarding(&[("green", 100)]));
    world.state().routes.insert(route(2).as_str().into(), forwarding(&[("blue", 5), ("stranger", 3), ("green", 95)]));
    roll_back(&world, false).await.unwrap();
    assert_eq!(world.state().routes[route(1).as_str()], forwarding(&[("blue", 1)]));
    assert_eq!(world.state().routes[route(2).as_str()], forwarding(&[("blue", 1), ("stranger", 3), ("green", 0)]));
}

#[tokio::test]
async fn a_route_that_is_gone_sends_no_traffic() {
    let world = shifted();
    world.state().routes.remove(route(1).as_str());
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!((output.routes[0].outcome, output.routes[1].outcome), (Outcome::Gone, Outcome::Restored));
}

#[tokio::test]
async fn users_come_first_when_the_lease_table_is_down_but_not_in_a_redrive() {
    let world = shifted();
    for _ in 0..3 {
        world.plan_fault(Fault::before("GetItem", "", throttled("GetItem")));
    }
    roll_back(&world, false).await.unwrap();
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
    assert_eq!(world.faults_left(), 2, "a table that hangs is asked once");

    let world = shifted();
    world.plan_fault(Fault::before("GetItem", "", throttled("GetItem")));
    assert_eq!(roll_back(&world, true).await.unwrap_err().name(), "Unavailable");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn touches_nothing_once_the_lease_is_someone_elses() {
    let world = shifted();
    if let Some(record) = world.state().leases.get_mut("shop") {
        record.fence = 8;
    }
    assert_eq!(roll_back(&world, false).await.unwrap_err().name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn tells_the_cause_in_words() {
    let world = shifted();
    let lambda = json!({"Error": "CandidateNotReady", "Cause": r#"{"errorType":"CandidateNotReady","errorMessage":"0 of 2 healthy"}"#});
    for (failure, expected) in [
        (json!("rolled back from 5 %: errors"), "rolled back from 5 %: errors"),
        (lambda, "rolled back after CandidateNotReady: 0 of 2 healthy"),
        (json!({"Error": "States.Timeout"}), "rolled back after States.Timeout"),
        (json!({"Error": "X", "Cause": "plain"}), "rolled back after X: plain"),
        (Value::Null, "rolled back for an unknown reason"),
    ] {
        let event = Event { lease: lease(), plan: plan(&json!({"opaque": "2"})), redriven: false, failure };
        assert_eq!(handle(&world, &world, event).await.unwrap().cause, expected);
    }
}
