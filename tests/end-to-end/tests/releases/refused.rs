use serde_json::json;
use spillway_end_to_end::{
    PATIENCE, RATE, assert_all_on, assert_failed, assert_free, assert_succeeded, entered, lab, put, quick, sound,
};
use spillway_lab::{Slot, Traffic};

/// A second release while one runs: refused by name, and the first is unharmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_release_while_one_runs() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["max_step_seconds"] = json!(8);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let first = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&first, "ShiftWeight").await;
    let second = shop.release(&sound(&shop, "v3")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&second, "LeaseHeld");
    let cause = second.cause.unwrap();
    assert!(cause.starts_with(&format!("held by {}, ", first.arn())) && cause.contains(", for "), "{cause}");

    assert_succeeded(&first.wait(PATIENCE).await.unwrap(), "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// Whatever is wrong with what was asked for: refused with the reasons, nothing changed, the lease free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let definition = quick(&shop).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let before = shop.weights();

    let mut invalid = definition.clone();
    invalid["strategy"]["type"] = json!("yolo");
    invalid["health"]["period_seconds"] = json!(7);
    put(&shop, &invalid).await;
    let outcome = shop.release(&sound(&shop, "v2")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "Refused");
    let cause = outcome.cause.as_ref().unwrap();
    assert!(cause.contains("strategy.type") && cause.contains("health.period_seconds"), "{cause}");
    assert_free(&shop).await;

    put(&shop, &definition).await;
    for (version, overrides, reason) in [
        (json!({"image": "shop:latest"}), json!(null), "by digest"),
        (json!({"launch_template_version": "3"}), json!(null), "cannot be brought onto ECS service"),
        (json!({"opaque": "x"}), json!({"stable": "green"}), "carries no traffic"),
        (json!(null), json!({"colour": "red"}), "unknown field"),
    ] {
        let release = shop.release_with(&version, &overrides, None).await.unwrap();
        let outcome = release.wait(PATIENCE).await.unwrap();
        assert_failed(&outcome, "Refused");
        assert!(outcome.cause.as_ref().unwrap().contains(reason), "{:?}", outcome.cause);
        assert_free(&shop).await;
    }
    for input in [json!({}), json!({"service": "nobody", "version": {"opaque": "x"}}), json!([]), json!({"service": 7})]
    {
        let execution = lab.start_execution("release", None, &input).await.unwrap();
        assert_failed(&execution.wait(PATIENCE).await.unwrap(), "Refused");
    }

    shop.set_weights(60, 40).await.unwrap();
    let outcome = shop.release(&sound(&shop, "v2")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "Refused");
    assert!(outcome.cause.as_ref().unwrap().contains("both slots carry traffic"), "{:?}", outcome.cause);
    assert_eq!(shop.weights()[0].green, Some(40), "nothing was changed");
    shop.set_weights(100, 0).await.unwrap();

    assert_eq!(shop.weights(), before);
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    assert_eq!(shop.tasks(Slot::Green).len(), 0);
    lab.stop().await;
}
