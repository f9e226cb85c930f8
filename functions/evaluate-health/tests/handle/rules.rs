use evaluate_health::{Event, handle};
use jiff::SignedDuration;
use serde_json::json;
use spillway_aws::error::Named;
use spillway_core::cost::Cost;
use spillway_core::decision::gates::Finding;
use spillway_core::decision::{Command, Decision, Next};
use spillway_core::event::{Kind, Severity};
use spillway_core::hook::Reply;
use spillway_core::progress::Progress;
use spillway_core::targets::TargetState;
use spillway_core::weight::Percent;
use spillway_world::{Fault, group, lease, throttled};

use super::*;

#[tokio::test]
async fn an_equal_candidate_advances_after_its_minimum_time_and_proof() {
    let world = world();
    for m in 0..10 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let early = look(&world, the_plan(), progress(), at(4)).await;
    assert_eq!((early.decision, early.next), (Decision::Continue, Next::Bake));
    let later = look(&world, the_plan(), progress(), at(10)).await;
    assert_eq!(
        (later.decision, later.next, later.progress.position),
        (Decision::Advance, Next::Shift, 1),
        "{}",
        later.reason
    );
    assert!(later.evidence.e_healthy >= 20.0);
    // Asked again, it says the same: nothing is carried.
    assert_eq!(look(&world, the_plan(), progress(), at(10)).await, later);
}

#[tokio::test]
async fn a_worse_candidate_is_rolled_back_with_its_numbers() {
    let world = world();
    for m in 0..6 {
        minute(&world, m, (1500, 30), (28_500, 28));
    }
    let check = look(&world, the_plan(), progress(), at(8)).await;
    assert_eq!((check.decision, check.next), (Decision::RollBack, Next::RollBack));
    assert!(check.evidence.e_unhealthy >= 100.0);
    assert!(
        check.reason.starts_with("rolled back from 5 %: errors: candidate 2.00 % of 9 000, stable 0.098 % of 171 000"),
        "{}",
        check.reason
    );
}

#[tokio::test]
async fn a_period_is_used_only_once_it_is_old_enough() {
    let world = world();
    minute(&world, 0, (1500, 1500), (28_500, 0));
    assert_eq!(look(&world, the_plan(), progress(), at(2)).await.decision, Decision::Continue);
    let check = look(&world, the_plan(), progress(), at(3)).await;
    assert_eq!(check.decision, Decision::RollBack);
    assert_eq!(gate(&check, "hard_failure").0, Finding::Failed);
    assert!(check.reason.contains("hard failure"), "{}", check.reason);
}

#[tokio::test]
async fn a_shared_outage_rolls_nothing_back() {
    let world = world();
    for m in 0..4 {
        minute(&world, m, (1500, 750), (28_500, 14_250));
    }
    assert_ne!(look(&world, the_plan(), progress(), at(6)).await.decision, Decision::RollBack);
}

#[tokio::test]
async fn a_candidate_without_healthy_hosts_is_rolled_back() {
    let world = world();
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Unhealthy]);
    let check = look(&world, the_plan(), progress(), at(1)).await;
    assert_eq!(check.decision, Decision::RollBack);
    assert!(check.reason.contains("0 of 1 targets healthy in green"), "{}", check.reason);
}

#[tokio::test]
async fn not_knowing_holds_and_in_the_end_rolls_back() {
    let world = world();
    world.plan_fault(Fault::before("GetMetricData", "", throttled("GetMetricData")));
    let held = look(&world, the_plan(), progress(), at(5)).await;
    assert_eq!((held.decision, held.next), (Decision::Hold, Next::Tell));
    assert_eq!(held.progress.held_since, Some(at(5)));
    assert!(held.reason.contains("Rate exceeded"), "{}", held.reason);
    let event = held.news.unwrap().event;
    assert_eq!((event.kind, event.severity, &event.reason), (Kind::Held, Severity::Warning, &held.reason));
    assert_eq!(event.release.execution, lease().owner);

    world.plan_fault(Fault::before("GetMetricData", "", throttled("GetMetricData")));
    let ended = look(&world, the_plan(), held.progress.clone(), at(25)).await;
    assert_eq!(ended.decision, Decision::RollBack, "{}", ended.reason);

    // The metrics are back before that: the hold is over.
    for m in 0..5 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let over = look(&world, the_plan(), held.progress, at(7)).await;
    assert_eq!(over.progress.held_since, None);
}

#[tokio::test]
async fn no_traffic_at_all_never_advances() {
    let check = look(&world(), the_plan(), progress(), at(15)).await;
    assert_eq!(check.decision, Decision::Hold);
    assert!(check.reason.contains("no measured requests"), "{}", check.reason);
    let held = Progress { held_since: Some(at(15)), ..progress() };
    assert_eq!(look(&world(), the_plan(), held, at(35)).await.decision, Decision::RollBack);
}

