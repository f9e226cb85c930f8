//! An in-memory world behind the ports: routes, targets, metrics, leases and compute that tests set up, look
//! at, and let fail.

mod faults;
mod setting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use spillway_aws::error::ApiError;
use spillway_aws::ports::{
    Alarms, AutoScalingGroups, EcsServices, GroupInstances, Leases, Metrics, Routes, ScalableTargets, Targets,
    TaskDefinitions, Zones,
};
use spillway_core::arn::{AlarmArn, RouteArn, TargetGroupArn};
use spillway_core::compute::{EcsDeployment, EcsState, GroupChange, GroupState, Rollout};
use spillway_core::definition::{AutoScalingGroupName, EcsService, ServiceName};
use spillway_core::lease::{Freeze, LeaseRecord};
use spillway_core::metrics::{Metric, Query, Series, Statistic, Window};
use spillway_core::plan::AlarmState;
use spillway_core::route::Action;
use spillway_core::scaling::REBALANCING;
use spillway_core::targets::TargetState;
use spillway_core::version::{Image, TaskDefinition};

pub use faults::{Fault, rejected, throttled};
pub use setting::{definition, forwarding, group, lease, plan, route, weights};

/// Everything there is.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Routes and their actions.
    pub routes: BTreeMap<String, Vec<Action>>,
    /// Targets by group.
    pub targets: BTreeMap<String, Vec<TargetState>>,
    /// Series by [`key`].
    pub metrics: BTreeMap<String, Series>,
    /// Availability Zones of every load balancer.
    pub zones: Vec<String>,
    /// Alarms by name.
    pub alarms: BTreeMap<String, AlarmState>,
    /// Leases by service.
    pub leases: BTreeMap<String, LeaseRecord>,
    /// The freeze of all services.
    pub freeze_of_all: Option<Freeze>,
    /// ECS services by name.
    pub services: BTreeMap<String, EcsState>,
    /// Revisions registered, by release: ARN and image.
    pub revisions: BTreeMap<String, (String, String)>,
    /// Auto Scaling groups by name.
    pub groups: BTreeMap<String, GroupState>,
    /// ECS services that are scaled automatically: whether their scale-in is suspended.
    pub scalable: BTreeMap<String, bool>,
    /// Routes whose writes are accepted and have no effect.
    pub deaf_routes: BTreeSet<String>,
    /// After so many reads of a lease someone else takes it.
    pub lease_reads_left: Option<u32>,
    /// Every change, in order, as text.
    pub changes: Vec<String>,
    faults: Vec<Fault>,
}

/// Which series answers a query: `app/shop/1 targetgroup/blue/0 RequestCount Sum`.
#[must_use]
pub fn key(query: &Query) -> String {
    let dimensions: Vec<&str> = query.dimensions().into_iter().map(|(_, value)| value).collect();
    format!("{} {} {}", dimensions.join(" "), query.metric(), query.statistic)
}

/// The world.
#[derive(Debug, Default)]
pub struct World(Mutex<State>);

impl World {
    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at everything, or changes it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans a fault: the first call that it matches runs into it.
    pub fn plan_fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// How many planned faults no call has run into yet.
    pub fn faults_left(&self) -> usize {
        self.state().faults.len()
    }

    /// Runs a call: its planned fault first or after the effect, as the fault says.
    fn call<T>(
        &self,
        operation: &'static str,
        subject: &str,
        effect: impl FnOnce(&mut State) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut state = self.state();
        let fault =
            state.faults.iter().position(|fault| fault.matches(operation, subject)).map(|at| state.faults.remove(at));
        match fault {
            Some(fault) if !fault.after_effect => Err(fault.error),
            Some(fault) => {
                effect(&mut state)?;
                Err(fault.error)
            }
            None => effect(&mut state),
        }
    }
}

impl Routes for World {
    async fn read(&self, route: &RouteArn) -> Result<Vec<Action>, ApiError> {
        self.call("DescribeRules", route.as_str(), |state| {
            state
                .routes
                .get(route.as_str())
                .cloned()
                .ok_or_else(|| rejected("DescribeRules", route.as_str(), "RuleNotFound"))
        })
    }

    async fn write(&self, route: &RouteArn, actions: &[Action]) -> Result<(), ApiError> {
        self.call("ModifyRule", route.as_str(), |state| {
            let Some(live) = state.routes.get_mut(route.as_str()) else {
                return Err(rejected("ModifyRule", route.as_str(), "RuleNotFound"));
            };
            if !state.deaf_routes.contains(route.as_str()) {
                *live = actions.to_vec();
            }
            state.changes.push(format!("ModifyRule {route}"));
            Ok(())
        })
    }
}

impl Targets for World {
    async fn states(&self, group: &TargetGroupArn) -> Result<Vec<TargetState>, ApiError> {
        self.call("DescribeTargetHealth", group.as_str(), |state| {
            Ok(state.targets.get(group.as_str()).cloned().unwrap_or_default())
        })
    }
}

