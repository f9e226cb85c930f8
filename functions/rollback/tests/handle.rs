//! The handler in an in-memory world.

use jiff::{SignedDuration, Timestamp};
use rollback::{Error, Event, Next, Output, Restoration, handle};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_core::definition::Compute;
use spillway_core::hook::{Point, Reply};
use spillway_core::lease::Lease;
use spillway_core::plan::{Plan, PlannedRoute};
use spillway_core::rollback::Standing;
use spillway_core::route::{Action, ActionKind, Stickiness};
use spillway_core::targets::TargetState;
use spillway_world::{Fault, World, forwarding, group, lease, plan, rejected, route, throttled, weights};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn event(plan: Plan) -> Event {
    let (restoration, hook) = (Restoration::default(), Reply::default());
    let (redriven, renewed, failure) = (false, true, json!("held too long"));
    Event { lease: lease(), plan, redriven, renewed, failure, since: None, restoration, hook }
}

fn the_plan() -> Plan {
    plan(&json!({"opaque": "2"}))
}

async fn roll_back(world: &World, redriven: bool) -> Result<Output, Error> {
    handle(world, world, now, Event { redriven, ..event(the_plan()) }).await
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
    assert!(output.routes.iter().all(|route| route.standing == Standing::Restored));
    let again = roll_back(&world, false).await.unwrap();
    assert!(again.routes.iter().all(|route| route.standing == Standing::Unchanged));
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
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!((output.next, output.wait_seconds), (Next::Again, 1));
    assert!(
        output.cause.contains(route(1).as_str()) && output.cause.contains("OperationNotPermitted"),
        "{}",
        output.cause
    );
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(5), Some(95)), (Some(1), Some(0))));
    roll_back(&world, false).await.unwrap();
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
}

#[tokio::test]
async fn an_accepted_write_without_effect_is_found_by_reading_back() {
    let world = shifted();
    world.state().deaf_routes.insert(route(2).as_str().into());
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!(output.next, Next::Again);
    let text = output.cause;
    assert!(
        text.contains(route(2).as_str())
            && text.contains("it was given forward to blue 1, green 0 and tells forward to blue 5, green 95"),
        "{text}"
    );
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
}

/// Users first, and then the stranger: only the two slots' groups are touched, and only where users are in them.
#[tokio::test]
async fn a_strangers_edit_survives() {
    for (live, after) in [
        // A group of his own keeps its share of the whole.
        (vec![("blue", 5), ("stranger", 300), ("green", 95)], vec![("blue", 100), ("stranger", 300), ("green", 0)]),
        (vec![("blue", 1), ("stranger", 0), ("green", 3)], vec![("blue", 1), ("stranger", 0), ("green", 0)]),
        // Everything to the candidate, by hand: it is not proven, and no user stays there.
        (vec![("blue", 0), ("green", 1)], vec![("blue", 1), ("green", 0)]),
        // Our doing is undone already.
        (vec![("blue", 7), ("green", 0)], vec![("blue", 1), ("green", 0)]),
        // A route that is for something else now.
        (vec![("stranger", 1)], vec![("stranger", 1)]),
        (vec![("blue", 0), ("green", 0), ("stranger", 1)], vec![("blue", 0), ("green", 0), ("stranger", 1)]),
        (vec![], vec![]),
    ] {
        let world = shifted();
        let live = if live.is_empty() { vec![] } else { forwarding(&live) };
        let after = if after.is_empty() { vec![] } else { forwarding(&after) };
        world.state().routes.insert(route(1).as_str().into(), live);
        let output = roll_back(&world, false).await.unwrap();
        assert_eq!(world.state().routes[route(1).as_str()], after);
        assert_eq!((output.next, weights(&world, 2)), (Next::Done, (Some(1), Some(0))));
    }
    let world = shifted();
    world.state().routes.insert(route(1).as_str().into(), forwarding(&[("stranger", 1)]));
    let cause = roll_back(&world, false).await.unwrap().cause;
    assert_eq!(
        cause,
        format!("held too long; route {} forwards to neither slot any more and is left as it is", route(1))
    );
}

fn hosts(world: &World, name: &str, states: &[TargetState]) {
    world.state().targets.insert(group(name).as_str().into(), states.to_vec());
}

/// A stranger's group has half of the whole, before and after a ramp, and after everything.
#[tokio::test]
async fn a_strangers_share_survives_a_ramp() {
    let world = shifted();
    let live = forwarding(&[("blue", 20), ("stranger", 400), ("green", 380)]);
    world.state().routes.insert(route(1).as_str().into(), live);
    hosts(&world, "blue", &[TargetState::Healthy]);
    hosts(&world, "green", &[TargetState::Healthy; 4]);
    let plan = Plan { stable_hosts: vec![4], ..the_plan() };
    let output = handle(&world, &world, now, event(plan.clone())).await.unwrap();
    let ramped = forwarding(&[("blue", 100), ("stranger", 400), ("green", 300)]);
    assert_eq!((output.next, &world.state().routes[route(1).as_str()]), (Next::Restore, &ramped));
    hosts(&world, "blue", &[TargetState::Healthy; 4]);
    handle(&world, &world, now, event(plan)).await.unwrap();
    let back = forwarding(&[("blue", 400), ("stranger", 400), ("green", 0)]);
    assert_eq!(world.state().routes[route(1).as_str()], back);
}

