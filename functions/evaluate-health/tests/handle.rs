//! The handler in an in-memory world.

use evaluate_health::{Event, handle};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use spillway_aws::error::Named;
use spillway_core::decision::gates::Finding;
use spillway_core::decision::{Check, Command, Decision, Next};
use spillway_core::judge::latency::Quantile;
use spillway_core::plan::{AlarmState, Plan, Threshold};
use spillway_core::progress::Progress;
use spillway_core::targets::TargetState;
use spillway_core::weight::Percent;
use spillway_world::{Fault, World, group, lease, plan, throttled};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
}

fn world() -> World {
    let world = World::of_shop();
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy; 2]);
    world
}

/// A minute of traffic: requests and errors of the candidate and of the stable slot.
fn minute(world: &World, minute: i64, candidate: (u32, u32), stable: (u32, u32)) {
    world.record(&group("green"), at(minute), candidate.0, candidate.1);
    world.record(&group("blue"), at(minute), stable.0, stable.1);
}

/// Exposed at minute 0, at step 0 (5 %) since then.
fn progress() -> Progress {
    Progress {
        position: 0,
        weight: Percent::whole(5),
        shifted_at: Some(at(0)),
        exposed_at: Some(at(0)),
        ..Progress::default()
    }
}

/// The series of a group's requests.
fn requests(name: &str) -> String {
    format!("app/shop/1 {} RequestCount Sum", group(name).dimension())
}

/// What a gate says, and its line.
fn gate<'a>(check: &'a Check, name: &str) -> (Finding, &'a str) {
    let gate = check.evidence.gates.iter().find(|gate| gate.gate == name);
    let gate = gate.unwrap_or_else(|| panic!("no gate {name} in {:?}", check.evidence.gates));
    (gate.finding, &gate.line)
}

async fn look(world: &World, plan: Plan, progress: Progress, now: Timestamp) -> Check {
    let event = Event { lease: lease(), plan, progress, command: Command::None };
    handle(world, world, || now, event).await.unwrap()
}

fn the_plan() -> Plan {
    plan(&json!({"opaque": "2"}))
}

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
    assert_eq!((held.decision, held.next), (Decision::Hold, Next::Bake));
    assert_eq!(held.progress.held_since, Some(at(5)));
    assert!(held.reason.contains("Rate exceeded"), "{}", held.reason);

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
    assert_eq!(look(&world, the_plan(), progress(), at(8)).await.decision, Decision::Continue);
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
        let progress = Progress { weight: Percent::whole(weight), ..progress() };
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

async fn command(world: &World, command: Command, progress: Progress, now: Timestamp) -> Check {
    let event = Event { lease: lease(), plan: the_plan(), progress, command };
    handle(world, world, || now, event).await.unwrap()
}

#[tokio::test]
async fn commands_are_honoured() {
    let world = world();
    // Too little for proof.
    for m in 0..10 {
        minute(&world, m, (15, 0), (285, 0));
    }
    for (wish, decision, next, position) in [
        (Command::None, Decision::Continue, Next::Bake, 0),
        (Command::Abort, Decision::RollBack, Next::RollBack, 0),
        (Command::Pause, Decision::Hold, Next::Bake, 0),
        (Command::Resume, Decision::Continue, Next::Bake, 0),
        (Command::Approve, Decision::Advance, Next::ConsumeCommand, 1),
        (Command::Promote, Decision::Advance, Next::ConsumeCommand, 3),
        (Command::Unknown, Decision::Continue, Next::Bake, 0),
    ] {
        let check = command(&world, wish, progress(), at(10)).await;
        assert_eq!((check.decision, check.next, check.progress.position), (decision, next, position), "{wish:?}");
    }
    let early = command(&world, Command::Approve, progress(), at(4)).await;
    assert_eq!(early.next, Next::Bake, "not before the minimum time");
    let unknown: Command = serde_json::from_value(json!("dance")).unwrap();
    assert_eq!(unknown, Command::Unknown);
}

#[tokio::test]
async fn a_pause_is_judged_rarely_ends_without_harm_and_not_never() {
    let world = world();
    for m in 0..700 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let paused = command(&world, Command::Pause, progress(), at(10)).await;
    assert_eq!((paused.next, paused.wait_seconds), (Next::Bake, 240));
    assert_eq!((paused.progress.waiting_since, paused.progress.held_since), (Some(at(10)), None));
    // Ten hours later it is resumed: the time of waiting does not count.
    let resumed = command(&world, Command::Resume, paused.progress.clone(), at(610)).await;
    assert_eq!((resumed.decision, resumed.wait_seconds), (Decision::Advance, 60), "{}", resumed.reason);
    assert_eq!((resumed.progress.waiting_since, resumed.progress.waited_seconds), (None, 36_000));
    // Paused, it goes on being judged.
    for m in 600..606 {
        world.record(&group("green"), at(m), 3000, 3000);
    }
    let worse = command(&world, Command::Pause, paused.progress.clone(), at(610)).await;
    assert_eq!(worse.decision, Decision::RollBack, "{}", worse.reason);
}