#[tokio::test]
async fn too_little_traffic_for_proof_is_decided_by_policy_at_the_end_of_the_step() {
    for (policy, decision) in
        [("advance", Decision::Advance), ("pause", Decision::Hold), ("rollback", Decision::RollBack)]
    {
        let world = world();
        for m in 0..15 {
            minute(&world, m, (1, 0), (20, 0));
        }
        let mut plan = the_plan();
        plan.health.on_inconclusive = serde_json::from_value(json!(policy)).unwrap();
        assert_eq!(look(&world, plan.clone(), progress(), at(14)).await.decision, Decision::Continue);
        let check = look(&world, plan, progress(), at(15)).await;
        assert_eq!(check.decision, decision, "{policy}: {}", check.reason);
    }
}

#[tokio::test]
async fn suspicion_above_half_goes_back_to_half() {
    let world = world();
    let progress = Progress { position: 2, weight: Percent::whole(95), shifted_at: Some(at(0)), ..progress() };
    // A few errors more than expected: enough to be suspicious, too few for proof.
    for m in 0..4 {
        minute(&world, m, (2850, 9), (150, 0));
    }
    let mut errors = 9;
    let check = loop {
        let check = look(&world, the_plan(), progress.clone(), at(6)).await;
        if check.decision != Decision::Continue || errors > 200 {
            break check;
        }
        errors += 1;
        world.record(&group("green"), at(3), 1, 1);
        world.record(&group("blue"), at(3), 20, 0);
    };
    assert_eq!((check.decision, check.next), (Decision::Hold, Next::Shift), "{}", check.reason);
    assert_eq!(check.progress.position, 1);
    assert_eq!(check.progress.held_since, Some(at(6)));
}

#[tokio::test]
async fn requests_without_answers_are_a_reason_to_wait() {
    let world = world();
    for m in 0..6 {
        minute(&world, m, (20, 0), (28_500, 0));
        let key = requests("green");
        world.state().metrics.get_mut(&key).unwrap().insert(at(m), 1500.0);
    }
    let check = look(&world, the_plan(), progress(), at(8)).await;
    assert_eq!(check.decision, Decision::Hold);
    assert!(check.reason.contains("have none yet"), "{}", check.reason);

    // WebSocket upgrades are never answered, and the stable slot has as many of them.
    let key = requests("blue");
    for m in 0..6 {
        world.state().metrics.get_mut(&key).unwrap().insert(at(m), 2_000_000.0);
    }
    assert_eq!(look(&world, the_plan(), whatever_the_split(), at(8)).await.decision, Decision::Continue);
}

#[tokio::test]
async fn the_load_balancers_own_errors_are_a_reason_to_wait() {
    // An empty group: its requests are in no target metric.
    for (before, own_errors, weight, held) in
        [(0, 50, 5, true), (0, 5, 5, false), (1000, 50, 5, false), (0, 50, 95, false)]
    {
        let world = world();
        for m in -10..0 {
            world.record_load_balancer("app/shop/1", at(m), 30_000, before);
        }
        for m in 0..4 {
            minute(&world, m, (1500, 1), (28_500, 28));
            world.record_load_balancer("app/shop/1", at(m), 3000, own_errors);
        }
        let progress = Progress { weight: Percent::whole(weight), ..whatever_the_split() };
        let check = look(&world, the_plan(), progress, at(6)).await;
        assert_eq!(check.decision == Decision::Hold, held, "{before} {own_errors} {weight}: {}", check.reason);
        assert_eq!(check.evidence.gates.iter().any(|gate| gate.gate == "load_balancer"), held);
    }
}

#[tokio::test]
async fn without_stable_traffic_the_measured_minimum_time_advances_and_an_absolute_limit_stops() {
    let mut plan = the_plan();
    plan.steps = vec![
        serde_json::from_value(json!({"weight": 100, "minimum_time_seconds": 300, "max_step_seconds": 900})).unwrap(),
    ];
    let progress = Progress { weight: Percent::ALL, ..progress() };
    let world = world();
    for m in -30..0 {
        world.record(&group("blue"), at(m), 3000, 3);
    }
    for m in 0..10 {
        minute(&world, m, (3000, 3), (0, 0));
    }
    assert_eq!(
        look(&world, plan.clone(), progress.clone(), at(6)).await.decision,
        Decision::Continue,
        "5 minutes, but not yet measured"
    );
    let check = look(&world, plan.clone(), progress.clone(), at(7)).await;
    assert_eq!((check.decision, check.next), (Decision::Advance, Next::Promoted), "{}", check.reason);

    // A tenth fails, the hour before did not: too little for the hard rule, too much for the limit.
    for m in 0..10 {
        world.record(&group("green"), at(m), 300, 300);
    }
    assert_ne!(look(&world, plan.clone(), progress.clone(), at(7)).await.decision, Decision::RollBack);
    plan.health.max_error_rate = Some(Percent::whole(5));
    let check = look(&world, plan, progress, at(7)).await;
    assert_eq!(check.decision, Decision::RollBack);
    assert!(check.reason.contains("error limit"), "{}", check.reason);
}

