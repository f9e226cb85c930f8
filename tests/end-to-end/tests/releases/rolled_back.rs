use serde_json::json;
use spillway_end_to_end::{
    PATIENCE, RATE, assert_all_on, assert_failed, assert_retired, entered, lab, put, quick, sound,
};
use spillway_lab::{Dials, Misbehaviour, Slot, Traffic};

/// 20 % errors at a small weight: caught by the judge, undone, and the candidate retired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_errors() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["max_step_seconds"] = json!(30);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let image = shop.publish_image("v2", Dials::version("v2").error_rate(0.2));

    let outcome = shop.release(&json!({"image": image})).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    let cause = outcome.cause.as_ref().unwrap();
    assert!(cause.starts_with("rolled back from 10 %: ") && cause.contains("errors: candidate"), "{cause}");
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    assert_eq!(shop.lease().await.unwrap().unwrap()["phase"], "rolled_back");
    assert_retired(&shop, Slot::Green).await;
    lab.stop().await;
}

/// A candidate that never becomes healthy never gets a request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_candidate_never_becomes_healthy() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["readiness"]["timeout_seconds"] = json!(10);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let image = shop.publish_image("v2", Dials::version("v2").unhealthy());

    let outcome = shop.release(&json!({"image": image})).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    let cause = outcome.cause.as_ref().unwrap();
    assert!(cause.contains("CandidateNotReady") && cause.contains("0 of 2 targets healthy"), "{cause}");
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    let users = traffic.stop().await;
    assert_eq!((users.failed, users.by_version.contains_key("v2")), (0, false), "{users:?}");
    lab.stop().await;
}

/// An image that cannot even start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_candidate_does_not_start() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["readiness"]["timeout_seconds"] = json!(10);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let image = format!("shop@sha256:{}", "0".repeat(64));

    let outcome = shop.release(&json!({"image": image})).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// A function that fails every call, or hangs, in the middle of a release.
async fn a_broken_function(function: &str, misbehaviour: Misbehaviour) {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["max_step_seconds"] = json!(10);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&release, "EvaluateHealth").await;
    lab.functions().replace(function, &misbehaviour).await.unwrap();
    let outcome = release.wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_shifting_fails_every_time() {
    a_broken_function(
        "shift-weight",
        Misbehaviour::Fail { error_type: "Broken".into(), message: "by the test".into() },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_judging_hangs() {
    a_broken_function("evaluate-health", Misbehaviour::Hang).await;
}

/// The load balancer's API drops answers although it did what was asked, and is throttled: nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_because_of_lost_answers_or_throttling() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    quick(&shop).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    lab.alb().faults().lose_response("ModifyRule", 2);
    lab.alb().faults().fail_next("DescribeRules", 3, "Throttling", "Rate exceeded");

    let outcome = shop.release(&sound(&shop, "v2")).await.unwrap().wait(PATIENCE).await.unwrap();
    spillway_end_to_end::assert_succeeded(&outcome, "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// CloudWatch is down for the whole release: held, then undone, never promoted blindly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nothing_can_be_measured() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["health"]["hold_seconds"] = json!(5);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    lab.alb().faults().drop_metrics(true);

    let outcome = shop.release(&sound(&shop, "v2")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    assert!(outcome.cause.as_ref().unwrap().contains("metrics: GetMetricData"), "{:?}", outcome.cause);
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// A candidate that passes its health checks and hangs on requests makes no target errors at all: its users get
/// the load balancer's 504.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_candidate_hangs() {
    let settings = spillway_lab::AlbSettings {
        idle_timeout: std::time::Duration::from_secs(1),
        ..spillway_lab::AlbSettings::default()
    };
    let lab = spillway_lab::Lab::builder().alb(settings).start().await.unwrap();
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["health"]["hold_seconds"] = json!(3);
    definition["strategy"]["max_step_seconds"] = json!(20);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let image = shop.publish_image("v2", Dials::version("v2").latency_ms(60_000));

    let outcome = shop.release(&json!({"image": image})).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    let cause = outcome.cause.as_ref().unwrap();
    assert!(cause.starts_with("rolled back from 10 %: ") && cause.contains("have none yet"), "{cause}");
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    lab.stop().await;
}

/// The API tells the new weights, and no request follows them: believed traffic is not enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_request_reaches_the_candidate() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["health"]["hold_seconds"] = json!(4);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    lab.alb().faults().propagation_delay(std::time::Duration::from_hours(1));

    let outcome = shop.release(&sound(&shop, "v2")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    assert!(outcome.cause.as_ref().unwrap().contains("the candidate got none of"), "{:?}", outcome.cause);
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// An operator's wish, through the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_an_operator_aborts() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["max_step_seconds"] = json!(60);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&release, "EvaluateHealth").await;
    shop.command("abort").await.unwrap();
    let outcome = release.wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    assert!(outcome.cause.as_ref().unwrap().contains("aborted by an operator"), "{:?}", outcome.cause);
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    lab.stop().await;
}
