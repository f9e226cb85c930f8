use serde_json::json;
use spillway_end_to_end::{PATIENCE, RATE, assert_all_on, assert_retired, assert_succeeded, lab, put, quick, sound};
use spillway_lab::service::Compute;
use spillway_lab::{Dials, Execution, Misbehaviour, Slot, Traffic, eventually};

use crate::retired::retirement;

/// A canary under live traffic: promoted, the old slot retired, and no user request lost. Then the next one,
/// from green to blue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_canary_and_the_next_one() {
    let lab = lab().await;
    let shop = lab.service("shop").green_unattached().start().await.unwrap();
    quick(&shop).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let outcome = shop.release(&sound(&shop, "v2")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_succeeded(&outcome, "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    assert_eq!(shop.lease().await.unwrap().unwrap()["phase"], "promoted");
    assert_retired(&shop, Slot::Blue).await;

    let outcome = shop.release(&sound(&shop, "v3")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_succeeded(&outcome, "Promoted");
    assert_all_on(&shop, &traffic, Slot::Blue, "v3").await;
    assert_retired(&shop, Slot::Green).await;

    let users = traffic.stop().await;
    assert_eq!(users.failed, 0, "{users:?}");
    lab.stop().await;
}

/// All traffic at once, a bake, and the old slot kept warm until the end of the rollback window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["type"] = json!("blue_green");
    definition["retirement"]["window_seconds"] = json!(15);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let outcome = shop.release(&sound(&shop, "v2")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_succeeded(&outcome, "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    assert_eq!(shop.tasks(Slot::Blue).len(), 2, "the old slot stays warm");
    assert_retired(&shop, Slot::Blue).await;
    let users = traffic.stop().await;
    assert_eq!(users.failed, 0, "{users:?}");
    lab.stop().await;
}

/// Two load balancers with two routes each, one of them a listener's default action: all of them move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_routes_of_several_load_balancers() {
    let lab = lab().await;
    let shop = lab.service("shop").load_balancers(2).routes(2).default_action().start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"] =
        json!({"type": "linear", "linear": {"increment": 50}, "minimum_time_seconds": 1, "max_step_seconds": 4});
    put(&shop, &definition).await;
    let first = Traffic::start(&shop.urls()[0], RATE / 2.0, 0);
    let second = Traffic::start(&format!("{}1/x", shop.urls()[1]), RATE / 2.0, 0);

    let outcome = shop.release(&sound(&shop, "v2")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_succeeded(&outcome, "Promoted");
    assert_eq!(shop.weights().len(), 4);
    assert_all_on(&shop, &first, Slot::Green, "v2").await;
    assert_all_on(&shop, &second, Slot::Green, "v2").await;
    assert_eq!((first.stop().await.failed, second.stop().await.failed), (0, 0));
    lab.stop().await;
}

/// A new launch template version on EC2 Auto Scaling.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auto_scaling_group() {
    let lab = lab().await;
    let shop = lab.service("shop").compute(Compute::AutoScaling).start().await.unwrap();
    quick(&shop).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    shop.publish_launch_template_version("2", Dials::version("v2"));

    let release = shop.release(&json!({"launch_template_version": "2"})).await.unwrap();
    assert_succeeded(&release.wait(PATIENCE).await.unwrap(), "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    assert_retired(&shop, Slot::Blue).await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// Something that others deploy: Spillway only moves its traffic, and scales nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_compute() {
    let lab = lab().await;
    let shop = lab.service("shop").compute(Compute::External).start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["type"] = json!("all_at_once");
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let image = shop.publish_image("v2", Dials::version("v2"));
    shop.run_external(Slot::Green, &image, 2);

    let outcome = shop.release(&json!({"opaque": "build 2"})).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_succeeded(&outcome, "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    assert_eq!(shop.tasks(Slot::Blue).len(), 2);
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// A fleet that a function of the service's own brings up and takes down, and is asked until it says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_compute_that_a_hook_provisions() {
    let lab = lab().await;
    let shop = lab.service("shop").compute(Compute::External).start().await.unwrap();
    let hook = lab.functions().create_hook("fleet", &json!("wait")).await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["type"] = json!("all_at_once");
    definition["retirement"]["window_seconds"] = json!(1);
    let hook = json!({"function": hook, "timeout_seconds": 100});
    definition["hooks"] = json!({"provision": hook, "retire": hook});
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let release = shop.release(&json!({"opaque": "build 2"})).await.unwrap();
    let asked = |execution: Execution, state: &'static str, times: usize| async move {
        let asked = eventually(PATIENCE, || async {
            let states = execution.states().await.unwrap_or_default();
            if states.iter().filter(|name| *name == state).count() >= times { Ok(()) } else { Err(states) }
        });
        asked.await.unwrap();
    };
    asked(release.clone(), "AskBeforeTraffic", 2).await;
    let image = shop.publish_image("v2", Dials::version("v2"));
    shop.run_external(Slot::Green, &image, 2);
    lab.functions().replace("fleet", &Misbehaviour::Answer(json!("ok"))).await.unwrap();
    assert_succeeded(&release.wait(PATIENCE).await.unwrap(), "Promoted");
    lab.functions().replace("fleet", &Misbehaviour::Answer(json!("wait"))).await.unwrap();
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;

    let retirement = retirement(&lab, &release);
    asked(retirement.clone(), "AskToRetire", 1).await;
    shop.run_external(Slot::Blue, &image, 0);
    lab.functions().replace("fleet", &Misbehaviour::Answer(json!("ok"))).await.unwrap();
    let outcome = retirement.wait(PATIENCE).await.unwrap();
    assert_succeeded(&outcome, "Retired");
    assert!(serde_json::to_string(&outcome.events).unwrap().contains("the hook has scaled slot blue down"));
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// Nothing runs yet: a first deployment says so, and works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_deployment() {
    let lab = lab().await;
    let shop = lab.service("shop").desired(0).start().await.unwrap();
    quick(&shop).await;
    let version = sound(&shop, "v1");

    let refused = shop.release(&version).await.unwrap().wait(PATIENCE).await.unwrap();
    spillway_end_to_end::assert_failed(&refused, "Refused");
    assert!(refused.cause.as_ref().unwrap().contains("without_stable"), "{:?}", refused.cause);

    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let overrides = json!({"without_stable": "first deployment"});
    let release = shop.release_with(&version, &overrides, None).await.unwrap();
    assert_succeeded(&release.wait(PATIENCE).await.unwrap(), "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v1").await;
    traffic.stop().await;
    lab.stop().await;
}