/// After a promotion the old slot has weight 0, and was scaled to nothing: its capacity comes first, and nobody is called.
#[tokio::test]
async fn a_slot_without_users_is_brought_back_first() {
    let world = shifted();
    for number in [1, 2] {
        let live = forwarding(&[("blue", 0), ("green", 100)]);
        world.state().routes.insert(route(number).as_str().into(), live);
    }
    hosts(&world, "blue", &[]);
    hosts(&world, "green", &[TargetState::Healthy; 2]);
    let look = |restoration: Restoration, seconds: i64| {
        handle(&world, &world, later(seconds), Event { restoration, ..event(the_plan()) })
    };
    let first = look(Restoration::default(), 0).await.unwrap();
    let second = look(first.restoration.clone(), 15).await.unwrap();
    assert_eq!((first.next, second.next), (Next::Restore, Next::Restore));
    assert_eq!(weights(&world, 1), (Some(0), Some(100)));
    // It never comes: people are called when the time is over, and all stays where it is served.
    let over = look(second.restoration.clone(), 1800).await.unwrap();
    assert_eq!(over.next, Next::Page);
    assert_eq!(look(over.restoration, 1815).await.unwrap().next, Next::StableDead);
    hosts(&world, "blue", &[TargetState::Healthy; 2]);
    assert_eq!(look(second.restoration, 30).await.unwrap().next, Next::Done);
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
}

/// One route, from live weights to those after one look, given the healthy hosts of blue (of two before) and green.
#[tokio::test]
async fn the_stable_slot_gets_what_it_can_carry() {
    for (blue, green, live, after, next) in [
        // Warm.
        (4, 4, (50, 50), (1, 0), Next::Done),
        (3, 4, (5, 95), (1, 0), Next::Done),
        // It carries two thirds as it is.
        (1, 4, (70, 30), (1, 0), Next::Done),
        // Scaled in: each host gets what it had before, and the rest waits.
        (2, 4, (5, 95), (50, 50), Next::Restore),
        (1, 4, (5, 95), (25, 75), Next::Restore),
        (1, 4, (50, 50), (50, 50), Next::Restore),
        // The candidate is dead: anything is better, and what is known is better than what is not.
        (1, 0, (5, 95), (1, 0), Next::Done),
        (0, 0, (5, 95), (1, 0), Next::Restore),
    ] {
        let world = shifted();
        let states = |count: usize| -> Vec<TargetState> {
            (0..4).map(|at| if at < count { TargetState::Healthy } else { TargetState::Unhealthy }).collect()
        };
        hosts(&world, "blue", &states(blue));
        hosts(&world, "green", &states(green));
        for number in [1, 2] {
            let live = forwarding(&[("blue", live.0), ("green", live.1)]);
            world.state().routes.insert(route(number).as_str().into(), live);
        }
        let plan = Plan { stable_hosts: vec![4], ..the_plan() };
        let output = handle(&world, &world, now, event(plan)).await.unwrap();
        let expected = ((Some(after.0), Some(after.1)), next);
        assert_eq!((weights(&world, 1), output.next), expected, "{blue} {green} {live:?}: {}", output.cause);
        assert_eq!(weights(&world, 2), weights(&world, 1));
    }
}