impl Zones for World {
    async fn zones(&self, route: &RouteArn) -> Result<Vec<String>, ApiError> {
        self.call("DescribeLoadBalancers", &route.load_balancer_arn(), |state| Ok(state.zones.clone()))
    }
}

impl Metrics for World {
    async fn values(&self, window: Window, queries: &[Query]) -> Result<Vec<Series>, ApiError> {
        self.call("GetMetricData", "", |state| {
            let series = |query: &Query| {
                let all = state.metrics.get(&key(query));
                all.map(|all| all.range(window.start..window.end).map(|(at, sum)| (*at, *sum)).collect())
                    .unwrap_or_default()
            };
            Ok(queries.iter().map(series).collect())
        })
    }

    async fn exists(&self, query: &Query) -> Result<bool, ApiError> {
        self.call("ListMetrics", query.metric(), |state| Ok(state.metrics.contains_key(&key(query))))
    }
}

impl Alarms for World {
    async fn states(&self, alarms: &[AlarmArn]) -> Result<Vec<AlarmState>, ApiError> {
        self.call("DescribeAlarms", "", |state| {
            let of = |alarm: &AlarmArn| state.alarms.get(alarm.name()).copied().unwrap_or(AlarmState::Missing);
            Ok(alarms.iter().map(of).collect())
        })
    }
}

impl Leases for World {
    async fn read(&self, service: &ServiceName) -> Result<Option<LeaseRecord>, ApiError> {
        self.call("GetItem", service.as_str(), |state| {
            match &mut state.lease_reads_left {
                Some(0) => {
                    if let Some(record) = state.leases.get_mut(service.as_str()) {
                        record.fence += 1;
                    }
                    state.lease_reads_left = None;
                }
                Some(left) => *left -= 1,
                None => {}
            }
            Ok(state.leases.get(service.as_str()).cloned())
        })
    }

    async fn freeze_of_all(&self) -> Result<Option<Freeze>, ApiError> {
        self.call("GetItem", "*", |state| Ok(state.freeze_of_all.clone()))
    }
}

impl EcsServices for World {
    async fn describe(&self, service: &EcsService) -> Result<EcsState, ApiError> {
        self.call("DescribeServices", service.service.as_str(), |state| {
            let found = state.services.get(service.service.as_str()).cloned();
            found.ok_or_else(|| rejected("DescribeServices", service.service.as_str(), "ServiceNotFoundException"))
        })
    }

    async fn update(
        &self,
        service: &EcsService,
        task_definition: Option<&str>,
        desired: u32,
        anew: bool,
    ) -> Result<EcsState, ApiError> {
        let name = service.service.as_str();
        self.call("UpdateService", name, |state| {
            let count = state.changes.len();
            let Some(live) = state.services.get_mut(name) else {
                return Err(rejected("UpdateService", name, "ServiceNotFoundException"));
            };
            live.desired = desired;
            if anew || task_definition.is_some() {
                let task_definition = task_definition.unwrap_or(&live.task_definition).to_owned();
                live.task_definition.clone_from(&task_definition);
                for deployment in &mut live.deployments {
                    deployment.primary = false;
                }
                live.deployments.push(EcsDeployment {
                    id: format!("deployment-{count}"),
                    primary: true,
                    task_definition,
                    rollout: Some(Rollout::InProgress),
                    reason: String::new(),
                });
            }
            let after = live.clone();
            state.changes.push(format!("UpdateService {name} {} {desired}", task_definition.unwrap_or("-")));
            Ok(after)
        })
    }
}

impl World {
    /// Lets an ECS service finish what was asked of it.
    pub fn settle(&self, service: &str) {
        if let Some(service) = self.state().services.get_mut(service) {
            service.running = service.desired;
            service.pending = 0;
            service.deployments.retain(|deployment| deployment.primary);
            for deployment in &mut service.deployments {
                deployment.rollout = Some(Rollout::Completed);
            }
        }
    }

    /// Records the requests that a load balancer forwarded in one period, and the 5XX that it made itself.
    pub fn record_load_balancer(&self, name: &str, at: Timestamp, requests: u32, own_errors: u32) {
        for (metric, sum) in [(Metric::RequestCount, requests), (Metric::LoadBalancer5xx, own_errors)] {
            self.add(&format!("{name} {} Sum", metric.name()), at, f64::from(sum));
        }
    }

    /// Records the requests and errors of a group's targets in one period.
    pub fn record(&self, group: &TargetGroupArn, at: Timestamp, requests: u32, errors: u32) {
        self.record_in("", group, at, requests, errors);
    }

    /// The same, of one Availability Zone.
    pub fn record_zone(&self, zone: &str, group: &TargetGroupArn, at: Timestamp, requests: u32, errors: u32) {
        self.record_in(&format!("{zone} "), group, at, requests, errors);
    }

    fn record_in(&self, zone: &str, group: &TargetGroupArn, at: Timestamp, requests: u32, errors: u32) {
        for (metric, sum) in
            [(Metric::RequestCount, requests), (Metric::Target2xx, requests - errors), (Metric::Target5xx, errors)]
        {
            self.add(&format!("{zone}{SHOP} {} {} Sum", group.dimension(), metric.name()), at, f64::from(sum));
        }
    }

