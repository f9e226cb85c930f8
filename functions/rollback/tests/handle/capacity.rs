use spillway_core::definition::Compute;

use super::*;

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

    // What cannot be read now, another look tells: one of both routes, or that the candidate serves, which is asked last.
    for asked in [1, 3] {
        for _ in 0..asked {
            let error = throttled("DescribeTargetHealth");
            world.plan_fault(Fault::before("DescribeTargetHealth", group("green").as_str(), error));
        }
        let unknown = look(third.restoration.clone(), 1800).await.unwrap();
        assert_eq!((unknown.next, unknown.restoration.failures), (Next::Restore, 1));
        assert_eq!(weights(&world, 1), (Some(0), Some(100)), "what serves keeps the traffic");
        while world.faults_left() > 0 {
            let _ = look(third.restoration.clone(), 1800).await;
        }
    }

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
    // A moment's throttling is no reason either.
    let mut output = look(output.restoration, 1800).await.unwrap();
    for looks in 1..=20 {
        assert_eq!((output.next, output.restoration.failures), (Next::Restore, looks));
        assert_eq!(weights(&world, 1), (Some(0), Some(100)));
        output = look(output.restoration, 1800 + 15 * i64::from(looks)).await.unwrap();
    }
    assert_eq!((output.next, weights(&world, 1)), (Next::Done, (Some(1), Some(0))), "in the end users come first");
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
