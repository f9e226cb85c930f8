//! Lambda's runtime API, as far as one program needs it that starts, takes one event and answers:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use thiserror::Error;

const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
/// How often it is looked whether a silent program is still there.
const LOOK: Duration = Duration::from_millis(10);

/// A program that was started and has answered one event.
#[derive(Debug)]
pub struct Started {
    /// From its start until it asked for an event.
    pub ready: Duration,
    /// For how much of that it computed, where the system tells: what a small share of a processor stretches.
    pub computed: Option<Duration>,
    /// The most memory that it had by then, in KiB, where the system tells.
    pub resident_kib: Option<u64>,
    /// What it said to the event.
    pub answer: Answer,
}

/// What a function says to an event.
#[derive(Debug, Eq, PartialEq)]
pub enum Answer {
    /// Its result.
    Response(Value),
    /// An error with its name, as a state machine catches it.
    Error {
        /// `errorType`.
        name: String,
        /// `errorMessage`.
        message: String,
    },
}

/// Why a program did not start, or did not answer.
#[derive(Debug, Error)]
pub enum StartError {
    /// It cannot be executed, or watched.
    #[error("cannot {0}")]
    Io(&'static str, #[source] io::Error),
    /// It ended by itself.
    #[error("it ended with {status} before it {had}: {said}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it had not done yet.
        had: &'static str,
        /// Its last words.
        said: String,
    },
    /// It did nothing for too long.
    #[error("it has not {had} after {} s", .limit.as_secs_f64())]
    TooSlow {
        /// What it had not done yet.
        had: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// It gave up while it started.
    #[error("it could not be initialised: {0}")]
    Init(String),
    /// Not JSON, or not what the runtime API asks for.
    #[error("its answer is not one: {0}")]
    Unreadable(String),
}

fn cannot(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::Io(what, error)
}

/// What the program did.
enum Call {
    Next(Instant),
    Response(Vec<u8>),
    Error(Vec<u8>),
    InitError(Vec<u8>),
}

/// Starts a program as Lambda does, with this event waiting for it, and ends it once it has answered. AWS is not there:
/// calls to it are refused at once.
///
/// # Errors
/// [`StartError`].
pub fn start(mut command: Command, function: &str, event: &Value, limit: Duration) -> Result<Started, StartError> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot("listen"))?;
    let address = listener.local_addr().map_err(cannot("listen"))?;
    let (calls, made) = mpsc::channel();
    let body = event.to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (calls, body) = (calls.clone(), body.clone());
            thread::spawn(move || serve(stream, &calls, &body));
        }
    });
    command
        .env_clear()
        .envs([
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_NAME", function),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
            ("AWS_LAMBDA_RUNTIME_API", &address.to_string()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("SPILLWAY_LEASE_TABLE", "leases"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = Running(command.spawn().map_err(cannot("execute it"))?);
    let ready = match child.call(&made, "asked for an event", begun, limit)? {
        Call::Next(at) => at.duration_since(begun),
        Call::InitError(body) => return Err(StartError::Init(String::from_utf8_lossy(&body).into_owned())),
        Call::Response(body) | Call::Error(body) => return Err(unreadable(&body)),
    };
    let (computed, resident_kib) = (computed(child.0.id()), peak_memory(child.0.id()));
    let answer = match child.call(&made, "answered it", begun, limit)? {
        Call::Response(body) => Answer::Response(serde_json::from_slice(&body).map_err(|_| unreadable(&body))?),
        Call::Error(body) => error(&body).ok_or_else(|| unreadable(&body))?,
        Call::Next(_) => return Err(StartError::Unreadable("it asked for another event".into())),
        Call::InitError(body) => return Err(unreadable(&body)),
    };
    Ok(Started { ready, computed, resident_kib, answer })
}

fn unreadable(body: &[u8]) -> StartError {
    StartError::Unreadable(String::from_utf8_lossy(body).into_owned())
}

fn error(body: &[u8]) -> Option<Answer> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |key: &str| Some(body.get(key)?.as_str()?.to_owned());
    Some(Answer::Error { name: text("errorType")?, message: text("errorMessage")? })
}

/// Ends with this value.
struct Running(Child);

impl Running {
    /// The program's next call.
    fn call(
        &mut self,
        made: &Receiver<Call>,
        had: &'static str,
        begun: Instant,
        limit: Duration,
    ) -> Result<Call, StartError> {
        loop {
            match made.recv_timeout(LOOK) {
                Ok(call) => return Ok(call),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if let Some(status) = self.0.try_wait().map_err(cannot("watch it"))? {
                let mut said = String::new();
                if let Some(mut stderr) = self.0.stderr.take() {
                    stderr.read_to_string(&mut said).map_err(cannot("read what it says"))?;
                }
                return Err(StartError::Ended { status, had, said: said.trim().to_owned() });
            }
            if begun.elapsed() > limit {
                return Err(StartError::TooSlow { had, limit });
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn told_by_system(process: u32, file: &str) -> Option<String> {
    fs::read_to_string(Path::new("/proc").join(process.to_string()).join(file)).ok()
}

/// What the first thread, which is the functions' only one while they start, has spent on a processor.
fn computed(process: u32) -> Option<Duration> {
    let times = told_by_system(process, "schedstat")?;
    Some(Duration::from_nanos(times.split_whitespace().next()?.parse().ok()?))
}

/// `VmHWM`, the peak of the resident set.
fn peak_memory(process: u32) -> Option<u64> {
    let status = told_by_system(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// One connection of the program's, request after request.
fn serve(stream: TcpStream, calls: &Sender<Call>, event: &str) {
    let Ok(reading) = stream.try_clone() else { return };
    let (mut reader, mut writer) = (BufReader::new(reading), stream);
    let mut served = false;
    while let Ok((line, body)) = request(&mut reader) {
        let path = line.split(' ').nth(1).unwrap_or_default();
        let answered = match path.rsplit('/').next().unwrap_or_default() {
            // There is one event: whoever asks for another waits until it is ended.
            "next" if served => continue,
            "next" => {
                served = true;
                let _ = calls.send(Call::Next(Instant::now()));
                write!(
                    writer,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                     lambda-runtime-aws-request-id: {REQUEST_ID}\r\nlambda-runtime-deadline-ms: {}\r\n\
                     lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-west-1:123456789012:function:function\r\n\
                     \r\n{event}",
                    event.len(),
                    deadline()
                )
            }
            end => {
                let _ = calls.send(match end {
                    "response" => Call::Response(body),
                    "error" if path.contains("/init/") => Call::InitError(body),
                    _ => Call::Error(body),
                });
                write!(writer, "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
            }
        };
        if answered.is_err() {
            return;
        }
    }
}

/// The functions' time-out from now, in milliseconds of Unix time.
fn deadline() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now + Duration::from_secs(30)).as_millis()
}

/// A request's first line and its body.
fn request(reader: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let mut first = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        match line.split_once(':') {
            _ if first.is_empty() => line.clone_into(&mut first),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
            }
            None if line.is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((first, body))
}
