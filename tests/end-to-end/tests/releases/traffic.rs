use std::time::Duration;

use serde_json::{Value, json};
use spillway_end_to_end::{
    PATIENCE, RATE, Scene, assert_all_on, assert_cause, assert_failed, assert_free, assert_succeeded, ended, entered,
    lab, put, quick, sound,
};
use spillway_lab::{Dials, Execution, Misbehaviour, Service, Slot, Traffic, eventually};

/// Waits until green has this weight in every route.
async fn at_weight(service: &Service<'_>, weight: u32) {
    let there = eventually(PATIENCE, || async {
        let weights = service.weights();
        if weights.iter().all(|route| route.green == Some(weight)) { Ok(()) } else { Err(format!("{weights:?}")) }
    })
    .await;
    if let Err(late) = there {
        panic!("green does not get {weight}: {late}");
    }
}

/// Waits until so many requests of a kind have been answered from now on, and gives which versions answered them.
async fn versions(traffic: &Traffic, requests: u64) -> Vec<String> {
    let from_now_on = traffic.watch();
    let enough = eventually(PATIENCE, || async {
        let counts = from_now_on.snapshot();
        if counts.ok + counts.failed >= requests { Ok(counts) } else { Err(format!("{counts:?}")) }
    })
    .await;
    enough.unwrap_or_else(|late| panic!("{late}")).by_version.into_keys().collect()
}

/// One step, long enough for what happens in it.
fn one_step(weight: u32) -> impl Fn(&mut Value) {
    move |definition| {
        definition["strategy"]["canary"]["steps"] = json!([weight]);
        definition["strategy"]["minimum_time_seconds"] = json!(60);
        definition["strategy"]["max_step_seconds"] = json!(100);
    }
}

/// Regulars keep their cookies, so a full canary moves visitors only; at 100 % the old slot is taken out of the route,
/// and the regulars come along. Once no cookie can name it any more it is attached again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sticky_clients_come_along_with_a_promotion() {
    let lab = lab().await;
    let shop = lab.service("shop").stickiness(8).start().await.unwrap();
    quick(&shop).await;
    let visitors = Traffic::start(&shop.url(), RATE, 0);
    let regulars = Traffic::start(&shop.url(), RATE / 3.0, 10);
    assert_eq!(versions(&regulars, 50).await, ["v1"]);

    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    at_weight(&shop, 50).await;
    assert_eq!(versions(&regulars, 30).await, ["v1"], "a cookie names the old slot");
    assert_succeeded(&ended(&release).await, "Promoted");
    assert!(shop.weights().iter().all(|route| route.blue.is_none()), "{:?}", shop.weights());
    assert_all_on(&shop, &visitors, Slot::Green, "v2").await;
    assert_eq!(versions(&regulars, 50).await, ["v2"]);

    let back = eventually(PATIENCE, || async {
        let weights = shop.weights();
        if weights.iter().all(|route| route.blue == Some(0)) { Ok(()) } else { Err(format!("{weights:?}")) }
    });
    back.await.unwrap_or_else(|late| panic!("blue is not attached again: {late}"));
    assert_eq!(versions(&regulars, 50).await, ["v2"]);
    assert_eq!((visitors.stop().await.failed, regulars.stop().await.failed), (0, 0));
    lab.stop().await;
}

/// Clients whose cookie names the bad candidate are freed by the rollback, long before the cookie ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sticky_clients_are_freed_by_a_rollback() {
    let lab = lab().await;
    let shop = lab.service("shop").stickiness(3600).start().await.unwrap();
    let mut definition = quick(&shop).await;
    one_step(50)(&mut definition);
    put(&shop, &definition).await;
    let visitors = Traffic::start(&shop.url(), RATE, 0);
    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    at_weight(&shop, 50).await;
    // They come during the canary: about half of them get a cookie for the candidate.
    let regulars = Traffic::start(&shop.url(), RATE / 3.0, 20);
    assert_eq!(versions(&regulars, 60).await, ["v1", "v2"]);
    shop.command("abort").await.unwrap();
    assert_failed(&ended(&release).await, "RolledBack");
    assert_all_on(&shop, &visitors, Slot::Blue, "v1").await;
    assert_eq!(versions(&regulars, 100).await, ["v1"], "not one client gets the candidate");
    assert!(shop.weights().iter().all(|route| route.green.is_none()), "{:?}", shop.weights());
    assert_eq!((visitors.stop().await.failed, regulars.stop().await.failed), (0, 0));
    lab.stop().await;
}

