use spillway_core::decision::{Decision, Next};
use spillway_core::definition::OnSplitMismatch;
use spillway_core::hook::{Pending, Point};
use spillway_core::plan::PlannedRoute;
use spillway_world::{Fault, forwarding, rejected, route, throttled};

use super::*;

/// Both routes as they were left, and then one changed.
async fn changed(change: impl FnOnce(&World, &Plan), now: Timestamp) -> Check {
    let (world, plan, progress) = (world(), the_plan(), progress());
    for m in 0..6 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    as_left(&world, &plan, &progress);
    change(&world, &plan);
    look_at(&world, plan, progress, now).await
}

#[tokio::test]
async fn a_strangers_change_of_a_route_rolls_back_at_the_next_check() {
    let check = changed(
        |world, _| {
            world.state().routes.insert(route(2).as_str().into(), forwarding(&[("blue", 40), ("green", 60)]));
        },
        at(8),
    )
    .await;
    assert_eq!((check.decision, check.next), (Decision::RollBack, Next::RollBack));
    assert_eq!(
        check.reason,
        format!(
            "rolled back from 5 %: RouteDrifted: route {} was changed by someone else: expected forward to blue 95, green 5; found forward to blue 40, green 60",
            route(2)
        )
    );
    let gone = changed(|world, _| drop(world.state().routes.remove(route(1).as_str())), at(8)).await;
    assert_eq!(gone.decision, Decision::RollBack);
    assert!(gone.reason.ends_with("expected forward to blue 95, green 5; found no such route"), "{}", gone.reason);
}

/// An answer may be older than the shift; once it has settled, it is not.
#[tokio::test]
async fn right_after_a_shift_an_old_answer_is_no_drift() {
    let stale = |world: &World, plan: &Plan| {
        let before = plan.routes[1].left_at(Some(Percent::ZERO));
        world.state().routes.insert(route(2).as_str().into(), before);
    };
    let early = Timestamp::from_second(at(0).as_second() + 59).unwrap();
    let check = changed(stale, early).await;
    assert_eq!(check.decision, Decision::Hold, "{}", check.reason);
    assert!(check.reason.contains("still tells what it was before the shift"), "{}", check.reason);
    assert_eq!(changed(stale, at(1)).await.decision, Decision::RollBack);
}

#[tokio::test]
async fn routes_that_cannot_be_read_hold() {
    for error in [throttled("DescribeRules"), rejected("DescribeRules", "", "AccessDenied")] {
        let check = changed(|world, _| world.plan_fault(Fault::before("DescribeRules", "", error)), at(8)).await;
        assert_eq!(check.decision, Decision::Hold);
        assert!(check.reason.starts_with("held at 5 %: routes: DescribeRules"), "{}", check.reason);
    }
}

#[tokio::test]
async fn the_measured_split_is_compared_with_the_weights() {
    for (weight, candidate, stable, held) in [
        (5, 1500, 28_500, false),
        // A fifth of the smaller side is luck, retries, testers.
        (5, 1750, 28_250, false),
        (5, 2100, 27_900, true),
        (5, 900, 29_100, true),
        (25, 3360, 26_640, true),
        (50, 15_000, 15_000, false),
        (50, 10_000, 20_000, true),
        (95, 28_500, 1500, false),
        (95, 25_000, 5000, true),
        // Half a percentage point is nothing to hold for.
        (1, 440, 29_560, false),
        (1, 600, 29_400, true),
        // Too few requests to tell.
        (25, 1, 11, false),
        (5, 2, 10, false),
        (25, 0, 11, false),
        (25, 3, 200, true),
    ] {
        let progress = Progress { weight: Percent::whole(weight), ..progress() };
        let check = look(&flowing(candidate, stable), the_plan(), progress, at(10)).await;
        let (finding, line) = gate(&check, "split");
        let expected = if held { Finding::Suspicious } else { Finding::Fine };
        assert_eq!(finding, expected, "{weight} {candidate} {stable}: {line}");
    }
    let progress = Progress { weight: Percent::whole(25), ..progress() };
    let check = look(&flowing(3360, 26_640), the_plan(), progress, at(10)).await;
    assert_eq!(check.reason, "held at 25 %: observed share 11.2 % of 90 000 requests, expected 25 %");
}

