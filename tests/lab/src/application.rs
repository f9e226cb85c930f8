//! The application under release: a small HTTP server whose faults can be dialled.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpSocket;

/// How an application behaves.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dials {
    /// The version it says it is, in the header `x-version`.
    pub version: String,
    /// Share of requests answered with 500, 0 to 1.
    pub error_rate: f64,
    /// The errors begin with this request of a process, counted from 1.
    pub errors_from_request: u64,
    /// Milliseconds that every answer takes.
    pub latency_ms: u64,
    /// Milliseconds more, at most, equally distributed.
    pub latency_jitter_ms: u64,
    /// Milliseconds after the start during which connections are refused.
    pub start_after_ms: u64,
    /// Milliseconds after which the process ends with code 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_after_ms: Option<u64>,
    /// The health check is answered with 503, for ever.
    pub unhealthy: bool,
}

impl Dials {
    /// A sound application of this version.
    #[must_use]
    pub fn version(version: impl Into<String>) -> Self {
        Self { version: version.into(), ..Self::default() }
    }

    /// With this share of errors, 0 to 1.
    #[must_use]
    pub fn error_rate(self, error_rate: f64) -> Self {
        Self { error_rate, ..self }
    }

    /// With this latency.
    #[must_use]
    pub fn latency_ms(self, latency_ms: u64) -> Self {
        Self { latency_ms, ..self }
    }

    /// With a slow start.
    #[must_use]
    pub fn start_after_ms(self, start_after_ms: u64) -> Self {
        Self { start_after_ms, ..self }
    }

    /// Ending soon after its start.
    #[must_use]
    pub fn crash_after_ms(self, crash_after_ms: u64) -> Self {
        Self { crash_after_ms: Some(crash_after_ms), ..self }
    }

    /// Never healthy.
    #[must_use]
    pub fn unhealthy(self) -> Self {
        Self { unhealthy: true, ..self }
    }

    /// The arguments of `lab-application` that mean this.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec!["--version".to_owned(), self.version.clone()];
        let mut add = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        add("error-rate", self.error_rate.to_string());
        add("errors-from-request", self.errors_from_request.to_string());
        add("latency-ms", self.latency_ms.to_string());
        add("latency-jitter-ms", self.latency_jitter_ms.to_string());
        add("start-after-ms", self.start_after_ms.to_string());
        if let Some(after) = self.crash_after_ms {
            add("crash-after-ms", after.to_string());
        }
        if self.unhealthy {
            args.push("--unhealthy".to_owned());
        }
        args
    }
}

/// The arguments of `lab-application`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    /// `--port`, of 127.0.0.1; 0, the default, takes a free one.
    pub port: u16,
    /// All the others.
    pub dials: Dials,
}

impl Arguments {
    /// Reads the arguments.
    ///
    /// # Errors
    /// A message for the user.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut parsed = Self { port: 0, dials: Dials::version("unnamed") };
        let mut args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
        while let Some(name) = args.next() {
            if name == "--unhealthy" {
                parsed.dials.unhealthy = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{name}: a value is missing, or there is no such option"))?;
            let dials = &mut parsed.dials;
            let bad = |error: &dyn std::fmt::Display| format!("{name} {value}: {error}");
            match name.as_str() {
                "--port" => parsed.port = value.parse().map_err(|error| bad(&error))?,
                "--version" => dials.version = value,
                "--error-rate" => dials.error_rate = value.parse().map_err(|error| bad(&error))?,
                "--errors-from-request" => dials.errors_from_request = value.parse().map_err(|error| bad(&error))?,
                "--latency-ms" => dials.latency_ms = value.parse().map_err(|error| bad(&error))?,
                "--latency-jitter-ms" => dials.latency_jitter_ms = value.parse().map_err(|error| bad(&error))?,
                "--start-after-ms" => dials.start_after_ms = value.parse().map_err(|error| bad(&error))?,
                "--crash-after-ms" => dials.crash_after_ms = Some(value.parse().map_err(|error| bad(&error))?),
                _ => return Err(format!("{name}: there is no such option")),
            }
        }
        Ok(parsed)
    }
}

