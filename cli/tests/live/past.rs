//! Past releases as AWS tells them: in pages, with outputs of their own, throttled, forgotten, or not to be read.

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::aws::{Answer, Double, arn, installation};

fn recorded(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(format!("tests/cmd/{name}.history.json")).unwrap();
    let history: Value = serde_json::from_str(&text).unwrap();
    history["events"].as_array().unwrap().clone()
}

/// When the release that was rolled back was started.
fn started() -> f64 {
    recorded("rolled-back")[0]["timestamp"].as_f64().unwrap().floor()
}

/// A page of a history, the latest first, 50 events at a time.
fn page(events: &[Value], body: &Value) -> Answer {
    assert_eq!((&body["reverseOrder"], &body["includeExecutionData"]), (&json!(true), &json!(true)));
    let before = body["nextToken"].as_str().map_or(events.len(), |token| token.parse().unwrap());
    let from = before.saturating_sub(50);
    let page: Vec<&Value> = events[from..before].iter().rev().collect();
    Answer::Json(json!({"events": page, "nextToken": (from > 0).then(|| from.to_string())}))
}

fn described(arn: &Value, status: &str, input: &Value, more: &Value) -> Answer {
    let mut described = json!({
        "executionArn": arn, "stateMachineArn": "m", "status": status, "startDate": started(), "stopDate": started() + 60.0,
        "input": input.to_string(),
    });
    described.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Answer::Json(described)
}

/// An installation with the release `second` of `shop`, which was rolled back and whose slot is retired.
fn answer(operation: &str, body: &Value) -> Answer {
    let input = json!({"service": "shop", "version": {"opaque": "v3"}});
    let execution = body["executionArn"].as_str().unwrap_or_default();
    match operation {
        "GetExecutionHistory" => page(&recorded("rolled-back"), body),
        "ListExecutions" if body["stateMachineArn"].as_str().unwrap().ends_with("rollback") => {
            Answer::Json(json!({"executions": []}))
        }
        "ListExecutions" => Answer::Json(json!({"executions": [{
            "executionArn": arn("spillway-release", "second"), "stateMachineArn": "m", "name": "second",
            "status": "FAILED", "startDate": started(), "stopDate": started() + 30.0,
        }]})),
        "DescribeExecution" if execution == arn("spillway-release", "second") => {
            described(&body["executionArn"], "FAILED", &input, &json!({"error": "RolledBack", "cause": "rolled back"}))
        }
        "DescribeExecution" if execution == arn("spillway-retire", "second") => {
            let cost = json!({"slot_hours": 1.25, "amount": 0.5});
            let output =
                json!({"outcome": "retired", "service": "shop", "slot": "blue", "reason": "quiet", "cost": cost});
            described(
                &body["executionArn"],
                "SUCCEEDED",
                &json!({"service": "shop"}),
                &json!({"output": output.to_string()}),
            )
        }
        "DescribeExecution" => Answer::Error("ExecutionDoesNotExist", "Execution Does Not Exist"),
        _ => installation(
            operation,
            body,
            &json!({"service": "shop", "fence": "1", "phase": "rolled_back"}),
            &Value::Null,
        ),
    }
}