#[tokio::test]
async fn the_split_counts_once_it_has_settled() {
    // Nothing reaches the candidate in the first three minutes, and from then on its part does.
    let world = world();
    for m in 0..3 {
        minute(&world, m, (10, 0), (29_990, 0));
    }
    for m in 3..20 {
        minute(&world, m, (1500, 0), (28_500, 0));
    }
    let mut plan = the_plan();
    plan.traffic.settle_seconds = 180;
    for minute in 3..6 {
        let check = look(&world, plan.clone(), progress(), at(minute)).await;
        assert!(check.evidence.gates.iter().all(|gate| gate.gate != "split"), "{minute}");
    }
    assert_eq!(gate(&look(&world, plan.clone(), progress(), at(6)).await, "split").0, Finding::Fine);
    // With less time to settle it is a reason to wait, until the latest minutes are as they should be.
    plan.traffic.settle_seconds = 0;
    assert_eq!(gate(&look(&world, plan.clone(), progress(), at(5)).await, "split").0, Finding::Suspicious);
    assert_eq!(gate(&look(&world, plan, progress(), at(12)).await, "split").0, Finding::Fine);
}

#[tokio::test]
async fn a_split_that_keeps_disagreeing_is_decided_by_policy() {
    let world = flowing(9000, 21_000);
    let mut plan = the_plan();
    let held = Progress { held_since: Some(at(-15)), split_since: Some(at(-15)), ..progress() };
    let check = look(&world, plan.clone(), held.clone(), at(10)).await;
    assert_eq!(check.decision, Decision::RollBack);
    assert!(
        check.reason.starts_with("rolled back from 5 %: held for 1500 s without relief: observed share 30.0 % of"),
        "{}",
        check.reason
    );
    // It must have been off all the time, whatever else the release was held for.
    for split_since in [None, Some(at(0))] {
        let early = Progress { held_since: Some(at(-15)), split_since, ..progress() };
        let check = look(&world, plan.clone(), early, at(10)).await;
        assert_eq!(check.decision, Decision::Hold, "{}", check.reason);
        assert_eq!(check.progress.split_since, Some(split_since.unwrap_or(at(10))));
    }

    plan.traffic.on_split_mismatch = OnSplitMismatch::Continue;
    let check = look(&world, plan.clone(), held, at(10)).await;
    assert_eq!((check.decision, check.next), (Decision::Continue, Next::Bake), "{}", check.reason);
    assert!(check.reason.contains("held for 1500 s, and on by policy: observed share"), "{}", check.reason);
    // From then on it is reported, and decides nothing, until the next weight.
    let mut after = check.progress;
    assert!(after.split_overruled && after.held_since.is_none());
    let check = look(&world, plan, after.clone(), at(11)).await;
    assert_eq!((check.decision, gate(&check, "split").0), (Decision::Advance, Finding::Suspicious), "{}", check.reason);
    after.shift(Percent::HALF, at(11), at(11));
    assert!(!after.split_overruled);
}

/// Clients with a cookie stay where they are: the share follows the weights from below, and after a step back from above.
#[tokio::test]
async fn sticky_clients_have_room_below_the_weight_and_none_above_the_highest() {
    for (weight, highest, candidate, stable, finding) in [
        (25, 25, 300, 29_700, Finding::Fine),
        (50, 95, 24_000, 6000, Finding::Fine),
        (25, 25, 9600, 20_400, Finding::Suspicious),
        (5, 5, 3000, 27_000, Finding::Suspicious),
        // One client more in a small crowd.
        (5, 5, 15, 105, Finding::Fine),
    ] {
        let (weight, highest) = (Percent::whole(weight), Percent::whole(highest));
        let progress = Progress { weight, highest, ..progress() };
        let check = look(&flowing(candidate, stable), sticky_plan(), progress, at(10)).await;
        let (found, line) = gate(&check, "split");
        assert_eq!(found, finding, "{weight} {candidate}: {line}");
        assert!(line.contains(&format!("expected at most {highest}, with clients who stay")), "{line}");
    }
}

/// Nothing tells testers' requests from users'.
#[tokio::test]
async fn testers_have_room_above_the_weight() {
    let mut plan = the_plan();
    plan.test_routes = vec![PlannedRoute { arn: route(3), ..plan.routes[0].clone() }];
    for (candidate, finding) in [(1500, Finding::Fine), (6000, Finding::Fine), (900, Finding::Suspicious)] {
        let check = look(&flowing(candidate, 28_500), plan.clone(), progress(), at(10)).await;
        let (found, line) = gate(&check, "split");
        assert_eq!(found, finding, "{line}");
        assert!(line.ends_with("expected at least 5 %, with testers"), "{line}");
    }
}