/// A world where the candidate is suspicious at 5 %, and no more.
fn suspicious() -> World {
    let world = world();
    for m in 0..4 {
        minute(&world, m, (1500, 4), (28_500, 20));
    }
    world
}

#[tokio::test]
async fn an_operators_word_counts_while_the_candidate_is_suspicious() {
    let alone = command(&suspicious(), Command::None, progress(), at(6)).await;
    assert_eq!(alone.decision, Decision::Hold, "{}", alone.reason);
    for (wish, next) in [
        (Command::Approve, Next::ConsumeCommand),
        (Command::Promote, Next::ConsumeCommand),
        (Command::Pause, Next::Bake),
    ] {
        let held = Progress { held_since: Some(at(6)), ..progress() };
        let check = command(&suspicious(), wish, held, at(60)).await;
        assert_eq!(check.next, next, "{wish:?}: {}", check.reason);
    }
}

#[tokio::test]
async fn a_hold_that_ends_in_a_pause_stays_one() {
    let mut plan = the_plan();
    plan.health.on_inconclusive = serde_json::from_value(json!("pause")).unwrap();
    let held = Progress { held_since: Some(at(6)), ..progress() };
    let first = look(&suspicious(), plan.clone(), held, at(26)).await;
    assert_eq!((first.decision, first.wait_seconds), (Decision::Hold, 240), "{}", first.reason);
    let second = look(&suspicious(), plan, first.progress, at(30)).await;
    assert_eq!((second.progress.held_since, second.progress.waiting_since), (Some(at(6)), Some(at(26))));
}

#[tokio::test]
async fn a_pause_does_not_use_up_the_step() {
    let mut plan = the_plan();
    plan.health.on_inconclusive = serde_json::from_value(json!("rollback")).unwrap();
    let world = world();
    for m in 0..60 {
        minute(&world, m, (1, 0), (20, 0));
    }
    let paused = Progress { waiting_since: Some(at(10)), ..progress() };
    let resumed = look(&world, plan.clone(), paused, at(40)).await;
    assert_eq!(resumed.decision, Decision::Continue, "{}", resumed.reason);
    // Ten minutes before the pause and five after it make fifteen.
    assert_eq!(look(&world, plan, resumed.progress, at(45)).await.decision, Decision::RollBack);
}

