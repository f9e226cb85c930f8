use std::time::Duration;

use serde_json::{Value, json};
use spillway_end_to_end::{
    PATIENCE, Scene, assert_all_on, assert_cause, assert_failed, assert_succeeded, ended, entered, lab, sound,
};
use spillway_lab::{AlarmState, Dials, Lab, Slot, eventually};

/// As many answers of the stable version as thresholds and dispersions need to be taken from.
async fn a_while_before(scene: &Scene<'_>) {
    let answers = || async {
        let ok = scene.traffic.snapshot().ok;
        if ok >= 4000 { Ok(()) } else { Err(format!("{ok} answers")) }
    };
    if let Err(late) = eventually(PATIENCE, answers).await {
        panic!("{late}");
    }
}

/// Steps that end with proof, and not with time.
fn patient(definition: &mut Value) {
    definition["strategy"]["max_step_seconds"] = json!(40);
    definition["health"]["hold_seconds"] = json!(20);
}

/// No errors, and every answer takes 60 ms: slower than the stable version was in the seconds before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_candidate_is_rolled_back() {
    let lab = lab().await;
    let scene = Scene::new(&lab, patient).await;
    a_while_before(&scene).await;
    let outcome = scene.release_v2(|v2| v2.latency_ms(60)).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["rolled back from 10 %: ", "latency p", "slower than 0.0", ": unhealthy"]);
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}

/// The same, where latency is a dry run: reported and promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_of_latency_promotes_a_slow_candidate_and_says_so() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        definition["health"]["latency"] = json!({"objectives": {"p90": 0.03}, "quantiles": ["p90"]});
        definition["health"]["dry_run"] = json!(["latency"]);
    })
    .await;
    let release =
        scene.start(&json!({"image": scene.shop.publish_image("v2", Dials::version("v2").latency_ms(60))})).await;
    assert_succeeded(&ended(&release).await, "Promoted");
    let history = serde_json::to_string(&release.history().await.unwrap()).unwrap();
    assert!(history.contains("latency p90: candidate 100 % of") && history.contains("(dry run)"), "{history}");
    lab.stop().await;
}

/// A fault that load brings about: all is well at 10 %, and at 50 % every third request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_that_start_at_50_percent_are_found_there() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        patient(definition);
        definition["strategy"]["max_step_seconds"] = json!(8);
    })
    .await;
    // Two processes: 7 requests a second each at 10 %, and 37 at 50 %.
    let outcome = scene.release_v2(|v2| v2.error_rate(0.9).errors_above_rps(20)).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["rolled back from 50 %: "]);
    scene.unharmed().await;
    lab.stop().await;
}

/// A dependency of both versions fails for a while: the candidate is no worse for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_that_hits_both_slots_rolls_nothing_back() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        patient(definition);
        definition["strategy"]["canary"]["steps"] = json!([50]);
        definition["strategy"]["minimum_time_seconds"] = json!(12);
    })
    .await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    let before = scene.traffic.snapshot();
    scene.shop.fail_dependency(0.5).unwrap();
    let burst = || async {
        let failed = (&scene.traffic.snapshot() - &before).failed;
        if failed >= 200 { Ok(()) } else { Err(format!("{failed} failed")) }
    };
    if let Err(late) = eventually(PATIENCE, burst).await {
        panic!("{late}");
    }
    scene.shop.restore_dependency().unwrap();
    assert_succeeded(&ended(&release).await, "Promoted");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    lab.stop().await;
}

/// Errors become visible two seconds after the requests, and everything is revised for a while. As long as that is within the
/// lag it changes nothing: a sound candidate passes, one that is not is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_are_late_and_revised_change_nothing() {
    let lab = lab().await;
    let faults = lab.alb().faults();
    faults.metric_delay(Duration::from_millis(500));
    faults.metric_delay_of("HTTPCode_Target_5XX_Count", Duration::from_secs(2));
    faults.revise_metrics(0.5, Duration::from_secs(2));
    faults.page_size(Some(50));
    let scene = Scene::new(&lab, patient).await;
    assert_succeeded(&scene.release(&sound(&scene.shop, "v2")).await, "Promoted");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    let image = scene.shop.publish_image("v3", Dials::version("v3").error_rate(0.2));
    let outcome = scene.release(&json!({"image": image})).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["errors: candidate"]);
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    lab.stop().await;
}

/// Metrics come ten seconds late, long after the lag, and in parts: nothing is decided on what is not there yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_that_lag_far_behind_promote_nobody_blindly() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["health"]["hold_seconds"] = json!(25)).await;
    a_while_before(&scene).await;
    lab.alb().faults().metric_delay(Duration::from_secs(10));
    lab.alb().faults().partial_data(2);
    let outcome = scene.release_v2(|v2| v2.error_rate(0.3)).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["rolled back from 10 %"]);
    scene.unharmed().await;
    lab.stop().await;
}

