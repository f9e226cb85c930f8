//! The command line against a service that is released on the lab, or against answers that no lab gives.

mod aws;

// Each theme on its own.
mod colour;
mod faults;
mod init;
mod operator;
mod past;
mod record;
mod refusals;
mod validate;
mod watch;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use spillway_end_to_end::{PATIENCE, Scene, assert_failed, ended, lab};
use spillway_lab::{Dials, Lab, eventually};

fn spillway(lab: &Lab, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_spillway"))
        .args(arguments)
        .envs(lab.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn written(lab: &Lab, name: &str, value: &Value) -> PathBuf {
    let path = lab.run_dir().join(name);
    std::fs::write(&path, value.to_string()).unwrap();
    path
}

/// A release that was rolled back, judged again from its history: every minute, and the same end. Under another policy
/// it is judged otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_release_is_judged_again_from_its_history() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["strategy"]["max_step_seconds"] = json!(30)).await;
    let image = scene.shop.publish_image("v2", Dials::version("v2").error_rate(0.2));
    let release = scene.start(&json!({ "image": image })).await;
    assert_failed(&ended(&release).await, "RolledBack");
    let events = release.history().await.unwrap();
    let last_check = events
        .iter()
        .filter_map(|event| event["taskSucceededEventDetails"]["output"].as_str())
        .filter_map(|output| serde_json::from_str::<Value>(output).ok())
        .map(|output| output["Payload"].clone())
        .rfind(|payload| payload["evidence"].is_object())
        .unwrap();

    let history = json!({ "events": events }).to_string();
    let output = spillway(&lab, &["judge", "--from-release", "-", "--json"], &history);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let judged: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(judged.len() as u64, last_check["evidence"]["periods"].as_u64().unwrap());
    let last = judged.last().unwrap();
    assert_eq!(last["verdict"], "unhealthy", "{last}");
    for side in ["candidate", "stable"] {
        assert_eq!(last[side], last_check["evidence"][side], "{side}");
    }
    let e = last["log_e_unhealthy"].as_f64().unwrap().exp();
    let decided = last_check["evidence"]["e_unhealthy"].as_f64().unwrap();
    assert!((e / decided - 1.0).abs() < 1e-6, "{e} against {decided}");

    let lenient =
        written(&lab, "lenient.json", &json!({"health": {"dry_run": ["errors"], "latency": {"quantiles": []}}}));
    let arguments = ["judge", "--from-release", "-", "--policy", lenient.to_str().unwrap(), "--json"];
    let output = spillway(&lab, &arguments, &history);
    let last: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    assert_eq!(last["log_e_unhealthy"], 0.0, "{last}");
    scene.unharmed().await;
    lab.stop().await;
}

/// The traffic of the last hour, from a live service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_service_tells_what_to_simulate() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let enough = || async {
        let ok = scene.traffic.snapshot().ok;
        if ok >= 1500 { Ok(()) } else { Err(format!("{ok} answers")) }
    };
    if let Err(late) = eventually(PATIENCE, enough).await {
        panic!("{late}");
    }
    let definition = written(&lab, "definition.json", &scene.shop.definition());
    let definition = definition.to_str().unwrap();
    let arguments = ["simulate", "--from-cloudwatch", "--policy", definition, "--releases", "20", "--json"];
    let output = spillway(&lab, &arguments, "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    // 150 requests a second, for the seconds of the last hour that there were any.
    let rate = report["requests_per_second"].as_f64().unwrap();
    assert!(rate > 0.1 && rate < 200.0, "{report}");
    assert_eq!(
        (report["candidates"].as_array().unwrap().len(), &report["steps"]),
        (5, &json!([5.0, 25.0, 50.0, 95.0]))
    );

    scene.traffic.stop().await;
    lab.alb().faults().drop_metrics(true);
    let output = spillway(&lab, &arguments, "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("GetMetricData: InternalServiceError"), "{}", text(&output.stderr));
    lab.stop().await;
}