/// Regulars with cookies of a day, and hardly a new client: at 1 % nothing at all is no surprise.
#[tokio::test]
async fn sticky_regulars_are_no_missing_share() {
    for (plan, held) in [(the_plan(), true), (sticky_plan(), false)] {
        let world = flowing(0, 1000);
        let progress = Progress { weight: Percent::whole(1), highest: Percent::whole(1), ..progress() };
        let check = look(&world, plan, progress, at(10)).await;
        assert_eq!(check.decision == Decision::Hold, held, "{}", check.reason);
    }
}

/// The same at the end of a step without proof: 30 requests expected, and ten a client.
#[tokio::test]
async fn sticky_regulars_are_no_doubt_at_the_end_of_a_step() {
    for (mut plan, decision) in [(the_plan(), Decision::Hold), (sticky_plan(), Decision::Advance)] {
        plan.steps[0].max_step_seconds = 300;
        let progress = Progress { weight: Percent::whole(1), highest: Percent::whole(1), ..progress() };
        let check = look(&flowing(0, 300), plan, progress, at(11)).await;
        assert_eq!(check.decision, decision, "{}", check.reason);
    }
}

/// A hold that is over goes on by policy, and a hook has the last word: what is held meanwhile is not held anew.
#[tokio::test]
async fn a_hook_at_the_end_of_a_hold_begins_no_new_one() {
    let world = flowing(9000, 21_000);
    let mut plan = the_plan();
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:smoke";
    plan.hooks = serde_json::from_value(json!({"after_step": {"function": function}})).unwrap();
    plan.health.on_inconclusive = spillway_core::definition::OnInconclusive::Advance;
    plan.health.alarms =
        vec![serde_json::from_value(json!({"arn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:quiet"})).unwrap()];
    world.state().alarms.insert("quiet".into(), spillway_core::plan::AlarmState::InsufficientData);
    let held = Progress { held_since: Some(at(-15)), ..whatever_the_split() };
    let check = look(&world, plan.clone(), held, at(10)).await;
    assert_eq!((check.next, check.progress.held_since), (Next::Hook, Some(at(-15))), "{}", check.reason);
    // If it is not asked meanwhile, its time does not run.
    let paused = Progress { pending: check.progress.pending, ..whatever_the_split() };
    assert_eq!(look(&flowing(15, 285), plan, paused, at(4)).await.progress.pending, None);
}

#[tokio::test]
async fn a_dead_stable_slot_is_found_while_it_has_users() {
    for (weight, targets, decision) in [
        (5, vec![TargetState::Unhealthy; 2], Decision::RollBack),
        (5, vec![], Decision::RollBack),
        (5, vec![TargetState::Unhealthy, TargetState::Healthy], Decision::Continue),
        (5, vec![TargetState::Unavailable], Decision::Continue),
        (100, vec![TargetState::Unused; 2], Decision::Continue),
    ] {
        let world = flowing(30, 570);
        world.state().targets.insert(group("blue").as_str().into(), targets.clone());
        let progress = Progress { weight: Percent::whole(weight), ..progress() };
        let check = look(&world, the_plan(), progress, at(3)).await;
        assert_eq!(
            check.decision == Decision::RollBack,
            decision == Decision::RollBack,
            "{targets:?}: {}",
            check.reason
        );
    }
    let world = flowing(30, 570);
    world.state().targets.insert(group("blue").as_str().into(), vec![TargetState::Unhealthy; 2]);
    let check = look(&world, the_plan(), progress(), at(3)).await;
    assert_eq!(check.reason, "rolled back from 5 %: stable hosts: 0 of 2 targets healthy in blue");
    // Where that is known, and the reason to release, it is none to roll back.
    let plan = Plan { without_stable: Some("dead".into()), ..the_plan() };
    assert_ne!(look(&world, plan, progress(), at(3)).await.decision, Decision::RollBack);
}

