//! An operator's day on the lab.

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use spillway_end_to_end::{PATIENCE, Scene, assert_all_on, lab, sound};
use spillway_lab::{Execution, Lab, Slot, eventually};

use crate::{spillway, text};

/// Runs the command line beside the runtime that the lab needs; what it says is told if the test fails.
fn run(lab: &Lab, arguments: &[&str]) -> Output {
    let output = tokio::task::block_in_place(|| spillway(lab, arguments, ""));
    println!("$ spillway {}\n{}{}", arguments.join(" "), text(&output.stdout), text(&output.stderr));
    output
}

/// What it printed, if it went well.
fn ok(lab: &Lab, arguments: &[&str]) -> String {
    let output = run(lab, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What it said, if it was refused.
fn refused(lab: &Lab, arguments: &[&str]) -> String {
    let output = run(lab, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

fn status(lab: &Lab) -> Value {
    serde_json::from_str(&ok(lab, &["status", "shop", "--json"])).unwrap()
}

/// Waits until the command line says so.
async fn until(lab: &Lab, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let there = eventually(PATIENCE, || async {
        let status = status(lab);
        if wanted(&status) { Ok(status) } else { Err(status) }
    });
    there.await.unwrap_or_else(|late| panic!("{what}: {late}"))
}

/// Started, waited for, and promoted; what is asked before and after makes sense.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_release_is_started_and_waited_for() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    assert!(refused(&lab, &["abort", "shop"]).contains("no release of it has ever started here"));
    assert!(ok(&lab, &["status", "shop"]).contains("no release of it has ever started here"));

    let image = sound(&scene.shop, "v2")["image"].as_str().unwrap().to_owned();
    let start = ["start", "shop", "--image", &image, "--name", "first", "--wait"];
    // What it would do, without doing it.
    let dry = ok(&lab, &["start", "shop", "--image", &image, "--dry-run"]);
    for part in [
        "shop: image shop@sha256:",
        " would go to green\n  stable    blue, ECS service shop-blue, 2 healthy\n  candidate green, ECS service shop-green\n",
        "  steps     canary: 10 > 50 > 100 %, 1 route\n  takes     ",
        "  rollback  a fault is seen within 4 s, then all traffic is given back at once; load balancers follow within 1 s\n",
        "  warning   ",
    ] {
        assert!(dry.contains(part), "no {part:?} in\n{dry}");
    }
    let planned: Value =
        serde_json::from_str(&ok(&lab, &["start", "shop", "--image", &image, "--dry-run", "--json"])).unwrap();
    assert_eq!(
        (&planned["preview"]["outcome"], &planned["preview"]["steps"]),
        (&json!("starts"), &json!([10.0, 50.0]))
    );
    let linear = ["start", "shop", "--image", &image, "--dry-run", "--override", "strategy.type=linear"];
    let linear = ok(&lab, &[&linear[..], &["--override", "strategy.linear.increment=45"]].concat());
    assert!(
        linear.contains("  steps     linear: 45 > 90 > 95 > 100 %") && linear.contains("for this release only"),
        "{linear}"
    );
    assert!(ok(&lab, &["status", "shop"]).contains("no release of it has ever started here"), "it was a dry run");
    let told = ok(&lab, &start);
    assert!(told.starts_with("shop: image shop@sha256:"), "{told}");
    assert!(told.contains("\nshop: release first has started\n  arn:aws:states:"), "{told}");
    // A phase that is shorter than the time between two looks may not be seen.
    for part in ["shop: baking\n", "shop: release first: promoted: all traffic is on the new version\n"] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;

    // The name is taken now, whatever it is to be used for.
    assert!(refused(&lab, &start[..6]).contains("that ended as promoted at 2"));
    let now = status(&lab);
    assert_eq!((&now["latest"]["name"], &now["latest"]["ending"]), (&json!("first"), &json!("promoted")), "{now}");
    let waited = ok(&lab, &["status", "shop", "--wait", "--json"]);
    let last: Value = serde_json::from_str(waited.lines().last().unwrap()).unwrap();
    assert_eq!((&last["name"], &last["status"]), (&json!("first"), &json!("succeeded")));

    // What would be refused is not started, and says every reason.
    for more in [&["--dry-run"][..], &["--wait"]] {
        let why = refused(&lab, &[&["start", "shop", "--launch-template-version", "3"], more].concat());
        assert!(why.starts_with("shop: would be refused:\n  version: launch template version 3 cannot be "), "{why}");
        assert_eq!(why.ends_with("Nothing was started.\n"), more == ["--wait"], "{why}");
    }
    // What serves already needs no release.
    let same = ok(&lab, &["start", "shop", "--image", &image, "--dry-run"]);
    assert!(same.ends_with(" is what slot green serves already: nothing would be changed\n"), "{same}");
    let nowhere = refused(&lab, &["start", "nowhere", "--opaque", "v2", "--dry-run"]);
    assert!(nowhere.contains("/spillway/services/nowhere: there is no definition of nowhere"), "{nowhere}");
    scene.traffic.stop().await;
    lab.stop().await;
}

/// Paused, resumed, approved and aborted, each when it makes sense only.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_release_listens_to_its_operator() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["health"]["on_inconclusive"] = json!("pause")).await;
    // A freeze makes an item that holds nothing, and its end gives it free.
    let frozen = ok(&lab, &["freeze", "shop", "--reason", "sales", "--for", "1h", "--owner", "ann"]);
    assert!(frozen.contains(" by ann: sales\n"), "{frozen}");
    let lease = scene.shop.lease().await.unwrap().unwrap();
    assert_eq!(lease.as_object().unwrap().keys().collect::<Vec<_>>(), ["freeze", "service"], "{lease}");
    assert_eq!(status(&lab)["freeze"]["reason"], "sales");
    assert!(ok(&lab, &["unfreeze", "shop"]).starts_with("shop: not frozen any more (sales by ann"));
    assert!(refused(&lab, &["unfreeze", "shop"]).contains("shop: not frozen; allowed: freeze, status"));

    let image = sound(&scene.shop, "v2")["image"].as_str().unwrap().to_owned();
    let started = ok(&lab, &["start", "shop", "--image", &image, "--name", "second", "--json"]);
    let execution = serde_json::from_str::<Value>(&started).unwrap()["execution"].as_str().unwrap().to_owned();
    // The same release is not started twice.
    let again = ok(&lab, &["start", "shop", "--image", &image, "--name", "second", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["execution"], execution.as_str());
    until(&lab, "it bakes", |status| status["phase"] == "baking").await;
    let other = sound(&scene.shop, "v3")["image"].as_str().unwrap().to_owned();
    let held = refused(&lab, &["start", "shop", "--image", &other, "--dry-run"]);
    assert!(held.contains("the lease is held by arn:") && held.contains("on_conflict is reject"), "{held}");
    let follows = ok(&lab, &["start", "shop", "--image", &image, "--dry-run"]);
    assert!(follows.contains("would wait: arn:") && follows.contains("brings the same version"), "{follows}");
    assert!(refused(&lab, &["resume", "shop"]).contains("release second is not paused"));
    assert!(ok(&lab, &["pause", "shop"]).contains("release second: paused at its next check"));
    assert!(ok(&lab, &["pause", "shop"]).contains("pause was said already"));
    let paused = ok(&lab, &["status", "shop"]);
    assert!(paused.contains("phase    baking, paused\n  version  image shop@sha256:"), "{paused}");
    let table = ok(&lab, &["status"]);
    let line: Vec<&str> = table.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(line[..2], ["shop", "paused"], "{table}");
    let measured = until(&lab, "it is measured", |status| status["standing"]["observed"].is_number()).await;
    let standing = &measured["standing"];
    assert_eq!(
        (&standing["step"], &standing["steps"], &standing["weight"]),
        (&json!(1), &json!([10.0, 50.0]), &json!(10.0))
    );
    assert!(["inconclusive", "healthy"].contains(&standing["verdict"].as_str().unwrap()), "{standing}");
    let told = ok(&lab, &["status", "shop"]);
    assert!(told.contains("\n  step     1/2 (10 > 50 > 100 %)\n  weight   requested 10.0 %, observed "), "{told}");
    assert!(ok(&lab, &["resume", "shop"]).contains("release second: goes on at its next check"));
    assert!(ok(&lab, &["resume", "shop"]).contains("release second is not paused: resume was said already"));

    ok(&lab, &["freeze", "--all", "--reason", "sales", "--for", "1h", "--owner", "ann"]);
    assert!(refused(&lab, &["approve", "shop"]).contains("all services are frozen until"));
    assert!(ok(&lab, &["status", "shop"]).contains("freeze   all services are frozen until"));
    ok(&lab, &["unfreeze", "--all"]);
    assert!(ok(&lab, &["approve", "shop"]).contains("goes on to 50 % without proof"));
    let at_half = eventually(PATIENCE, || async {
        let weight = scene.shop.weights()[0].green;
        if weight == Some(50) { Ok(()) } else { Err(weight) }
    });
    at_half.await.unwrap();
    until(&lab, "the word is taken out", |status| status["command"].is_null()).await;

    assert!(ok(&lab, &["abort", "shop"]).contains("release second: rolls back at its next check"));
    let output = run(&lab, &["status", "--wait", "--execution", &execution, "--timeout", "60"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("release second: RolledBack: all traffic is on the old version again\n  "), "{said}");
    assert!(said.contains("aborted by an operator"), "{said}");
    assert!(Execution::of(lab.aws(), execution).wait(Duration::from_secs(1)).await.is_ok());
    scene.unharmed().await;
    lab.stop().await;
}

/// A promoted release is undone, once; what makes no sense is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_promoted_release_is_undone() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["retirement"]["window_seconds"] = json!(600)).await;
    assert!(refused(&lab, &["rollback", "shop"]).contains("no release of it has ever started here"));
    let image = sound(&scene.shop, "v2")["image"].as_str().unwrap().to_owned();
    ok(&lab, &["start", "shop", "--image", &image, "--name", "third"]);
    until(&lab, "it bakes", |status| status["phase"] == "baking").await;
    let running = refused(&lab, &["rollback", "shop"]);
    assert!(running.contains("release third runs and is not promoted yet; allowed: abort"), "{running}");
    ok(&lab, &["status", "shop", "--wait"]);
    assert_all_on(&scene.shop, &scene.traffic, Slot::Green, "v2").await;

    let told = ok(&lab, &["rollback", "shop", "--wait"]);
    for part in [
        "has started: it undoes third; all traffic goes from green (image shop@sha256:",
        ") back to blue\n  arn:aws:states:",
        "\n  blue is warm until 2",
        ": rolled_back: all traffic is on the old version again",
    ] {
        assert!(told.contains(part), "no {part:?} in\n{told}");
    }
    assert_all_on(&scene.shop, &scene.traffic, Slot::Blue, "v1").await;
    let again = refused(&lab, &["rollback", "shop"]);
    assert!(again.contains("there is nothing to undo: no release was promoted since"), "{again}");
    scene.traffic.stop().await;
    lab.stop().await;
}
