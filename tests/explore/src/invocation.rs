//! One invocation of a shipped handler, on the cloud in memory.

use std::future::{Future, pending};
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spillway_asl::items::{Item, Items};
use spillway_aws::error::{ApiError, Named, diagnostic};
use spillway_aws::ports::{
    Alarms, AutoScalingGroups, EcsServices, GroupInstances, Leases, Metrics, Routes, ScalableTargets, Targets,
    TaskDefinitions, Zones,
};
use spillway_core::arn::{AlarmArn, RouteArn, TargetGroupArn};
use spillway_core::compute::{EcsState, GroupChange, GroupState};
use spillway_core::decision::Command;
use spillway_core::definition::{AutoScalingGroupName, EcsService, ServiceName};
use spillway_core::lease::{Freeze, LeaseRecord, Live, Waiting};
use spillway_core::metrics::{Query, Series, Window};
use spillway_core::plan::AlarmState;
use spillway_core::route::Action;
use spillway_core::slot::Slot;
use spillway_core::targets::TargetState;
use spillway_core::version::{Image, TaskDefinition};

use crate::cloud::{Author, Cloud, index};
use crate::script::{Answer, Call, Run, Script};

/// How an invocation went.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It answered.
    Answered(Value),
    /// It failed: the error's name and its cause as Step Functions tells it.
    Failed(String, String),
    /// It was stopped half-way.
    Stopped,
}

/// One run of a handler.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it went.
    pub outcome: Outcome,
    /// The calls that it made.
    pub calls: Vec<Call>,
    /// Their answers.
    pub had: Vec<Answer>,
}

/// What the handler takes for the time, and what it is. An invocation that goes on late is run again from its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The handler's clock, which stands still.
    pub clock: Timestamp,
    /// The time.
    pub now: Timestamp,
}

/// Runs the handler of a function on this event.
///
/// # Panics
/// For a function that does not exist.
pub fn run(function: &str, event: &Value, script: Script, times: Times, cloud: &mut Cloud, table: &Items) -> Ran {
    let rolls_back = function == "rollback";
    let fence = event["lease"]["fence"].as_str().and_then(|fence| fence.parse().ok()).unwrap_or(0);
    let Times { clock, now } = times;
    let reality = Reality(Mutex::new(Inside {
        cloud: std::mem::replace(cloud, Cloud::nothing()),
        table,
        run: Run::new(script),
        now,
        by: Author { fence, rolls_back },
    }));
    let ports = &reality;
    let outcome = match function {
        "plan-release" => answer(event, |event| plan_release::handle(ports, ports, ports, ports, &[], || clock, event)),
        "evaluate-health" => answer(event, |event| evaluate_health::handle(ports, ports, ports, || clock, event)),
        "shift-weight" => answer(event, |event| shift_weight::handle(ports, ports, || clock, event)),
        "rollback" => answer(event, |event| rollback::handle(ports, ports, || clock, event)),
        "prepare-candidate" => answer(event, |event| {
            let ports = prepare_candidate::Ports {
                services: ports,
                revisions: ports,
                groups: ports,
                targets: ports,
                leases: ports,
            };
            prepare_candidate::handle(ports, || clock, event)
        }),
        "teardown" => answer(event, |event| {
            let ports =
                teardown::Ports { services: ports, groups: ports, routes: ports, metrics: ports, leases: ports };
            teardown::handle(ports, || clock, event)
        }),
        other => panic!("there is no function {other}"),
    };
    let Inside { cloud: mut after, run, .. } = reality.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(believed) = &mut after.believed {
        believed.clear();
    }
    *cloud = after;
    Ran { outcome, calls: run.calls, had: run.had }
}

/// What the function's frame does: parses the event, and tells an error by its name.
fn answer<Event, Output, Error, Answer>(event: &Value, handle: impl FnOnce(Event) -> Answer) -> Outcome
where
    Event: DeserializeOwned,
    Output: Serialize,
    Error: Named,
    Answer: Future<Output = Result<Output, Error>>,
{
    let failed = |name: &str, message: &str| {
        Outcome::Failed(name.to_owned(), json!({"errorType": name, "errorMessage": message}).to_string())
    };
    let event = match Event::deserialize(event) {
        Ok(event) => event,
        Err(error) => return failed("InvalidInput", &error.to_string()),
    };
    // Nothing in memory is waited for: what is not ready has been stopped.
    match handle(event).now_or_never() {
        None => Outcome::Stopped,
        Some(Ok(output)) => Outcome::Answered(serde_json::to_value(output).unwrap_or_default()),
        Some(Err(error)) => {
            let diagnostic = diagnostic(&error);
            failed(&diagnostic.error_type, &diagnostic.error_message)
        }
    }
}

#[derive(Debug)]
struct Inside<'a> {
    cloud: Cloud,
    table: &'a Items,
    run: Run,
    now: Timestamp,
    by: Author,
}

