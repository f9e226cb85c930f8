//! A server on loopback that answers in the place of AWS, and the command line that asks it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// What a call is answered with.
pub enum Answer {
    /// A result.
    Json(Value),
    /// An error of this code and message.
    Error(&'static str, &'static str),
    /// The connection is closed without an answer.
    Lost,
    /// Nothing, for a long time.
    Silence,
}

/// The calls so far: operation and body.
type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// The server; its threads end with the test's process.
pub struct Double {
    url: String,
    calls: Calls,
}

impl Double {
    /// One that answers what `respond` makes of an operation and its body.
    pub fn start(respond: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let double = Self { url: format!("http://{}", listener.local_addr().unwrap()), calls: Arc::default() };
        let (calls, respond) = (double.calls.clone(), Arc::new(respond));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (calls, respond) = (calls.clone(), respond.clone());
                // Ends with its connection.
                std::thread::spawn(move || serve(stream, &calls, &*respond));
            }
        });
        double
    }

    /// Where it answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Bodies of the calls of one operation so far.
    pub fn calls_of(&self, operation: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == operation).map(|(_, body)| body.clone()).collect()
    }

    /// Runs the command line against it: exit code, standard output, standard error.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = command(arguments).arg("--endpoint-url").arg(&self.url).output().unwrap();
        (output.status.code(), super::text(&output.stdout), super::text(&output.stderr))
    }

    /// Starts the command line against it.
    pub fn spawn(&self, arguments: &[&str]) -> std::process::Child {
        let mut command = command(arguments);
        command.arg("--endpoint-url").arg(&self.url).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}

/// The command line with credentials, and quick to give up.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillway"));
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("SPILLWAY_INSTALLATION").env("USER", "ann").env("AWS_MAX_ATTEMPTS", "1");
    for (name, value) in [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")] {
        command.env(name, value);
    }
    command
}

fn serve(stream: TcpStream, calls: &Calls, respond: &(impl Fn(&str, &Value) -> Answer + ?Sized)) {
    let mut reader = BufReader::new(stream);
    while let Some((operation, body)) = request(&mut reader) {
        calls.lock().unwrap().push((operation.clone(), body.clone()));
        let (status, body) = match respond(&operation, &body) {
            Answer::Json(body) => (200, body),
            Answer::Error(code, message) => (400, json!({"__type": code, "message": message})),
            Answer::Lost => return,
            Answer::Silence => {
                std::thread::sleep(Duration::from_mins(1));
                return;
            }
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\n");
        if write!(reader.get_mut(), "{head}content-length: {}\r\n\r\n{body}", body.len()).is_err() {
            return;
        }
    }
}

/// The next request of a connection, if there is one.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let (mut operation, mut length, mut line) = (String::new(), 0, String::new());
    while reader.read_line(&mut line).ok()? > 0 {
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return Some((operation, serde_json::from_slice(&body).ok()?));
        }
        if header.starts_with("x-amz-target:") {
            operation = line.trim().rsplit('.').next().map(ToOwned::to_owned)?;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    None
}

/// The ARN of an execution of a machine.
pub fn arn(machine: &str, name: &str) -> String {
    format!("arn:aws:states:eu-west-1:123456789012:execution:{machine}:{name}")
}

/// The answers of an installation with one service, `shop`, whose lease has these attributes (each a text), and whose
/// latest release stands as `execution` says.
pub fn installation(operation: &str, body: &Value, lease: &Value, execution: &Value) -> Answer {
    let attributes: serde_json::Map<String, Value> = lease
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let typed = match (name.as_str(), value) {
                ("fence", value) => json!({"N": value}),
                (_, Value::Object(fields)) => {
                    let fields: serde_json::Map<String, Value> =
                        fields.iter().map(|(name, value)| (name.clone(), json!({"S": value}))).collect();
                    json!({"M": fields})
                }
                (_, value) => json!({"S": value}),
            };
            (name.clone(), typed)
        })
        .collect();
    let machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:spillway-release";
    Answer::Json(match operation {
        "ListStateMachines" => json!({"stateMachines": [{
            "stateMachineArn": machine, "name": "spillway-release", "type": "STANDARD", "creationDate": 1.0,
        }]}),
        "GetItem" if body["Key"]["service"]["S"] == "shop" && lease.is_object() => json!({"Item": attributes}),
        "GetItem" | "UpdateItem" => json!({}),
        "Scan" if lease.is_object() => json!({"Items": [attributes]}),
        "Scan" => json!({"Items": []}),
        "ListExecutions" => json!({"executions": [{
            "executionArn": arn("spillway-release", "r-1"), "stateMachineArn": machine, "name": "r-1",
            "status": execution["status"], "startDate": 1.0,
        }]}),
        "DescribeExecution" => {
            let mut described = json!({
                "executionArn": body["executionArn"], "stateMachineArn": machine, "startDate": 1.0,
                "input": "{\"service\":\"shop\",\"version\":{\"opaque\":\"v2\"}}",
            });
            described.as_object_mut().unwrap().extend(execution.as_object().unwrap().clone());
            described
        }
        "StartExecution" => {
            json!({"executionArn": arn("spillway-release", body["name"].as_str().unwrap()), "startDate": 1.0})
        }
        other => panic!("{other}"),
    })
}
