//! What must hold of a service when nothing happens any more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use spillway_lab::{Lab, LabError, Service, Slot, Traffic, TrafficCounts, eventually};
use tokio::time::sleep;

use super::inject::running;

/// How long a service may take to come to rest: a recovery waits a lease out, and may be recovered itself.
const PATIENCE: Duration = Duration::from_mins(2);
/// A guard is started this often meanwhile: the schedule comes once a minute.
const GUARD: Duration = Duration::from_secs(15);
/// The latest that a change of a route reaches users, as [`super::plan`] has it, and a little: until then they are where they
/// were, whatever the routes say.
const PROPAGATION: Duration = Duration::from_millis(3500);
/// The longest that a number of requests is waited for.
const MEASURING: Duration = Duration::from_secs(20);

/// What a service at rest serves.
pub(super) struct Seen {
    /// The version that has all users.
    pub(super) version: String,
}

/// Waits until the lease is free, no release or recovery runs, and all traffic of every route is on one healthy slot,
/// measured on that many requests, none of which failed unless that version is one that fails by itself. What is wrong if it does not come to that.
pub(super) async fn wait(
    lab: &Lab,
    service: &Service<'_>,
    traffic: &Traffic,
    requests: u64,
    faulty: &BTreeSet<String>,
) -> Result<Result<Seen, String>, LabError> {
    let started = Instant::now();
    let mut guarded = Instant::now();
    loop {
        let wrong = match at_rest(lab, service).await? {
            Ok(()) => match measured(traffic, requests, faulty).await {
                // It still is: a retirement may have begun meanwhile, which is no harm, and a recovery, which is.
                Ok(version) => match at_rest(lab, service).await? {
                    Ok(()) => return Ok(Ok(Seen { version })),
                    Err(wrong) => wrong,
                },
                Err(wrong) => wrong,
            },
            Err(wrong) => wrong,
        };
        if started.elapsed() > PATIENCE {
            return Ok(Err(format!("not at rest after {} s: {wrong}", PATIENCE.as_secs())));
        }
        if guarded.elapsed() > GUARD {
            lab.start_execution("guard", None, &serde_json::json!({})).await?;
            guarded = Instant::now();
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// The lease, the routes and the hosts.
async fn at_rest(lab: &Lab, service: &Service<'_>) -> Result<Result<(), String>, LabError> {
    let lease = service.lease().await?.unwrap_or_default();
    if let Some(owner) = lease.get("owner") {
        return Ok(Err(format!("the lease is held by {owner}, phase {}", lease["phase"])));
    }
    for machine in ["release", "rollback"] {
        if let Some(execution) = running(lab, machine, service.name()).await? {
            return Ok(Err(format!("{} runs", execution.arn())));
        }
    }
    let mut slots: Vec<Slot> = Vec::new();
    for route in service.weights() {
        match (route.blue.unwrap_or_default(), route.green.unwrap_or_default()) {
            (1.., 0) => slots.push(Slot::Blue),
            (0, 1..) => slots.push(Slot::Green),
            _ => return Ok(Err(format!("{route:?}"))),
        }
    }
    slots.dedup();
    let [slot] = slots[..] else { return Ok(Err(format!("routes point to {slots:?}"))) };
    let tasks = service.tasks(slot).len();
    // The API may still be throttled.
    let healthy = service.healthy(slot).await.map_err(|error| error.to_string());
    if tasks != 2 || healthy != Ok(2) {
        return Ok(Err(format!("{slot} has all traffic with {tasks} tasks of 2, healthy: {healthy:?}")));
    }
    Ok(Ok(()))
}

/// The one version that answers that many requests from now on, all of them as well as it can.
async fn measured(traffic: &Traffic, requests: u64, faulty: &BTreeSet<String>) -> Result<String, String> {
    sleep(PROPAGATION).await;
    let from_now_on = traffic.watch();
    let enough = eventually(MEASURING, || async {
        let so_far = from_now_on.snapshot();
        if so_far.ok + so_far.failed >= requests { Ok(so_far) } else { Err(so_far) }
    });
    let counts: TrafficCounts = enough.await.map_err(|late| late.to_string())?;
    let versions: Vec<&String> =
        counts.by_version.iter().filter(|(_, counts)| counts.requests > 0).map(|(name, _)| name).collect();
    match versions[..] {
        [version] if counts.failed == 0 || faulty.contains(version) => Ok(version.clone()),
        _ => Err(format!("{counts:?}")),
    }
}

/// Whether the slot without traffic is scaled down soon.
pub(super) async fn retired(service: &Service<'_>) -> bool {
    let look = || async {
        let idle = service.weights().iter().all(|route| route.green.unwrap_or_default() == 0);
        let slot = if idle { Slot::Green } else { Slot::Blue };
        let tasks = service.tasks(slot).len();
        if tasks == 0 { Ok(()) } else { Err(tasks) }
    };
    eventually(Duration::from_secs(30), look).await.is_ok()
}
