//! Open-loop traffic: every request at its scheduled time, whatever became of those before it.
//!
//! A closed loop sends less when answers are slow, and so hides from its own numbers what users suffer.

use std::collections::BTreeMap;
use std::ops::Sub;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{COOKIE, SET_COOKIE};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinHandle;

/// After this a request counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of the requests of one version.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct VersionCounts {
    /// Answered requests.
    pub requests: u64,
    /// Of these, with a code of 500 or more.
    pub errors: u64,
}

/// Totals since the start; subtract an earlier one for the time between.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrafficCounts {
    /// Requests sent.
    pub sent: u64,
    /// Answered with a code below 500.
    pub ok: u64,
    /// Answered with 500 or more, or not at all; `sent - ok - failed` are under way.
    pub failed: u64,
    /// Of the failed ones, those without an answer: refused, cut or too late.
    pub unanswered: u64,
    /// Answers by status code.
    pub by_status: BTreeMap<u16, u64>,
    /// Answers by the header `x-version`; those without one, the load balancer's own, are not in here.
    pub by_version: BTreeMap<String, VersionCounts>,
    /// Sum of the answers' latencies, in microseconds.
    pub latency_us: u64,
}

impl TrafficCounts {
    /// Mean latency of the answers, in milliseconds; `None` without any.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a test stay far below 2^52")]
    pub fn mean_latency_ms(&self) -> Option<f64> {
        let answers = self.ok + self.failed - self.unanswered;
        (answers > 0).then(|| self.latency_us as f64 / 1000.0 / answers as f64)
    }

    /// Notes the answer to one request: its status and version, or that there is none.
    fn answered(&mut self, answer: Option<&(u16, Option<String>)>, latency: Duration) {
        let Some((status, version)) = answer else {
            self.failed += 1;
            self.unanswered += 1;
            return;
        };
        let failed = *status >= 500;
        *(if failed { &mut self.failed } else { &mut self.ok }) += 1;
        *self.by_status.entry(*status).or_default() += 1;
        self.latency_us += u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if let Some(version) = version {
            let own = self.by_version.entry(version.clone()).or_default();
            own.requests += 1;
            own.errors += u64::from(failed);
        }
    }

    /// The share of the answers with a version that this version gave, 0 to 1; 0 without any.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of a test stay far below 2^52")]
    pub fn share(&self, version: &str) -> f64 {
        let all: u64 = self.by_version.values().map(|counts| counts.requests).sum();
        let own = self.by_version.get(version).map_or(0, |counts| counts.requests);
        if all == 0 { 0.0 } else { own as f64 / all as f64 }
    }
}

impl Sub for &TrafficCounts {
    type Output = TrafficCounts;

    /// What happened after `earlier`.
    fn sub(self, earlier: &TrafficCounts) -> TrafficCounts {
        let status = |(code, count): (&u16, &u64)| (*code, count - earlier.by_status.get(code).unwrap_or(&0));
        let version = |(name, counts): (&String, &VersionCounts)| {
            let before = earlier.by_version.get(name).copied().unwrap_or_default();
            let counts =
                VersionCounts { requests: counts.requests - before.requests, errors: counts.errors - before.errors };
            (name.clone(), counts)
        };
        TrafficCounts {
            sent: self.sent - earlier.sent,
            ok: self.ok - earlier.ok,
            failed: self.failed - earlier.failed,
            unanswered: self.unanswered - earlier.unanswered,
            by_status: self.by_status.iter().map(status).filter(|(_, count)| *count > 0).collect(),
            by_version: self.by_version.iter().map(version).filter(|(_, counts)| counts.requests > 0).collect(),
            latency_us: self.latency_us - earlier.latency_us,
        }
    }
}

/// Running traffic; dropping it stops it.
#[derive(Debug)]
pub struct Traffic {
    counts: Arc<Mutex<TrafficCounts>>,
    watches: Watches,
    schedule: JoinHandle<()>,
}

type Watches = Arc<Mutex<Vec<(Instant, Arc<Mutex<TrafficCounts>>)>>>;

/// The requests that were sent from some moment on, and no others: an answer to an earlier one does not count.
#[derive(Debug)]
pub struct Watch {
    counts: Arc<Mutex<TrafficCounts>>,
}

impl Watch {
    /// The totals so far.
    #[must_use]
    pub fn snapshot(&self) -> TrafficCounts {
        lock(&self.counts).clone()
    }
}