#[tokio::test]
async fn not_knowing_moves_nobody() {
    let world = world();
    world.plan_fault(Fault::before("GetMetricData", "", throttled("GetMetricData")));
    let at_95 = Progress { position: 2, weight: Percent::whole(95), ..progress() };
    let check = look(&world, the_plan(), at_95, at(5)).await;
    assert_eq!((check.decision, check.next, check.progress.position), (Decision::Hold, Next::Bake, 2));
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
async fn nobody_is_waited_for_for_ever() {
    let world = world();
    for m in 0..10 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let waiting = Progress { waiting_since: Some(at(10)), ..progress() };
    let check = command(&world, Command::Pause, waiting, at(10 + 28 * 60)).await;
    assert_eq!(check.decision, Decision::RollBack);
    assert!(check.reason.contains("waited for people"), "{}", check.reason);
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
    let event = Event { lease: lease(), plan: the_plan(), progress: Progress::default(), command: Command::None };
    let error = handle(&world(), &world(), || at(0), event).await.unwrap_err();
    assert_eq!(error.name(), "InvalidInput");
}

/// The plan with the thresholds of a stable version whose p50, p90 and p99 are 0.1, 0.2 and 0.5 s.
fn plan_with_latency() -> Plan {
    let mut plan = the_plan();
    plan.baseline.latency = std::iter::zip(Quantile::ALL, [0.1, 0.2, 0.5])
        .map(|(quantile, seconds)| Threshold { quantile, seconds, phi: 1.0 })
        .collect();
    plan
}

/// Of each thousand answers of both slots, so many are slower than the three thresholds.
fn record_slow(world: &World, minutes: std::ops::Range<i64>, candidate: [u32; 3], stable: [u32; 3]) {
    for m in minutes {
        for (at_threshold, seconds) in [0.1, 0.2, 0.5].into_iter().enumerate() {
            for (name, slow, thousands) in [("green", candidate, 3), ("blue", stable, 30)] {
                let (slow, all) = (slow[at_threshold] * thousands, 1000 * thousands);
                world.record_slow(&group(name), at(m), seconds, slow, all - slow);
            }
        }
    }
}

#[tokio::test]
async fn a_slow_candidate_is_rolled_back_and_an_equal_one_is_not() {
    for (candidate, rolled_back) in [([500, 100, 10], false), ([800, 300, 50], true)] {
        let world = world();
        for m in 0..6 {
            minute(&world, m, (3000, 3), (30_000, 30));
        }
        record_slow(&world, 0..6, candidate, [500, 100, 10]);
        let check = look(&world, plan_with_latency(), progress(), at(8)).await;
        assert_eq!(check.decision == Decision::RollBack, rolled_back, "{}", check.reason);
        let (finding, line) = gate(&check, "latency p90");
        assert_eq!(finding == Finding::Failed, rolled_back, "{line}");
        assert!(line.contains("slower than 0.20 s, stable 10 % of 180 000"), "{line}");
        assert_eq!(gate(&check, "together").0 == Finding::Failed, rolled_back);
        let kept = &check.evidence.minutes[0].candidate;
        assert_eq!((kept.timed, kept.slow[&Quantile::P90]), (Some(3000.0), f64::from(3 * candidate[1])));
    }
}

#[tokio::test]
async fn a_threshold_that_the_stable_version_passes_itself_is_called_blind() {
    let world = world();
    minute(&world, 0, (3000, 3), (30_000, 30));
    record_slow(&world, 0..1, [990, 300, 10], [900, 100, 10]);
    let check = look(&world, plan_with_latency(), progress(), at(3)).await;
    assert!(gate(&check, "latency p50").1.contains("blind"), "{:?}", gate(&check, "latency p50"));
    assert!(!gate(&check, "latency p90").1.contains("blind"));
}

/// The plan with a metric of the service's own, told apart by slot.
fn plan_with_metric(dry_run: bool) -> Plan {
    let source = |metric: &str| json!({"namespace": "Shop", "metric": metric, "dimensions": {"Slot": "{slot}"}});
    let metric =
        json!({"name": "declined", "count": source("Declined"), "denominator": source("Payments"), "dry_run": dry_run});
    let mut plan = the_plan();
    plan.health.metrics = vec![serde_json::from_value(metric).unwrap()];
    plan
}

#[tokio::test]
async fn a_metric_of_the_services_own_is_compared_too() {
    for (dry_run, decision) in [(false, Decision::RollBack), (true, Decision::Advance)] {
        let world = world();
        for m in 0..10 {
            minute(&world, m, (3000, 3), (30_000, 30));
            for (slot, payments, declined) in [("green", 300.0, 60.0), ("blue", 3000.0, 30.0)] {
                world.add(&format!("{slot} Payments Sum"), at(m), payments);
                world.add(&format!("{slot} Declined Sum"), at(m), declined);
            }
        }
        let check = look(&world, plan_with_metric(dry_run), progress(), at(12)).await;
        assert_eq!(check.decision, decision, "{}", check.reason);
        let (finding, line) = gate(&check, "metric declined");
        assert_eq!(finding, Finding::Failed);
        assert!(
            line.starts_with("metric declined: candidate 20 % of 3 000, stable 1.00 % of 30 000, e-value"),
            "{line}"
        );
        assert_eq!(line.ends_with("(dry run)"), dry_run, "{line}");
    }
}

const ALARM: &str = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop";

#[tokio::test]
async fn alarms_stop_a_release_hold_it_or_are_only_reported() {
    use AlarmState::{Alarm, InsufficientData, Missing, Ok};
    for (state, policy, dry_run, decision, words) in [
        (Ok, "hold", false, Decision::Continue, "OK"),
        (Alarm, "hold", false, Decision::RollBack, "in ALARM"),
        (Alarm, "hold", true, Decision::Continue, "in ALARM (dry run)"),
        (InsufficientData, "hold", false, Decision::Hold, "INSUFFICIENT_DATA"),
        (InsufficientData, "ignore", false, Decision::Continue, "INSUFFICIENT_DATA, which"),
        (InsufficientData, "rollback", false, Decision::RollBack, "takes as ALARM"),
        (Missing, "hold", false, Decision::Hold, "does not exist any more"),
        (Missing, "hold", true, Decision::Continue, "does not exist any more"),
    ] {
        let world = world();
        minute(&world, 0, (1500, 1), (28_500, 28));
        world.state().alarms.insert("shop".into(), state);
        let mut plan = the_plan();
        plan.health.alarms = vec![
            serde_json::from_value(json!({"arn": ALARM, "on_insufficient_data": policy, "dry_run": dry_run})).unwrap(),
        ];
        let check = look(&world, plan, progress(), at(3)).await;
        assert_eq!(check.decision, decision, "{state:?} {policy}: {}", check.reason);
        assert!(gate(&check, "alarm shop").1.contains(words), "{:?}", gate(&check, "alarm shop"));
        if decision != Decision::Continue {
            assert!(check.reason.contains("alarm shop"), "{}", check.reason);
        }
    }
}

#[tokio::test]
async fn alarms_that_cannot_be_read_hold() {
    let world = world();
    world.plan_fault(Fault::before("DescribeAlarms", "", throttled("DescribeAlarms")));
    let mut plan = the_plan();
    plan.health.alarms = vec![serde_json::from_value(json!({"arn": ALARM})).unwrap()];
    let check = look(&world, plan, progress(), at(3)).await;
    assert_eq!(check.decision, Decision::Hold);
    assert!(check.reason.contains("alarms: DescribeAlarms"), "{}", check.reason);
}

#[tokio::test]
async fn what_has_no_say_is_reported_and_decides_nothing() {
    let world = world();
    for m in 0..6 {
        minute(&world, m, (1500, 900), (28_500, 28));
    }
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Unhealthy]);
    let mut plan = the_plan();
    plan.health.max_error_rate = Some(Percent::whole(5));
    let gates = ["errors", "hard_failure", "max_error_rate", "hosts"];
    plan.health.dry_run = gates.iter().map(|gate| serde_json::from_value(json!(gate)).unwrap()).collect();
    let check = look(&world, plan.clone(), progress(), at(8)).await;
    // Nothing is left that has a say against it.
    assert_eq!(check.decision, Decision::Advance, "{}", check.reason);
    for name in gates {
        let (finding, line) = gate(&check, name);
        assert!(finding == Finding::Failed && line.ends_with("(dry run)"), "{line}");
    }
    for name in gates {
        let mut one_decides = plan.clone();
        one_decides.health.dry_run.retain(|gate| serde_json::to_value(gate).unwrap() != json!(name));
        assert_eq!(look(&world, one_decides, progress(), at(8)).await.decision, Decision::RollBack, "{name}");
    }
}

