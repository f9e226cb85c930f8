//! What releases leave behind on the lab, and how it is told.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use spillway_end_to_end::{PATIENCE, Scene, ended, lab, sound};
use spillway_lab::{Dials, Execution, Lab, eventually};

use crate::{spillway, text};

fn run(lab: &Lab, arguments: &[&str]) -> Output {
    let output = tokio::task::block_in_place(|| spillway(lab, arguments, ""));
    println!("$ spillway {}\n{}{}", arguments.join(" "), text(&output.stdout), text(&output.stderr));
    output
}

/// What it printed, if it went well.
fn ok(lab: &Lab, arguments: &[&str]) -> String {
    let output = run(lab, arguments);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
    text(&output.stdout)
}

fn read(lab: &Lab, arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(lab, arguments)).unwrap()
}

/// Whether the release's timeline has this.
fn happened(explained: &Value, what: &str) -> bool {
    explained["record"]["timeline"].as_array().unwrap().iter().any(|entry| entry["what"] == what)
}

/// With `SPILLWAY_BLESS` set, keeps a history for the tests that need no lab: as it is, but for what states were given and
/// have passed on, which nothing reads.
async fn bless(execution: &Execution, name: &str) {
    if std::env::var_os("SPILLWAY_BLESS").is_none() {
        return;
    }
    let mut events = execution.history().await.unwrap();
    for event in &mut events {
        for (details, given) in [("stateEnteredEventDetails", "input"), ("stateExitedEventDetails", "output")] {
            event.get_mut(details).and_then(Value::as_object_mut).map(|details| details.remove(given));
        }
    }
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd").join(name);
    std::fs::write(path, format!("{{\"events\": [\n{}\n]}}\n", lines.join(",\n"))).unwrap();
}

/// Waits until so many releases are listed, and the slots that they left are retired. Gives the list.
async fn retired(lab: &Lab, releases: usize) -> Value {
    let there = || async {
        let listed = tokio::task::block_in_place(|| spillway(lab, &["history", "shop", "--json"], ""));
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let all = listed["releases"].as_array().unwrap();
        let done = all.len() == releases && all.iter().all(|release| release["retired"] == true);
        if done { Ok(listed) } else { Err(listed) }
    };
    eventually(PATIENCE, there).await.unwrap()
}

/// What events lead to leads somewhere.
async fn follow_links(lab: &Lab) {
    let events = lab.state_machines().unwrap().events().await.unwrap();
    let links = events.iter().filter_map(|event| event["detail"]["links"]["report"].as_str());
    let links: BTreeSet<&str> = links.collect();
    assert!(
        ["spillway report ", "spillway history "]
            .iter()
            .all(|command| links.iter().any(|link| link.starts_with(command)))
    );
    for link in links {
        let mut words: Vec<&str> = link.split(' ').skip(1).collect();
        let page = lab.run_dir().join("linked.html");
        if let Some(at) = words.iter().position(|word| *word == "--html") {
            words[at + 1] = page.to_str().unwrap();
        }
        ok(lab, &words);
    }
}

