//! The program as Lambda runs it: one invocation over the runtime API, spoken by hand.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A request's first line and body.
fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut first = String::new();
    stream.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        chunked |= line.starts_with("transfer-encoding:") && line.contains("chunked");
    }
    let mut body = Vec::new();
    while chunked {
        let mut size = String::new();
        stream.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).ok()?;
        body.extend_from_slice(&chunk[..size]);
        chunked = size > 0;
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).ok()?;
    body.extend_from_slice(&rest);
    Some((first, String::from_utf8(body).ok()?))
}

/// Hands the program one event; gives what it posted, and what it wrote to standard output.
fn invoke(event: &Value) -> ((String, Value), String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_shift-weight"))
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string().as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "shift-weight"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "not-to-be-logged"),
            ("SPILLWAY_LEASE_TABLE", "leases"),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let posted = loop {
        let (stream, _) = listener.accept().unwrap();
        let mut answers = stream.try_clone().unwrap();
        let mut stream = BufReader::new(stream);
        let mut posted = None;
        while let Some((first, body)) = request(&mut stream) {
            if first.starts_with("POST") {
                posted = Some((first, serde_json::from_str(&body).unwrap()));
                break;
            }
            let event = event.to_string();
            let head = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: request-1\r\nLambda-Runtime-Deadline-Ms: 9999999999999\r\n\
                        Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:f\r\n";
            answers.write_all(format!("{head}Content-Length: {}\r\n\r\n{event}", event.len()).as_bytes()).unwrap();
        }
        if let Some(posted) = posted {
            break posted;
        }
    };
    child.kill().unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.wait().unwrap();
    (posted, output)
}

#[test]
fn a_malformed_event_is_a_named_error_and_logs_say_what_it_was_about() {
    let event = json!({
        "lease": {"service": "shop", "owner": "arn:aws:states:eu-west-1:123456789012:execution:release:r-7", "fence": 7},
        "progress": {"position": 2},
        "plan": "not-to-be-logged",
    });
    let ((path, error), output) = invoke(&event);
    assert!(path.contains("/invocation/request-1/error"), "{path}");
    assert_eq!(error["errorType"], "InvalidInput");
    assert!(error["errorMessage"].as_str().unwrap().starts_with("plan: "), "{error}");

    let logged: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let span = &logged.first().expect("a line")["span"];
    assert_eq!((&span["service"], &span["release"], &span["step"]), (&json!("shop"), &json!("r-7"), &json!(2)));
    assert!(!output.contains("not-to-be-logged"), "{output}");
}
