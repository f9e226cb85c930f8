use std::time::Duration;

use serde_json::json;
use spillway_end_to_end::{
    Scene, assert_all_on, assert_cause, assert_failed, assert_retired, assert_succeeded, ended, entered, lab, sound,
};
use spillway_lab::service::unpublished_image;
use spillway_lab::{AlbSettings, Dials, Lab, Misbehaviour, Slot};

/// 20 % errors at a small weight: caught by the judge, undone, and the candidate retired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_errors() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["strategy"]["max_step_seconds"] = json!(30)).await;
    let outcome = scene.release_v2(|v2| v2.error_rate(0.2)).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["rolled back from 10 %: ", "errors: candidate"]);
    assert_all_on(&scene.shop, &scene.traffic, Slot::Blue, "v1").await;
    assert_eq!(scene.shop.lease().await.unwrap().unwrap()["phase"], "rolled_back");
    assert_retired(&scene.shop, Slot::Green).await;
    lab.stop().await;
}

/// A candidate that never becomes healthy never gets a request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_candidate_never_becomes_healthy() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["readiness"]["timeout_seconds"] = json!(10)).await;
    let outcome = scene.release_v2(Dials::unhealthy).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["CandidateNotReady", "2 must be healthy"]);
    let users = scene.unharmed().await;
    assert_eq!((users.failed, users.by_version.contains_key("v2")), (0, false), "{users:?}");
    lab.stop().await;
}

/// An image that cannot even start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_candidate_does_not_start() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["readiness"]["timeout_seconds"] = json!(10)).await;
    let image = unpublished_image("shop", "v2", &Dials::version("v2"));
    let outcome = scene.release(&json!({ "image": image })).await;
    assert_failed(&outcome, "RolledBack");
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}

/// A function that misbehaves from the first check on.
async fn a_broken_function(function: &str, misbehaviour: Misbehaviour) {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["strategy"]["max_step_seconds"] = json!(10)).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    lab.functions().replace(function, &misbehaviour).await.unwrap();
    assert_failed(&ended(&release).await, "RolledBack");
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_shifting_fails_every_time() {
    a_broken_function("shift-weight", Misbehaviour::fail("Broken", "by the test")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_judging_hangs() {
    a_broken_function("evaluate-health", Misbehaviour::Hang).await;
}

/// The load balancer's API drops answers although it did what was asked, and is throttled: nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_because_of_lost_answers_or_throttling() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    lab.alb().faults().lose_response("ModifyRule", 2);
    lab.alb().faults().fail_next("DescribeRules", 3, "Throttling", "Rate exceeded");
    let outcome = scene.release(&sound(&scene.shop, "v2")).await;
    assert_succeeded(&outcome, "Promoted");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// CloudWatch goes down while a release runs, and stays so: held, then undone, never promoted blindly. The next one
/// does not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nothing_can_be_measured() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["health"]["hold_seconds"] = json!(5)).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "PrepareCandidate").await;
    lab.alb().faults().drop_metrics(true);
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["metrics: GetMetricData"]);
    let next = scene.release(&sound(&scene.shop, "v3")).await;
    assert_failed(&next, "Refused");
    assert_cause(&next, &["Unavailable", "GetMetricData"]);
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}

/// A candidate that passes its health checks and hangs on requests makes no target errors at all: its users get
/// the load balancer's 504.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_candidate_hangs() {
    let settings = AlbSettings { idle_timeout: Duration::from_secs(1), ..AlbSettings::default() };
    let lab = Lab::builder().alb(settings).start().await.unwrap();
    let scene = Scene::new(&lab, |definition| {
        definition["health"]["hold_seconds"] = json!(3);
        definition["strategy"]["max_step_seconds"] = json!(20);
    })
    .await;
    let outcome = scene.release_v2(|v2| v2.latency_ms(60_000)).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["rolled back from 10 %: ", "have none yet"]);
    scene.unharmed().await;
    lab.stop().await;
}

/// The API tells the new weights, and no request follows them: believed traffic is not enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_request_reaches_the_candidate() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["health"]["hold_seconds"] = json!(4)).await;
    lab.alb().faults().propagation_delay(Duration::from_hours(1));
    let outcome = scene.release(&sound(&scene.shop, "v2")).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["the candidate got none of"]);
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}

/// An operator's wish, through the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_an_operator_aborts() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["strategy"]["max_step_seconds"] = json!(60)).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    scene.shop.command("abort").await.unwrap();
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["aborted by an operator"]);
    scene.unharmed().await;
    lab.stop().await;
}
