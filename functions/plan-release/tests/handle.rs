//! The handler in an in-memory world.

use jiff::{SignedDuration, Timestamp};
use plan_release::{Conflict, Error, Event, Output, Planned, handle};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_core::compute::GroupState;
use spillway_core::lease::{Freeze, Lease, LeaseRecord, Live};
use spillway_core::plan::AlarmState;
use spillway_core::route::{Action, ActionKind, Forward, Stickiness, WeightedGroup};
use spillway_core::slot::Slot;
use spillway_core::targets::TargetState;
use spillway_core::turn::{Next, Turn};
use spillway_world::{Fault, World, definition, forwarding, group, lease, rejected, route, throttled};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A minute before now, by its distance.
fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

async fn plan(world: &World, definition: &Value, request: Value) -> Result<Planned, Error> {
    let event = Event { lease: lease(), definition: definition.to_string(), request, conflict: None };
    match handle(world, world, world, world, &[], now, event).await? {
        Output::Planned(planned) => Ok(*planned),
        Output::Turn(turn) => panic!("{turn:?}"),
    }
}

fn release(overrides: &Value) -> Value {
    json!({"service": "shop", "version": {"opaque": "2"}, "overrides": overrides})
}

fn with_routes(first: &[(&str, u16)], second: &[(&str, u16)]) -> World {
    let world = World::of_shop();
    world.state().routes.insert(route(1).as_str().into(), forwarding(first));
    world.state().routes.insert(route(2).as_str().into(), forwarding(second));
    world
}

#[tokio::test]
async fn plans_without_changing_anything() {
    let world = World::of_shop();
    let output = plan(&world, &definition(), json!({"service": "shop", "version": {"opaque": "2"}})).await.unwrap();
    assert_eq!((output.plan.stable.slot, output.plan.candidate.slot), (Slot::Blue, Slot::Green));
    assert_eq!(output.plan.routes[0].original, forwarding(&[("blue", 1)]));
    assert_eq!(output.plan.stable.groups[0].load_balancer.as_str(), "app/shop/1");
    assert_eq!(output.plan.planned_at, Some(now()));
    assert_eq!(serde_json::from_str::<spillway_core::plan::Plan>(&output.record).unwrap(), output.plan);
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn roles_come_from_live_weights() {
    let none = json!({});
    let blue = json!({"stable": "blue"});
    let green = json!({"stable": "green"});
    for (first, second, overrides, expected) in [
        (vec![("blue", 1)], vec![("blue", 1)], &none, Ok(Slot::Blue)),
        (vec![("green", 1)], vec![("green", 7), ("blue", 0)], &none, Ok(Slot::Green)),
        (vec![("blue", 100), ("green", 0)], vec![("blue", 1)], &none, Ok(Slot::Blue)),
        (vec![("blue", 1)], vec![("blue", 1)], &blue, Ok(Slot::Blue)),
        (vec![("blue", 1)], vec![("blue", 1)], &green, Err("carries no traffic")),
        (vec![("blue", 60), ("green", 40)], vec![("blue", 1)], &none, Err("both slots carry traffic")),
        (vec![("blue", 60), ("green", 40)], vec![("blue", 1)], &blue, Ok(Slot::Blue)),
        (vec![("blue", 60), ("green", 40)], vec![("blue", 1)], &green, Err("no traffic to the stable slot")),
        (vec![("blue", 1)], vec![("green", 1)], &none, Err("both slots carry traffic")),
        (vec![("blue", 0), ("green", 0)], vec![("blue", 0)], &none, Err("neither slot carries traffic")),
        (vec![("stranger", 1)], vec![("blue", 1)], &none, Err("forwards to neither slot")),
        (vec![("blue", 1), ("stranger", 1)], vec![("blue", 1)], &none, Err("belongs to neither slot")),
        (vec![("blue", 1), ("stranger", 0)], vec![("blue", 1)], &none, Ok(Slot::Blue)),
        (vec![("blue", 0), ("green", 0)], vec![("blue", 1)], &none, Err("no traffic to the stable slot")),
    ] {
        let world = with_routes(&first, &second);
        world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy]);
        let result = plan(&world, &definition(), release(overrides)).await;
        match (result, expected) {
            (Ok(output), Ok(slot)) => assert_eq!(output.plan.stable.slot, slot, "{first:?} {second:?}"),
            (Err(error), Err(text)) => {
                assert_eq!(error.name(), "ReleaseRefused");
                assert!(error.to_string().contains(text), "{first:?} {second:?}: {error}");
            }
            (result, expected) => panic!("{first:?} {second:?} {overrides}: {result:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn refuses_without_a_healthy_stable_slot_unless_told_why() {
    for targets in [
        vec![],
        vec![TargetState::Unhealthy],
        vec![TargetState::Unused],
        vec![TargetState::Unavailable, TargetState::Initial],
    ] {
        let world = World::of_shop();
        world.state().targets.insert(group("blue").as_str().into(), targets);
        let error = plan(&world, &definition(), release(&json!({}))).await.unwrap_err();
        assert!(error.to_string().contains("no healthy target"), "{error}");
        let output =
            plan(&world, &definition(), release(&json!({"without_stable": "first deployment"}))).await.unwrap();
        assert_eq!(output.plan.without_stable.as_deref(), Some("first deployment"));
        // There is nothing to be careful with: all traffic at once.
        assert_eq!(output.plan.steps.iter().map(|step| f64::from(step.weight)).collect::<Vec<_>>(), [100.0]);
    }
}

#[tokio::test]
async fn what_was_asked_for_must_make_sense() {
    let world = World::of_shop();
    for (request, expected) in [
        (json!({"service": "shop"}), "missing field `version`"),
        (json!({"service": "shop", "version": {"image": "shop:latest"}}), "by digest"),
        (json!({"service": "shop", "version": "2"}), "version:"),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"stabel": "blue"}}),
            "unknown field `stabel`",
        ),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"strategy": {"approval_at": []}}}),
            "overrides: strategy.approval_at: not for one release alone",
        ),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"strategy": {"type": "yolo"}}}),
            "overrides: strategy: with it the service definition has 1 problem",
        ),
        (
            json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"without_stable": " "}}),
            "a reason in words",
        ),
        (json!({"service": "shop", "version": {"opaque": "2"}, "overide": {}}), "unknown field `overide`"),
        (json!({"service": "shop", "version": {"launch_template_version": "2"}}), "cannot be brought onto ECS service"),
        (json!([]), "input:"),
        (release(&json!({"without_stable": "x".repeat(1025)})), "1025 characters; allowed: a reason of at most 1024"),
        (release(&json!({"stable": "x".repeat(9000)})), "allowed: 8192"),
        (
            json!({"service": "shop", "version": {"task_definition": "shop:ecs:task-definition/shop:1"}}),
            "FAMILY:REVISION or arn:aws:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION",
        ),
    ] {
        let error = plan(&world, &definition(), request.clone()).await.unwrap_err();
        assert_eq!(error.name(), "ReleaseRefused", "{request}");
        assert!(error.to_string().contains(expected), "{request}: {error}");
    }
    assert!(world.state().changes.is_empty());
}