/// A person edits the rule in the middle of a release: it stops there, and what is ours is undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_edits_the_rule() {
    let lab = lab().await;
    let scene = Scene::new(&lab, one_step(10)).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    scene.shop.set_weights(40, 60).await.unwrap();
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    let (blue, green) = ("shop-blue-0", "shop-green-0");
    let found = format!("found forward to {blue} 40, {green} 60");
    assert_cause(&outcome, &["RouteDrifted: route arn", &format!("expected forward to {blue} 90, {green} 10"), &found]);
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_is_deleted() {
    let lab = lab().await;
    let shop = lab.service("shop").routes(2).start().await.unwrap();
    let mut definition = quick(&shop).await;
    one_step(10)(&mut definition);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&release, "EvaluateHealth").await;
    shop.delete_route(&shop.routes()[1]).await.unwrap();
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["RouteDrifted", &shop.routes()[1], "found no such route", "does not exist any more"]);
    let first = shop.weights_of(&shop.routes()[0]);
    assert_eq!((first.blue, first.green), (Some(100), Some(0)));
    assert_eq!(versions(&traffic, 100).await, ["v1"]);
    assert_free(&shop).await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// For a minute every call to the load balancer's API is refused: the release holds, and goes on afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_load_balancers_api_is_throttled_for_a_minute() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        definition["health"]["hold_seconds"] = json!(100);
        definition["strategy"]["minimum_time_seconds"] = json!(4);
        definition["strategy"]["max_step_seconds"] = json!(20);
    })
    .await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "Bake").await;
    let nothing = spillway_lab::TokenBucket { burst: 0, refill_per_second: 0.0 };
    lab.alb().faults().throttle(spillway_lab::Actions::All, Some(nothing));
    // The minute is the fault itself, and not a wait for anything.
    tokio::time::sleep(Duration::from_mins(1)).await;
    lab.alb().faults().throttle(spillway_lab::Actions::All, None);
    let outcome = ended(&release).await;
    assert_succeeded(&outcome, "Promoted");
    assert!(serde_json::to_string(&outcome.events).unwrap().contains("held at 10 %: routes: DescribeRules"));
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// The API goes on telling old weights for a while after each change: that is nobody's edit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_lag_behind_writes() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["traffic"]["settle_seconds"] = json!(5)).await;
    lab.alb().faults().stale_reads(Duration::from_millis(700));
    assert_succeeded(&scene.release(&sound(&scene.shop, "v2")).await, "Promoted");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// The API tells 50 %, and the load balancer goes on with 10 %: held, and undone by policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_measured_split_is_not_the_one_asked_for() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["health"]["hold_seconds"] = json!(4)).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    at_weight(&scene.shop, 10).await;
    lab.alb().faults().propagation_delay_of(&scene.shop.routes()[0], Duration::from_hours(1));
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["rolled back from 50 %: held for", "observed share", "expected 50 %"]);
    // The rollback, too, reaches no node in this hour; what was asked for is what it should be.
    assert_eq!(scene.shop.weights()[0].green, Some(0));
    scene.traffic.stop().await;
    lab.stop().await;
}

/// The nodes take their time, and then follow: held for as long as that takes, and promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_split_holds_until_it_is_there() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["health"]["hold_seconds"] = json!(30)).await;
    lab.alb().faults().propagation_delay(Duration::from_secs(6));
    let outcome = scene.release(&sound(&scene.shop, "v2")).await;
    assert_succeeded(&outcome, "Promoted");
    let said = serde_json::to_string(&outcome.events).unwrap();
    assert!(said.contains("held at 100 %: observed share: the stable slot still gets"), "promoted when it is quiet");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// Every process of the stable slot dies during the canary, and nothing starts new ones: people are called, what serves
/// gets all traffic, and a next release may start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stable_slot_dies() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        one_step(10)(definition);
        definition["readiness"]["timeout_seconds"] = json!(20);
    })
    .await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    at_weight(&scene.shop, 10).await;
    lab.agent().pause(true);
    scene.shop.kill_tasks(Slot::Blue).unwrap();
    let outcome = ended(&release).await;
    assert_failed(&outcome, "StableDead");
    assert_cause(&outcome, &["stable hosts: 0 of", "blue has no healthy host behind route"]);
    let pages = lab.state_machines().unwrap().pages().await.unwrap();
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert!(pages[0].to_string().contains("blue has no healthy host"), "{pages:?}");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    scene.traffic.stop().await;
    lab.stop().await;
}

