use spillway_core::decision::{Decision, Next};
use spillway_core::definition::OnSplitMismatch;
use spillway_core::definition::length::Step;
use spillway_core::hook::Point;
use spillway_core::route;

use super::*;

/// Where the first step is 100 % already, the promotion is at its end. An operator's word skips the hooks there as well.
#[tokio::test]
async fn a_release_that_begins_at_100_percent_asks_before_it_is_promoted() {
    let mut plan = the_plan();
    plan.steps = vec![Step { weight: Percent::ALL, minimum_time_seconds: 300, max_step_seconds: 900 }];
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:smoke";
    plan.hooks = serde_json::from_value(json!({"before_promotion": {"function": function}})).unwrap();
    let progress = Progress { position: 0, ..at_100() };
    let world = flowing(30_000, 0);
    let check = look(&world, plan.clone(), progress.clone(), at(9)).await;
    assert_eq!((check.next, check.hook.unwrap().payload.point), (Next::Hook, Point::BeforePromotion));
    let (command, hook) = (Command::Approve, Reply::default());
    let event = Event { lease: lease(), plan, progress, command, hook };
    assert_eq!(handle(&world, &world, &world, || at(9), event).await.unwrap().next, Next::Promoted);
}

fn at_100() -> Progress {
    Progress { position: 3, weight: Percent::ALL, highest: Percent::ALL, ..progress() }
}

/// At 100 % nobody is promoted before the stable slot was measured quiet.
#[tokio::test]
async fn promotion_needs_a_quiet_stable_slot() {
    let world = flowing(30_000, 0);
    let check = look(&world, the_plan(), at_100(), at(8)).await;
    assert_eq!((check.decision, check.next), (Decision::Advance, Next::Promoted), "{}", check.reason);
    assert_eq!(gate(&check, "split"), (Finding::Proven, "observed share: the stable slot has been quiet for 360 s"));

    // One request a minute still goes there.
    let world = flowing(30_000, 1);
    let check = look(&world, the_plan(), at_100(), at(8)).await;
    assert_eq!((check.decision, check.next), (Decision::Hold, Next::Tell));
    assert_eq!(
        check.reason,
        "held at 100 %: observed share: the stable slot still gets 3 of 90 003 requests in the latest 180 s, expected none"
    );
    // Not even the end of a hold or of the step promotes it; the policy for the split does, if it says so.
    let held = Progress { held_since: Some(at(-20)), split_since: Some(at(-20)), ..at_100() };
    assert_eq!(look(&world, the_plan(), held.clone(), at(8)).await.decision, Decision::RollBack);
    let mut plan = the_plan();
    plan.traffic.on_split_mismatch = OnSplitMismatch::Continue;
    let after = look(&world, plan.clone(), held, at(8)).await.progress;
    assert_eq!(look(&world, plan, after, at(9)).await.next, Next::Promoted);
}

/// As long as before it is scaled down, within the minimum time of a step at 100 %.
#[tokio::test]
async fn a_step_at_100_percent_takes_as_much_quiet_as_its_minimum_time_has_room_for() {
    let world = world();
    for m in -5..0 {
        minute(&world, m, (0, 0), (3000, 0));
    }
    for m in 0..12 {
        minute(&world, m, (3000, 0), (u32::from(m < 3), 0));
    }
    let mut plan = the_plan();
    plan.steps = vec![Step { weight: Percent::ALL, minimum_time_seconds: 240, max_step_seconds: 900 }];
    let progress = Progress { position: 0, ..at_100() };
    for (minute, finding) in [(6, Finding::Suspicious), (8, Finding::Fine), (9, Finding::Proven)] {
        assert_eq!(
            gate(&look(&world, plan.clone(), progress.clone(), at(minute)).await, "split").0,
            finding,
            "{minute}"
        );
    }
    plan.retirement.quiet_seconds = 60;
    assert_eq!(gate(&look(&world, plan, progress, at(6)).await, "split").0, Finding::Proven);
}

/// Until the split has settled, a straggler is no reason to hold, and none to promote.
#[tokio::test]
async fn a_promotion_waits_for_stragglers() {
    let mut plan = the_plan();
    plan.traffic.settle_seconds = 600;
    let check = look(&flowing(30_000, 1), plan, at_100(), at(8)).await;
    assert_eq!((check.decision, gate(&check, "split").0), (Decision::Continue, Finding::Fine), "{}", check.reason);
}