/// A cold start fails a fifth of its requests for three minutes, and none after that.
#[tokio::test]
async fn the_warm_up_is_not_judged_but_for_what_is_broken() {
    let cold = |errors: u32| {
        let world = world();
        for m in 0..3 {
            minute(&world, m, (1500, errors), (28_500, 28));
        }
        for m in 3..20 {
            minute(&world, m, (1500, 1), (28_500, 28));
        }
        world
    };
    let mut plan = the_plan();
    assert_eq!(look(&cold(300), plan.clone(), progress(), at(8)).await.decision, Decision::RollBack);
    plan.readiness.warm_up_seconds = 180;
    let check = look(&cold(300), plan.clone(), progress(), at(7)).await;
    assert_eq!(check.decision, Decision::Continue, "the minimum time begins after it: {}", check.reason);
    assert_eq!((check.evidence.periods, check.evidence.minutes[0].minute), (2, at(3)));
    let check = look(&cold(300), plan.clone(), progress(), at(12)).await;
    assert_eq!(check.decision, Decision::Advance, "{}", check.reason);
    // Broken is broken.
    let check = look(&cold(1400), plan, progress(), at(5)).await;
    assert!(check.reason.contains("hard failure"), "{}", check.reason);
}

#[tokio::test]
async fn hooks_are_asked_where_a_step_is_over() {
    let world = flowing(1500, 28_500);
    let mut plan = the_plan();
    plan.steps.truncate(1);
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:smoke";
    plan.hooks = serde_json::from_value(json!({
        "after_step": {"function": function, "timeout_seconds": 120},
        "before_promotion": {"function": format!("{function}-last")},
    }))
    .unwrap();
    as_left(&world, &plan, &progress());
    let ask =
        async |progress: Progress, point: Option<Point>, answer: serde_json::Value, command: Command, minute: i64| {
            let hook = Reply { point, answer };
            let event = Event { lease: lease(), plan: plan.clone(), progress, command, hook };
            handle(&world, &world, &world, || at(minute), event).await.unwrap()
        };
    let none = serde_json::Value::Null;
    let early = ask(progress(), None, none.clone(), Command::None, 4).await;
    assert_eq!((early.next, early.hook), (Next::Bake, None), "the step is not over");
    let asked = ask(progress(), None, none.clone(), Command::None, 10).await;
    assert_eq!((asked.decision, asked.next), (Decision::Continue, Next::Hook));
    assert!(asked.reason.starts_with("continues at 5 %: asking the after_step hook; "), "{}", asked.reason);
    assert_eq!(asked.progress.pending, Some(Pending { point: Point::AfterStep, since: at(10) }));
    assert_eq!(asked.progress.position, 0);
    let call = asked.hook.unwrap();
    assert_eq!((call.function.as_str(), call.payload.weight), (function, Percent::whole(5)));

    let step = Some(Point::AfterStep);
    let waits = ask(asked.progress.clone(), step, json!("wait"), Command::None, 11).await;
    assert_eq!((waits.next, waits.progress.pending), (Next::Hook, asked.progress.pending));
    let late = ask(asked.progress.clone(), step, json!("wait"), Command::None, 12).await;
    assert_eq!(late.reason, "rolled back from 5 %: no ok within 120 s: the after_step hook says wait");
    let failed = ask(asked.progress.clone(), step, json!({"result": "fail", "reason": "no"}), Command::None, 11).await;
    assert_eq!(failed.next, Next::RollBack);
    assert_eq!(failed.reason, "rolled back from 5 %: the after_step hook says fail: no");
    // An operator's word goes over it.
    let word = ask(asked.progress.clone(), step, json!("wait"), Command::Approve, 11).await;
    assert_eq!((word.next, word.progress.position), (Next::ConsumeCommand, 1));

    // One after the other; the old answer is no answer to the new question.
    let second = ask(asked.progress.clone(), step, json!("ok"), Command::None, 11).await;
    assert_eq!(second.next, Next::Hook);
    assert!(second.hook.unwrap().function.as_str().ends_with("-last"));
    let still = ask(second.progress.clone(), step, json!("ok"), Command::None, 11).await;
    assert_eq!(still.next, Next::Hook);
    let on = ask(second.progress, Some(Point::BeforePromotion), json!("ok"), Command::None, 11).await;
    assert_eq!((on.next, on.progress.position, on.progress.pending), (Next::Shift, 1, None));
    let mut shifted = on.progress;
    shifted.shift(Percent::ALL, at(11), at(11));
    assert!(shifted.passed.is_empty());
}
