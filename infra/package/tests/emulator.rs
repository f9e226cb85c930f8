//! The emulated runtime API, with functions written in bash.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use spillway_package::emulator::{Answer, StartError, Started, start};

const CALLS: &str = r#"
    exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
    next() {
      printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: lambda\r\n\r\n' >&3
      while IFS= read -r line <&3 && [ "$line" != $'\r' ]; do
        case $line in content-length:*) length=${line//[!0-9]/} ;; *request-id:*) id=${line##* } ;; esac
      done
      read -r -N "$length" event <&3
    }
    post() { printf 'POST /2018-06-01/runtime/%s HTTP/1.1\r\ncontent-length: %s\r\n\r\n%s' "$1" "${#2}" "$2" >&3; }
"#;

fn run(script: &str, limit: Duration) -> Result<Started, StartError> {
    let mut command = Command::new("/bin/bash");
    command.arg("-c").arg(format!("{CALLS}\n{script}"));
    start(command, "rollback", &json!({"a": 1}), limit)
}

fn prompt(script: &str) -> Result<Started, StartError> {
    run(script, Duration::from_secs(30))
}

#[test]
fn hands_out_the_event_and_takes_the_answer() {
    let started = prompt(r#"next; post "invocation/${id%?}/response" "{\"got\": $event}"; read -r line <&3"#).unwrap();
    assert_eq!(started.answer, Answer::Response(json!({"got": {"a": 1}})));
    assert!(started.ready > Duration::ZERO);
    assert!(started.computed.is_none_or(|computed| computed > Duration::ZERO && computed < started.ready * 2));
    assert!(started.resident_kib.is_none_or(|kib| kib > 500));
}

#[test]
fn hears_an_error_by_its_name() {
    let error = r#"next; post "invocation/${id%?}/error" '{"errorType": "LeaseLost", "errorMessage": "gone"}'; read -r line <&3"#;
    let started = prompt(error).unwrap();
    assert_eq!(started.answer, Answer::Error { name: "LeaseLost".into(), message: "gone".into() });
}

#[test]
fn tells_how_a_program_failed() {
    for (script, expected) in [
        ("echo no table >&2; exit 3", "it ended with exit status: 3 before it asked for an event: no table"),
        ("next; exit 4", "it ended with exit status: 4 before it answered it: "),
        ("post init/error '{}'; read -r line <&3", "it could not be initialised: {}"),
        ("next; post invocation/1/response nonsense; read -r line <&3", "its answer is not one: nonsense"),
    ] {
        assert_eq!(prompt(script).unwrap_err().to_string(), expected, "{script}");
    }
}

/// The program is ended, and whatever it holds open with it.
#[test]
fn waits_no_longer_than_it_should() {
    let alive = tempfile::NamedTempFile::new().unwrap();
    let script = format!("echo $$ > {}; next; read -r line <&3", alive.path().display());
    let begun = Instant::now();
    let error = run(&script, Duration::from_millis(500)).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(error.to_string(), "it has not answered it after 0.5 s");
    let process = fs::read_to_string(alive.path()).unwrap();
    assert!(!std::path::Path::new("/proc").join(process.trim()).exists());
}

#[test]
fn a_program_that_is_not_there_is_not_started() {
    let error = start(Command::new("/no/such/program"), "rollback", &json!({}), Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.to_string(), "cannot execute it");
}
