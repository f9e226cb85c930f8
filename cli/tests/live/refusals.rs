//! What the operator's commands refuse, and what they write.

use serde_json::{Value, json};

use crate::aws::{Answer, Double, arn, installation};

fn running(lease: Value) -> Double {
    Double::start(move |operation, body| installation(operation, body, &lease, &json!({"status": "RUNNING"})))
}

fn baking() -> Value {
    json!({
        "service": "shop", "owner": arn("spillway-release", "r-1"), "fence": "3", "phase": "baking", "command": "none",
        "acquired_at": "2026-11-23T06:00:00.000Z",
    })
}

fn with(changes: &Value) -> Value {
    let mut lease = baking();
    lease.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    lease
}

/// Each with its reason and with what is allowed, and nothing is written.
#[test]
fn words_that_make_no_sense_are_refused() {
    let mut free = baking();
    free.as_object_mut().unwrap().remove("owner");
    let freeze = json!({"freeze": {"reason": "sales", "owner": "bob", "until": "2999-01-01T00:00:00.000Z"}});
    for (lease, word, expected) in [
        (Value::Null, "pause", "shop: no release of it has ever started here; known: none yet; allowed: start"),
        (free, "abort", "shop: no release runs, the lease is free; allowed: start"),
        (baking(), "resume", "shop: release r-1 is not paused; allowed: pause, approve, promote, abort"),
        (with(&json!({"command": "abort"})), "approve", "shop: release r-1 was aborted and is about to roll back"),
        (with(&json!({"phase": "rolling_back"})), "abort", "shop: release r-1 is rolling back already"),
        (
            with(&json!({"owner": arn("spillway-retire", "r-0"), "phase": "retiring"})),
            "promote",
            "shop: no release runs: retirement r-0 holds the lease; a retirement holds the lease for seconds",
        ),
        (
            with(&json!({"owner": arn("spillway-rollback", "r-0"), "phase": "rolling_back"})),
            "pause",
            "shop: no release runs: rollback r-0 holds the lease; traffic is being given back",
        ),
        (
            with(&freeze),
            "promote",
            "shop: shop is frozen until 2999-01-01T00:00:00.000Z by bob: sales; the freeze holds",
        ),
    ] {
        let double = running(lease);
        let (code, out, err) = double.run(&[word, "shop"]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{word}: {err}");
        assert!(err.starts_with(&format!("spillway: {expected}")) && err.contains("allowed: "), "{word}: {err}");
        assert_eq!(double.calls_of("UpdateItem").len(), 0, "{word}");
    }
}

/// The write is for the lease that was read, and for nobody else's.
#[test]
fn a_word_is_written_under_the_condition_of_what_was_read() {
    let double = running(baking());
    let (code, out, err) = double.run(&["pause", "shop"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("shop: release r-1: paused at its next check, within 1 min"), "{out}");
    assert!(out.contains("it goes on being judged") && out.contains("\nNext: spillway resume shop"), "{out}");
    let written = &double.calls_of("UpdateItem")[0];
    assert_eq!(written["Key"], json!({"service": {"S": "shop"}}));
    assert_eq!(written["ConditionExpression"], "#owner = :owner AND #fence = :fence AND #command = :seen");
    let values = &written["ExpressionAttributeValues"];
    assert_eq!(
        *values,
        json!({
            ":owner": {"S": arn("spillway-release", "r-1")}, ":fence": {"N": "3"}, ":seen": {"S": "none"},
            ":command": {"S": "pause"},
        })
    );
    let (code, out, _) = running(with(&json!({"command": "pause"}))).run(&["pause", "shop", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["command"], &told["before"]), (Some(0), &json!("pause"), &json!("pause")));
}

/// A lost race is run again with what stands there now; one that is always lost ends.
#[test]
fn a_lost_race_is_read_again() {
    let double = Double::start(move |operation, body| match operation {
        "UpdateItem" => Answer::Error("ConditionalCheckFailedException", "The conditional request failed"),
        _ => installation(operation, body, &baking(), &json!({"status": "RUNNING"})),
    });
    let (code, _, err) = double.run(&["abort", "shop"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("the lease was changed by others 5 times in a row, and nothing was written"), "{err}");
    assert_eq!((double.calls_of("UpdateItem").len(), double.calls_of("GetItem").len()), (5, 5));
}

/// Nobody reads what is written into the lease of an execution that has ended.
#[test]
fn the_lease_of_a_dead_release_takes_no_words() {
    let double = Double::start(|operation, body| {
        installation(operation, body, &baking(), &json!({"status": "ABORTED", "stopDate": 2.0}))
    });
    let (code, _, err) = double.run(&["abort", "shop"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("its execution has ended, and nobody reads commands"), "{err}");
    assert_eq!(double.calls_of("UpdateItem").len(), 0);
    let (code, out, _) = double.run(&["status", "shop"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("its execution has ended without freeing it"), "{out}");
}

/// Who, since when, how far, what waits, and what holds it.
#[test]
fn status_tells_what_the_lease_tells() {
    let lease = with(&json!({
        "command": "pause",
        "intent": "{\"service\":\"shop\",\"version\":{\"task_definition\":\"shop:7\"}}",
        "waiting": {
            "execution": arn("spillway-release", "r-2"), "since": "2026-11-23T06:01:00.000Z",
            "intent": "{\"service\":\"shop\",\"version\":{\"task_definition\":\"shop:8\"}}",
        },
        "freeze": {"reason": "sales", "owner": "bob", "until": "2999-01-01T00:00:00.000Z"},
        "live_version": "{\"task_definition\":\"shop:6\"}", "live_slot": "blue",
    }));
    let double = running(lease);
    let (code, out, err) = double.run(&["status", "shop"]);
    assert_eq!(code, Some(0), "{err}");
    for part in [
        "shop\n  lease    release r-1, since 2026-11-23T06:00:00Z, for ",
        "\n  phase    baking, paused, frozen\n",
        "\n  version  task definition shop:7\n",
        "\n  waiting  release r-2 of task definition shop:8, since 2026-11-23T06:01:00Z, for ",
        "\n  live     task definition shop:6 on blue\n",
        "\n  freeze   shop is frozen until 2999-01-01T00:00:00.000Z by bob: sales\n",
    ] {
        assert!(out.contains(part), "no {part:?} in\n{out}");
    }
    let (_, out, _) = double.run(&["status", "shop", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&told["holder"]["name"], &told["phase"], &told["command"], &told["waiting"]["name"], &told["live_slot"]),
        (&json!("r-1"), &json!("baking"), &json!("pause"), &json!("r-2"), &json!("blue"))
    );
    let (_, all, _) = double.run(&["status"]);
    let mut lines = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next(), Some(vec!["SERVICE", "STATUS", "STEP", "WEIGHT", "OBSERVED", "VERDICT", "SINCE"]));
    assert_eq!(lines.next().map(|line| line[..6].to_vec()), Some(vec!["shop", "paused", "-", "-", "-", "-"]), "{all}");
}

/// A free lease: the latest release's end, in words.
#[test]
fn status_tells_how_the_latest_release_ended() {
    let refused = r#"{"Error":"ReleaseRefused","Cause":"{\"errorType\":\"ReleaseRefused\",\"errorMessage\":\"an alarm fires\"}"}"#;
    let execution = json!({"status": "FAILED", "stopDate": 2.0, "error": "Refused", "cause": refused});
    let double = Double::start(move |operation, body| {
        installation(operation, body, &json!({"service": "shop", "fence": "1", "phase": "refused"}), &execution)
    });
    let (code, out, err) = double.run(&["status", "shop"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("\n  lease    free\n  latest   release r-1, "), "{out}");
    assert!(out.contains("ago: Refused: nothing was changed\n             ReleaseRefused: an alarm fires"), "{out}");
    let (code, out, err) = double.run(&["status", "shop", "--wait"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, "shop: release r-1: Refused: nothing was changed\n  ReleaseRefused: an alarm fires\n");
}

/// A freeze is one attribute, of an item that may not be there yet; what it takes the place of is told.
#[test]
fn a_freeze_adds_nothing_but_itself() {
    let double = running(Value::Null);
    let (code, out, err) = double.run(&["freeze", "shop", "--reason", "sales", "--for", "2h"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("no release of it has ever started here"), "{err}");
    assert!(out.starts_with("shop is frozen until 2") && out.contains(" by ann: sales\n"), "{out}");
    assert!(
        out.contains("hold at their weight, nothing starts, and rollbacks go on.\nNext: spillway unfreeze shop"),
        "{out}"
    );
    let written = &double.calls_of("UpdateItem")[0];
    assert_eq!(written["UpdateExpression"], "SET #freeze = :freeze");
    assert_eq!(written["ExpressionAttributeNames"], json!({"#freeze": "freeze"}));
    let freeze = &written["ExpressionAttributeValues"][":freeze"]["M"];
    assert_eq!((&freeze["reason"], &freeze["owner"]), (&json!({"S": "sales"}), &json!({"S": "ann"})));
    let (code, _, err) = double.run(&["freeze", "--all", "--reason", "sales", "--for", "90d"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(double.calls_of("UpdateItem")[1]["Key"], json!({"service": {"S": "*"}}));
}

/// A name is one release's.
#[test]
fn a_name_that_is_taken_is_explained() {
    for (status, stop, version, expected) in [
        (
            "SUCCEEDED",
            json!(2.0),
            "v2",
            "the name of a release of opaque v2 that ended as promoted at 1970-01-01T00:00:02Z",
        ),
        ("RUNNING", Value::Null, "v3", "a release that runs, and was started with other input: opaque v2"),
    ] {
        let double = Double::start(move |operation, body| match operation {
            "StartExecution" => Answer::Error("ExecutionAlreadyExists", "Execution Already Exists"),
            _ => installation(operation, body, &baking(), &json!({"status": status, "stopDate": stop})),
        });
        let (code, out, err) = double.run(&["start", "shop", "--opaque", version, "--name", "r-1"]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains(expected) && err.contains("allowed: another name, or none"), "{err}");
    }
    // The same release, as its input says.
    let double = Double::start(move |operation, body| match operation {
        "StartExecution" => Answer::Error("ExecutionAlreadyExists", "Execution Already Exists"),
        _ => installation(operation, body, &baking(), &json!({"status": "RUNNING"})),
    });
    let (code, out, err) = double.run(&["start", "shop", "--opaque", "v2", "--name", "r-1"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("shop: release r-1 has started\n"), "{out}");
}

/// Only the release machine's executions are releases, and only of one service.
#[test]
fn an_execution_must_be_a_release_of_the_service() {
    let double = running(baking());
    for (arguments, expected) in [
        (vec!["status", "--execution", "r-1"], "not a release of this installation; allowed: arn:aws:states:"),
        (vec!["status", "other", "--execution", &arn("spillway-release", "r-1")], "a release of shop, not of other"),
    ] {
        let (code, _, err) = double.run(&arguments);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(expected), "{err}");
    }
    let (code, _, err) = double.run(&["status", "--wait"]);
    assert_eq!(code, Some(2), "{err}");
}
