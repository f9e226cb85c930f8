//! AWS that does not answer, throttles, or is not the one that was meant; and people who do not wait.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::aws::{Answer, Double, arn, command, installation};

fn baking() -> Value {
    json!({
        "service": "shop", "owner": arn("spillway-release", "r-1"), "fence": "3", "phase": "baking", "command": "none",
    })
}

/// Nothing listens, nothing answers, everything is throttled, nothing is installed: exit code 3, and soon.
#[test]
fn aws_that_fails_is_told_from_a_refusal() {
    let silent = Double::start(|_, _| Answer::Silence);
    let throttling = Double::start(|_, _| Answer::Error("ThrottlingException", "Rate exceeded"));
    let without_table =
        Double::start(|_, _| Answer::Error("ResourceNotFoundException", "Requested resource not found"));
    let without_machine = Double::start(|_, _| Answer::Json(json!({"stateMachines": []})));
    let began = Instant::now();
    for (double, arguments, expected) in [
        (&silent, &["pause", "shop"][..], "GetItem of shop: Timeout: "),
        (&throttling, &["status", "shop"], "GetItem of shop: ThrottlingException: Rate exceeded; try again"),
        (&throttling, &["unfreeze", "--all"], "the same again does no harm"),
        (&without_table, &["abort", "shop"], "Requested resource not found; is this the account, the region"),
        (
            &without_machine,
            &["start", "shop", "--opaque", "v2"],
            "no state machine is named spillway-release; is this the account, the region and the --installation",
        ),
    ] {
        let (code, out, err) = double.run(arguments);
        assert_eq!((code, out.as_str()), (Some(3), ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
    let output = command(&["status", "shop", "--endpoint-url", "http://127.0.0.1:1"]).output().unwrap();
    let err = crate::text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("Connection: ") && err.contains("is the endpoint right?"), "{err}");
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

/// Whoever may read the lease and nothing else sees the lease.
#[test]
fn a_status_without_executions_tells_what_the_lease_remembers() {
    let double = Double::start(|operation, body| match operation {
        "GetItem" => installation(
            operation,
            body,
            &json!({"service": "shop", "fence": "1", "phase": "rolled_back"}),
            &Value::Null,
        ),
        _ => Answer::Error("AccessDeniedException", "not authorized"),
    });
    let (code, out, err) = double.run(&["status", "shop"]);
    assert_eq!((code, out.as_str()), (Some(0), "shop\n  lease    free\n  latest   rolled back, as the lease has it\n"));
    assert!(
        err.contains("the latest release cannot be looked up: ListStateMachines of spillway-release: AccessDenied"),
        "{err}"
    );
}

/// Throttling and a lost connection in between do not end the wait.
#[test]
fn a_wait_outlasts_throttling_and_lost_connections() {
    let looks = AtomicUsize::new(0);
    let double = Double::start(move |operation, body| {
        let look = if operation == "DescribeExecution" { looks.fetch_add(1, Ordering::Relaxed) } else { 0 };
        match (operation, look) {
            ("DescribeExecution", 1) => Answer::Error("ThrottlingException", "Rate exceeded"),
            ("DescribeExecution", 2) => Answer::Lost,
            _ => {
                let status = if look < 3 {
                    json!({"status": "RUNNING"})
                } else {
                    json!({
                        "status": "SUCCEEDED", "stopDate": 2.0,
                        "output": "{\"outcome\":\"promoted\",\"reason\":\"advanced from 95 %\"}",
                    })
                };
                installation(operation, body, &baking(), &status)
            }
        }
    });
    let (code, out, err) = double.run(&["status", "shop", "--wait"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("  shop: baking\n"), "{out}");
    assert!(
        out.ends_with("shop: release r-1: promoted: all traffic is on the new version\n  advanced from 95 %\n"),
        "{out}"
    );
    assert!(err.contains("DescribeExecution of ") && err.contains("Rate exceeded; looking again"), "{err}");
}

/// The release goes on without those who wait for it.
#[test]
fn a_time_out_and_an_interrupt_end_the_wait_only() {
    let running =
        |operation: &str, body: &Value| installation(operation, body, &baking(), &json!({"status": "RUNNING"}));
    let double = Double::start(running);
    let (code, out, err) = double.run(&["status", "shop", "--wait", "--timeout", "1", "--json"]);
    assert_eq!(code, Some(4), "{err}");
    let told: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(told["phase"], "baking");
    assert!(err.contains("waited for 1 s; shop: release r-1 goes on; spillway status shop --wait"), "{err}");

    let mut child = double.spawn(&["start", "shop", "--opaque", "v2", "--name", "r-1", "--wait"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The handler for Ctrl-C stands when the wait has told something.
    let told: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
    assert!(told[0] == "shop: release r-1 has started" && told[2].ends_with("shop: baking"), "{told:?}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let err = crate::text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("shop: release r-1 goes on"), "{err}");
    assert_eq!((double.calls_of("UpdateItem").len(), double.calls_of("StopExecution").len()), (0, 0));
}

/// Whoever reads only the beginning gets no panic.
#[test]
fn a_closed_pipe_is_no_panic() {
    let double = Double::start(|operation, body| {
        installation(operation, body, &baking(), &json!({"status": "SUCCEEDED", "stopDate": 2.0}))
    });
    for arguments in [
        &["status", "shop"][..],
        &["status"],
        &["status", "shop", "--wait"],
        &["freeze", "shop", "--reason", "x", "--for", "1h"],
        &["start", "shop", "--opaque", "v2"],
    ] {
        let mut child = double.spawn(arguments);
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = crate::text(&output.stderr);
        assert!(output.status.code() == Some(0) && !err.contains("panicked"), "{arguments:?}: {err}");
    }
    // A panic ends with 101.
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["schema"], 0),
        (&["completions", "bash"], 0),
        (&["validate", "tests/cmd/checkout.json"], 0),
        (&["validate", "tests/cmd/broken.json"], 1),
        (&["validate", "tests/cmd/broken.json", "--json"], 1),
        (&["status", "shop", "--endpoint-url", "http://127.0.0.1:1"], 3),
        (&["init", "--output", "tests/cmd/checkout.json"], 1),
        (&["rollback"], 2),
    ] {
        let mut command = command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(code), "{arguments:?}");
    }
}

/// What the operator may not look at is no reason against a release, and none for one.
#[test]
fn a_release_that_cannot_be_foreseen_is_started_all_the_same() {
    let double = Double::start(|operation, body| match operation {
        "GetParameter" => Answer::Error("AccessDeniedException", "not authorized"),
        _ => installation(operation, body, &baking(), &json!({"status": "RUNNING"})),
    });
    let (code, out, err) = double.run(&["start", "shop", "--opaque", "v2"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("shop: release shop-"), "{out}");
    let why = "shop: what it would do cannot be told: GetParameter of /spillway/services/shop: AccessDeniedException";
    assert!(err.starts_with(why), "{err}");
    let (code, out, err) = double.run(&["start", "shop", "--opaque", "v2", "--dry-run"]);
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
    assert!(err.starts_with(why), "{err}");
    assert_eq!(double.calls_of("StartExecution").len(), 1);
}

/// An undo whose answer is lost may have begun; one that is not there cannot.
#[test]
fn an_undo_needs_something_to_undo() {
    let free = || json!({"service": "shop", "fence": "3", "phase": "promoted"});
    let double = Double::start(move |operation, body| installation(operation, body, &free(), &Value::Null));
    let (code, out, err) = double.run(&["rollback", "shop"]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("shop: there is nothing to undo") && err.contains("allowed: start"), "{err}");
    assert_eq!(double.calls_of("StartExecution").len(), 0);
    let throttling = Double::start(|_, _| Answer::Error("ThrottlingException", "Rate exceeded"));
    let (code, _, err) = throttling.run(&["rollback", "shop"]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("Rate exceeded; try again"), "{err}");
}

/// A profile is one of the shared configuration, and its settings count.
#[test]
fn a_profile_is_taken_from_the_shared_configuration() {
    let double =
        Double::start(|operation, body| installation(operation, body, &baking(), &json!({"status": "RUNNING"})));
    let file = std::env::temp_dir().join(format!("spillway-profiles-{}", std::process::id()));
    let text = format!("[profile shop]\nregion = us-east-2\nendpoint_url = {}\n", double.url());
    std::fs::write(&file, text).unwrap();
    for (name, code, said) in [("shop", 0, "shop"), ("nowhere", 2, "known: shop")] {
        let mut command = command(&["status", "shop", "--profile", name]);
        let output = command.env("AWS_CONFIG_FILE", &file).env_remove("AWS_REGION").output().unwrap();
        let told = crate::text(&output.stdout) + &crate::text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(said), "{told}");
    }
    std::fs::remove_file(&file).unwrap();
}
