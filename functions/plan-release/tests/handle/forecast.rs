use super::*;

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