fn later(seconds: i64) -> impl Fn() -> Timestamp {
    move || now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

#[tokio::test]
async fn a_ramp_ends_when_the_capacity_is_back_or_the_time_is_over() {
    let plan = Plan { stable_hosts: vec![4], ..the_plan() };
    for (healthy, seconds) in [(4, 30), (1, 1800)] {
        let world = shifted();
        hosts(&world, "green", &[TargetState::Healthy; 4]);
        hosts(&world, "blue", &[TargetState::Healthy]);
        let output = handle(&world, &world, now, event(plan.clone())).await.unwrap();
        assert_eq!((output.next, output.wait_seconds, weights(&world, 1)), (Next::Restore, 15, (Some(25), Some(75))));
        assert!(output.cause.contains("waits for blue's capacity"), "{}", output.cause);
        hosts(&world, "blue", &vec![TargetState::Healthy; healthy]);
        let event = Event { restoration: output.restoration, ..event(plan.clone()) };
        let output = handle(&world, &world, later(seconds), event).await.unwrap();
        assert_eq!((output.next, weights(&world, 1)), (Next::Done, (Some(1), Some(0))));
    }
}

#[tokio::test]
async fn a_dead_stable_slot_gets_nothing_and_people_are_called() {
    let world = shifted();
    hosts(&world, "blue", &[TargetState::Unhealthy; 2]);
    hosts(&world, "green", &[TargetState::Healthy; 2]);
    let look = |restoration: Restoration, seconds: i64| {
        handle(&world, &world, later(seconds), Event { restoration, ..event(the_plan()) })
    };
    // A moment's weakness: nothing is moved yet.
    let first = look(Restoration::default(), 0).await.unwrap();
    assert_eq!((first.next, weights(&world, 1)), (Next::Restore, (Some(5), Some(95))));
    let second = look(first.restoration.clone(), 15).await.unwrap();
    assert_eq!((second.next, weights(&world, 1)), (Next::Page, (Some(0), Some(100))), "what serves keeps the traffic");
    let said = format!("blue has no healthy host behind route {}: what serves keeps the traffic", route(1));
    assert!(second.cause.contains(&said), "{}", second.cause);
    let third = look(second.restoration.clone(), 30).await.unwrap();
    assert_eq!((third.next, third.wait_seconds, third.restoration.looks), (Next::Restore, 15, 3), "paged once");
    for (looks, seconds) in [(9, 15), (10, 30), (20, 60), (100, 600), (u32::MAX, 600)] {
        let late = look(Restoration { looks, ..third.restoration.clone() }, 60).await.unwrap();
        assert_eq!(late.wait_seconds, seconds, "rarer and rarer");
    }
    let over = look(third.restoration.clone(), 1800).await.unwrap();
    assert_eq!((over.next, weights(&world, 1)), (Next::StableDead, (Some(0), Some(100))));

    // It comes back in time after all: attached still, so at once.
    hosts(&world, "blue", &[TargetState::Healthy; 2]);
    let back = look(third.restoration.clone(), 60).await.unwrap();
    assert_eq!((back.next, weights(&world, 1)), (Next::Done, (Some(1), Some(0))));

    // Dead, and the candidate as well, with no target at all in the stable slot.
    for number in [1, 2] {
        let live = forwarding(&[("blue", 5), ("green", 95)]);
        world.state().routes.insert(route(number).as_str().into(), live);
    }
    hosts(&world, "blue", &[]);
    hosts(&world, "green", &[TargetState::Unhealthy; 2]);
    assert_eq!(look(third.restoration.clone(), 60).await.unwrap().next, Next::Restore);
    assert_eq!(look(third.restoration, 1800).await.unwrap_err().name(), "NothingServes");
    assert_eq!(weights(&world, 1), (Some(5), Some(95)), "nothing to be gained by a change");
}

/// A release that started without a healthy stable slot has nothing to wait for.
#[tokio::test]
async fn a_release_without_a_stable_slot_ends_where_it_is() {
    let world = shifted();
    hosts(&world, "blue", &[]);
    hosts(&world, "green", &[TargetState::Healthy; 2]);
    let plan = Plan { without_stable: Some("first".into()), ..the_plan() };
    let mut restoration = Restoration::default();
    for (next, blue, green) in [(Next::Restore, 5, 95), (Next::Page, 0, 100), (Next::StableDead, 0, 100)] {
        let output = handle(&world, &world, now, Event { restoration, ..event(plan.clone()) }).await.unwrap();
        assert_eq!((output.next, weights(&world, 1)), (next, (Some(blue), Some(green))));
        restoration = output.restoration;
    }
    // A candidate that is dead as well, or never got that far: as before the release, which is what was there.
    for live in [[("blue", 0), ("green", 100)], [("blue", 100), ("green", 0)]] {
        let world = World::of_shop();
        for number in [1, 2] {
            world.state().routes.insert(route(number).as_str().into(), forwarding(&live));
        }
        hosts(&world, "blue", &[]);
        hosts(&world, "green", &[TargetState::Unhealthy; 2]);
        let output = handle(&world, &world, now, event(plan.clone())).await.unwrap();
        assert_eq!((output.next, weights(&world, 1)), (Next::Done, (Some(1), Some(0))), "{}", output.cause);
    }
    // And if the stable slot has come to life meanwhile, all the better.
    let world = shifted();
    hosts(&world, "green", &[TargetState::Healthy; 2]);
    assert_eq!(handle(&world, &world, now, event(plan)).await.unwrap().next, Next::Done);
}

/// Traffic has grown since the release was planned: what the candidate needs by now is what the stable slot will need.
#[tokio::test]
async fn a_slot_that_was_warm_in_the_night_is_not_at_noon() {
    let world = shifted();
    hosts(&world, "blue", &[TargetState::Healthy; 2]);
    hosts(&world, "green", &[TargetState::Healthy; 20]);
    for number in [1, 2] {
        let live = forwarding(&[("blue", 0), ("green", 100)]);
        world.state().routes.insert(route(number).as_str().into(), live);
    }
    let plan = Plan { stable_hosts: vec![2], ..the_plan() };
    let output = handle(&world, &world, now, event(plan)).await.unwrap();
    assert_eq!((output.next, weights(&world, 1)), (Next::Restore, (Some(10), Some(90))));
}

/// What the candidate carried at first is what the stable slot will have to carry, however little is left of it: a ramp
/// goes no further than there are hosts.
#[tokio::test]
async fn a_ramp_does_not_run_away() {
    let world = shifted();
    hosts(&world, "blue", &[TargetState::Healthy; 3]);
    hosts(&world, "green", &[TargetState::Healthy; 10]);
    for number in [1, 2] {
        let live = forwarding(&[("blue", 0), ("green", 100)]);
        world.state().routes.insert(route(number).as_str().into(), live);
    }
    let mut restoration = Restoration::default();
    for look in 0..9 {
        let event = Event { restoration, ..event(Plan { stable_hosts: vec![3], ..the_plan() }) };
        let output = handle(&world, &world, later(15 * look), event).await.unwrap();
        assert_eq!((output.next, weights(&world, 1)), (Next::Restore, (Some(30), Some(70))), "{look}");
        restoration = output.restoration;
    }
    hosts(&world, "blue", &[TargetState::Healthy; 7]);
    let event = Event { restoration, ..event(Plan { stable_hosts: vec![3], ..the_plan() }) };
    assert_eq!(handle(&world, &world, later(150), event).await.unwrap().next, Next::Done);
}

/// Both are dead, and it is the candidate that comes back: it has healthy hosts, so it gets everything.
#[tokio::test]
async fn of_two_dead_slots_the_first_that_serves_gets_everything() {
    let world = shifted();
    hosts(&world, "blue", &[TargetState::Unhealthy; 2]);
    hosts(&world, "green", &[TargetState::Unhealthy; 2]);
    let mut restoration = Restoration::default();
    for (seconds, healthy, next, weight) in [
        (0, 0, Next::Restore, (Some(1), Some(0))),
        (15, 0, Next::Page, (Some(1), Some(0))),
        (30, 2, Next::Restore, (Some(0), Some(100))),
        (45, 2, Next::Restore, (Some(0), Some(100))),
        (1800, 2, Next::StableDead, (Some(0), Some(100))),
    ] {
        if healthy > 0 {
            hosts(&world, "green", &[TargetState::Healthy; 2]);
        }
        let event = Event { restoration, ..event(the_plan()) };
        let output = handle(&world, &world, later(seconds), event).await.unwrap();
        assert_eq!((output.next, weights(&world, 1)), (next, weight), "{seconds}: {}", output.cause);
        restoration = output.restoration;
    }
}

/// What was found dead stays so while nobody can tell.
#[tokio::test]
async fn a_dead_slot_is_not_taken_for_healthy_because_its_health_cannot_be_read() {
    let world = shifted();
    hosts(&world, "blue", &[TargetState::Unhealthy; 2]);
    hosts(&world, "green", &[TargetState::Unhealthy; 2]);
    let first = handle(&world, &world, now, event(the_plan())).await.unwrap();
    for _ in 0..2 {
        let error = throttled("DescribeTargetHealth");
        world.plan_fault(Fault::before("DescribeTargetHealth", group("blue").as_str(), error));
    }
    let event = Event { restoration: first.restoration, ..event(the_plan()) };
    let second = handle(&world, &world, later(15), event).await.unwrap();
    assert_eq!((second.next, second.restoration.dead_looks), (Next::Page, 2));
}

/// Both are dead: back to what is known, and people are called all the same, until it is healthy, or the time is over.
#[tokio::test]
async fn two_dead_slots_are_nothing_to_be_content_with() {
    let world = shifted();
    hosts(&world, "blue", &[TargetState::Unhealthy; 2]);
    hosts(&world, "green", &[TargetState::Unhealthy; 2]);
    let look = |restoration: Restoration, seconds: i64| {
        handle(&world, &world, later(seconds), Event { restoration, ..event(the_plan()) })
    };
    let first = look(Restoration::default(), 0).await.unwrap();
    assert_eq!((first.next, weights(&world, 1)), (Next::Restore, (Some(1), Some(0))));
    let second = look(first.restoration, 15).await.unwrap();
    assert_eq!(second.next, Next::Page);
    let third = look(second.restoration, 30).await.unwrap();
    assert_eq!(third.next, Next::Restore);
    assert_eq!(look(third.restoration.clone(), 1800).await.unwrap_err().name(), "NothingServes");
    hosts(&world, "blue", &[TargetState::Healthy; 2]);
    assert_eq!(look(third.restoration, 45).await.unwrap().next, Next::Done);
}

/// A route that cannot be restored keeps nobody else waiting.
#[tokio::test]
async fn a_route_that_fails_does_not_keep_another_from_its_capacity() {
    let world = shifted();
    hosts(&world, "blue", &[TargetState::Unhealthy; 2]);
    hosts(&world, "green", &[TargetState::Healthy; 2]);
    let look = |restoration: Restoration, seconds: i64| {
        let error = rejected("DescribeRules", "", "AccessDenied");
        world.plan_fault(Fault::before("DescribeRules", route(1).as_str(), error));
        handle(&world, &world, later(seconds), Event { restoration, ..event(the_plan()) })
    };
    let first = look(Restoration::default(), 0).await.unwrap();
    let second = look(first.restoration, 15).await.unwrap();
    assert_eq!((first.next, second.next, weights(&world, 2)), (Next::Restore, Next::Page, (Some(0), Some(100))));
    let stuck = look(second.restoration, 1800).await.unwrap();
    assert_eq!((stuck.next, stuck.restoration.failures), (Next::Again, 1));
}

/// What may pass is tried again for a quarter of an hour, more and more rarely; then people are called.
#[tokio::test]
async fn a_route_that_cannot_be_restored_is_tried_again_before_anyone_is_called() {
    let world = shifted();
    world.state().deaf_routes.insert(route(2).as_str().into());
    let mut restoration = Restoration::default();
    let mut waits = Vec::new();
    let error = loop {
        match handle(&world, &world, now, Event { restoration, ..event(the_plan()) }).await {
            Ok(output) => {
                assert_eq!(output.next, Next::Again);
                waits.push(output.wait_seconds);
                restoration = output.restoration;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.name(), "RollbackIncomplete");
    assert_eq!((waits.len(), &waits[..7], waits[19]), (20, &[1, 2, 4, 8, 16, 32, 60][..], 60));
    // A look that restores everything forgets the failures.
    world.state().deaf_routes.clear();
    let restoration = Restoration { failures: 20, ..Restoration::default() };
    let output = handle(&world, &world, now, Event { restoration, ..event(the_plan()) }).await.unwrap();
    assert_eq!((output.next, output.restoration.failures), (Next::Done, 0));
}

/// A rollback that could outlast its lease writes nothing, unless the lease could not be renewed: users come first.
#[tokio::test]
async fn a_lease_that_could_not_be_renewed_need_not_last() {
    for (renewed, redriven, writes) in [(true, false, false), (false, false, true), (false, true, false)] {
        let world = shifted();
        world.state().leases.get_mut("shop").unwrap().until = Some(now());
        let lease = Lease { deadline: Some(now() + SignedDuration::from_secs(30)), ..lease() };
        let event = Event { lease, renewed, redriven, ..event(the_plan()) };
        let outcome = handle(&world, &world, now, event).await;
        assert_eq!((outcome.is_ok(), world.state().changes.is_empty()), (writes, !writes), "{renewed} {redriven}");
        if let Err(error) = outcome {
            assert_eq!(error.name(), "LeaseTooShort");
        }
    }
}

/// The stable slot serves one load balancer, and is dead behind another: that is no state to end in.
#[tokio::test]
async fn a_slot_that_is_dead_behind_one_load_balancer_only_leaves_the_release_divided() {
    let world = shifted();
    let mut plan = the_plan();
    (plan.routes[1].stable, plan.routes[1].candidate) = (group("blue-2"), group("green-2"));
    let live = forwarding(&[("blue-2", 5), ("green-2", 95)]);
    world.state().routes.insert(route(2).as_str().into(), live);
    for (name, state) in
        [("green", TargetState::Healthy), ("blue-2", TargetState::Unhealthy), ("green-2", TargetState::Healthy)]
    {
        hosts(&world, name, &[state; 2]);
    }
    let mut restoration = Restoration::default();
    for (seconds, next) in [(0, Next::Restore), (15, Next::Page)] {
        let event = Event { restoration, ..event(plan.clone()) };
        let output = handle(&world, &world, later(seconds), event).await.unwrap();
        assert_eq!((output.next, output.routes[0].standing.is_settled()), (next, true));
        restoration = output.restoration;
    }
    let event = Event { restoration, ..event(plan) };
    assert_eq!(handle(&world, &world, later(1800), event).await.unwrap_err().name(), "RollbackDivided");
}

/// Where nobody is on the stable slot, not knowing is no reason to send everybody there.
#[tokio::test]
async fn nobody_is_sent_to_a_slot_without_users_whose_health_cannot_be_read() {
    let world = shifted();
    for number in [1, 2] {
        let live = forwarding(&[("blue", 0), ("green", 100)]);
        world.state().routes.insert(route(number).as_str().into(), live);
    }
    let look = |restoration: Restoration, seconds: i64| {
        for _ in 0..2 {
            world.plan_fault(Fault::before(
                "DescribeTargetHealth",
                group("blue").as_str(),
                throttled("DescribeTargetHealth"),
            ));
        }
        handle(&world, &world, later(seconds), Event { restoration, ..event(the_plan()) })
    };
    let output = look(Restoration::default(), 0).await.unwrap();
    assert_eq!((output.next, weights(&world, 1)), (Next::Restore, (Some(0), Some(100))));
    assert_eq!(look(output.restoration, 1800).await.unwrap().next, Next::Done, "in the end users come first");
}

#[tokio::test]
async fn users_come_first_when_target_health_cannot_be_read() {
    let world = shifted();
    for name in ["blue", "green"] {
        let error = rejected("DescribeTargetHealth", "", "AccessDenied");
        world.plan_fault(Fault::before("DescribeTargetHealth", group(name).as_str(), error));
    }
    hosts(&world, "blue", &[]);
    assert_eq!(roll_back(&world, false).await.unwrap().routes[0].standing, Standing::Restored);
}

fn sticky(weights: &[(&str, u16)]) -> Vec<Action> {
    let mut actions = forwarding(weights);
    if let ActionKind::Forward(forward) = &mut actions[0].kind {
        forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(600) });
    }
    actions
}

#[tokio::test]
async fn with_group_stickiness_the_candidate_is_taken_out() {
    let world = shifted();
    let mut plan = the_plan();
    plan.routes[0].original = sticky(&[("blue", 1)]);
    world.state().routes.insert(route(1).as_str().into(), sticky(&[("blue", 50), ("green", 50)]));
    handle(&world, &world, now, event(plan)).await.unwrap();
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("blue", 1)]));
    assert_eq!(world.state().routes[route(2).as_str()], forwarding(&[("blue", 1), ("green", 0)]));
}

