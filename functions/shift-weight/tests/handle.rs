//! The handler in an in-memory world.

use jiff::Timestamp;
use serde_json::json;
use shift_weight::{Error, Event, Output, Target, handle};
use spillway_aws::error::Named;
use spillway_core::progress::Progress;
use spillway_core::weight::Percent;
use spillway_world::{Fault, World, forwarding, lease, plan, rejected, route, throttled, weights};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

async fn shift(world: &World, position: usize, target: Target) -> Result<Output, Error> {
    let progress = Progress { position, ..Progress::default() };
    let event = Event { lease: lease(), plan: plan(&json!({"opaque": "2"})), progress, target };
    handle(world, world, now, event).await
}

#[tokio::test]
async fn attaches_the_candidate_without_traffic() {
    let world = World::of_shop();
    let output = shift(&world, 0, Target::Attach).await.unwrap();
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(100), Some(0)), (Some(100), Some(0))));
    assert_eq!((output.progress.weight, output.progress.exposed_at), (Percent::ZERO, None));
}

#[tokio::test]
async fn sets_the_weight_of_every_position_and_promotes_after_the_last() {
    let world = World::of_shop();
    for (position, expected) in [(0, (95, 5)), (1, (50, 50)), (2, (5, 95)), (3, (0, 100)), (99, (0, 100))] {
        let output = shift(&world, position, Target::Step).await.unwrap();
        assert_eq!(weights(&world, 1), (Some(expected.0), Some(expected.1)));
        assert_eq!(weights(&world, 2), (Some(expected.0), Some(expected.1)));
        assert_eq!(output.progress.exposed_at, Some(now()));
        assert_eq!(output.routes.len(), 2);
    }
}

#[tokio::test]
async fn keeps_the_time_of_the_first_exposure() {
    let world = World::of_shop();
    let first = Timestamp::from_second(1_799_999_000).unwrap();
    let progress = Progress { position: 1, exposed_at: Some(first), ..Progress::default() };
    let event = Event { lease: lease(), plan: plan(&json!({"opaque": "2"})), progress, target: Target::Step };
    let output = handle(&world, &world, now, event).await.unwrap();
    assert_eq!((output.progress.exposed_at, output.progress.shifted_at), (Some(first), Some(now())));
}

#[tokio::test]
async fn a_repeated_call_writes_nothing() {
    let world = World::of_shop();
    shift(&world, 0, Target::Step).await.unwrap();
    let changes = world.state().changes.len();
    shift(&world, 0, Target::Step).await.unwrap();
    assert_eq!(world.state().changes.len(), changes);
}

#[tokio::test]
async fn the_next_call_repairs_one_that_failed_in_between() {
    let world = World::of_shop();
    world.plan_fault(Fault::before("ModifyRule", route(2).as_str(), throttled("ModifyRule")));
    let error = shift(&world, 0, Target::Step).await.unwrap_err();
    assert_eq!(error.name(), "Unavailable");
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(95), Some(5)), (Some(1), None)));
    shift(&world, 0, Target::Step).await.unwrap();
    assert_eq!(weights(&world, 2), (Some(95), Some(5)));

    world.plan_fault(Fault::lost_answer("ModifyRule", route(1).as_str()));
    assert_eq!(shift(&world, 1, Target::Step).await.unwrap_err().name(), "Unavailable");
    shift(&world, 1, Target::Step).await.unwrap();
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(50), Some(50)), (Some(50), Some(50))));
}

#[tokio::test]
async fn an_accepted_write_without_effect_is_found_by_reading_back() {
    let world = World::of_shop();
    world.state().deaf_routes.insert(route(2).as_str().into());
    let error = shift(&world, 0, Target::Step).await.unwrap_err();
    assert_eq!(error.name(), "ReadBackDiffers");
    assert!(error.to_string().contains(route(2).as_str()), "{error}");
}

#[tokio::test]
async fn touches_nothing_when_one_route_cannot_be_edited() {
    let world = World::of_shop();
    world.state().routes.insert(route(2).as_str().into(), forwarding(&[("stranger", 1)]));
    assert_eq!(shift(&world, 0, Target::Step).await.unwrap_err().name(), "RouteUneditable");
    assert_eq!(weights(&world, 1), (Some(1), None));
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn touches_nothing_without_the_lease() {
    for (owner, fence, name) in
        [(Some("someone else"), 7, "LeaseLost"), (None, 7, "LeaseLost"), (Some(""), 8, "LeaseLost")]
    {
        let world = World::of_shop();
        if let Some(record) = world.state().leases.get_mut("shop") {
            record.owner = owner.map(|owner| if owner.is_empty() { lease().owner } else { owner.into() });
            record.fence = fence;
        }
        assert_eq!(shift(&world, 0, Target::Step).await.unwrap_err().name(), name);
        assert!(world.state().changes.is_empty());
    }
    let world = World::of_shop();
    world.plan_fault(Fault::before("GetItem", "", throttled("GetItem")));
    assert_eq!(shift(&world, 0, Target::Step).await.unwrap_err().name(), "Unavailable");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn stops_at_the_route_before_which_the_lease_was_lost() {
    let world = World::of_shop();
    world.state().lease_reads_left = Some(2);
    assert_eq!(shift(&world, 0, Target::Step).await.unwrap_err().name(), "LeaseLost");
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(95), Some(5)), (Some(1), None)));
}

#[tokio::test]
async fn a_route_that_does_not_exist_is_the_callers_mistake() {
    let world = World::of_shop();
    world.state().routes.remove(route(2).as_str());
    assert_eq!(shift(&world, 0, Target::Step).await.unwrap_err().name(), "CallRejected");
    let error = rejected("DescribeRules", route(2).as_str(), "RuleNotFound");
    assert!(error.to_string().contains(route(2).as_str()), "{error}");
}