/// The same, and new processes come in time: all traffic goes back to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stable_slot_dies_and_comes_back() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        one_step(10)(definition);
        definition["readiness"]["timeout_seconds"] = json!(60);
    })
    .await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    at_weight(&scene.shop, 10).await;
    lab.agent().pause(true);
    scene.shop.kill_tasks(Slot::Blue).unwrap();
    entered(&release, "PageHeld").await;
    assert_eq!(versions(&scene.traffic, 200).await, ["v2"], "what serves has all traffic meanwhile");
    lab.agent().pause(false);
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Blue, "v1").await;
    scene.traffic.stop().await;
    lab.stop().await;
}

/// Somebody has scaled the stable slot in while the candidate had nearly everything: it gets what it can carry, its
/// capacity is asked back, and then it gets the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stable_slot_was_scaled_in() {
    let lab = lab().await;
    let shop = lab.service("shop").desired(4).start().await.unwrap();
    let mut definition = quick(&shop).await;
    one_step(95)(&mut definition);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    at_weight(&shop, 95).await;
    shop.update_ecs(Slot::Blue, Some(1), None).await.unwrap();
    shop.wait_healthy(Slot::Blue, 1, PATIENCE).await.unwrap();
    shop.command("abort").await.unwrap();
    at_weight(&shop, 75).await;
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    assert!(outcome.states().iter().any(|state| state == "RestoreStable"), "{:?}", outcome.states());
    assert_all_on(&shop, &traffic, Slot::Blue, "v1").await;
    assert_eq!(shop.tasks(Slot::Blue).len(), 4);
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// One of two load balancers refuses a shift: both are as they were before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shift_that_fails_at_one_of_two_load_balancers_is_undone_at_both() {
    let lab = lab().await;
    let shop = lab.service("shop").load_balancers(2).start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["minimum_time_seconds"] = json!(4);
    put(&shop, &definition).await;
    let first = Traffic::start(&shop.urls()[0], RATE / 2.0, 0);
    let second = Traffic::start(&shop.urls()[1], RATE / 2.0, 0);
    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    at_weight(&shop, 10).await;
    // The first route is written, and the second is not, however often it is tried.
    lab.alb().faults().lose_response("ModifyRule", 1);
    lab.alb().faults().fail_next("ModifyRule", 1, "OperationNotPermitted", "by the test");
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["OperationNotPermitted"]);
    assert_all_on(&shop, &first, Slot::Blue, "v1").await;
    assert_all_on(&shop, &second, Slot::Blue, "v1").await;
    assert_eq!((first.stop().await.failed, second.stop().await.failed), (0, 0));
    lab.stop().await;
}

/// The retirement that a promoted release has started.
async fn undone(undo: &Execution, shop: &Service<'_>, traffic: &Traffic) {
    assert_succeeded(&ended(undo).await, "RolledBack");
    assert_all_on(shop, traffic, Slot::Blue, "v1").await;
}

/// After a promotion, within the rollback window, everything goes back at once; and there is nothing to undo after that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_release_is_undone() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["retirement"]["window_seconds"] = json!(600)).await;
    assert_succeeded(&scene.release(&sound(&scene.shop, "v2")).await, "Promoted");
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;
    undone(&scene.shop.undo().await.unwrap(), &scene.shop, &scene.traffic).await;
    assert_failed(&ended(&scene.shop.undo().await.unwrap()).await, "NothingToUndo");
    assert_eq!(scene.shop.tasks(Slot::Blue).len(), 2);

    // The next release is none the worse, and the one before it cannot be undone any more once that is planned.
    assert_succeeded(&scene.release(&sound(&scene.shop, "v3")).await, "Promoted");
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// The same after the old slot was scaled down: its capacity comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_slot_is_brought_back() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["readiness"]["timeout_seconds"] = json!(60)).await;
    assert_succeeded(&scene.release(&sound(&scene.shop, "v2")).await, "Promoted");
    spillway_end_to_end::assert_retired(&scene.shop, Slot::Blue).await;
    assert_free(&scene.shop).await;
    undone(&scene.shop.undo().await.unwrap(), &scene.shop, &scene.traffic).await;
    assert_eq!(scene.traffic.stop().await.failed, 0, "nobody is sent to a slot that is not there");
    lab.stop().await;
}

/// With group stickiness the old slot is out of the route: it is attached, its health awaited, and then it has everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_release_is_undone_with_sticky_clients() {
    let lab = lab().await;
    let shop = lab.service("shop").stickiness(3600).start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["retirement"]["window_seconds"] = json!(600);
    put(&shop, &definition).await;
    let visitors = Traffic::start(&shop.url(), RATE, 0);
    let regulars = Traffic::start(&shop.url(), RATE / 3.0, 10);
    assert_succeeded(&ended(&shop.release(&sound(&shop, "v2")).await.unwrap()).await, "Promoted");
    assert_eq!(versions(&regulars, 50).await, ["v2"]);
    undone(&shop.undo().await.unwrap(), &shop, &visitors).await;
    assert_eq!(versions(&regulars, 50).await, ["v1"]);
    assert_eq!((visitors.stop().await.failed, regulars.stop().await.failed), (0, 0));
    lab.stop().await;
}

