//! Faults are switched on, and off again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use spillway_lab::{Actions, Execution, Faults, Lab, LabError, TokenBucket};
use tokio::time::sleep;

use super::plan::Fault;

/// Calls of the functions that go to the emulator, and not to the load balancer or the metrics.
const EMULATED: [&str; 4] = ["GetItem", "DescribeServices", "UpdateService", "RegisterTaskDefinition"];

/// How long a recovery or a retirement is waited for that is to be stopped.
const NEXT: Duration = Duration::from_secs(15);

/// What all releases of a lab share: two that have switched on the same fault switch it off once.
#[derive(Debug, Default)]
pub(crate) struct Switches {
    on: Mutex<BTreeMap<&'static str, usize>>,
}

impl Switches {
    /// Does `set(true)`, and `set(false)` when the last one's time is over.
    async fn hold(&self, kind: &'static str, lasting: Duration, set: impl Fn(bool)) {
        let count = |by: &dyn Fn(&mut usize)| {
            let mut on = self.on.lock().unwrap_or_else(PoisonError::into_inner);
            let count = on.entry(kind).or_default();
            by(count);
            *count
        };
        count(&|count| *count += 1);
        set(true);
        sleep(lasting).await;
        if count(&|count| *count -= 1) == 0 {
            set(false);
        }
    }
}

/// Does what the fault says, as far as it is not about the release itself, and gives whether there was anything to do
/// it to.
pub(crate) async fn inject(lab: &Lab, switches: &Switches, service: &str, fault: &Fault) -> Result<bool, LabError> {
    let faults = lab.alb().faults();
    let kind = fault.kind();
    match fault {
        Fault::KillFunction(name, lasting) => return kill(lab, name, *lasting).await,
        Fault::ThrottleLoadBalancer(lasting) => {
            let bucket = TokenBucket { burst: 2, refill_per_second: 4.0 };
            switches.hold(kind, *lasting, |on| faults.throttle(Actions::All, on.then_some(bucket))).await;
        }
        Fault::ThrottleMetrics(lasting) => {
            let bucket = TokenBucket { burst: 1, refill_per_second: 1.0 };
            switches.hold(kind, *lasting, |on| faults.throttle("GetMetricData", on.then_some(bucket))).await;
        }
        Fault::DropMetrics(lasting) => switches.hold(kind, *lasting, |on| faults.drop_metrics(on)).await,
        Fault::ThrottleCalls(lasting) => {
            let bucket = TokenBucket { burst: 1, refill_per_second: 2.0 };
            let set = |on: bool| lab.call_faults().throttle(EMULATED, on.then_some(bucket));
            switches.hold(kind, *lasting, set).await;
        }
        Fault::LoseAnswers(action, count) => of(lab, action).lose_response(action, *count),
        Fault::FailCalls(action, count) => {
            let code = match *action {
                "GetMetricData" => "InternalServiceFault",
                "GetItem" => "InternalServerError",
                "DescribeServices" | "UpdateService" | "RegisterTaskDefinition" => "ServerException",
                _ => "ServiceUnavailable",
            };
            of(lab, action).fail_next(action, *count, code, "injected");
        }
        Fault::StaleReads(old, lasting) => {
            switches.hold(kind, *lasting, |on| faults.stale_reads(if on { *old } else { Duration::ZERO })).await;
        }
        Fault::SlowPropagation(delay, lasting) => {
            let set = |on| faults.propagation_delay(if on { *delay } else { Duration::ZERO });
            switches.hold(kind, *lasting, set).await;
        }
        Fault::StopRecovery(after) => return stop_next(lab, "rollback", service, *after).await,
        Fault::StopRetirement(after) => return stop_next(lab, "retire", service, *after).await,
        Fault::Guard => drop(lab.start_execution("guard", None, &serde_json::json!({})).await?),
        Fault::KillTask(_) | Fault::StopRelease | Fault::SecondRelease(_) => return Ok(false),
    }
    Ok(true)
}

/// The faults of an action.
fn of<'a>(lab: &'a Lab, action: &str) -> &'a Faults {
    if EMULATED.contains(&action) { lab.call_faults() } else { lab.alb().faults() }
}

async fn kill(lab: &Lab, function: &str, lasting: Duration) -> Result<bool, LabError> {
    let started = Instant::now();
    let mut killed = 0;
    while started.elapsed() < lasting {
        killed += lab.functions().kill(function)?;
        sleep(Duration::from_millis(25)).await;
    }
    Ok(killed > 0)
}

/// Stops the next execution of a machine that works on the service, if one comes soon.
async fn stop_next(lab: &Lab, machine: &str, service: &str, after: Duration) -> Result<bool, LabError> {
    let started = Instant::now();
    while started.elapsed() < NEXT {
        if let Some(execution) = running(lab, machine, service).await? {
            sleep(after).await;
            return Ok(stop(&execution).await);
        }
        sleep(Duration::from_millis(250)).await;
    }
    Ok(false)
}

/// An execution of a machine that works on the service.
pub(crate) async fn running(lab: &Lab, machine: &str, service: &str) -> Result<Option<Execution>, LabError> {
    for execution in lab.running_executions(machine).await? {
        let input = execution.input().await?;
        if input["service"] == service {
            return Ok(Some(execution));
        }
    }
    Ok(None)
}

/// Stops an execution; whether it still ran.
pub(crate) async fn stop(execution: &Execution) -> bool {
    let runs = execution.status().await.is_ok_and(|status| status == spillway_lab::Status::Running);
    runs && execution.stop().await.is_ok()
}
