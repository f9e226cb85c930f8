//! The handler in an in-memory world.

use jiff::Timestamp;
use serde_json::json;
use shift_weight::{Error, Event, Output, Target, handle};
use spillway_aws::error::Named;
use spillway_core::plan::{Plan, PlannedRoute};
use spillway_core::progress::Progress;
use spillway_core::route::{Action, ActionKind, Stickiness};
use spillway_core::slot::Slot;
use spillway_core::weight::Percent;
use spillway_world::{Fault, World, forwarding, lease, plan, rejected, route, throttled, weights};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A shift to a position, from wherever the shift before has left the routes.
async fn shift(world: &World, position: usize, target: Target) -> Result<Output, Error> {
    shift_from(world, None, position, target).await
}

async fn shift_from(world: &World, last: Option<u16>, position: usize, target: Target) -> Result<Output, Error> {
    let weight = Percent::whole(last.unwrap_or(0));
    let progress = Progress { position, shifted_at: last.map(|_| now()), weight, ..Progress::default() };
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
    let mut last = None;
    for (position, expected) in [(0, (95, 5)), (1, (50, 50)), (2, (5, 95)), (3, (0, 100)), (99, (0, 100))] {
        let output = shift_from(&world, last, position, Target::Step).await.unwrap();
        last = Some(expected.1);
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
    assert_eq!(shift_from(&world, Some(5), 1, Target::Step).await.unwrap_err().name(), "Unavailable");
    shift_from(&world, Some(5), 1, Target::Step).await.unwrap();
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

/// A change to a route in the middle of a release, at 5 %, on its way to 50.
async fn drifted(change: impl FnOnce(&mut Vec<Action>)) -> (World, String) {
    let world = World::of_shop();
    shift(&world, 0, Target::Step).await.unwrap();
    change(world.state().routes.get_mut(route(2).as_str()).unwrap());
    world.state().changes.clear();
    let error = shift_from(&world, Some(5), 1, Target::Step).await.unwrap_err();
    assert_eq!(error.name(), "RouteDrifted", "{error}");
    assert!(world.state().changes.is_empty(), "nothing is written, not even the other route");
    (world, error.to_string())
}

#[tokio::test]
async fn a_route_that_someone_else_has_changed_is_not_written() {
    let expected =
        format!("route {} was changed by someone else: expected forward to blue 95, green 5; found ", route(2));
    for (change, found) in [
        (forwarding(&[("blue", 1), ("green", 0)]), "forward to blue 1, green 0"),
        (forwarding(&[("blue", 100), ("green", 0)]), "forward to blue 100, green 0"),
        (forwarding(&[("blue", 95), ("green", 5), ("stranger", 0)]), "forward to blue 95, green 5, stranger 0"),
        (forwarding(&[("stranger", 1)]), "forward to stranger 1"),
        (vec![], "no action"),
    ] {
        let (_, text) = drifted(|live| *live = change).await;
        assert_eq!(text, format!("{expected}{found}"));
    }
    let (_, text) = drifted(|live| {
        if let ActionKind::Forward(forward) = &mut live[0].kind {
            forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(60) });
        }
    })
    .await;
    assert_eq!(text, format!("{expected}forward to blue 95, green 5, sticky for 60 s"));
    // What no summary shows is drift as well.
    let (_, text) = drifted(|live| live[0].order = Some(7)).await;
    assert_eq!(text, format!("{expected}forward to blue 95, green 5 with other settings"));
}

#[tokio::test]
async fn the_order_of_the_groups_is_no_drift() {
    let world = World::of_shop();
    shift(&world, 0, Target::Step).await.unwrap();
    world.state().routes.insert(route(2).as_str().into(), forwarding(&[("green", 5), ("blue", 95)]));
    shift_from(&world, Some(5), 1, Target::Step).await.unwrap();
    assert_eq!(world.state().routes[route(2).as_str()], forwarding(&[("green", 50), ("blue", 50)]));
}

#[tokio::test]
async fn a_route_that_was_changed_before_the_first_write_has_drifted_as_well() {
    let world = World::of_shop();
    world.state().routes.insert(route(2).as_str().into(), forwarding(&[("blue", 2)]));
    let error = shift(&world, 0, Target::Attach).await.unwrap_err();
    assert_eq!(error.name(), "RouteDrifted");
    assert!(error.to_string().ends_with("expected forward to blue 1; found forward to blue 2"), "{error}");
}