/// After the shift to 100 % with group stickiness the stable slot is out of the route, and its health unknown.
#[tokio::test]
async fn a_slot_that_was_taken_out_is_attached_and_its_health_awaited() {
    let world = shifted();
    let mut plan = the_plan();
    plan.routes.truncate(1);
    plan.routes[0].original = sticky(&[("blue", 1)]);
    world.state().routes.insert(route(1).as_str().into(), sticky(&[("green", 100)]));
    hosts(&world, "blue", &[TargetState::Unused; 2]);
    hosts(&world, "green", &[TargetState::Healthy; 2]);
    let look = |restoration: Restoration, seconds: i64| {
        handle(&world, &world, later(seconds), Event { restoration, ..event(plan.clone()) })
    };
    let first = look(Restoration::default(), 0).await.unwrap();
    assert_eq!((first.next, first.routes[0].standing), (Next::Restore, Standing::Awaiting));
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("green", 100), ("blue", 0)]));
    hosts(&world, "blue", &[TargetState::Initial; 2]);
    assert_eq!(look(first.restoration.clone(), 15).await.unwrap().next, Next::Restore);
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("green", 100), ("blue", 0)]), "nobody is moved yet");
    hosts(&world, "blue", &[TargetState::Healthy; 2]);
    assert_eq!(look(first.restoration, 30).await.unwrap().next, Next::Done);
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("blue", 1)]));
}

