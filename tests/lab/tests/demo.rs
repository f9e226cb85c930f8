//! The demo itself, as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use spillway_lab::run_dir;

const LONGEST: Duration = Duration::from_mins(3);

fn demo(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the demo starts")
}

/// Reads its lines until one of them contains the text; that line is the last.
fn read_until(child: &mut Child, text: &str) -> Vec<String> {
    let started = Instant::now();
    let mut lines = Vec::new();
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        lines.push(std::mem::take(&mut line));
        if lines.last().is_some_and(|last| last.contains(text)) {
            child.stdout = Some(reader.into_inner());
            return lines;
        }
        assert!(started.elapsed() < LONGEST, "no \"{text}\" in {lines:#?}");
    }
    panic!("it ended without \"{text}\": {lines:#?}");
}

/// Promoted, and said so in plain lines with the numbers that a person wants.
#[test]
fn shows_a_healthy_release() {
    let mut child = demo(&["--scenario", "healthy"]);
    let lines = read_until(&mut child, "Every release ended as it should.").concat();
    assert!(child.wait().expect("it ends").success());
    for shown in ["baking, step 1 of 3", "requested 50.0 %, measured ", "e-value", "next: ", "Promoted after "] {
        assert!(lines.contains(shown), "no \"{shown}\" in {lines}");
    }
    let report = lines.lines().find_map(|line| line.strip_prefix("Report: ")).expect("a report");
    let page = std::fs::read_to_string(report).expect("the report");
    assert!(page.contains("shop-v2") && page.contains("promoted") && page.contains("retirement: Retired"), "{report}");
}

/// A version that never becomes healthy gets no user, and is told so.
#[test]
fn shows_a_version_that_is_never_ready() {
    let mut child = demo(&["--scenario", "unready"]);
    let lines = read_until(&mut child, "Every release ended as it should.").concat();
    assert!(child.wait().expect("it ends").success());
    assert!(lines.contains("RolledBack after ") && !lines.contains("Promoted after "), "{lines}");
}

/// Everything goes on running, and it says how to speak to it.
#[test]
fn keeps_everything_running() {
    let mut child = demo(&["--scenario", "blue-green", "--keep"]);
    let lines = read_until(&mut child, "Ctrl-C stops everything.").concat();
    assert_eq!(child.try_wait().expect("it can be waited for"), None, "it runs");
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    for shown in
        ["Promoted after ", "The application: http://127.0.0.1:", "  export AWS_ENDPOINT_URL=http://127.0.0.1:"]
    {
        assert!(lines.contains(shown), "no \"{shown}\" in {lines}");
    }
}

/// Killed in the middle of a release, with no chance to clean up: nothing that it started stays.
#[test]
fn leaves_nothing_behind_when_it_is_killed() {
    let mut child = demo(&["--scenario", "faulty"]);
    let id = child.id();
    read_until(&mut child, "baking, step 1 of 3");
    let mine = || -> Vec<u32> {
        let of_this_run =
            |run: &Path| run.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{id}-")));
        run_dir::processes().into_iter().filter(|(_, run)| of_this_run(run)).map(|(pid, _)| pid).collect()
    };
    assert!(mine().len() >= 5, "emulator, functions and applications run: {:?}", mine());
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    let killed = Instant::now();
    while !mine().is_empty() {
        assert!(killed.elapsed() < Duration::from_secs(5), "{:?} are left", mine());
        std::thread::yield_now();
    }
}

#[test]
fn says_what_is_wrong_with_its_arguments() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).args(["--scenario", "nonsense"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("nonsense") && text.contains("healthy"), "{text}");
}