#[derive(Debug)]
struct Reality<'a>(Mutex<Inside<'a>>);

impl Reality<'_> {
    async fn call<T, F>(&self, operation: &'static str, subject: &str, writes: bool, effect: F) -> Result<T, ApiError>
    where
        T: Clone + std::fmt::Debug + Send + Sync + 'static,
        F: FnOnce(&mut Cloud, &Items, Author, Timestamp) -> Result<T, ApiError> + Send,
    {
        self.call_or(operation, subject, writes, None, effect).await
    }

    /// A call that can be accepted and ignored, with this answer.
    async fn call_or<T, F>(
        &self,
        operation: &'static str,
        subject: &str,
        writes: bool,
        nothing: Option<T>,
        effect: F,
    ) -> Result<T, ApiError>
    where
        T: Clone + std::fmt::Debug + Send + Sync + 'static,
        F: FnOnce(&mut Cloud, &Items, Author, Timestamp) -> Result<T, ApiError> + Send,
    {
        let answer = {
            let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Inside { cloud, table, run, now, by } = &mut *inside;
            run.call(operation, subject, writes, nothing, || effect(cloud, table, *by, *now))
        };
        match answer {
            Some(answer) => answer,
            None => pending().await,
        }
    }
}

fn gone<T>(operation: &'static str, subject: &str, found: Option<T>) -> Result<T, ApiError> {
    found.ok_or_else(|| ApiError {
        operation,
        subject: subject.to_owned(),
        code: "RuleNotFound".to_owned(),
        message: "there is no such rule".to_owned(),
        transient: false,
    })
}

impl Routes for Reality<'_> {
    async fn read(&self, route: &RouteArn) -> Result<Vec<Action>, ApiError> {
        let subject = route.as_str();
        let earlier = {
            let inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            inside.cloud.earlier(subject, inside.now)
        };
        self.call_or("DescribeRules", subject, false, earlier, |cloud, _, _, _| {
            let found = cloud.believed.as_ref().and_then(|believed| believed.get(subject).cloned());
            gone("DescribeRules", subject, found.or_else(|| cloud.read(route)))
        })
        .await
    }

    async fn write(&self, route: &RouteArn, actions: &[Action]) -> Result<(), ApiError> {
        let subject = route.as_str();
        self.call_or("ModifyRule", subject, true, Some(()), |cloud, _, by, now| {
            gone("ModifyRule", subject, cloud.write(route, actions, by, now))
        })
        .await?;
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rolls_back = inside.by.rolls_back;
        if let Some(believed) = inside.cloud.believed.as_mut().filter(|_| !rolls_back) {
            believed.insert(subject.to_owned(), actions.to_vec());
        }
        Ok(())
    }
}

impl Targets for Reality<'_> {
    async fn states(&self, group: &TargetGroupArn) -> Result<Vec<TargetState>, ApiError> {
        self.call("DescribeTargetHealth", group.as_str(), false, |cloud, _, _, _| Ok(cloud.targets(group))).await
    }
}

impl Zones for Reality<'_> {
    async fn zones(&self, route: &RouteArn) -> Result<Vec<String>, ApiError> {
        self.call("DescribeLoadBalancers", route.as_str(), false, |_, _, _, _| Ok(Vec::new())).await
    }
}

impl Metrics for Reality<'_> {
    async fn values(&self, window: Window, queries: &[Query]) -> Result<Vec<Series>, ApiError> {
        self.call("GetMetricData", "", false, |cloud, _, _, _| {
            Ok(queries.iter().map(|query| cloud.values(window, query)).collect())
        })
        .await
    }

    async fn exists(&self, _: &Query) -> Result<bool, ApiError> {
        self.call("ListMetrics", "", false, |_, _, _, _| Ok(true)).await
    }
}

impl Alarms for Reality<'_> {
    async fn states(&self, alarms: &[AlarmArn]) -> Result<Vec<AlarmState>, ApiError> {
        self.call("DescribeAlarms", "", false, |cloud, _, _, _| Ok(vec![cloud.alarm; alarms.len()])).await
    }
}

impl EcsServices for Reality<'_> {
    async fn describe(&self, service: &EcsService) -> Result<EcsState, ApiError> {
        let slot = slot(service);
        self.call("DescribeServices", service.service.as_str(), false, |cloud, _, _, _| Ok(cloud.service(slot))).await
    }

    async fn update(
        &self,
        service: &EcsService,
        task_definition: Option<&str>,
        desired: u32,
        anew: bool,
    ) -> Result<EcsState, ApiError> {
        let slot = slot(service);
        self.call("UpdateService", service.service.as_str(), true, |cloud, _, by, now| {
            cloud.update(slot, (task_definition, desired, anew), by, now);
            Ok(cloud.service(slot))
        })
        .await
    }
}

fn slot(service: &EcsService) -> Slot {
    if service.service.as_str().ends_with("green") { Slot::Green } else { Slot::Blue }
}