/// Nobody calls the service: there is nothing to go by, so that the candidate is not promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_traffic_nobody_is_promoted() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["health"]["hold_seconds"] = json!(3)).await;
    let Scene { shop, traffic } = scene;
    traffic.stop().await;
    // What was counted before is no traffic of the release.
    let image = shop.publish_image("v2", Dials::version("v2"));
    let release = shop.release(&json!({"image": image})).await.unwrap();
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["rolled back from 10 %: held for"]);
    lab.stop().await;
}

/// An alarm on the service's errors, 1 of 1 seconds, and one that is made of it.
async fn alarms(lab: &Lab, scene: &Scene<'_>) -> [String; 2] {
    let metric = json!({
        "AlarmName": "shop-errors",
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "HTTPCode_Target_5XX_Count",
        "Dimensions": scene.shop.target_group_dimensions(Slot::Green).remove(0),
        "Statistic": "Sum",
        "Period": 1,
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    });
    let metric = lab.put_alarm(&metric).await.unwrap();
    let composite = json!({"AlarmName": "shop-any", "AlarmRule": "ALARM(shop-errors)"});
    [metric, lab.put_composite_alarm(&composite).await.unwrap()]
}

/// A composite alarm in ALARM, in the middle of a release: rolled back, whatever the errors are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_stops_a_release() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let [_, composite] = alarms(&lab, &scene).await;
    lab.wait_alarm("shop-any", AlarmState::Ok, PATIENCE).await.unwrap();
    let mut definition = spillway_end_to_end::quick(&scene.shop).await;
    patient(&mut definition);
    definition["health"]["alarms"] = json!([{"arn": composite}]);
    definition["health"]["dry_run"] = json!(["errors", "hard_failure"]);
    spillway_end_to_end::put(&scene.shop, &definition).await;
    let outcome = scene.release_v2(|v2| v2.error_rate(0.3)).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["rolled back from 10 %: alarm shop-any: in ALARM"]);
    scene.unharmed().await;
    lab.stop().await;
}

/// An alarm in ALARM, one that does not exist, and a metric that nobody publishes: refused, with all three reasons.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_stop_a_release_refuses_it() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let [metric, _] = alarms(&lab, &scene).await;
    let other = json!({
        "AlarmName": "orders", "Namespace": "Shop", "MetricName": "Orders", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "LessThanThreshold",
    });
    let firing = lab.put_alarm(&other).await.unwrap();
    lab.set_alarm_state("orders", AlarmState::Alarm).await.unwrap();
    let mut definition = spillway_end_to_end::quick(&scene.shop).await;
    let source = |metric: &str| json!({"namespace": "Shop", "metric": metric, "dimensions": {"Slot": "{slot}"}});
    definition["health"]["alarms"] = json!([{"arn": firing}, {"arn": metric.replace("shop-errors", "nobody")}]);
    definition["health"]["metrics"] =
        json!([{"name": "declined", "count": source("Declined"), "denominator": source("Payments")}]);
    spillway_end_to_end::put(&scene.shop, &definition).await;
    lab.put_metric("Shop", "Payments", &[("Slot", "blue")], 1.0).await.unwrap();
    let outcome = scene.release(&sound(&scene.shop, "v2")).await;
    assert_failed(&outcome, "Refused");
    assert_cause(
        &outcome,
        &["alarm:orders is in ALARM", "alarm:nobody does not exist", "knows no metric Declined in Shop"],
    );
    assert!(!outcome.cause.as_deref().unwrap_or_default().contains("Payments"), "{:?}", outcome.cause);
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}

/// Every answer is sound, and the candidate declines a third of the payments: only its own metric says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metric_of_the_services_own_stops_a_release() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        let source = |metric: &str| json!({"namespace": "Shop", "metric": metric, "dimensions": {"Slot": "{slot}"}});
        patient(definition);
        definition["health"]["metrics"] =
            json!([{"name": "declined", "count": source("Declined"), "denominator": source("Payments")}]);
    })
    .await;
    let publish = async |declined: f64| {
        for (slot, payments, declined) in [("blue", 300.0, 3.0), ("green", 100.0, declined)] {
            lab.put_metric("Shop", "Payments", &[("Slot", slot)], payments).await.unwrap();
            lab.put_metric("Shop", "Declined", &[("Slot", slot)], declined).await.unwrap();
        }
    };
    publish(1.0).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    let mut every = tokio::time::interval(Duration::from_millis(500));
    let outcome = tokio::select! {
        outcome = ended(&release) => outcome,
        () = async { loop { every.tick().await; publish(33.0).await; } } => unreachable!("it never ends"),
    };
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["metric declined: candidate 33 % of", "stable 1.00 % of", ": unhealthy"]);
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}