/// Runs the application until it is ended; its first line on standard output is the port.
///
/// # Errors
/// If the port cannot be had.
pub async fn run(arguments: Arguments) -> io::Result<()> {
    let Arguments { port, dials } = arguments;
    // Bound and not listening: the port is taken, and connections to it are refused.
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let mut out = io::stdout();
    writeln!(out, "{}", socket.local_addr()?.port())?;
    out.flush()?;
    if let Some(after) = dials.crash_after_ms {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            eprintln!("crashing, as dialled");
            std::process::exit(1);
        });
    }
    tokio::time::sleep(Duration::from_millis(dials.start_after_ms)).await;
    let listener = socket.listen(1024)?;
    let application = Arc::new(Application::new(dials));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let application = Arc::clone(&application);
        tokio::spawn(async move {
            if let Err(error) = stream.set_nodelay(true) {
                eprintln!("cannot set TCP_NODELAY: {error}");
            }
            let service = service_fn(move |request: Request<Incoming>| {
                let application = Arc::clone(&application);
                async move { Ok::<_, Infallible>(application.answer(request.uri().path()).await) }
            });
            // A client that goes away is no fault of the application.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

struct Application {
    dials: Dials,
    requests: AtomicU64,
    /// Where the sequence of errors begins: processes of one version must not fail in step.
    offset: f64,
}

impl Application {
    fn new(dials: Dials) -> Self {
        Self { dials, requests: AtomicU64::new(0), offset: fastrand::f64() }
    }

    async fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        if path == "/health" {
            let healthy = !self.dials.unhealthy;
            return self.response(if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE });
        }
        let request = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let jitter = fastrand::u64(0..=self.dials.latency_jitter_ms);
        let latency = self.dials.latency_ms + jitter;
        if latency > 0 {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        self.response(if self.fails(request) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK })
    }

    /// Multiples of the golden ratio, modulo 1, are spread so evenly that the rate is right over any stretch of
    /// requests, yet not periodic.
    #[expect(clippy::cast_precision_loss, reason = "request numbers stay far below 2^52")]
    fn fails(&self, request: u64) -> bool {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        request >= self.dials.errors_from_request
            && (self.offset + request as f64 * GOLDEN).fract() < self.dials.error_rate
    }

    fn response(&self, status: StatusCode) -> Response<Full<Bytes>> {
        let body = serde_json::json!({ "version": self.dials.version });
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(version) = HeaderValue::from_str(&self.dials.version) {
            response.headers_mut().insert("x-version", version);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_survive_the_command_line_and_json() {
        let dials = Dials { latency_jitter_ms: 3, errors_from_request: 9, ..Dials::version("v2") }
            .error_rate(0.05)
            .latency_ms(5)
            .start_after_ms(100)
            .crash_after_ms(900)
            .unhealthy();
        let parsed = Arguments::parse(dials.to_args().into_iter().map(OsString::from)).unwrap();
        assert_eq!(parsed, Arguments { port: 0, dials: dials.clone() });
        let json = serde_json::to_string(&dials).unwrap();
        assert_eq!(serde_json::from_str::<Dials>(&json).unwrap(), dials);
        let error = Arguments::parse(["--latency-ms", "soon"].map(OsString::from)).unwrap_err();
        assert!(error.starts_with("--latency-ms soon: "), "{error}");
    }

    #[test]
    fn the_error_rate_is_right_over_any_stretch() {
        let application = Application::new(Dials::version("v").error_rate(0.05));
        for start in [1, 77, 10_001] {
            let errors = (start..start + 1000).filter(|request| application.fails(*request)).count();
            assert!((47..=53).contains(&errors), "{errors} errors from request {start}");
        }
        let late = Application::new(Dials { errors_from_request: 100, ..Dials::version("v").error_rate(1.0) });
        assert!(!late.fails(99) && late.fails(100));
    }
}
