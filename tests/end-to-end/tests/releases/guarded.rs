use serde_json::json;
use spillway_end_to_end::{
    PATIENCE, RATE, Scene, assert_all_on, assert_cause, assert_failed, assert_free, assert_succeeded, ended, entered,
    lab, quick, sound,
};
use spillway_lab::{Execution, Lab, Service, Slot, Status, Traffic, eventually};

/// Waits until the lease is free and all traffic is back on blue.
async fn recovered(scene: &Scene<'_>) {
    let back = eventually(PATIENCE, || async {
        let lease = scene.shop.lease().await.unwrap().unwrap();
        let weights = scene.shop.weights()[0].clone();
        if lease.get("owner").is_none() && weights.green == Some(0) { Ok(()) } else { Err((lease, weights)) }
    });
    back.await.unwrap();
}

/// Stopped in the middle, without any Catch: the guard hears of it, gives all traffic back, frees the lease and tells
/// people. The version may be tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_is_stopped_is_rolled_back_by_the_guard() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    release.stop().await.unwrap();
    assert_eq!(ended(&release).await.status, Status::Aborted);
    recovered(&scene).await;
    assert_all_on(&scene.shop, &scene.traffic, Slot::Blue, "v1").await;
    let told = eventually(PATIENCE, || async {
        let pages = lab.state_machines().unwrap().pages().await.unwrap();
        if pages.iter().any(|page| page.to_string().contains(release.arn())) { Ok(()) } else { Err(pages) }
    });
    told.await.unwrap();

    // A guard that comes late, or for nothing, changes nothing.
    let guard = lab.start_execution("guard", None, &json!({})).await.unwrap();
    assert_succeeded(&ended(&guard).await, "Swept");
    assert_succeeded(&scene.release(&sound(&scene.shop, "v2")).await, "Promoted");
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// The lease belongs to an execution that nobody knows any more; guards come by the schedule, several at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_guards_at_once_recover_what_is_lost_and_nothing_else() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["strategy"]["approval_at"] = json!([10])).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    let guards = async || {
        let mut guards = Vec::new();
        for _ in 0..3 {
            guards.push(lab.start_execution("guard", None, &json!({})).await.unwrap());
        }
        for guard in &guards {
            assert_succeeded(&ended(guard).await, "Swept");
        }
    };
    // Its owner lives: nothing happens.
    guards().await;
    let lease = scene.shop.lease().await.unwrap().unwrap();
    assert_eq!(lease["owner"], release.arn());

    // Another owner stands in the table, as if a backup had been restored: the release sees that, and stops touching.
    let lost = release.arn().replace(release.arn().rsplit(':').next().unwrap(), "lost");
    scene.shop.update_lease(&json!({"owner": {"S": lost}, "fence": {"N": "77"}})).await.unwrap();
    assert_failed(&ended(&release).await, "LeaseLost");
    recovered(&scene).await;
    guards().await;
    assert_all_on(&scene.shop, &scene.traffic, Slot::Blue, "v1").await;
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// Without its plan nobody knows what a dead release has changed: the lease is kept, people are paged, and once the plan is
/// there again all traffic goes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_freed_by_guess_once_the_plan_is_gone() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["strategy"]["approval_at"] = json!([10])).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    let plan = scene.shop.lease().await.unwrap().unwrap()["plan"].clone();
    scene.shop.forget_in_lease("plan").await.unwrap();
    release.stop().await.unwrap();
    // However often it is tried.
    for again in [false, true] {
        if again {
            lab.start_execution("guard", None, &json!({})).await.unwrap();
        }
        let paged = eventually(PATIENCE, || async {
            let pages = lab.state_machines().unwrap().pages().await.unwrap();
            if pages.iter().any(|page| page.to_string().contains("QueryEvaluationError")) { Ok(()) } else { Err(pages) }
        });
        paged.await.unwrap();
        let lease = scene.shop.lease().await.unwrap().unwrap();
        assert!(lease["owner"].as_str().unwrap().contains(":spillway-rollback:"), "{lease}");
        assert_eq!(scene.shop.weights()[0].green, Some(10));
        let recovery = Execution::of(lab.aws(), lease["owner"].as_str().unwrap().to_owned());
        assert_failed(&ended(&recovery).await, "RollBackFailed");
    }
    scene.shop.update_lease(&json!({"plan": {"S": plan}})).await.unwrap();
    let guard = lab.start_execution("guard", None, &json!({})).await.unwrap();
    ended(&guard).await;
    recovered(&scene).await;
    assert_all_on(&scene.shop, &scene.traffic, Slot::Blue, "v1").await;
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// A fence that was taken out by hand keeps nobody from recovering.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_without_a_fence_is_recovered() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["strategy"]["approval_at"] = json!([10])).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "EvaluateHealth").await;
    scene.shop.forget_in_lease("fence").await.unwrap();
    assert_failed(&ended(&release).await, "LeaseLost");
    recovered(&scene).await;
    assert_all_on(&scene.shop, &scene.traffic, Slot::Blue, "v1").await;
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}