/// A revision of another account is no more welcome than a definition that names one.
#[tokio::test]
async fn a_strangers_task_definition_is_refused() {
    let world = World::of_shop();
    let here = "arn:aws:states:eu-west-1:123456789012:execution:release:7";
    let ask = async |account: &str, homes: &[String]| {
        let revision = format!("arn:aws:ecs:eu-west-1:{account}:task-definition/shop:7");
        let request = json!({"service": "shop", "version": {"task_definition": revision}});
        let lease = Lease { owner: here.into(), ..lease() };
        let event = Event { lease, definition: definition().to_string(), request, conflict: None };
        handle(&world, &world, &world, &world, homes, now, event).await
    };
    let error = ask("999999999999", &[]).await.unwrap_err();
    assert!(error.to_string().contains("version.task_definition"), "{error}");
    assert!(ask("123456789012", &[]).await.is_ok());
    assert!(ask("999999999999", &["eu-west-1:999999999999".to_owned()]).await.is_ok());
}

#[tokio::test]
async fn an_invalid_definition_lists_its_problems() {
    let world = World::of_shop();
    let mut broken = definition();
    broken["strategy"]["type"] = json!("yolo");
    broken["routes"][0] = json!("nowhere");
    let error = plan(&world, &broken, release(&json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "InvalidDefinition");
    assert!(error.to_string().contains("strategy.type") && error.to_string().contains("routes[0]"), "{error}");

    let mut other = definition();
    other["service"] = json!("shoe");
    let error = plan(&world, &other, release(&json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("\"shoe\""), "{error}");
}

const ALARM: &str = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop";

fn watched() -> Value {
    let source = |metric: &str| json!({"namespace": "Shop", "metric": metric, "dimensions": {"Slot": "{slot}"}});
    let mut definition = definition();
    definition["health"] = json!({
        "alarms": [{"arn": ALARM}, {"arn": format!("{ALARM}-slow")}],
        "metrics": [{"name": "declined", "count": source("Declined"), "denominator": source("Payments")}],
    });
    definition
}

/// Everything that speaks against starting, whatever it is about, and what to do.
#[tokio::test]
async fn every_reason_not_to_start_is_told_at_once() {
    let world = World::of_shop();
    world.state().targets.insert(group("blue").as_str().into(), vec![TargetState::Unhealthy]);
    world.state().alarms.insert("shop".into(), AlarmState::Alarm);
    world.add("green Payments Sum", ago(600), 1.0);
    let request = json!({"service": "shop", "version": {"launch_template_version": "2"}});
    let error = plan(&world, &watched(), request).await.unwrap_err();
    assert_eq!(error.name(), "ReleaseRefused");
    let Error::Refused(refused) = &error else { panic!("{error}") };
    assert_eq!(refused.0.len(), 5, "{error}");
    for reason in [
        "cannot be brought onto ECS service",
        "has no healthy target in",
        "health.alarms[0]: arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop is in ALARM; clear it first",
        "health.alarms[1]: arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop-slow does not exist; create it",
        "health.metrics[0].count: CloudWatch knows no metric Declined in Shop",
    ] {
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
    assert!(world.state().changes.is_empty());
}

/// Reasons of the request and of the routes do not hide those of the alarms.
#[tokio::test]
async fn reasons_of_all_kinds_are_told_together() {
    let world = with_routes(&[("stranger", 1)], &[("blue", 1)]);
    world.state().alarms.insert("shop".into(), AlarmState::Alarm);
    world.state().alarms.insert("shop-slow".into(), AlarmState::Ok);
    let request = json!({"service": "shop", "version": {"image": "shop:latest"}});
    let error = plan(&world, &watched(), request).await.unwrap_err().to_string();
    for reason in ["by digest", "forwards to neither slot", "is in ALARM", "knows no metric Declined in Shop"] {
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[tokio::test]
async fn an_alarm_without_a_say_or_without_data_is_a_warning() {
    use AlarmState::{Alarm, InsufficientData, Missing};
    for (state, policy, dry_run, expected) in [
        (InsufficientData, "hold", false, Ok("alarm shop: INSUFFICIENT_DATA; unless that changes")),
        (InsufficientData, "ignore", false, Ok("alarm shop: INSUFFICIENT_DATA, which the definition ignores")),
        (InsufficientData, "rollback", false, Err("wait until it has data")),
        (Alarm, "hold", true, Ok("alarm shop: in ALARM, and has no say")),
        (Missing, "hold", true, Ok("alarm shop: does not exist, and has no say")),
    ] {
        let world = World::of_shop();
        world.state().alarms.insert("shop".into(), state);
        let mut definition = definition();
        definition["health"]["alarms"] = json!([{"arn": ALARM, "on_insufficient_data": policy, "dry_run": dry_run}]);
        match (plan(&world, &definition, release(&json!({}))).await, expected) {
            (Ok(output), Ok(warning)) => {
                assert!(output.plan.warnings.iter().any(|text| text.contains(warning)), "{:?}", output.plan.warnings);
            }
            (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{error}"),
            (result, expected) => panic!("{state:?} {policy}: {result:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn no_traffic_in_the_last_hour_is_a_warning() {
    let world = World::of_shop();
    let output = plan(&world, &definition(), release(&json!({}))).await.unwrap();
    assert!(output.plan.warnings[0].starts_with("latency p50, p90, p99: not compared"), "{:?}", output.plan.warnings);
    assert!(output.plan.warnings[1].starts_with("traffic: no requests in the last hour"), "{:?}", output.plan.warnings);
}

/// Requests a minute and errors in a thousand of the stable slot, for the six hours before.
fn with_traffic(requests: u32, errors_per_thousand: u32) -> World {
    let world = World::of_shop();
    for m in 3..360 {
        let errors = requests * errors_per_thousand / 1000;
        world.record(&group("blue"), ago(m), requests, errors);
    }
    world
}

#[tokio::test]
async fn too_little_traffic_for_proof_is_said_with_numbers() {
    let warnings = |world: World| async move {
        let output = plan(&world, &definition(), release(&json!({}))).await.unwrap();
        let weights: Vec<f64> = output.plan.steps.iter().map(|step| step.weight.into()).collect();
        (output.plan.warnings.into_iter().filter(|text| text.starts_with("step")).collect::<Vec<_>>(), weights)
    };
    let (few, weights) = warnings(with_traffic(3000, 1)).await;
    assert_eq!(
        few,
        [
            "step 5 %: proof of health before 50 % takes 5 125 requests of the candidate at the usual error rate of 0.10 %, and 1 050 are expected to be measured within 600 s: the step advances without proof if nothing speaks against it",
        ]
    );
    assert_eq!(weights, [5.0, 50.0, 95.0]);
    let plan_of = |adapt: &'static str| async move {
        let mut definition = definition();
        definition["strategy"]["adapt"] = json!(adapt);
        plan(&with_traffic(3000, 1), &definition, release(&json!({}))).await.unwrap().plan
    };
    let adapted = plan_of("auto").await;
    assert_eq!(adapted.steps[0].max_step_seconds, 300, "its minimum time");
    assert!(
        adapted.warnings.iter().any(|text| text.starts_with("short steps: 5 % as long as")),
        "{:?}",
        adapted.warnings
    );
    assert_eq!(plan_of("as_written").await.steps[0].max_step_seconds, 900);
    let (enough, _) = warnings(with_traffic(3_000_000, 1)).await;
    assert!(enough.is_empty(), "{enough:?}");
}

/// At 95 % the stable version would answer 75 requests in a quarter of an hour: nothing to compare with.
#[tokio::test]
async fn the_last_step_is_95_percent_only_where_that_tells_something() {
    let weights = |world: World, adapt: &'static str| async move {
        let mut definition = definition();
        definition["strategy"]["adapt"] = json!(adapt);
        let plan = plan(&world, &definition, release(&json!({}))).await.unwrap().plan;
        let said = plan.warnings.iter().any(|text| text.starts_with("last step: 50 % in place of 95 %"));
        (plan.steps.iter().map(|step| step.weight.into()).collect::<Vec<f64>>(), said)
    };
    assert_eq!(weights(with_traffic(100, 0), "auto").await, (vec![5.0, 50.0], true));
    let shortened = plan(&with_traffic(100, 0), &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!(shortened.steps[1].max_step_seconds, 1800, "with the time of the step that is left out");
    assert_eq!(weights(with_traffic(100, 0), "as_written").await, (vec![5.0, 50.0, 95.0], false));
    assert_eq!(weights(with_traffic(30_000, 1), "auto").await, (vec![5.0, 50.0, 95.0], false));
}

#[tokio::test]
async fn bursts_in_one_zone_are_seen_in_the_hours_before() {
    let world = World::of_shop();
    world.state().zones = vec!["eu-west-1a".into(), "eu-west-1b".into()];
    for m in 3..360 {
        world.record(&group("blue"), ago(m), 2000, 20);
        for (zone, errors) in
            [("eu-west-1a", if m % 2 == 0 { 20 } else { 0 }), ("eu-west-1b", if m % 2 == 0 { 0 } else { 20 })]
        {
            world.record_zone(zone, &group("blue"), ago(m), 1000, errors);
        }
    }
    let bursty = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert!((15.0..30.0).contains(&bursty.baseline.phi), "{}", bursty.baseline.phi);
    assert!(
        bursty.warnings.iter().any(|text| text.starts_with("errors: they come in bursts")),
        "{:?}",
        bursty.warnings
    );
    // Without the zones the two cancel out.
    world.state().zones.clear();
    assert_eq!(plan(&world, &definition(), release(&json!({}))).await.unwrap().plan.baseline.phi, 1.0);
}

#[tokio::test]
async fn what_is_slow_is_taken_from_the_hours_before_or_from_the_objective() {
    let world = with_traffic(1000, 1);
    for (hour, quantile, seconds) in [(1, "p50", 0.1), (2, "p50", 0.3), (3, "p50", 0.2), (1, "p99", 0.001)] {
        let key = format!("app/shop/1 {} TargetResponseTime {quantile}", group("blue").dimension());
        world.add(&key, ago(60 * hour), seconds);
        if quantile == "p50" {
            let key = format!("app/shop/1 {} TargetResponseTime SampleCount", group("blue").dimension());
            world.add(&key, ago(60 * hour), 1.0);
        }
    }
    let mut definition = definition();
    definition["health"]["latency"] = json!({"objectives": {"p90": 0.25}, "margin_percent": 50});
    let plan = plan(&world, &definition, release(&json!({}))).await.unwrap().plan;
    let thresholds: Vec<(&str, f64)> =
        plan.baseline.latency.iter().map(|threshold| (threshold.quantile.name(), threshold.seconds)).collect();
    let [(p50, median), objective, floor] = thresholds[..] else { panic!("{thresholds:?}") };
    assert!(p50 == "p50" && (median - 0.3).abs() < 1e-9, "the median of the hours and half of it: {median}");
    assert_eq!((objective, floor), (("p90", 0.25), ("p99", 0.005)));
}

#[tokio::test]
async fn what_cannot_be_read_for_now_is_worth_another_attempt() {
    for operation in ["GetMetricData", "DescribeAlarms", "DescribeRules", "DescribeTargetHealth"] {
        let world = World::of_shop();
        world.state().alarms.insert("shop".into(), AlarmState::Ok);
        world.plan_fault(Fault::before(operation, "", throttled(operation)));
        let mut definition = definition();
        definition["health"]["alarms"] = json!([{"arn": ALARM}]);
        let error = plan(&world, &definition, release(&json!({}))).await.unwrap_err();
        assert_eq!(error.name(), "Unavailable", "{operation}: {error}");
        assert!(plan(&world, &definition, release(&json!({}))).await.is_ok());
    }
    let world = World::of_shop();
    world.state().alarms.insert("shop".into(), AlarmState::Alarm);
    world.plan_fault(Fault::before("GetMetricData", "", rejected("GetMetricData", "", "AccessDenied")));
    let mut watched = definition();
    watched["health"]["alarms"] = json!([{"arn": ALARM}]);
    let error = plan(&world, &watched, release(&json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "ReleaseRefused", "{error}");
    assert!(error.to_string().contains("AccessDenied") && error.to_string().contains("is in ALARM"), "{error}");

    let world = World::of_shop();
    world.state().routes.clear();
    let error = plan(&world, &definition(), release(&json!({}))).await.unwrap_err();
    assert_eq!(error.name(), "ReleaseRefused");
    assert_eq!(error.to_string().matches("cannot be read").count(), 2, "{error}");
}

#[tokio::test]
async fn sticky_clients_make_many_errors_of_one() {
    let world = with_traffic(1000, 1);
    let actions = vec![Action {
        order: None,
        kind: ActionKind::Forward(Forward {
            groups: vec![WeightedGroup { arn: group("blue"), weight: 1 }],
            stickiness: Some(Stickiness { enabled: true, duration_seconds: Some(60) }),
        }),
    }];
    world.state().routes.insert(route(2).as_str().into(), actions);
    let plan = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!(plan.baseline.phi, 10.0);
    assert!(plan.warnings.iter().any(|text| text.starts_with("stickiness:")), "{:?}", plan.warnings);
}

/// Where the traffic of an hour was the other slot's, it counts as well: roles change with every release.
#[tokio::test]
async fn the_forecast_counts_both_slots() {
    let world = World::of_shop();
    for m in 3..360 {
        world.record(&group("green"), ago(m), 6_000_000, 6000);
        world.record(&group("blue"), ago(m), 60, 0);
    }
    let plan = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert!(!plan.warnings.iter().any(|text| text.starts_with("step")), "{:?}", plan.warnings);
}

/// Bursts of slow answers, and of a metric of the service's own, are allowed for as those of errors are.
#[tokio::test]
async fn every_kind_of_burst_is_seen_in_the_hours_before() {
    let world = with_traffic(1000, 1);
    let mut definition = watched();
    definition["health"]["alarms"] = json!([]);
    definition["health"]["latency"] = json!({"quantiles": ["p90"], "objectives": {"p90": 0.25}});
    for m in 3..360 {
        let burst = if m % 2 == 0 { 300 } else { 10 };
        world.record_slow(&group("blue"), ago(m), 0.25, burst, 1000 - burst);
        world.add("blue Payments Sum", ago(m), 1000.0);
        world.add("blue Declined Sum", ago(m), f64::from(burst));
    }
    let baseline = plan(&world, &definition, release(&json!({}))).await.unwrap().plan.baseline;
    assert!(baseline.latency[0].phi > 5.0 && baseline.metric_phis[0] > 5.0, "{baseline:?}");
}

/// What stickiness means for the release is said before it starts, with the numbers; and the plan knows the longest cookie.
#[tokio::test]
async fn a_sticky_plan_says_what_that_will_mean() {
    let world = World::of_shop();
    for (number, seconds) in [(1, 600), (2, 7200)] {
        let mut actions = forwarding(&[("blue", 1)]);
        if let ActionKind::Forward(forward) = &mut actions[0].kind {
            forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(seconds) });
        }
        world.state().routes.insert(route(number).as_str().into(), actions);
    }
    let planned = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!((planned.sticky_seconds, planned.cookie_seconds(), planned.retire_after_seconds), (7200, 7260, 3600));
    let said = planned.warnings.join("\n");
    for words in [
        "clients stay with a slot for up to 7200 s",
        "the loser is taken out of the route until the last cookie has expired",
        &format!(
            "green is not in route {}; clients whose cookie still names it, from a release in the last 600 s",
            route(1)
        ),
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let mut long = definition();
    long["retirement"] = json!({"window_seconds": 86_400});
    assert_eq!(plan(&world, &long, release(&json!({}))).await.unwrap().plan.retire_after_seconds, 7260);
    // Attached all the time, so that no release can have taken it out.
    for (number, seconds) in [(1, 600), (2, 7200)] {
        let mut actions = forwarding(&[("blue", 1), ("green", 0)]);
        if let ActionKind::Forward(forward) = &mut actions[0].kind {
            forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(seconds) });
        }
        world.state().routes.insert(route(number).as_str().into(), actions);
    }
    let planned = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!(planned.warnings.iter().filter(|text| text.starts_with("stickiness")).count(), 1);
    // Off is off.
    let planned = plan(&World::of_shop(), &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!((planned.sticky_seconds, planned.cookie_seconds(), planned.retire_after_seconds), (0, 0, 3600));
    assert!(!planned.warnings.iter().any(|text| text.starts_with("stickiness")), "{:?}", planned.warnings);
}

#[tokio::test]
async fn what_the_stable_slot_has_now_is_kept_for_a_rollback() {
    let world = World::of_shop();
    let states = vec![TargetState::Healthy, TargetState::Unavailable, TargetState::Unhealthy];
    world.state().targets.insert(group("blue").as_str().into(), states);
    let planned = plan(&world, &definition(), release(&json!({}))).await.unwrap().plan;
    assert_eq!((planned.stable_hosts.as_slice(), planned.hosts_before(&group("blue"))), (&[2][..], 2));
    assert_eq!(planned.hosts_before(&group("green")), 0);
}

/// A testers' route may lead to either slot; one that cannot be edited, or read, refuses the release.
#[tokio::test]
async fn test_routes_are_adopted() {
    let mut with_test = definition();
    with_test["test_routes"] = json!([route(3).as_str()]);
    for (live, expected) in [
        (Some(vec![("blue", 1)]), Ok(())),
        (Some(vec![("green", 1)]), Ok(())),
        (Some(vec![("green", 0), ("blue", 0)]), Ok(())),
        (Some(vec![("stranger", 1)]), Err("forwards to neither slot")),
        (Some(vec![("blue", 1), ("stranger", 1)]), Err("belongs to neither slot")),
        (None, Err("RuleNotFound")),
    ] {
        let world = World::of_shop();
        if let Some(live) = &live {
            world.state().routes.insert(route(3).as_str().into(), forwarding(live));
        }
        match (plan(&world, &with_test, release(&json!({}))).await, expected) {
            (Ok(output), Ok(())) => {
                let [planned] = output.plan.test_routes.as_slice() else { panic!("{:?}", output.plan.test_routes) };
                assert_eq!((&planned.stable, &planned.candidate), (&group("blue"), &group("green")));
                assert_eq!(planned.original, forwarding(&live.unwrap()));
            }
            (Err(error), Err(words)) => {
                assert_eq!(error.name(), "ReleaseRefused");
                assert!(error.to_string().contains(words) && error.to_string().contains(route(3).as_str()), "{error}");
            }
            (result, _) => panic!("{live:?}: {result:?}"),
        }
    }
}

fn freeze(until: Timestamp) -> Freeze {
    Freeze { reason: "the sale".into(), owner: "ann".into(), until }
}

/// Beside every other reason.
#[tokio::test]
async fn nothing_starts_in_a_freeze() {
    for (own, all, frozen) in [
        (Some(freeze(now() + SignedDuration::from_secs(1))), None, true),
        (None, Some(freeze(now() + SignedDuration::from_secs(1))), true),
        (Some(freeze(now())), Some(freeze(ago(1))), false),
    ] {
        let world = World::of_shop();
        world.state().leases.get_mut("shop").unwrap().freeze.clone_from(&own);
        world.state().freeze_of_all.clone_from(&all);
        let outcome = plan(&world, &definition(), json!({"service": "shop", "version": {"opaque": ""}})).await;
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains("version: "), "{text}");
        assert_eq!(text.contains("frozen by ann until 2027-01-15T08:00:01Z: the sale"), frozen, "{text}");
    }
}

/// One release has other steps than the definition, which says so in its plan.
#[tokio::test]
async fn a_strategy_is_overridden_for_one_release() {
    let world = World::of_shop();
    let strategy = json!({"type": "canary", "canary": {"steps": [20, 40]}, "adapt": "as_written"});
    let Planned { plan, .. } = plan(&world, &definition(), release(&json!({ "strategy": strategy }))).await.unwrap();
    assert_eq!(plan.steps.iter().map(|step| f64::from(step.weight)).collect::<Vec<_>>(), [20.0, 40.0]);
    assert_eq!(json!(plan.overridden), strategy);
    assert!(plan.warnings[0].starts_with("strategy: adapt \"as_written\", canary "), "{:?}", plan.warnings);
}

/// The version that serves already is not released again, unless someone overrides something.
#[tokio::test]
async fn what_is_live_already_is_nothing_to_do() {
    let live = |revision: &str, slot| {
        let version = serde_json::from_value(json!({"task_definition": format!("shop:{revision}")})).unwrap();
        Some(Live { version, slot })
    };
    let labelled = Some(Live { version: serde_json::from_value(json!({"opaque": "2"})).unwrap(), slot: Slot::Blue });
    for (live, overrides, there) in [
        (live("2", Slot::Blue), Value::Null, true),
        (live("1", Slot::Blue), Value::Null, false),
        // Promoted to the other slot, and undone since.
        (live("2", Slot::Green), Value::Null, false),
        (live("2", Slot::Blue), json!({"stable": "blue"}), false),
        (live("2", Slot::Blue), json!({"strategy": {"type": "linear"}}), true),
        (None, Value::Null, false),
    ] {
        let world = World::of_shop();
        world.state().leases.get_mut("shop").unwrap().live.clone_from(&live);
        let request = json!({"service": "shop", "version": {"task_definition": "shop:2"}, "overrides": overrides});
        match plan(&world, &definition(), request).await {
            Err(error) => assert!(there && error.name() == "AlreadyStable", "{live:?} {overrides}: {error}"),
            Ok(_) => assert!(!there, "{live:?} {overrides}"),
        }
    }
    // A label of somebody else's says nothing about what is there.
    let world = World::of_shop();
    world.state().leases.get_mut("shop").unwrap().live = labelled;
    plan(&world, &definition(), release(&Value::Null)).await.unwrap();
}

/// Every ARN that a definition names, of another account or region.
#[tokio::test]
async fn what_is_of_another_account_is_refused_unless_allowed() {
    const HOOK: &str = "arn:aws:lambda:eu-west-1:123456789012:function:smoke";
    let mut definition = definition();
    definition["hooks"] = json!({"before_traffic": {"function": HOOK}});
    definition["slots"]["blue"]["compute"]["ecs_service"]["cluster"] =
        json!("arn:aws:ecs:eu-west-1:123456789012:cluster/lab");
    let told = async |owner: &str, homes: &[String]| {
        let lease = Lease { owner: owner.into(), ..lease() };
        let event = Event { lease, definition: definition.to_string(), request: release(&Value::Null), conflict: None };
        let world = World::of_shop();
        handle(&world, &world, &world, &world, homes, now, event).await.err().map(|error| error.to_string())
    };
    let at = |home: &str| format!("arn:aws:states:{home}:execution:release:r");
    assert_eq!(told(&at("eu-west-1:123456789012"), &[]).await, None);
    for home in ["us-east-1:123456789012", "eu-west-1:999999999999"] {
        let text = told(&at(home), &[]).await.unwrap();
        for path in [
            "routes[0]",
            "routes[1]",
            "slots.blue.target_groups[0]",
            "slots.blue.compute.ecs_service.cluster",
            "slots.green.target_groups[0]",
            "hooks.before_traffic.function",
        ] {
            assert!(text.contains(&format!("{path}: arn:aws:")), "{path}: {text}");
        }
        assert!(text.contains(&format!("allowed: {home}, or those")), "{text}");
        assert_eq!(told(&at(home), &["eu-west-1:123456789012".into()]).await, None);
    }
}

/// On a conflict it says whose turn it is, from the lease as it stands, and plans nothing.
#[tokio::test]
async fn a_conflict_is_decided_by_the_definition() {
    let held = LeaseRecord {
        owner: Some("arn:aws:states:::execution:release:other".into()),
        fence: 9,
        phase: "baking".into(),
        since: Some(ago(3)),
        ..LeaseRecord::default()
    };
    for (policy, record, next) in [
        ("reject", Some(held.clone()), Next::Held),
        ("queue", Some(held.clone()), Next::Queue),
        ("supersede", Some(held), Next::Supersede),
        ("reject", None, Next::Acquire),
    ] {
        let world = World::of_shop();
        world.state().leases.clear();
        world.state().leases.extend(record.map(|record| ("shop".to_owned(), record)));
        let mut definition = definition();
        definition["on_conflict"] = policy.into();
        let conflict =
            Some(Conflict { since: ago(1), before: Turn::default(), queued: false, followed: String::new() });
        let event =
            Event { lease: lease(), definition: definition.to_string(), request: release(&Value::Null), conflict };
        let Output::Turn(turn) = handle(&world, &world, &world, &world, &[], now, event).await.unwrap() else {
            panic!("it planned")
        };
        assert_eq!(turn.next, next, "{turn:?}");
        if next == Next::Held {
            assert_eq!(turn.reason, "held by arn:aws:states:::execution:release:other, baking, for 3m");
        }
    }
}

/// Nobody waits, or goes back, for a release that cannot start.
#[tokio::test]
async fn what_cannot_start_takes_no_turn() {
    let world = World::of_shop();
    world.state().leases.get_mut("shop").unwrap().owner = Some("arn:aws:states:::execution:release:other".into());
    let mut definition = definition();
    definition["on_conflict"] = "supersede".into();
    let conflict = || Some(Conflict { since: ago(1), before: Turn::default(), queued: false, followed: String::new() });
    let ask = async |request: Value| {
        let event = Event { lease: lease(), definition: definition.to_string(), request, conflict: conflict() };
        handle(&world, &world, &world, &world, &[], now, event).await
    };
    for request in [
        json!({"service": "shop", "version": {"image": "shop:latest"}}),
        json!({"service": "shop", "version": {"opaque": "2"}, "colour": "red"}),
        json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"stable": "red"}}),
    ] {
        assert_eq!(ask(request.clone()).await.unwrap_err().name(), "ReleaseRefused", "{request}");
    }
    let Output::Turn(turn) = ask(release(&Value::Null)).await.unwrap() else { panic!("it planned") };
    assert_eq!(turn.next, Next::Supersede);
    world.state().freeze_of_all = Some(freeze(now() + SignedDuration::from_secs(1)));
    let Output::Turn(turn) = ask(release(&Value::Null)).await.unwrap() else { panic!("it planned") };
    assert_eq!(turn.next, Next::Queue);
}

fn with_groups(definition: Value) -> Value {
    let mut definition = definition;
    for slot in ["blue", "green"] {
        definition["slots"][slot]["compute"] = json!({"auto_scaling_group": {"name": format!("asg-{slot}")}});
    }
    definition
}

fn owe(world: &World, scaling: &Value) {
    world.state().leases.get_mut("shop").unwrap().scaling = serde_json::from_value(scaling.clone()).unwrap();
}

#[tokio::test]
async fn each_slot_has_its_price() {
    let mut definition = definition();
    definition["slots"]["green"]["price_per_hour"] = json!(0.35);
    let plan = plan(&World::of_shop(), &definition, release(&json!({}))).await.unwrap().plan;
    assert_eq!((plan.stable.price_per_hour, plan.candidate.price_per_hour), (None, Some(0.35)));
}

/// What an earlier release has not given back yet is owed by this one; what people have suspended is theirs.
#[tokio::test]
async fn what_scales_the_slots_is_recorded() {
    let service = |name: &str| json!({"ecs_service": {"cluster": "lab", "service": name}});
    let (blue, green, former) = (service("shop-blue"), service("shop-green"), service("former"));
    for (blue_suspended, green_suspended, owed, expected) in [
        (None, None, json!([]), json!([])),
        (Some(false), Some(false), json!([]), json!([blue, green])),
        (Some(true), Some(false), json!([]), json!([green])),
        (Some(true), Some(true), json!([green, former]), json!([green, former])),
        (None, Some(false), json!([blue]), json!([green])),
    ] {
        let world = World::of_shop();
        for (name, suspended) in [("shop-blue", blue_suspended), ("shop-green", green_suspended)] {
            world.state().scalable.extend(suspended.map(|suspended| (name.to_owned(), suspended)));
        }
        owe(&world, &owed);
        let planned = plan(&world, &definition(), release(&json!({}))).await.unwrap();
        assert_eq!(serde_json::to_value(&planned.plan.scaling).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Value>(&planned.scaling).unwrap(), expected, "for the lease");
        let after = if expected == json!([]) { 3600 } else { 300 };
        assert_eq!(planned.plan.retire_after_seconds, after);
        assert!(world.state().changes.is_empty());
    }

    let world = World::of_shop();
    let group = |min, desired| GroupState { min, max: 9, desired, ..GroupState::default() };
    world.state().groups.extend([("asg-blue".into(), group(2, 5)), ("asg-green".into(), group(0, 0))]);
    let planned = plan(&world, &with_groups(definition()), release(&json!({}))).await.unwrap();
    let entry = |name: &str| json!({"auto_scaling_group": {"name": name, "min": 2, "floor": 5, "rebalanced": true}});
    assert_eq!(serde_json::to_value(&planned.plan.scaling).unwrap(), json!([entry("asg-blue"), entry("asg-green")]));
}

#[tokio::test]
async fn a_group_that_cannot_become_the_candidate_is_refused() {
    let world = World::of_shop();
    let suspended = |processes: &[&str]| processes.iter().map(|process| (*process).to_owned()).collect();
    let blue = GroupState { desired: 2, suspended: suspended(&["Terminate"]), ..GroupState::default() };
    let green =
        GroupState { suspended: suspended(&["Launch", "AlarmNotification"]), warm_pool: true, ..GroupState::default() };
    world.state().groups.insert("asg-blue".into(), blue);
    let definition = with_groups(definition());
    let named = json!({"service": "shop", "version": {"launch_template_version": "2"}});
    let error = plan(&world, &definition, named.clone()).await.unwrap_err().to_string();
    assert!(error.contains("asg-green") && error.contains("AutoScalingGroupNotFound"), "{error}");
    world.state().groups.insert("asg-green".into(), green);
    let error = plan(&world, &definition, named).await.unwrap_err().to_string();
    assert!(error.contains("slots.green.compute: Launch is suspended for Auto Scaling group asg-green"), "{error}");
    assert!(error.contains("asg-green has a warm pool"), "{error}");
    assert!(!error.contains("AlarmNotification") && !error.contains("Terminate"), "{error}");
    let error = plan(&world, &definition, release(&json!({}))).await.unwrap_err().to_string();
    assert!(error.contains("Launch is suspended") && !error.contains("warm pool"), "{error}");

    world.plan_fault(Fault::before("DescribeAutoScalingGroups", "asg-green", throttled("DescribeAutoScalingGroups")));
    assert_eq!(plan(&world, &definition, release(&json!({}))).await.unwrap_err().name(), "Unavailable");
}