    /// Records how many answers of a group's targets were slower than a threshold in one period, and how many were not.
    pub fn record_slow(&self, group: &TargetGroupArn, at: Timestamp, threshold: f64, slow: u32, others: u32) {
        for (statistic, count) in [(Statistic::CountAbove(threshold), slow), (Statistic::CountUpTo(threshold), others)]
        {
            let key = format!("{SHOP} {} TargetResponseTime {statistic}", group.dimension());
            self.add(&key, at, f64::from(count));
        }
    }

    /// Adds to a series; nothing is published for 0.
    pub fn add(&self, key: &str, at: Timestamp, value: f64) {
        if value > 0.0 {
            *self.state().metrics.entry(key.to_owned()).or_default().entry(at).or_default() += value;
        }
    }
}

/// The load balancer of the setting.
const SHOP: &str = "app/shop/1";

impl TaskDefinitions for World {
    async fn resolve(&self, revision: &TaskDefinition) -> Result<String, ApiError> {
        self.call("DescribeTaskDefinition", revision.as_str(), |_| Ok(revision.as_str().to_owned()))
    }

    async fn with_image(&self, release: &str, from: &str, _: Option<&str>, image: &Image) -> Result<String, ApiError> {
        self.call("RegisterTaskDefinition", release, |state| {
            if let Some((arn, _)) = state.revisions.get(release) {
                return Ok(arn.clone());
            }
            let arn = format!("{from}+{}", state.revisions.len() + 1);
            state.revisions.insert(release.into(), (arn.clone(), image.to_string()));
            state.changes.push(format!("RegisterTaskDefinition {arn}"));
            Ok(arn)
        })
    }
}

impl AutoScalingGroups for World {
    async fn describe(&self, group: &AutoScalingGroupName) -> Result<GroupState, ApiError> {
        self.call("DescribeAutoScalingGroups", group.as_str(), |state| {
            let found = state.groups.get(group.as_str()).cloned();
            found.ok_or_else(|| rejected("DescribeAutoScalingGroups", group.as_str(), "AutoScalingGroupNotFound"))
        })
    }

    async fn update(&self, group: &AutoScalingGroupName, change: &GroupChange) -> Result<(), ApiError> {
        self.call("UpdateAutoScalingGroup", group.as_str(), |state| {
            let Some(live) = state.groups.get_mut(group.as_str()) else {
                return Err(rejected("UpdateAutoScalingGroup", group.as_str(), "ValidationError"));
            };
            let (min, max) = (change.min.unwrap_or(live.min), change.max.unwrap_or(live.max));
            let desired = change.desired.unwrap_or(live.desired.clamp(min, max.max(min)));
            if !(min..=max).contains(&desired) {
                return Err(rejected("UpdateAutoScalingGroup", group.as_str(), "ValidationError"));
            }
            (live.min, live.max, live.desired) = (min, max, desired);
            live.version = change.version.clone().or(live.version.take());
            state.changes.push(format!("UpdateAutoScalingGroup {group} {min} {max} {desired}"));
            Ok(())
        })
    }
}

impl GroupInstances for World {
    async fn rebalance(&self, group: &AutoScalingGroupName, on: bool) -> Result<(), ApiError> {
        let operation = if on { "ResumeProcesses" } else { "SuspendProcesses" };
        self.call(operation, group.as_str(), |state| {
            let Some(live) = state.groups.get_mut(group.as_str()) else {
                return Err(rejected(operation, group.as_str(), "ValidationError"));
            };
            live.suspended.retain(|process| process != REBALANCING);
            live.suspended.extend((!on).then(|| REBALANCING.to_owned()));
            state.changes.push(format!("{operation} {group}"));
            Ok(())
        })
    }

    async fn unprotect(&self, group: &AutoScalingGroupName, instances: &[String]) -> Result<(), ApiError> {
        self.call("SetInstanceProtection", group.as_str(), |state| {
            let Some(live) = state.groups.get_mut(group.as_str()) else {
                return Err(rejected("SetInstanceProtection", group.as_str(), "ValidationError"));
            };
            for instance in live.instances.iter_mut().filter(|instance| instances.contains(&instance.id)) {
                instance.protected = false;
            }
            state.changes.push(format!("SetInstanceProtection {group} {}", instances.join(" ")));
            Ok(())
        })
    }
}

impl ScalableTargets for World {
    async fn scale_in_suspended(&self, service: &EcsService) -> Result<Option<bool>, ApiError> {
        let name = service.service.as_str();
        self.call("DescribeScalableTargets", name, |state| Ok(state.scalable.get(name).copied()))
    }

    async fn suspend_scale_in(&self, service: &EcsService, suspended: bool) -> Result<(), ApiError> {
        let name = service.service.as_str();
        self.call("RegisterScalableTarget", name, |state| {
            if let Some(live) = state.scalable.get_mut(name) {
                *live = suspended;
                state.changes.push(format!("RegisterScalableTarget {name} {suspended}"));
            }
            Ok(())
        })
    }
}