/// A sticky release that was started without a healthy stable slot, which has come to life since: attached, awaited, and
/// given everything; and with a plain route beside it, one that stays dead ends the rollback where it is served.
#[tokio::test]
async fn sticky_and_plain_routes_end_alike() {
    for revived in [true, false] {
        let world = shifted();
        let mut plan = Plan { without_stable: revived.then(|| "it was dead".into()), ..the_plan() };
        plan.routes[0].original = sticky(&[("blue", 1)]);
        world.state().routes.insert(route(1).as_str().into(), sticky(&[("green", 100)]));
        world.state().routes.insert(route(2).as_str().into(), forwarding(&[("blue", 0), ("green", 100)]));
        hosts(&world, "blue", &[TargetState::Unused; 2]);
        hosts(&world, "green", &[TargetState::Healthy; 2]);
        let mut restoration = Restoration::default();
        let mut seen = Vec::new();
        for seconds in [0, 15, 30, 1800, 1815, 1830, 1845] {
            if revived && seconds == 1800 {
                hosts(&world, "blue", &[TargetState::Healthy; 2]);
            }
            let event = Event { restoration, ..event(plan.clone()) };
            let output = handle(&world, &world, later(seconds), event).await.unwrap();
            seen.push(output.next);
            restoration = output.restoration;
            if matches!(output.next, Next::Done | Next::StableDead) {
                break;
            }
        }
        let end = if revived { Next::Done } else { Next::StableDead };
        assert_eq!(seen.last(), Some(&end), "{seen:?}");
        let pages = seen.iter().filter(|next| **next == Next::Page).count();
        assert_eq!(pages, usize::from(!revived), "{seen:?}");
        let (first, second) = if revived {
            (sticky(&[("blue", 1)]), forwarding(&[("blue", 1), ("green", 0)]))
        } else {
            (sticky(&[("green", 100)]), forwarding(&[("blue", 0), ("green", 100)]))
        };
        assert_eq!(world.state().routes[route(1).as_str()], first);
        assert_eq!(world.state().routes[route(2).as_str()], second);
    }
}