impl TaskDefinitions for Reality<'_> {
    async fn resolve(&self, revision: &TaskDefinition) -> Result<String, ApiError> {
        self.call("DescribeTaskDefinition", revision.as_str(), false, |_, _, _, _| Ok(revision.as_str().to_owned()))
            .await
    }

    async fn with_image(&self, release: &str, _: &str, _: Option<&str>, _: &Image) -> Result<String, ApiError> {
        self.call("RegisterTaskDefinition", release, true, |cloud, _, by, _| Ok(cloud.register(release, by))).await
    }
}

impl AutoScalingGroups for Reality<'_> {
    async fn describe(&self, group: &AutoScalingGroupName) -> Result<GroupState, ApiError> {
        panic!("{group} is none of the services explored")
    }

    async fn update(&self, group: &AutoScalingGroupName, _: &GroupChange) -> Result<(), ApiError> {
        panic!("{group} is none of the services explored")
    }
}

impl GroupInstances for Reality<'_> {
    async fn rebalance(&self, group: &AutoScalingGroupName, _: bool) -> Result<(), ApiError> {
        panic!("{group} is none of the services explored")
    }

    async fn unprotect(&self, group: &AutoScalingGroupName, _: &[String]) -> Result<(), ApiError> {
        panic!("{group} is none of the services explored")
    }
}

impl ScalableTargets for Reality<'_> {
    async fn scale_in_suspended(&self, service: &EcsService) -> Result<Option<bool>, ApiError> {
        let slot = slot(service);
        self.call("DescribeScalableTargets", service.service.as_str(), false, |cloud, _, _, _| {
            Ok(cloud.scale_in_suspended[index(slot)])
        })
        .await
    }

    async fn suspend_scale_in(&self, service: &EcsService, suspended: bool) -> Result<(), ApiError> {
        let slot = slot(service);
        self.call("RegisterScalableTarget", service.service.as_str(), true, |cloud, _, by, _| {
            cloud.suspend_scale_in(slot, suspended, by);
            Ok(())
        })
        .await
    }
}

impl Leases for Reality<'_> {
    async fn read(&self, service: &ServiceName) -> Result<Option<LeaseRecord>, ApiError> {
        self.call("GetItem", service.as_str(), false, |_, table, _, _| {
            table.get(service.as_str()).map(record).transpose()
        })
        .await
    }

    async fn freeze_of_all(&self) -> Result<Option<Freeze>, ApiError> {
        self.call("GetItem", "*", false, |_, table, _, _| Ok(table.get("*").and_then(freeze))).await
    }
}

fn text(item: &Item, attribute: &str) -> Option<String> {
    item.get(attribute)?.get("S")?.as_str().map(str::to_owned)
}

fn freeze(item: &Item) -> Option<Freeze> {
    let freeze = item.get("freeze")?.get("M")?;
    let text = |name: &str| freeze[name]["S"].as_str().unwrap_or_default().to_owned();
    Some(Freeze { reason: text("reason"), owner: text("owner"), until: text("until").parse().ok()? })
}

/// The lease as the adapter reads it.
fn record(item: &Item) -> Result<LeaseRecord, ApiError> {
    let waiting = item.get("waiting").and_then(|waiting| waiting.get("M")).map(|waiting| {
        let text = |name: &str| waiting[name]["S"].as_str().unwrap_or_default().to_owned();
        Waiting {
            execution: text("execution"),
            intent: text("intent"),
            since: text("since").parse().expect("a timestamp"),
            supersede: waiting["supersede"]["BOOL"] == true,
        }
    });
    let time = |attribute: &str| text(item, attribute).map(|time| time.parse().expect("a timestamp"));
    let version = text(item, "live_version").and_then(|version| serde_json::from_str(&version).ok());
    let slot = text(item, "live_slot").map(|slot| if slot == "green" { Slot::Green } else { Slot::Blue });
    let until = text(item, "lease_until").map(|until| until.parse()).transpose().map_err(|_| ApiError {
        operation: "GetItem",
        subject: "shop".to_owned(),
        code: "InvalidAnswer".to_owned(),
        message: "the attribute lease_until is malformed".to_owned(),
        transient: false,
    })?;
    Ok(LeaseRecord {
        owner: text(item, "owner"),
        fence: item
            .get("fence")
            .and_then(|fence| fence["N"].as_str())
            .map_or(0, |fence| fence.parse().expect("digits")),
        until,
        phase: text(item, "phase").unwrap_or_default(),
        since: time("acquired_at"),
        intent: text(item, "intent"),
        command: text(item, "command")
            .map_or(Command::None, |word| serde_json::from_value(word.into()).unwrap_or(Command::Unknown)),
        waiting,
        freeze: freeze(item),
        live: version.zip(slot).map(|(version, slot)| Live { version, slot }),
        scaling: text(item, "scaling").map(|text| serde_json::from_str(&text).expect("written so")).unwrap_or_default(),
    })
}
