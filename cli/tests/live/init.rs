//! A definition from a live load balancer.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use spillway_end_to_end::lab;
use spillway_lab::{Compute, Lab, Slot};

use crate::{spillway, text};

/// Exit code, standard output, standard error.
fn init(lab: &Lab, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = tokio::task::block_in_place(|| spillway(lab, &[&["init"], arguments].concat(), ""));
    println!("$ spillway init {}\n{}{}", arguments.join(" "), text(&output.stdout), text(&output.stderr));
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The same with a terminal, and somebody who types this; exit code, and what the terminal shows. The lab needs Python
/// anyway, and that has terminals.
fn on_a_terminal(lab: &Lab, arguments: &[&str], typed: &str) -> (Option<i32>, String) {
    let spawn = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut child = Command::new(std::env::var_os("SPILLWAY_PYTHON").unwrap_or_else(|| "python3".into()))
        .args(["-c", spawn, env!("CARGO_BIN_EXE_spillway")])
        .args(arguments)
        .envs(lab.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    let output = tokio::task::block_in_place(|| child.wait_with_output()).unwrap();
    drop(input);
    println!("{}", text(&output.stdout));
    (output.status.code(), text(&output.stdout))
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What is written is what the lab's own definition says, and `validate` takes it.
fn assert_describes(lab: &Lab, path: &Path, expected: &Value) {
    let written = read(path);
    assert_eq!((&written["routes"], &written["slots"]), (&expected["routes"], &expected["slots"]));
    let output = tokio::task::block_in_place(|| spillway(lab, &["validate", path.to_str().unwrap()], ""));
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// One load balancer, one rule to two groups, two ECS services: nothing needs to be said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_is_found_on_the_load_balancer() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let path = lab.run_dir().join("shop.json");
    let file = path.to_str().unwrap();
    let (code, out, err) = init(&lab, &["--output", file, "--strategy", "linear"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("  blue    shop-blue-0, ECS service shop-blue\n"), "{out}");
    assert!(out.contains("  stable  blue, by the live weights\nNext: spillway validate --live "), "{out}");
    assert_describes(&lab, &path, &shop.definition());
    assert_eq!(read(&path)["strategy"], json!({"type": "linear"}));

    // Not written over, and nothing is asked of AWS for it.
    std::fs::write(&path, "mine").unwrap();
    let (code, _, err) = init(&lab, &["--output", file]);
    assert_eq!((code, std::fs::read_to_string(&path).unwrap().as_str()), (Some(1), "mine"));
    assert!(err.contains("it was not written over; allowed: --force"), "{err}");
    assert_eq!(init(&lab, &["--output", file, "--force"]).0, Some(0));
    assert_describes(&lab, &path, &shop.definition());

    // On standard output there is the definition alone.
    let (code, out, _) = init(&lab, &["--service", "checkout", "--output", "-"]);
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["service"], "checkout");
    lab.stop().await;
}

/// Several services: what is meant is asked, or said with what settles it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ambiguous_is_settled_by_options() {
    let lab = lab().await;
    let shop = lab.service("shop").load_balancers(2).compute(Compute::AutoScaling).start().await.unwrap();
    let other = lab.service("other").green_unattached().start().await.unwrap();
    let path = lab.run_dir().join("shop.json");
    let file = path.to_str().unwrap();
    let (code, out, err) = init(&lab, &["--output", file]);
    assert_eq!((code, out.as_str(), path.exists()), (Some(1), "", false));
    assert!(err.contains("load balancer: there are 3; allowed: --load-balancer NAME\n  "), "{err}");
    let ambiguous = err;

    let slots: Vec<String> = Slot::BOTH
        .into_iter()
        .flat_map(|slot| shop.target_groups(slot).iter().map(move |group| format!("--slot={slot}={group}")))
        .collect();
    let mut arguments = vec!["--output", file];
    arguments.extend(slots.iter().map(String::as_str));
    let (code, _, err) = init(&lab, &arguments);
    assert_eq!(code, Some(0), "{err}");
    assert_describes(&lab, &path, &shop.definition());
    assert_eq!(read(&path)["service"], "shop");

    // The other service's second slot has a group that no load balancer uses.
    let path = lab.run_dir().join("other.json");
    let file = path.to_str().unwrap();
    let one = ["--load-balancer", "other-0", "--rule", "40000", "--service", "other", "--output", file];
    let (code, out, err) = init(&lab, &one);
    assert_eq!((code, out.as_str(), path.exists()), (Some(1), "", false));
    for part in
        ["slots.green: only one slot exists: other-blue-0", "create-target-group --name", "--slot green=other-green-0"]
    {
        assert!(err.contains(part), "no {part:?} in\n{err}");
    }
    let (code, _, err) = init(&lab, &[&one[..], &["--slot", "green=other-green-0"]].concat());
    assert_eq!(code, Some(0), "{err}");
    assert_describes(&lab, &path, &other.definition());

    // On a terminal both are asked; nothing is taken for an answer that is none.
    let known: Vec<&str> = ambiguous.lines().skip(1).map(str::trim).collect();
    let which = known.iter().position(|name| *name == "other-0").unwrap() + 1;
    let asked = ["init", "--service", "other", "--output", file, "--force"];
    std::fs::remove_file(&path).unwrap();
    let (code, told) = on_a_terminal(&lab, &asked, &format!("9\n{which}\n1\n"));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("Which load balancer?") && told.contains("Which target group is green?"), "{told}");
    assert_describes(&lab, &path, &other.definition());
    let (code, told) = on_a_terminal(&lab, &asked, "\n");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("allowed: --load-balancer NAME"), "{told}");

    // What does not exist, and AWS that fails.
    for (arguments, expected) in [
        (vec!["--load-balancer", "nowhere"], "--load-balancer nowhere: there is no such Application Load Balancer"),
        (
            vec!["--load-balancer", "other-0", "--listener", "1"],
            "--listener 1: there is no route; known:\n  other-0 HTTP ",
        ),
        (vec!["--load-balancer", "other-0", "--rule", "7"], "--rule 7: there is no such rule; known:\n  other-0 HTTP "),
        (vec!["--load-balancer", "other-0", "--rule", "default"], "a route has one forward action"),
        (vec!["--slot", "blue=nowhere"], "--slot blue=nowhere: there is no such target group"),
    ] {
        let (code, _, err) = init(&lab, &[&arguments[..], &["--output", "-"]].concat());
        assert_eq!(code, Some(1), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
    lab.alb().faults().fail_next("DescribeRules", 1, "AccessDenied", "not authorized");
    let (code, _, err) = init(&lab, &[&one[..], &["--force"]].concat());
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("DescribeRules of arn:") && err.contains("AccessDenied: not authorized"), "{err}");
    lab.stop().await;
}