/// Out of the route, and the only slot that is left: at once.
#[tokio::test]
async fn a_dead_candidate_is_no_reason_to_wait_for_a_slot_that_was_taken_out() {
    let world = shifted();
    let mut plan = the_plan();
    plan.routes.truncate(1);
    plan.routes[0].original = sticky(&[("blue", 1)]);
    world.state().routes.insert(route(1).as_str().into(), sticky(&[("green", 100)]));
    hosts(&world, "blue", &[TargetState::Unused; 2]);
    hosts(&world, "green", &[TargetState::Unhealthy; 2]);
    handle(&world, &world, now, event(plan)).await.unwrap();
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("blue", 1)]));
}

/// A stranger has taken all traffic for his own group; clients whose cookie names the candidate would still reach it.
#[tokio::test]
async fn pinned_clients_are_freed_even_where_a_stranger_has_the_route() {
    let world = shifted();
    let live = sticky(&[("blue", 0), ("stranger", 1), ("green", 0)]);
    world.state().routes.insert(route(1).as_str().into(), live);
    let output = handle(&world, &world, now, event(the_plan())).await.unwrap();
    assert_eq!((output.next, output.routes[0].standing), (Next::Done, Standing::Left));
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("blue", 0), ("stranger", 1)]));
}

#[tokio::test]
async fn testers_go_back_where_they_were() {
    let world = shifted();
    let mut plan = the_plan();
    plan.test_routes =
        vec![PlannedRoute { arn: route(3), original: forwarding(&[("blue", 9)]), ..plan.routes[0].clone() }];
    world.state().routes.insert(route(3).as_str().into(), forwarding(&[("blue", 0), ("green", 100)]));
    handle(&world, &world, now, event(plan.clone())).await.unwrap();
    assert_eq!(world.state().routes[route(3).as_str()], forwarding(&[("blue", 9)]));
    // A stranger's change is his, and a route that is gone holds nobody up.
    world.state().routes.insert(route(3).as_str().into(), forwarding(&[("blue", 1), ("green", 1)]));
    handle(&world, &world, now, event(plan.clone())).await.unwrap();
    assert_eq!(world.state().routes[route(3).as_str()], forwarding(&[("blue", 1), ("green", 1)]));
    world.state().routes.remove(route(3).as_str());
    assert_eq!(handle(&world, &world, now, event(plan)).await.unwrap().next, Next::Done);
}