fn sticky(weights: &[(&str, u16)]) -> Vec<Action> {
    let mut actions = forwarding(weights);
    if let ActionKind::Forward(forward) = &mut actions[0].kind {
        forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(600) });
    }
    actions
}

/// The second route is sticky.
fn plan_with_a_sticky_route(world: &World) -> Plan {
    world.state().routes.insert(route(2).as_str().into(), sticky(&[("blue", 1)]));
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.routes[1].original = sticky(&[("blue", 1)]);
    plan.sticky_seconds = 600;
    plan
}

#[tokio::test]
async fn with_group_stickiness_and_only_then_the_loser_is_taken_out() {
    let world = World::of_shop();
    let plan = plan_with_a_sticky_route(&world);
    let mut progress = Progress::default();
    for (target, position, first, second) in [
        (Target::Attach, 0, vec![("blue", 100), ("green", 0)], vec![("blue", 100), ("green", 0)]),
        (Target::Step, 2, vec![("blue", 5), ("green", 95)], vec![("blue", 5), ("green", 95)]),
        (Target::Step, 3, vec![("blue", 0), ("green", 100)], vec![("green", 100)]),
        // Twice is once.
        (Target::Step, 3, vec![("blue", 0), ("green", 100)], vec![("green", 100)]),
    ] {
        progress.position = position;
        let event = Event { lease: lease(), plan: plan.clone(), progress: progress.clone(), target };
        progress = handle(&world, &world, now, event).await.unwrap().progress;
        assert_eq!(world.state().routes[route(1).as_str()], forwarding(&first));
        assert_eq!(world.state().routes[route(2).as_str()], sticky(&second));
    }
    assert_eq!(progress.highest, Percent::ALL);

    // Later, when no cookie can name it any more.
    let target = Target::Reattach(Slot::Blue);
    let event = Event { lease: lease(), plan, progress: Progress::default(), target };
    let output = handle(&world, &world, now, event.clone()).await.unwrap();
    assert_eq!(output.progress, Progress::default());
    assert_eq!(world.state().routes[route(1).as_str()], forwarding(&[("blue", 0), ("green", 100)]));
    assert_eq!(world.state().routes[route(2).as_str()], sticky(&[("green", 100), ("blue", 0)]));
    // A route that is not sticky had it all the time, so that someone else has taken it out.
    world.state().routes.insert(route(1).as_str().into(), forwarding(&[("green", 100)]));
    handle(&world, &world, now, event.clone()).await.unwrap();
    assert_eq!(world.state().routes[route(1).as_str()], forwarding(&[("green", 100)]));
    // What has become someone else's since then is left alone.
    world.state().routes.insert(route(1).as_str().into(), forwarding(&[("stranger", 1)]));
    world.state().routes.remove(route(2).as_str());
    world.state().changes.clear();
    handle(&world, &world, now, event).await.unwrap();
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn testers_are_led_to_the_candidate_and_nobody_else() {
    let world = World::of_shop();
    world.state().routes.insert(route(3).as_str().into(), forwarding(&[("blue", 1)]));
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.test_routes = vec![PlannedRoute { arn: route(3), ..plan.routes[0].clone() }];
    let event = Event { lease: lease(), plan, progress: Progress::default(), target: Target::Test };
    let output = handle(&world, &world, now, event.clone()).await.unwrap();
    assert_eq!(world.state().routes[route(3).as_str()], forwarding(&[("blue", 0), ("green", 100)]));
    assert_eq!((weights(&world, 1), output.progress), ((Some(1), None), Progress::default()));
    // Once more changes nothing, and a stranger's change is kept.
    handle(&world, &world, now, event.clone()).await.unwrap();
    assert_eq!(world.state().changes, [format!("ModifyRule {}", route(3))]);
    world.state().routes.insert(route(3).as_str().into(), forwarding(&[("blue", 2)]));
    assert_eq!(handle(&world, &world, now, event).await.unwrap_err().name(), "RouteDrifted");
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
async fn a_route_that_does_not_exist_any_more_has_drifted() {
    let world = World::of_shop();
    world.state().routes.remove(route(2).as_str());
    let error = shift(&world, 0, Target::Step).await.unwrap_err();
    assert_eq!(error.name(), "RouteDrifted");
    assert!(error.to_string().ends_with("expected forward to blue 1; found no such route"), "{error}");
    assert!(world.state().changes.is_empty());
    let world = World::of_shop();
    world.plan_fault(Fault::before("DescribeRules", "", rejected("DescribeRules", "", "AccessDenied")));
    assert_eq!(shift(&world, 0, Target::Step).await.unwrap_err().name(), "CallRejected");
}