async fn serving<'a>(lab: &'a Lab, policy: &str) -> (Service<'a>, Traffic) {
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["on_conflict"] = policy.into();
    // It stays at its first weight until somebody says so.
    definition["strategy"]["approval_at"] = json!([10]);
    shop.put_definition(&definition).await.unwrap();
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    (shop, traffic)
}

async fn waits(shop: &Service<'_>, release: &Execution) {
    let there = eventually(PATIENCE, || async {
        let lease = shop.lease().await.unwrap().unwrap();
        if lease["waiting"]["execution"] == release.arn() { Ok(()) } else { Err(lease) }
    });
    there.await.unwrap();
}

/// A queue of one: the newest waits without a trace in its history, and starts when the lease is given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_release_waits_for_its_turn() {
    let lab = lab().await;
    let (shop, traffic) = serving(&lab, "queue").await;
    let first = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&first, "EvaluateHealth").await;
    let second = shop.release(&sound(&shop, "v3")).await.unwrap();
    waits(&shop, &second).await;
    let events = second.history().await.unwrap().len();
    let third = shop.release(&sound(&shop, "v4")).await.unwrap();
    waits(&shop, &third).await;
    // The same again, while it waits and while it runs, is the same.
    let again = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&again, "Follow").await;

    shop.command("approve").await.unwrap();
    assert_succeeded(&ended(&first).await, "Promoted");
    entered(&third, "AttachCandidate").await;
    assert_succeeded(&ended(&again).await, "SamePromoted");
    assert_eq!(second.history().await.unwrap().len(), events, "it has waited for nothing but its token");
    entered(&third, "EvaluateHealth").await;
    shop.command("approve").await.unwrap();
    assert_succeeded(&ended(&third).await, "Promoted");
    assert_all_on(&shop, &traffic, Slot::Blue, "v4").await;

    // What is live already is nothing to do.
    let outcome = ended(&shop.release(&sound(&shop, "v4")).await.unwrap()).await;
    assert_succeeded(&outcome, "AlreadyStable");
    assert_free(&shop).await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// The running release goes all the way back before the newer one begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_release_takes_the_place_of_one_that_has_gone_back() {
    let lab = lab().await;
    let (shop, traffic) = serving(&lab, "supersede").await;
    let first = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&first, "EvaluateHealth").await;
    let second = shop.release(&sound(&shop, "v3")).await.unwrap();
    let outcome = ended(&first).await;
    assert_failed(&outcome, "RolledBack");
    assert_cause(&outcome, &[second.arn(), "is newer, and takes its place"]);
    entered(&second, "EvaluateHealth").await;
    shop.command("promote").await.unwrap();
    assert_succeeded(&ended(&second).await, "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v3").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// A running release holds, nothing starts, and what is sick goes back all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_on_in_a_freeze() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    entered(&release, "ShiftWeight").await;
    let freeze = |until: &str| json!({"freeze": {"M": {"reason": {"S": "the sale"}, "owner": {"S": "ann"}, "until": {"S": until}}}});
    scene.shop.update_lease(&freeze("2126-01-01T00:00:00Z")).await.unwrap();
    let held = eventually(PATIENCE, || async {
        let events = release.history().await.unwrap();
        let text = serde_json::to_string(&events).unwrap();
        if text.contains("held at 10 %: frozen by ann until 2126") { Ok(()) } else { Err(events.len()) }
    });
    held.await.unwrap();
    assert_eq!(scene.shop.weights()[0].green, Some(10));
    scene.shop.command("abort").await.unwrap();
    let outcome = ended(&release).await;
    assert_failed(&outcome, "RolledBack");

    let outcome = scene.release(&sound(&scene.shop, "v3")).await;
    assert_failed(&outcome, "Refused");
    assert_cause(&outcome, &["frozen by ann until 2126-01-01T00:00:00Z: the sale"]);
    scene.shop.update_lease(&freeze("2026-01-01T00:00:00Z")).await.unwrap();
    assert_succeeded(&scene.release(&sound(&scene.shop, "v3")).await, "Promoted");
    assert_eq!(scene.traffic.stop().await.failed, 0);
    lab.stop().await;
}
