//! The application under release: a small HTTP server whose faults can be dialled.

mod dials;
mod last_second;

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket};

use crate::dependency::Dependency;
use last_second::LastSecond;

pub use dials::{Arguments, Dials};

/// Runs the application until it is ended; its first line on standard output is the port.
///
/// # Errors
/// If the port cannot be had.
pub async fn run(arguments: Arguments) -> io::Result<()> {
    let Arguments { port, dependency, dials } = arguments;
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
    serve(socket.listen(1024)?, Arc::new(Application::new(dials, dependency.map(Dependency::new)))).await
}

async fn serve(listener: TcpListener, application: Arc<Application>) -> ! {
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
    recent: Mutex<LastSecond>,
    dependency: Option<Dependency>,
    /// Where the sequences of errors begin: processes of one version must not fail in step.
    offset: f64,
}

/// The fractional parts of the golden ratio and of the square root of 2. Multiples of either, modulo 1, are
/// spread so evenly that a rate is right over any stretch of requests, yet not periodic; two of them, as errors
/// of the application's own and of its dependency have nothing to do with each other.
const OWN: f64 = 0.618_033_988_749_894_9;
const SHARED: f64 = 0.414_213_562_373_095_1;

impl Application {
    fn new(dials: Dials, dependency: Option<Dependency>) -> Self {
        let (requests, recent) = (AtomicU64::new(0), Mutex::default());
        Self { dials, requests, recent, dependency, offset: fastrand::f64() }
    }

    async fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        if path == "/health" {
            let healthy = !self.dials.unhealthy;
            return self.response(if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE });
        }
        let request = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let fails = self.fails(request, Instant::now());
        let jitter = fastrand::u64(0..=self.dials.latency_jitter_ms);
        let latency = self.dials.latency_ms + jitter;
        if latency > 0 {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        self.response(if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK })
    }

    /// Whether this request, which arrives now, is answered with an error.
    fn fails(&self, request: u64, now: Instant) -> bool {
        let Dials { error_rate, errors_from_request, errors_up_to_request, errors_above_rps, .. } = self.dials;
        let among = request >= errors_from_request && (errors_up_to_request == 0 || request <= errors_up_to_request);
        let per_second = self.recent.lock().unwrap_or_else(PoisonError::into_inner).arrived(now);
        let own = among && per_second > errors_above_rps && self.is_among(request, OWN, error_rate);
        own || self.dependency.as_ref().is_some_and(|shared| self.is_among(request, SHARED, shared.failing()))
    }

    #[expect(clippy::cast_precision_loss, reason = "request numbers stay far below 2^52")]
    fn is_among(&self, request: u64, step: f64, share: f64) -> bool {
        (self.offset + request as f64 * step).fract() < share
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
    use std::collections::BTreeMap;

    use super::*;

    fn application(dials: Dials) -> Application {
        Application::new(dials, None)
    }

    /// How many of these requests fail, one a second.
    fn errors(application: &Application, requests: std::ops::Range<u64>) -> usize {
        let start = Instant::now();
        requests.filter(|request| application.fails(*request, start + Duration::from_secs(*request))).count()
    }

    #[test]
    fn the_error_rate_is_right_over_any_stretch() {
        let application = application(Dials::version("v").error_rate(0.05));
        for start in [1, 77, 10_001] {
            let errors = errors(&application, start..start + 1000);
            assert!((47..=53).contains(&errors), "{errors} errors from request {start}");
        }
    }

    #[test]
    fn errors_can_begin_later() {
        let late = application(Dials { errors_from_request: 100, ..Dials::version("v").error_rate(1.0) });
        assert_eq!(errors(&late, 1..100), 0);
        assert_eq!(errors(&late, 100..110), 10);
    }

    #[test]
    fn errors_can_end_after_a_cold_start() {
        let cold = application(Dials::version("v").error_rate(1.0).errors_up_to_request(30));
        assert_eq!(errors(&cold, 1..100), 30);
    }

    #[test]
    fn errors_can_come_under_load_only() {
        let application = application(Dials::version("v").error_rate(0.5).errors_above_rps(20));
        let start = Instant::now();
        let errors_at = |per_second: u32, from: Duration| {
            let due = |request: u32| start + from + Duration::from_secs(1) * request / per_second;
            (0..5 * per_second).filter(|request| application.fails((*request).into(), due(*request))).count()
        };
        assert_eq!(errors_at(20, Duration::ZERO), 0);
        // The first second takes the load to 20; of the 160 requests after that, half.
        let under_load = errors_at(40, Duration::from_secs(10));
        assert!((88..=92).contains(&under_load), "{under_load}");
        assert_eq!(errors_at(19, Duration::from_secs(20)), 0);
    }

    #[test]
    fn a_failing_dependency_adds_to_the_errors_of_its_own() {
        let dir = std::env::temp_dir().join(format!("spillway-application-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let shared = Dependency::new(dir.join("dependency"));
        let application = Application::new(Dials::version("v").error_rate(0.1), Some(shared.clone()));
        let own = 97..=103;
        assert!(own.contains(&errors(&application, 1..1001)));
        shared.fail(0.5).unwrap();
        // Independent of each other: 1 - 0.9 * 0.5.
        let both = errors(&application, 1..1001);
        assert!((530..=570).contains(&both), "{both}");
        shared.restore().unwrap();
        assert!(own.contains(&errors(&application, 1..1001)));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[tokio::test]
    async fn slow_answers_do_not_wait_for_each_other() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url: hyper::Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let slow = Application::new(Dials::version("v").latency_ms(300), None);
        let server = tokio::spawn(async move { serve(listener, Arc::new(slow)).await });
        let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http::<Full<Bytes>>();
        let started = Instant::now();
        let requests: Vec<_> = (0..20).map(|_| tokio::spawn(client.get(url.clone()))).collect();
        let mut statuses = BTreeMap::new();
        for request in requests {
            *statuses.entry(request.await.unwrap().unwrap().status().as_u16()).or_insert(0) += 1;
        }
        server.abort();
        assert_eq!(statuses, BTreeMap::from([(200, 20)]));
        let took = started.elapsed();
        // One after the other they would take six seconds.
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
    }
}