/// A shift from 95 % with little traffic: a minute without any of the stable slot's may be chance, five are enough.
#[tokio::test]
async fn a_quiet_minute_is_no_proof_where_chance_could_have_made_it() {
    for (requests, promoted_at) in [(1000, 3), (30, 6), (3, 7)] {
        let world = world();
        for m in -5..0 {
            minute(&world, m, (requests * 19 / 20, 0), (requests / 20, 0));
        }
        for m in 0..12 {
            minute(&world, m, (requests, 0), (0, 0));
        }
        let progress = Progress { weight_before: Percent::whole(95), ..at_100() };
        for minute in 2..12 {
            let check = look(&world, the_plan(), progress.clone(), at(minute)).await;
            let expected = if minute < promoted_at { Finding::Fine } else { Finding::Proven };
            assert_eq!(gate(&check, "split").0, expected, "{requests} a minute, at {minute}: {}", check.reason);
        }
    }
}

/// However long a slot has to be quiet before it is scaled down: a promotion takes no longer than its step.
#[tokio::test]
async fn a_long_quiet_time_keeps_no_service_with_little_traffic_from_promotion() {
    let world = world();
    for m in 0..12 {
        minute(&world, m, (3, 0), (0, 0));
    }
    let mut plan = the_plan();
    plan.retirement.quiet_seconds = 86_400;
    let progress = Progress { weight_before: Percent::whole(95), ..at_100() };
    let early = look(&world, plan.clone(), progress.clone(), at(10)).await;
    assert_eq!(
        gate(&early, "split"),
        (Finding::Fine, "observed share: the stable slot has been quiet for 480 of 600 s")
    );
    assert_eq!(look(&world, plan, progress, at(12)).await.next, Next::Promoted);
}

/// Half of the traffic goes back to the stable slot only if it is there.
#[tokio::test]
async fn a_hold_at_100_percent_stays_there_where_the_stable_slot_is_dead() {
    for (targets, next) in [(vec![TargetState::Healthy], Next::Shift), (vec![TargetState::Unhealthy], Next::Tell)] {
        let world = world();
        world.state().targets.insert(group("blue").as_str().into(), targets);
        for m in 0..6 {
            minute(&world, m, (28_500, 40), (1500, 1));
            let key = requests("green");
            world.state().metrics.get_mut(&key).unwrap().insert(at(m), 50_000.0);
        }
        let progress = Progress { position: 3, weight: Percent::ALL, ..whatever_the_split() };
        let check = look(&world, the_plan(), progress, at(8)).await;
        assert_eq!((check.decision, check.next), (Decision::Hold, next), "{}", check.reason);
    }
}

/// Little traffic is no reason never to be promoted.
#[tokio::test]
async fn a_request_every_five_minutes_is_enough_for_promotion() {
    let world = world();
    for m in -30..0 {
        minute(&world, m, (0, 0), (u32::from(m % 5 == 0), 0));
    }
    for m in 0..10 {
        minute(&world, m, (u32::from(m % 5 == 1), 0), (0, 0));
    }
    let check = look(&world, the_plan(), at_100(), at(8)).await;
    assert_eq!(check.next, Next::Promoted, "{}", check.reason);
}

/// With group stickiness the stable slot is out of the routes at 100 %: going back to 50 % would send users to hosts
/// whose health nobody knows.
#[tokio::test]
async fn a_hold_at_100_percent_goes_back_only_where_the_stable_slot_is_attached() {
    for (plan, next) in [(the_plan(), Next::Shift), (sticky_plan(), Next::Tell)] {
        let world = world();
        for m in 0..6 {
            minute(&world, m, (28_500, 40), (1500, 1));
            let key = requests("green");
            world.state().metrics.get_mut(&key).unwrap().insert(at(m), 50_000.0);
        }
        let progress = Progress { position: 3, weight: Percent::ALL, ..whatever_the_split() };
        let check = look(&world, plan, progress, at(8)).await;
        assert_eq!((check.decision, check.next), (Decision::Hold, next), "{}", check.reason);
    }
    assert!(
        route::forward(&sticky_plan().routes[0].left_at(Some(Percent::ALL))).unwrap().weight(&group("blue")).is_none()
    );
}
