//! Health checks: every registered target of every group in use, at the settings' interval.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

use crate::pool::empty;
use crate::shared::Shared;
use crate::target_group::{Found, HealthPort};

/// A health check that is to be made.
struct Check {
    group: String,
    registration: u64,
    address: Option<SocketAddr>,
    path: String,
    timeout: Duration,
}

/// Starts the health checks and the once-a-second sampling of host counts.
pub(crate) fn start(shared: &Arc<Shared>) {
    let checker = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let mut ticks = interval(checker.settings.health_check_interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for check in due(&checker) {
                let shared = Arc::clone(&checker);
                checker.tasks.spawn(async move {
                    let found = make(&check).await;
                    record(&shared, &check, &found);
                });
            }
        }
    });
    let sampler = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let now = Timestamp::now();
            sampler.traffic.sample_hosts(&sampler.state(), now);
            sampler.traffic.metrics.forget_before(now);
        }
    });
}

fn due(shared: &Shared) -> Vec<Check> {
    // Checks come so much more often here that a time-out of seconds would make them overlap; a second
    // is enough on loopback, even on a busy machine.
    let longest = shared.settings.health_check_interval.max(Duration::from_secs(1));
    let mut state = shared.state();
    state.prune(Instant::now());
    let mut checks = Vec::new();
    for group in state.target_groups.values_mut().filter(|group| group.used_by.is_some()) {
        let (settings, target_type) = (&group.health_check, group.target_type);
        for target in &mut group.targets {
            if target.checking || target.health.is_draining() {
                continue;
            }
            target.checking = true;
            let port = match settings.port {
                HealthPort::Traffic => target.port,
                HealthPort::Fixed(port) => port,
            };
            checks.push(Check {
                group: group.arn.clone(),
                registration: target.registration,
                address: target.address(target_type, port),
                path: settings.path.clone(),
                timeout: Duration::from_secs(settings.timeout_seconds.into()).min(longest),
            });
        }
    }
    checks
}

async fn make(check: &Check) -> Found {
    let Some(address) = check.address else { return Found::Timeout };
    match tokio::time::timeout(check.timeout, get(address, &check.path)).await {
        Ok(Ok(code)) => Found::Code(code),
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "a health check failed");
            Found::Failed
        }
        Err(_) => Found::Timeout,
    }
}

async fn get(address: SocketAddr, path: &str) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header("host", address.to_string())
        .header("user-agent", "ELB-HealthChecker/2.0")
        .header("connection", "close")
        .body(empty())?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    // The connection runs only while its answer is awaited. When it ends first, the answer is in already
    // or will never come.
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    Ok(answer?.status().as_u16())
}

fn record(shared: &Shared, check: &Check, found: &Found) {
    let mut state = shared.state();
    let Some(group) = state.target_groups.get_mut(&check.group) else { return };
    let settings = &group.health_check;
    if let Some(target) = group.targets.iter_mut().find(|target| target.registration == check.registration) {
        target.checking = false;
        target.record(found, settings);
    }
}
