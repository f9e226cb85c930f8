//! The handler in an in-memory world.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use spillway_aws::error::Named;
use spillway_core::definition::Compute;
use spillway_core::route::{ActionKind, Stickiness};
use spillway_core::slot::Slot;
use spillway_world::{World, forwarding, group, lease, plan, route};
use teardown::{Error, Event, Next, Output, Ports, handle};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_secs(seconds)).unwrap()
}

/// Green was promoted; blue is to be retired.
fn promoted() -> World {
    let world = World::of_shop();
    for number in [1, 2] {
        world.state().routes.insert(route(number).as_str().into(), forwarding(&[("blue", 0), ("green", 100)]));
    }
    world
}

async fn retire(world: &World, slot: Slot, attempt: u32) -> Result<Output, Error> {
    let ports = Ports { services: world, groups: world, routes: world, metrics: world, leases: world };
    let plan = plan(&json!({"opaque": "2"}));
    handle(ports, now, Event { lease: lease(), plan, slot, attempt, started_at: ago(3600) }).await
}

#[tokio::test]
async fn scales_a_quiet_slot_to_zero_once() {
    let world = promoted();
    world.record(&group("blue"), ago(3600), 100, 0);
    let output = retire(&world, Slot::Blue, 0).await.unwrap();
    assert!(output.next == Next::Done, "{}", output.reason);
    assert_eq!(world.state().services["shop-blue"].desired, 0);
    assert!(retire(&world, Slot::Blue, 1).await.unwrap().next == Next::Done);
    assert_eq!(world.state().changes, ["UpdateService shop-blue - 0"]);
}

#[tokio::test]
async fn refuses_while_any_route_gives_it_weight() {
    let world = promoted();
    world.state().routes.insert(route(2).as_str().into(), forwarding(&[("blue", 3), ("green", 100)]));
    let output = retire(&world, Slot::Blue, 0).await.unwrap();
    assert!(output.next == Next::Wait && output.reason.contains("slot blue has weight 3"), "{}", output.reason);
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn refuses_while_traffic_is_measured_whatever_the_weights_say() {
    for seconds in [60, 300, 420] {
        let world = promoted();
        world.record(&group("blue"), ago(seconds), 1, 0);
        let output = retire(&world, Slot::Blue, 2).await.unwrap();
        assert!(output.next == Next::Wait && output.reason.contains("had 1 requests"), "{}", output.reason);
        assert_eq!((output.attempt, output.wait_seconds), (3, 1200), "waits longer each time");
        assert!(world.state().changes.is_empty());
    }
}

#[tokio::test]
async fn a_route_that_is_gone_sends_nothing() {
    let world = promoted();
    world.state().routes.remove(route(1).as_str());
    assert!(retire(&world, Slot::Blue, 0).await.unwrap().next == Next::Done);
}

#[tokio::test]
async fn external_compute_is_left_alone() {
    let world = promoted();
    let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.stable.compute = Compute::External;
    let event = Event { lease: lease(), plan, slot: Slot::Blue, attempt: 0, started_at: ago(3600) };
    let output = handle(ports, now, event).await.unwrap();
    assert!(output.next == Next::Done && world.state().changes.is_empty());
}

#[tokio::test]
async fn a_newer_release_keeps_it_from_scaling() {
    let world = promoted();
    world.state().leases.get_mut("shop").unwrap().fence = 8;
    assert_eq!(retire(&world, Slot::Blue, 0).await.unwrap_err().name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn asks_for_the_lease_once_more_right_before_scaling() {
    let world = promoted();
    world.state().lease_reads_left = Some(1);
    assert_eq!(retire(&world, Slot::Blue, 0).await.unwrap_err().name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn waits_never_longer_than_an_hour() {
    let world = promoted();
    world.record(&group("blue"), ago(60), 1, 0);
    assert_eq!(retire(&world, Slot::Blue, 400).await.unwrap().wait_seconds, 3600);
}

#[tokio::test]
async fn nothing_is_scaled_down_within_the_rollback_window() {
    let world = promoted();
    let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
    let plan = plan(&json!({"opaque": "2"}));
    let event = Event { lease: lease(), plan, slot: Slot::Blue, attempt: 2, started_at: ago(3599) };
    let output = handle(ports, now, event).await.unwrap();
    assert_eq!((output.next, output.wait_seconds, output.attempt), (Next::Wait, 1, 2), "{}", output.reason);
    assert!(world.state().changes.is_empty());
}

/// With cookies of two hours and a window of one: scaled down after one, attached again after two and what nodes take
/// to hear of it. With shorter cookies it is the other way round.
#[tokio::test]
async fn a_slot_that_was_taken_out_is_attached_again_when_no_cookie_can_name_it() {
    let world = World::of_shop();
    for number in [1, 2] {
        world.state().routes.insert(route(number).as_str().into(), forwarding(&[("green", 100)]));
    }
    let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
    let look = |sticky_seconds, started_at| {
        let mut plan = plan(&json!({"opaque": "2"}));
        plan.sticky_seconds = sticky_seconds;
        for planned in &mut plan.routes {
            if let ActionKind::Forward(forward) = &mut planned.original[0].kind {
                forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(7200) });
            }
        }
        handle(ports, now, Event { lease: lease(), plan, slot: Slot::Blue, attempt: 0, started_at })
    };
    let early = look(7200, ago(100)).await.unwrap();
    assert_eq!((early.next, early.wait_seconds), (Next::Wait, 3500), "{}", early.reason);
    let short = look(900, ago(100)).await.unwrap();
    assert_eq!((short.next, short.wait_seconds), (Next::Wait, 860), "{}", short.reason);
    assert_eq!(look(900, ago(960)).await.unwrap().next, Next::Attach);
    assert!(world.state().changes.is_empty());

    let quiet = look(7200, ago(3600)).await.unwrap();
    assert_eq!((quiet.next, quiet.wait_seconds), (Next::Wait, 3660), "{}", quiet.reason);
    assert_eq!(world.state().changes, ["UpdateService shop-blue - 0"]);
    assert_eq!(look(7200, ago(7260)).await.unwrap().next, Next::Attach);
    for number in [1, 2] {
        world.state().routes.insert(route(number).as_str().into(), forwarding(&[("green", 100), ("blue", 0)]));
    }
    assert_eq!(look(7200, ago(7261)).await.unwrap().next, Next::Done);

    // A route that someone has taken for something else, or that is full, is not waited for.
    world.state().routes.insert(route(1).as_str().into(), forwarding(&[("stranger", 1)]));
    let full = [("green", 1), ("a", 0), ("b", 0), ("c", 0), ("d", 0)];
    world.state().routes.insert(route(2).as_str().into(), forwarding(&full));
    assert_eq!(look(7200, ago(7261)).await.unwrap().next, Next::Done);
}