/// A retirement that says what it has cost is asked for no more than that.
#[test]
fn a_retirement_is_believed_at_its_word() {
    let double = Double::start(answer);
    let (code, out, err) = double.run(&["history", "shop", "--json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let listed: Value = serde_json::from_str(&out).unwrap();
    let [release] = &listed["releases"].as_array().unwrap()[..] else { panic!("one release: {listed}") };
    assert_eq!(
        (&release["cost"]["amount"], &release["cost_is_final"], &release["retired"]),
        (&json!(0.5), &json!(true), &json!(true))
    );
    let asked = double.calls_of("GetExecutionHistory");
    assert!(asked.iter().all(|call| call["executionArn"] == arn("spillway-release", "second")), "{asked:?}");
    // The end is enough: it has the latest check.
    assert_eq!(asked.len(), 1);

    let (code, out, _) = double.run(&["explain", "second"]);
    assert!(code == Some(0) && out.contains("; blue is retired.") && out.lines().count() == 5, "{out}");
    // A service's name means its latest release.
    assert_eq!(double.run(&["explain", "shop"]).1, out);
    assert_eq!(double.run(&["explain", &arn("spillway-release", "second")]).1, out);
}

/// What may not be read, or is throttled for good, is told; and what else there is, is told as well.
#[test]
fn what_cannot_be_looked_up_is_left_out_and_said() {
    let double = Double::start(|operation, body| match (operation, body["stateMachineArn"].as_str()) {
        ("ListExecutions", Some(machine)) if machine.ends_with("rollback") => {
            Answer::Error("AccessDeniedException", "not authorized")
        }
        ("DescribeExecution", _) if body["executionArn"].as_str().unwrap().contains("retire") => {
            Answer::Error("ThrottlingException", "Rate exceeded")
        }
        _ => answer(operation, body),
    });
    let (code, out, err) = double.run(&["explain", "second"]);
    assert!(code == Some(0) && out.contains("was rolled back at 10 %"), "{out}");
    for part in [
        "whether releases were undone cannot be looked up: ListExecutions of arn:",
        "second: its retirement cannot be looked up: DescribeExecution of arn:",
    ] {
        assert!(err.contains(part), "{err}");
    }
    // Without the history there is nothing to tell.
    let double = Double::start(|operation, body| match operation {
        "GetExecutionHistory" => Answer::Error("ThrottlingException", "Rate exceeded"),
        _ => answer(operation, body),
    });
    let (code, out, err) = double.run(&["explain", "second"]);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("GetExecutionHistory of ") && err.contains("Rate exceeded; try again"), "{err}");
    let silent = Double::start(|_, _| Answer::Silence);
    let (code, _, err) = silent.run(&["history", "shop"]);
    assert!(code == Some(3) && err.contains("Timeout: "), "{err}");
}

/// Each with its reason, and with what is allowed.
#[test]
fn what_is_no_release_is_refused() {
    let double = Double::start(answer);
    let express = "arn:aws:states:eu-west-1:123456789012:express:spillway-release:r:1";
    for (release, expected) in [
        (
            "third",
            "third: there is no such release, and no such service; Step Functions forgets executions 90 days after",
        ),
        (&arn("spillway-release", "third"), ": there is no such execution, or not any more; Step Functions forgets"),
        (&arn("spillway-retire", "second"), ": not a release of this installation; allowed: arn:"),
        (express, ": an execution of an Express state machine, of which no history is kept; allowed: arn:"),
    ] {
        for command in [&["explain", release][..], &["report", release, "--html", "-"]] {
            let (code, out, err) = double.run(command);
            assert_eq!((code, out.as_str()), (Some(1), ""), "{command:?}: {err}");
            assert!(err.contains(expected) && err.contains("allowed: "), "{command:?}: {err}");
        }
    }
}

/// The guard's recovery names the release; one of another release, or of another service, is none of its business.
#[test]
fn a_recovery_belongs_to_the_release_that_it_names() {
    let double = Double::start(|operation, body| {
        let execution = body["executionArn"].as_str().unwrap_or_default();
        let rollback = |name: &str| {
            json!({
                "executionArn": arn("spillway-rollback", name), "stateMachineArn": "m", "name": name, "status": "SUCCEEDED",
                "startDate": started() + 40.0, "stopDate": started() + 50.0,
            })
        };
        let recovery = |service: &str, owner: &str| {
            let input = json!({"service": service, "owner": arn("spillway-release", owner), "fence": "3"});
            let output = if execution.ends_with("late") {
                json!({"outcome": "not_dead"})
            } else {
                json!({"outcome": "rolled_back", "reason": "ReleaseDied"})
            };
            described(&body["executionArn"], "SUCCEEDED", &input, &json!({"output": output.to_string()}))
        };
        match operation {
            "GetExecutionHistory" if execution.contains("rollback") => Answer::Json(json!({"events": []})),
            "GetExecutionHistory" => {
                // Stopped in the middle of its third check.
                let mut events = recorded("rolled-back");
                events.truncate(90);
                events.push(json!({"id": 91, "timestamp": started() + 30.0, "type": "ExecutionAborted",
                    "executionAbortedEventDetails": {"error": "Stopped", "cause": "by hand"}}));
                page(&events, body)
            }
            "ListExecutions" if body["stateMachineArn"].as_str().unwrap().ends_with("rollback") => {
                Answer::Json(json!({"executions": [rollback("late"), rollback("a"), rollback("b"), rollback("c")]}))
            }
            "DescribeExecution" if execution.ends_with("rollback:a") => recovery("shop", "first"),
            "DescribeExecution" if execution.ends_with("rollback:b") => recovery("cart", "second"),
            "DescribeExecution" if execution.ends_with("rollback:c") => recovery("shop", "second"),
            // A second guard has come for the same, and found it done.
            "DescribeExecution" if execution.ends_with("rollback:late") => recovery("shop", "second"),
            _ => answer(operation, body),
        }
    });
    let (code, out, err) = double.run(&["explain", "second", "--json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let explained: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&explained["outcome"], &explained["record"]["ending"]), (&json!("recovered"), &json!("Stopped")));
    let undone = |entry: &&Value| entry["what"] == "undo_started";
    let timeline = explained["record"]["timeline"].as_array().unwrap();
    assert_eq!(timeline.iter().filter(undone).count(), 2, "{timeline:?}");
    assert!(explained["explanation"]["traffic"].as_str().unwrap().contains("All traffic is on green again"), "{out}");
}

/// Pages of executions of several services, the latest first: only as many are looked at as are asked for.
#[test]
fn releases_of_other_services_are_passed_over() {
    let pages = AtomicUsize::new(0);
    let double = Double::start(move |operation, body| {
        let execution = body["executionArn"].as_str().unwrap_or_default();
        let listed = |name: &str, started: f64| {
            json!({
                "executionArn": arn("spillway-release", name), "stateMachineArn": "m", "name": name, "status": "FAILED",
                "startDate": started, "stopDate": started + 30.0,
            })
        };
        match operation {
            "ListExecutions" if body["stateMachineArn"].as_str().unwrap().ends_with("rollback") => {
                Answer::Json(json!({"executions": []}))
            }
            "ListExecutions" => {
                pages.fetch_add(1, Ordering::Relaxed);
                Answer::Json(match body["nextToken"].as_str() {
                    None => {
                        json!({"executions": [listed("cart-1", started()), listed("shop-2", started())], "nextToken": "2"})
                    }
                    Some("2") => json!({"executions": [listed("shop-1", started() - 60.0)], "nextToken": "3"}),
                    Some(_) => json!({"executions": [listed("shop-0", 1.0)]}),
                })
            }
            "DescribeExecution" if execution.contains("retire") => Answer::Error("ExecutionDoesNotExist", "gone"),
            "DescribeExecution" => {
                let service = execution.rsplit(':').next().unwrap().split('-').next().unwrap();
                let input = json!({"service": service, "version": {"opaque": "v3"}});
                described(
                    &body["executionArn"],
                    "FAILED",
                    &input,
                    &json!({"error": "RolledBack", "cause": "rolled back"}),
                )
            }
            _ => answer(operation, body),
        }
    });
    let names = |out: &str| -> Vec<String> {
        out.lines().skip(1).filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
    };
    let (code, out, err) = double.run(&["history", "shop", "--limit", "2"]);
    assert_eq!((code, err.as_str(), names(&out)), (Some(0), "", vec!["shop-2".to_owned(), "shop-1".to_owned()]));
    // Not retired yet, as far as anybody knows.
    assert!(out.contains('+'), "{out}");
    let (_, out, _) = double.run(&["history", "shop"]);
    assert_eq!(names(&out), ["shop-2", "shop-1", "shop-0"]);
    let (_, out, _) = double.run(&["history", "none"]);
    assert!(out.starts_with("none: no release of it in the last 90 days"), "{out}");
}

/// A reader that goes away, such as `head`, is no error and no panic.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let double = Double::start(answer);
    for arguments in [&["report", "second", "--html", "-"][..], &["explain", "second"], &["history", "shop"]] {
        let mut child = double.spawn(arguments);
        if arguments[0] == "report" {
            let mut first = String::new();
            BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut first).ok();
        } else {
            drop(child.stdout.take());
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), crate::text(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
    }
}