#[tokio::test]
async fn metrics_that_stop_arriving_hold_instead_of_looking_like_no_traffic() {
    let world = world();
    for m in -60..6 {
        minute(&world, m, if m < 0 { (0, 0) } else { (1500, 1) }, (28_500, 28));
    }
    // There is proof, and then nothing more.
    assert_eq!(look(&world, the_plan(), progress(), at(8)).await.decision, Decision::Advance);
    let check = look(&world, the_plan(), progress(), at(11)).await;
    assert_eq!(check.decision, Decision::Hold);
    assert!(check.reason.contains("not one request in the latest 3 periods"), "{}", check.reason);
    let held = Progress { held_since: Some(at(11)), ..progress() };
    assert_eq!(look(&world, the_plan(), held, at(31)).await.decision, Decision::RollBack);

    // A service with a request every two minutes is often quiet for three.
    let quiet = world_with_a_request_every(2);
    assert_eq!(look(&quiet, the_plan(), progress(), at(9)).await.decision, Decision::Continue);
}

fn world_with_a_request_every(minutes: i64) -> World {
    let world = world();
    for m in (-60..0).filter(|m| m % minutes == 0) {
        minute(&world, m, (0, 0), (1, 0));
    }
    world
}

/// The clock of this function may be behind that of the one that shifted.
#[tokio::test]
async fn a_clock_that_is_behind_harms_nothing() {
    let world = world();
    for m in -5..3 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    for now in [at(-30), at(-1), at(0)] {
        let check = look(&world, the_plan(), progress(), now).await;
        assert_eq!((check.decision, check.evidence.periods), (Decision::Continue, 0), "{now}: {}", check.reason);
    }
}

/// Every period is told once, by the first check that sees it.
#[tokio::test]
async fn each_period_is_kept_once() {
    let world = world();
    for m in 0..9 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let first = look(&world, the_plan(), progress(), at(5)).await;
    let starts = |check: &Check| check.evidence.minutes.iter().map(|minute| minute.minute).collect::<Vec<_>>();
    assert_eq!(starts(&first), [at(0), at(1), at(2)]);
    let second = look(&world, the_plan(), first.progress, at(7)).await;
    assert_eq!(starts(&second), [at(3), at(4)]);
    assert_eq!(second.evidence.minutes[0].candidate.requests, 1500.0);
    // What could not be read is told by the next check.
    world.plan_fault(Fault::before("GetMetricData", "", throttled("GetMetricData")));
    let unread = look(&world, the_plan(), second.progress, at(8)).await;
    assert_eq!(starts(&look(&world, the_plan(), unread.progress, at(9)).await), [at(5), at(6)]);
}