/// Testers reach the candidate before any user does, for as long as the hook asks to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn testers_and_hooks_come_first() {
    let lab = lab().await;
    let shop = lab.service("shop").test_route().green_unattached().start().await.unwrap();
    let hook = lab.functions().create_hook("smoke", &json!({"result": "wait", "reason": "testing"})).await.unwrap();
    let last = lab.functions().create_hook("last", &json!("ok")).await.unwrap();
    let mut definition = quick(&shop).await;
    definition["hooks"] = json!({
        "before_traffic": {"function": hook, "timeout_seconds": 100},
        "after_step": {"function": last, "timeout_seconds": 10},
        "before_promotion": {"function": last, "timeout_seconds": 10},
        "after_rollback": {"function": last, "timeout_seconds": 10},
    });
    put(&shop, &definition).await;
    let users = Traffic::start(&shop.url(), RATE, 0);
    let testers = Traffic::start_testers(&shop.url(), 20.0);
    assert_eq!(versions(&testers, 20).await, ["v1"]);

    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&release, "AskBeforeTraffic").await;
    assert_eq!(versions(&testers, 40).await, ["v2"]);
    assert_eq!(versions(&users, 200).await, ["v1"]);
    lab.functions().replace("smoke", &Misbehaviour::Answer(json!("ok"))).await.unwrap();
    let outcome = ended(&release).await;
    assert_succeeded(&outcome, "Promoted");
    // After each of three weights, and before the last of them; and again where a check between held.
    let asked = outcome.states().iter().filter(|state| *state == "AskHook").count();
    assert!(asked >= 4, "{:?}", outcome.states());
    assert_all_on(&shop, &users, Slot::Green, "v2").await;
    assert_eq!(versions(&testers, 20).await, ["v2"]);

    // The next one fails its smoke test: not one user has seen it, and testers are back where they were.
    lab.functions()
        .replace("smoke", &Misbehaviour::Answer(json!({"result": "fail", "reason": "no cart"})))
        .await
        .unwrap();
    let seen = users.watch();
    let outcome = shop.release(&sound(&shop, "v3")).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &["HookFailed: the before_traffic hook says fail: no cart"]);
    assert!(outcome.states().iter().any(|state| state == "AskAfterRollback"), "{:?}", outcome.states());
    assert_all_on(&shop, &users, Slot::Green, "v2").await;
    assert_eq!(versions(&testers, 20).await, ["v2"]);
    let seen = seen.snapshot();
    assert!(!seen.by_version.contains_key("v3"), "{seen:?}");
    assert_eq!((users.stop().await.failed, testers.stop().await.failed), (0, 0));
    lab.stop().await;
}

/// A hook that crashes, and one that answers nonsense, are asked again until their time is up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_does_not_answer_rolls_back_in_the_end() {
    let lab = lab().await;
    let hook = lab.functions().create_hook("smoke", &json!({"status": "fine"})).await.unwrap();
    let scene = Scene::new(&lab, |definition| {
        definition["hooks"] = json!({"after_step": {"function": hook, "timeout_seconds": 6}});
    })
    .await;
    let outcome = scene.release(&sound(&scene.shop, "v2")).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(
        &outcome,
        &["rolled back from 10 %: no ok within 6 s: the after_step hook answered {\"status\":\"fine\"}"],
    );
    lab.functions().replace("smoke", &Misbehaviour::fail("Boom", "by the test")).await.unwrap();
    let outcome = scene.release(&sound(&scene.shop, "v3")).await;
    assert_cause(&outcome, &["no ok within 6 s: the after_step hook cannot be called: Boom"]);
    assert_eq!(scene.unharmed().await.failed, 0);
    lab.stop().await;
}

/// A service that starts cold fails some of its first requests; with a warm-up that is not held against it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_start_is_warmed_up() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        definition["readiness"]["warm_up_seconds"] = json!(10);
        definition["strategy"]["max_step_seconds"] = json!(8);
    })
    .await;
    // Two processes: 8 requests a second each at 10 %, so that it is over after some 5 seconds.
    let cold = |v2: Dials| v2.error_rate(0.2).errors_up_to_request(40);
    assert_succeeded(&scene.release_v2(cold).await, "Promoted");
    let users = scene.traffic.stop().await;
    assert!((5..=25).contains(&users.failed), "{users:?}");
    lab.stop().await;
}