#[tokio::test]
async fn not_knowing_moves_nobody() {
    let world = world();
    world.plan_fault(Fault::before("GetMetricData", "", throttled("GetMetricData")));
    let at_95 = Progress { position: 2, weight: Percent::whole(95), ..progress() };
    let check = look(&world, the_plan(), at_95, at(5)).await;
    assert_eq!((check.decision, check.next, check.progress.position), (Decision::Hold, Next::Tell, 2));
}

#[tokio::test]
async fn a_bake_as_long_as_its_step_ends_well() {
    let mut plan = the_plan();
    plan.health.on_inconclusive = serde_json::from_value(json!("rollback")).unwrap();
    plan.steps = vec![
        serde_json::from_value(json!({"weight": 100, "minimum_time_seconds": 900, "max_step_seconds": 900})).unwrap(),
    ];
    let world = world();
    // A quarter of the requests are never answered: upgrades, as many as in the hour before.
    for m in -30..20 {
        let name = if m < 0 { "blue" } else { "green" };
        world.record(&group(name), at(m), 3000, 3);
        let key = requests(name);
        world.state().metrics.get_mut(&key).unwrap().insert(at(m), 4000.0);
    }
    let progress = Progress { weight: Percent::ALL, ..progress() };
    assert_eq!(look(&world, plan.clone(), progress.clone(), at(16)).await.decision, Decision::Continue);
    let check = look(&world, plan, progress, at(17)).await;
    assert_eq!(check.next, Next::Promoted, "{}", check.reason);
}

#[tokio::test]
async fn a_candidate_that_gets_no_requests_does_not_advance() {
    let with_stable_at = |requests| {
        let world = world();
        for m in 0..15 {
            minute(&world, m, (0, 0), (requests, 0));
        }
        world
    };
    let check = look(&with_stable_at(28_500), the_plan(), progress(), at(15)).await;
    assert_eq!(check.decision, Decision::Hold);
    assert!(check.reason.contains("the candidate got none of"), "{}", check.reason);
    // At 5 % of two requests a minute, none is no surprise.
    let check = look(&with_stable_at(2), the_plan(), progress(), at(15)).await;
    assert_eq!(check.decision, Decision::Advance, "{}", check.reason);
}

#[tokio::test]
async fn a_canarys_promotion_is_compared_with_the_hour_before() {
    let after = Progress { position: 3, weight: Percent::ALL, shifted_at: Some(at(0)), ..progress() };
    for (errors_before, rolled_back) in [(3, true), (1500, false)] {
        let world = world();
        for m in -30..0 {
            world.record(&group("blue"), at(m), 3000, errors_before);
        }
        minute(&world, 0, (3000, 1500), (0, 0));
        let check = look(&world, the_plan(), after.clone(), at(3)).await;
        assert_eq!(check.decision == Decision::RollBack, rolled_back, "{}", check.reason);
    }
}

#[tokio::test]
async fn unknown_target_health_holds() {
    let world = world();
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Unavailable]);
    let check = look(&world, the_plan(), progress(), at(1)).await;
    assert_eq!(check.decision, Decision::Hold);
    assert!(check.reason.contains("health checks are off"), "{}", check.reason);
}

#[tokio::test]
async fn a_release_ends_even_if_it_goes_back_and_forth() {
    let world = world();
    let mut long_ago = progress();
    long_ago.exposed_at = Some(at(0).checked_sub(SignedDuration::from_hours(24)).unwrap());
    let check = look(&world, the_plan(), long_ago, at(1)).await;
    assert_eq!(check.decision, Decision::RollBack);
    assert!(check.reason.contains("planned for at most"), "{}", check.reason);
}

#[tokio::test]
async fn a_check_before_the_first_shift_is_a_mistake() {
    let event = Event {
        lease: lease(),
        plan: the_plan(),
        progress: Progress::default(),
        command: Command::None,
        hook: Reply::default(),
    };
    let error = handle(&world(), &world(), &world(), || at(0), event).await.unwrap_err();
    assert_eq!(error.name(), "InvalidInput");
}

/// From the plan on, at the price of the slot that is left behind.
#[tokio::test]
async fn says_what_the_second_slot_has_cost() {
    let mut plan = the_plan();
    assert_eq!(look(&world(), plan.clone(), progress(), at(4)).await.cost, None);
    plan.planned_at = Some(at(0) - SignedDuration::from_mins(56));
    (plan.stable.price_per_hour, plan.candidate.price_per_hour) = (Some(0.5), Some(9.0));
    let cost = look(&world(), plan, progress(), at(4)).await.cost;
    assert_eq!(cost, Some(Cost { slot_hours: 1.0, amount: Some(0.5) }));
}