/// With everything that a definition may hold, at the longest, the answer fits into a payload of Step Functions.
#[tokio::test]
async fn the_largest_answer_fits_into_a_payload() {
    let world = world();
    let mut plan = plan_with_latency();
    let metric = plan_with_metric(false).health.metrics.remove(0);
    plan.health.metrics = (0..10)
        .map(|index| {
            let mut metric = serde_json::to_value(&metric).unwrap();
            metric["name"] = json!(format!("{index}{}", "m".repeat(63)));
            serde_json::from_value(metric).unwrap()
        })
        .collect();
    plan.health.alarms = (0..20)
        .map(|index| serde_json::from_value(json!({"arn": format!("{ALARM}{index}{}", "a".repeat(240))})).unwrap())
        .collect();
    plan.health.period_seconds = 1;
    for m in 0..2000 {
        minute(&world, m, (123_456_789, 1_234_567), (123_456_789, 1_234_567));
    }
    let check = look(&world, plan, progress(), at(2000)).await;
    let size = serde_json::to_string(&check).unwrap().len();
    assert!((10_000..256 * 1024).contains(&size), "{size} bytes");
}

/// From 95 % to 100 % takes the measured minimum time, and no proof; only if nothing speaks against it.
#[tokio::test]
async fn the_last_step_of_a_canary_needs_its_minimum_time_only() {
    let at_95 = Progress { position: 2, weight: Percent::whole(95), shifted_at: Some(at(0)), ..progress() };
    let looked = |errors: u32, now: i64| {
        let (world, at_95) = (world(), at_95.clone());
        for m in 0..8 {
            minute(&world, m, (2850, errors), (150, u32::from(m % 4 == 0)));
        }
        async move { look(&world, the_plan(), at_95, at(now)).await }
    };
    let early = looked(3, 6).await;
    assert_eq!(early.decision, Decision::Continue, "five minutes, but not yet measured: {}", early.reason);
    let measured = looked(3, 7).await;
    assert_eq!((measured.decision, measured.progress.position), (Decision::Advance, 3), "{}", measured.reason);
    assert!(measured.evidence.e_healthy < 20.0 && measured.reason.contains("300 s measured"), "{}", measured.reason);
    let doubtful = looked(60, 7).await;
    assert_ne!(doubtful.decision, Decision::Advance, "{}", doubtful.reason);
}

/// At the end of a hold, weak evidence is no reason to roll back, and strong evidence is.
#[tokio::test]
async fn a_hold_that_is_over_goes_on_below_an_e_value_of_20() {
    let held = Progress { held_since: Some(at(6)), ..progress() };
    let (mut below, mut above) = (0, 0);
    for errors in 2..40_u32 {
        let world = world();
        for m in 0..26 {
            let loaded = (3..13).contains(&m);
            let candidate = if loaded { (1500, (errors + u32::try_from(m).unwrap()) / 10) } else { (15, 0) };
            minute(&world, m, candidate, (28_500, 20));
        }
        let check = look(&world, the_plan(), held.clone(), at(28)).await;
        let e = check.evidence.e_unhealthy;
        if (3.0..20.0).contains(&e) {
            assert_eq!(check.decision, Decision::Advance, "{e}: {}", check.reason);
            assert!(check.reason.contains("held for 1320 s, and on by policy, without proof"), "{}", check.reason);
            below += 1;
        } else if (20.0..100.0).contains(&e) && check.evidence.e_unhealthy_peak < 100.0 {
            assert_eq!(check.decision, Decision::RollBack, "{e}: {}", check.reason);
            above += 1;
        }
    }
    assert!(below > 0 && above > 0, "{below} {above}");
}

/// More than half of the candidate's hosts gone is a reason to wait, some of them none.
#[tokio::test]
async fn half_of_the_hosts_gone_holds() {
    for (healthy, decision) in [(4, Decision::Hold), (6, Decision::Continue)] {
        let world = world();
        minute(&world, 0, (1500, 1), (28_500, 28));
        let mut states = vec![TargetState::Healthy; healthy];
        states.resize(10, TargetState::Unhealthy);
        world.state().targets.insert(group("green").as_str().into(), states);
        let check = look(&world, the_plan(), progress(), at(3)).await;
        assert_eq!(check.decision, decision, "{healthy}: {}", check.reason);
    }
}
