use serde_json::json;
use spillway_core::decision::gates::Finding;
use spillway_core::decision::{Check, Decision};
use spillway_core::judge::latency::Quantile;
use spillway_core::plan::{AlarmState, Plan, Threshold};
use spillway_core::progress::Progress;
use spillway_core::targets::TargetState;
use spillway_core::weight::Percent;
use spillway_world::{Fault, World, group, throttled};

use super::*;

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
        let mut tried = plan_with_latency();
        tried.health.dry_run = vec![serde_json::from_value(json!("latency")).unwrap()];
        let dry_run = look(&world, tried, progress(), at(8)).await;
        assert_ne!(dry_run.decision, Decision::RollBack, "{}", dry_run.reason);
        assert!(gate(&dry_run, "latency p90").1.ends_with("(dry run)"));
        let (finding, line) = gate(&check, "latency p90");
        assert_eq!(finding == Finding::Failed, rolled_back, "{line}");
        assert!(line.contains("slower than 0.20 s, stable 10 % of 180 000"), "{line}");
        assert_eq!(gate(&check, "together").0 == Finding::Failed, rolled_back);
        let kept = &check.evidence.minutes[0].candidate;
        assert_eq!((kept.timed, kept.slow[&Quantile::P90]), (Some(3000.0), f64::from(3 * candidate[1])));
    }
}

/// They are kept for people, period by period; no gate has them, and none is missed.
#[tokio::test]
async fn quantiles_of_the_response_time_are_kept() {
    let world = world();
    for m in 0..3 {
        minute(&world, m, (3000, 3), (30_000, 30));
    }
    let p90 = |slot: &str| format!("app/shop/1 {} TargetResponseTime p90", group(slot).dimension());
    world.add(&p90("green"), at(1), 0.25);
    world.add(&p90("blue"), at(1), 0.125);
    let check = look(&world, plan_with_latency(), progress(), at(5)).await;
    let kept = |minute: usize| {
        let minute = &check.evidence.minutes[minute];
        [&minute.candidate, &minute.stable].map(|side| side.latency.get(&Quantile::P90).copied())
    };
    assert_eq!((kept(0), kept(1)), ([None, None], [Some(0.25), Some(0.125)]));
    assert!(check.evidence.minutes[1].candidate.latency.keys().eq([&Quantile::P90]));
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
        let check = look(&world, plan_with_metric(dry_run), whatever_the_split(), at(12)).await;
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
    let held = Progress { held_since: Some(at(6)), ..whatever_the_split() };
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

/// More new periods than one answer holds are told by the checks after it, in order, and none is lost.
#[tokio::test]
async fn what_does_not_fit_is_told_by_the_next_check() {
    let world = world();
    for m in 0..300 {
        minute(&world, m, (15, 0), (285, 0));
    }
    let paused = Progress { waiting_since: Some(at(1)), ..progress() };
    let (mut progress, mut told) = (paused, Vec::new());
    for _ in 0..4 {
        let check = look(&world, the_plan(), progress, at(302)).await;
        told.extend(check.evidence.minutes.iter().map(|minute| minute.minute));
        progress = check.progress;
    }
    assert_eq!(told, (0..300).map(at).collect::<Vec<_>>());
}