/// One that waited for a person and was promoted, and one that was rolled back: explained, listed, summed up, reported.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn releases_are_explained_listed_and_reported() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        definition["strategy"]["approval_at"] = json!([10]);
        for slot in ["blue", "green"] {
            definition["slots"][slot]["price_per_hour"] = json!(36);
        }
    })
    .await;
    let enough = || async {
        let ok = scene.traffic.snapshot().ok;
        if ok >= 1000 { Ok(()) } else { Err(format!("{ok} answers")) }
    };
    eventually(PATIENCE, enough).await.unwrap();

    let image = sound(&scene.shop, "v2")["image"].as_str().unwrap().to_owned();
    let started = read(&lab, &["start", "shop", "--image", &image, "--name", "first", "--json"]);
    let first = Execution::of(lab.aws(), started["execution"].as_str().unwrap());
    // It is read as it stands while it runs, from event to event.
    let waits = || async {
        let explained = read(&lab, &["explain", "first", "--json"]);
        if happened(&explained, "wait_began") { Ok(()) } else { Err(explained["record"]["state"].clone()) }
    };
    eventually(PATIENCE, waits).await.unwrap();
    let running = ok(&lab, &["explain", "shop"]);
    assert!(running.contains("is running at 10 %") && running.contains("waiting for approval"), "{running}");
    ok(&lab, &["approve", "shop"]);
    ended(&first).await;
    bless(&first, "promoted.history.json").await;

    retired(&lab, 1).await;

    let image = scene.shop.publish_image("v3", Dials::version("v3").error_rate(0.1));
    let started = read(&lab, &["start", "shop", "--image", &image, "--name", "second", "--json"]);
    let second = Execution::of(lab.aws(), started["execution"].as_str().unwrap());
    ended(&second).await;
    bless(&second, "rolled-back.history.json").await;

    let explained = ok(&lab, &["explain", "shop"]);
    let lines: Vec<&str> = explained.lines().collect();
    assert!(lines.len() <= 5, "{explained}");
    assert!(
        lines[0].contains("release second (image shop@sha256:") && lines[0].contains("was rolled back at 10 %"),
        "{explained}"
    );
    assert!(
        lines[1].contains("errors: ") || lines[1].contains("failure: ") || lines[1].contains("Errors: "),
        "{explained}"
    );
    assert!(
        explained.contains("failed on the new version") && explained.contains("All traffic is on green"),
        "{explained}"
    );
    let promoted = read(&lab, &["explain", first.arn(), "--json"]);
    for what in
        ["planned", "prepared", "shifted", "checked", "wait_began", "command", "wait_ended", "retirement_started"]
    {
        assert!(happened(&promoted, what), "{what}: {promoted}");
    }
    assert_eq!((&promoted["outcome"], &promoted["record"]["weight"]), (&json!("promoted"), &json!(100.0)));

    // The retirement's cost is that of all the time.
    let listed = retired(&lab, 2).await;
    let [latest, before] = &listed["releases"].as_array().unwrap()[..] else { panic!("two releases: {listed}") };
    assert_eq!((&latest["release"], &latest["ending"]), (&json!("second"), &json!("RolledBack")));
    assert_eq!((&before["release"], &before["ending"]), (&json!("first"), &json!("Promoted")));
    assert!(latest["candidate"]["errors"].as_f64().unwrap() > 0.0 && before["candidate"]["errors"] == 0.0, "{listed}");
    for release in [latest, before] {
        let (hours, amount) =
            (release["cost"]["slot_hours"].as_f64().unwrap(), release["cost"]["amount"].as_f64().unwrap());
        // Both are told to four digits.
        assert!((hours * 36.0 - amount).abs() < 0.002 && amount > 0.0, "{release}");
        assert_eq!(release["cost_is_final"], true, "{release}");
    }
    let sums = read(&lab, &["history", "--json"]);
    let month = &sums["months"][0];
    assert_eq!(
        (&month["service"], &month["releases"], &month["promoted"], &month["rolled_back"]),
        (&json!("shop"), &json!(2), &json!(1), &json!(1)),
        "{sums}"
    );
    let amounts = [latest, before].map(|release| release["cost"]["amount"].as_f64().unwrap());
    assert!((month["amount"].as_f64().unwrap() - amounts[0] - amounts[1]).abs() < 1e-9, "{sums}");
    let table = ok(&lab, &["history", "shop"]);
    assert!(table.starts_with("RELEASE  STARTED") && table.contains("second ") && !table.contains('+'), "{table}");
    assert_eq!(ok(&lab, &["history", "shop", "--limit", "1"]).lines().count(), 2);

    let page = lab.run_dir().join("second.html");
    ok(&lab, &["report", "second", "--html", page.to_str().unwrap()]);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("rolled back") && page.contains("retirement: Retired") && page.contains("</html>"));
    assert!(page.contains("p90 of the response time of both versions over time, up to "), "no quantile was told");

    follow_links(&lab).await;

    let refused = run(&lab, &["explain", "third"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("third: there is no such release, and no such service; Step Functions forgets"), "{said}");
    scene.traffic.stop().await;
    lab.stop().await;
}

/// An undo is part of the release that it undid, and of no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_undo_belongs_to_its_release() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["retirement"]["window_seconds"] = json!(600)).await;
    let release = scene.start(&sound(&scene.shop, "v2")).await;
    ended(&release).await;
    assert!(ok(&lab, &["explain", "shop"]).contains("was promoted after"));
    ended(&scene.shop.undo().await.unwrap()).await;
    let explained = ok(&lab, &["explain", release.arn()]);
    assert!(
        explained.contains("was promoted, and then undone after") && explained.contains("All traffic is on blue again"),
        "{explained}"
    );
    let listed = read(&lab, &["history", "shop", "--json"]);
    assert_eq!((&listed["releases"][0]["undone"], &listed["releases"][0]["outcome"]), (&json!(true), &json!("undone")));
    scene.unharmed().await;
    lab.stop().await;
}