#[tokio::test]
async fn the_hook_after_a_rollback_is_heard_once_and_its_failure_is_told() {
    let world = shifted();
    let mut plan = the_plan();
    plan.hooks = serde_json::from_value(
        json!({"after_rollback": {"function": "arn:aws:lambda:eu-west-1:123456789012:function:smoke", "timeout_seconds": 60}}),
    )
    .unwrap();
    let look = |restoration: Restoration, answer: Value, seconds: i64| {
        let hook = Reply { point: (!answer.is_null()).then_some(Point::AfterRollback), answer };
        handle(&world, &world, later(seconds), Event { restoration, hook, ..event(plan.clone()) })
    };
    let asked = look(Restoration::default(), Value::Null, 0).await.unwrap();
    assert_eq!((asked.next, weights(&world, 1)), (Next::Hook, (Some(1), Some(0))), "traffic is back first");
    assert_eq!(asked.hook.unwrap().payload.point, Point::AfterRollback);
    let unasked = look(asked.restoration.clone(), Value::Null, 100).await.unwrap();
    assert_eq!(
        (unasked.next, unasked.restoration.pending.unwrap().since),
        (Next::Hook, later(100)()),
        "its time begins now"
    );
    assert_eq!(look(asked.restoration.clone(), json!("ok"), 5).await.unwrap().next, Next::Done);
    assert_eq!(look(asked.restoration.clone(), json!("wait"), 5).await.unwrap().next, Next::Hook);
    let failed = look(asked.restoration, json!("fail"), 5).await.unwrap();
    assert_eq!((failed.next, failed.cause.as_str()), (Next::Page, "held too long; the after_rollback hook says fail"));
    let done = look(failed.restoration, json!("fail"), 6).await.unwrap();
    assert_eq!((done.next, done.cause), (Next::Done, failed.cause));
}

#[tokio::test]
async fn a_route_that_is_gone_sends_no_traffic() {
    let world = shifted();
    world.state().routes.remove(route(1).as_str());
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!((output.routes[0].standing, output.routes[1].standing), (Standing::Gone, Standing::Restored));
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
        let event = Event { failure, ..event(the_plan()) };
        assert_eq!(handle(&world, &world, now, event).await.unwrap().cause, expected);
    }
}