impl Traffic {
    /// Sends GET requests to `url` at a steady rate, above 0. With `sessions` above 0, the requests come from that
    /// many clients in turn, each of which keeps and returns its cookies; otherwise every request is a
    /// new client's. Connections are kept alive.
    ///
    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(url: &str, requests_per_second: f64, sessions: usize) -> Self {
        Self::start_with(url, requests_per_second, sessions, None)
    }

    /// The same, of testers: with the header `x-tester: yes`, without sessions.
    #[must_use]
    pub fn start_testers(url: &str, requests_per_second: f64) -> Self {
        Self::start_with(url, requests_per_second, 0, Some(("x-tester", "yes")))
    }

    fn start_with(
        url: &str,
        requests_per_second: f64,
        sessions: usize,
        header: Option<(&'static str, &'static str)>,
    ) -> Self {
        let counts = Arc::new(Mutex::new(TrafficCounts::default()));
        let watches = Watches::default();
        let sender = Sender {
            url: url.to_owned(),
            header,
            client: Client::builder(TokioExecutor::new()).build_http(),
            counts: Arc::clone(&counts),
            watches: Arc::clone(&watches),
        };
        let jars: Vec<Jar> = (0..sessions).map(|_| Jar::default()).collect();
        let schedule = tokio::spawn(async move {
            let start = Instant::now();
            for number in 0_u32.. {
                let due = start + Duration::from_secs_f64(f64::from(number) / requests_per_second);
                tokio::time::sleep_until(due.into()).await;
                let jar = jars.get(number as usize % jars.len().max(1)).cloned();
                let started = Instant::now();
                sender.note(started, |counts| counts.sent += 1);
                tokio::spawn(sender.clone().send(jar, started));
            }
        });
        Self { counts, watches, schedule }
    }

    /// Counts what is sent from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let counts = Arc::new(Mutex::new(TrafficCounts::default()));
        lock(&self.watches).push((Instant::now(), Arc::clone(&counts)));
        Watch { counts }
    }

    /// The totals so far.
    #[must_use]
    pub fn snapshot(&self) -> TrafficCounts {
        lock(&self.counts).clone()
    }

    /// Sends no more, waits for the answers that are due, and gives the totals.
    pub async fn stop(self) -> TrafficCounts {
        self.schedule.abort();
        let started = Instant::now();
        loop {
            let counts = self.snapshot();
            if counts.ok + counts.failed == counts.sent || started.elapsed() > PATIENCE {
                return counts;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.schedule.abort();
    }
}

/// Cookies of one client, by name.
type Jar = Arc<Mutex<BTreeMap<String, String>>>;

#[derive(Clone)]
struct Sender {
    url: String,
    header: Option<(&'static str, &'static str)>,
    client: Client<HttpConnector, Full<Bytes>>,
    counts: Arc<Mutex<TrafficCounts>>,
    watches: Watches,
}

impl Sender {
    async fn send(self, jar: Option<Jar>, started: Instant) {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(jar.as_ref())).await.ok().flatten();
        let latency = started.elapsed();
        self.note(started, |counts| counts.answered(answer.as_ref(), latency));
    }

    /// In the totals, and in every watch that had begun when the request was sent.
    fn note(&self, started: Instant, change: impl Fn(&mut TrafficCounts)) {
        change(&mut lock(&self.counts));
        for (_, counts) in lock(&self.watches).iter().filter(|(since, _)| *since <= started) {
            change(&mut lock(counts));
        }
    }

    async fn exchange(&self, jar: Option<&Jar>) -> Option<(u16, Option<String>)> {
        let mut request = Request::get(&self.url);
        if let Some((name, value)) = self.header {
            request = request.header(name, value);
        }
        if let Some(jar) = jar {
            let cookies: Vec<String> = lock(jar).iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !cookies.is_empty() {
                request = request.header(COOKIE, cookies.join("; "));
            }
        }
        let response = self.client.request(request.body(Full::default()).ok()?).await.ok()?;
        let status = response.status().as_u16();
        let version = response.headers().get("x-version").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        if let Some(jar) = jar {
            for cookie in response.headers().get_all(SET_COOKIE) {
                let pair = cookie.to_str().ok().and_then(|text| text.split(';').next()?.split_once('='));
                if let Some((name, value)) = pair {
                    lock(jar).insert(name.trim().to_owned(), value.trim().to_owned());
                }
            }
        }
        response.into_body().collect().await.ok()?;
        Some((status, version))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