/// A route that cannot be read for once is as dead as it was.
#[tokio::test]
async fn a_failing_read_makes_nobody_forget_that_a_slot_was_dead() {
    let world = shifted();
    let mut plan = Plan { stable_hosts: vec![4], ..the_plan() };
    (plan.routes[1].stable, plan.routes[1].candidate) = (group("blue-2"), group("green-2"));
    let live = forwarding(&[("blue-2", 0), ("green-2", 100)]);
    world.state().routes.insert(route(2).as_str().into(), live);
    hosts(&world, "blue", &[TargetState::Unhealthy; 2]);
    for name in ["green", "green-2"] {
        hosts(&world, name, &[TargetState::Healthy; 2]);
    }
    let first = handle(&world, &world, now, event(plan.clone())).await.unwrap();
    let error = throttled("DescribeRules");
    world.plan_fault(Fault::before("DescribeRules", route(1).as_str(), error));
    let event = Event { restoration: first.restoration, ..event(plan) };
    let second = handle(&world, &world, later(15), event).await.unwrap();
    assert_eq!((second.next, second.restoration.dead_looks), (Next::Restore, 1));
}

/// External compute that was scaled down: the service's own function is asked for it, once it has said ok or fail the hosts
/// are awaited. An answer that is not its own says nothing.
#[tokio::test]
async fn a_hook_gets_external_capacity_back() {
    let mut plan = Plan { stable_hosts: vec![4], ..the_plan() };
    (plan.stable.compute, plan.candidate.compute) = (Compute::External, Compute::External);
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:fleet";
    plan.hooks = serde_json::from_value(json!({"provision": {"function": function, "timeout_seconds": 60}})).unwrap();
    let world = shifted();
    hosts(&world, "green", &[TargetState::Healthy; 4]);
    hosts(&world, "blue", &[TargetState::Healthy]);
    let look = |restoration: &Restoration, point: Option<Point>, answer: Value, seconds: i64| {
        let (restoration, hook) = (restoration.clone(), Reply { point, answer });
        handle(&world, &world, later(seconds), Event { restoration, hook, ..event(plan.clone()) })
    };
    // The reply that the candidate's provisioning has left, and a first look whose call was never made.
    let stale = Some(Point::Provision);
    let first = look(&Restoration::default(), stale, json!("ok"), 0).await.unwrap();
    assert_eq!((first.next, weights(&world, 1)), (Next::Hook, (Some(25), Some(75))));
    let asked = look(&first.restoration, stale, json!("ok"), 15).await.unwrap();
    assert_eq!(asked.next, Next::Hook);
    let payload = serde_json::to_value(asked.hook.unwrap().payload).unwrap();
    assert_eq!(
        (&payload["point"], &payload["slot"], &payload["targets"]),
        (&json!("restore"), &json!("blue"), &json!(4))
    );
    let own = Some(Point::Restore);
    let waits = look(&asked.restoration, own, json!("wait"), 30).await.unwrap();
    assert_eq!(waits.next, Next::Hook);
    let up = look(&waits.restoration, own, json!("ok"), 45).await.unwrap();
    assert_eq!((up.next, up.restoration.provisioned), (Next::Restore, true));
    assert_eq!(look(&up.restoration, own, json!("ok"), 60).await.unwrap().next, Next::Restore, "it is not asked again");
    let failed = look(&waits.restoration, own, json!("fail"), 45).await.unwrap();
    assert_eq!(failed.next, Next::Restore);
    let after = look(&failed.restoration, own, json!("fail"), 60).await.unwrap();
    assert!(after.cause.contains("; the restore hook says fail"), "{}", after.cause);
    hosts(&world, "blue", &[TargetState::Healthy; 4]);
    assert_eq!(look(&waits.restoration, own, json!("wait"), 45).await.unwrap().next, Next::Done, "it is there already");
}

/// From the plan on, unless the machine says since when: an undo comes long after the plan.
#[tokio::test]
async fn says_what_the_second_slot_has_cost() {
    let mut plan = Plan { planned_at: Some(now() - SignedDuration::from_hours(3)), ..the_plan() };
    plan.candidate.price_per_hour = Some(0.5);
    plan.stable.price_per_hour = Some(9.0);
    for (since, words) in [
        (None, "held too long; 3 slot-hours, which cost 1.5"),
        (Some(now() - SignedDuration::from_mins(30)), "held too long; 0.5 slot-hours, which cost 0.25"),
    ] {
        let output = handle(&shifted(), &shifted(), now, Event { since, ..event(plan.clone()) }).await.unwrap();
        assert_eq!((output.next, output.cause.as_str()), (Next::Done, words));
    }
}
