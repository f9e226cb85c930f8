//! What the functions need of the world: traits of one or two verbs each.
//!
//! The adapters beside this file speak to AWS; the tests and the fault explorer put other things in their
//! place and drive the handlers that ship.

use std::future::Future;

use spillway_core::arn::{AlarmArn, RouteArn, TargetGroupArn};
use spillway_core::compute::{EcsState, GroupChange, GroupState};
use spillway_core::definition::{AutoScalingGroupName, EcsService, ServiceName};
use spillway_core::event::Event;
use spillway_core::lease::{Freeze, LeaseRecord};
use spillway_core::metrics::{Query, Series, Window};
use spillway_core::plan::AlarmState;
use spillway_core::route::Action;
use spillway_core::targets::TargetState;
use spillway_core::version::{Image, TaskDefinition};

use crate::error::ApiError;

/// Routes of load balancers.
pub trait Routes: Sync {
    /// The route's actions as they stand.
    fn read(&self, route: &RouteArn) -> impl Future<Output = Result<Vec<Action>, ApiError>> + Send;

    /// Replaces the route's actions as a whole. There is no compare-and-set: the last writer wins.
    fn write(&self, route: &RouteArn, actions: &[Action]) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// Target groups' targets.
pub trait Targets: Sync {
    /// The state of each target of the group.
    fn states(&self, group: &TargetGroupArn) -> impl Future<Output = Result<Vec<TargetState>, ApiError>> + Send;
}

/// Availability Zones.
pub trait Zones: Sync {
    /// The zones of the route's load balancer.
    fn zones(&self, route: &RouteArn) -> impl Future<Output = Result<Vec<String>, ApiError>> + Send;
}

/// Metrics.
pub trait Metrics: Sync {
    /// Values by period over the window, one series for each query, in order. A period without data is not
    /// in its series. Answers are complete: pages are read to the end, and partial data is an error.
    fn values(&self, window: Window, queries: &[Query]) -> impl Future<Output = Result<Vec<Series>, ApiError>> + Send;

    /// Whether the query's metric has ever been published, as far as can be told: in the last two weeks.
    fn exists(&self, query: &Query) -> impl Future<Output = Result<bool, ApiError>> + Send;
}

/// Alarms.
pub trait Alarms: Sync {
    /// The state of each alarm, in order.
    fn states(&self, alarms: &[AlarmArn]) -> impl Future<Output = Result<Vec<AlarmState>, ApiError>> + Send;
}

/// Leases.
pub trait Leases: Sync {
    /// The lease as it stands, read consistently; `None` if the service never had one.
    fn read(&self, service: &ServiceName) -> impl Future<Output = Result<Option<LeaseRecord>, ApiError>> + Send;

    /// The freeze of all services together, read consistently, over or not.
    fn freeze_of_all(&self) -> impl Future<Output = Result<Option<Freeze>, ApiError>> + Send;
}

/// Lifecycle events.
pub trait Events: Sync {
    /// Puts the events, in order. Where it fails, some may have been put.
    fn put(&self, events: &[Event]) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// Executions of the state machines.
#[cfg(feature = "executions")]
pub trait Executions: Sync {
    /// The execution as it stands, with its input, its output and its error.
    fn details(&self, execution: &str) -> impl Future<Output = Result<crate::executions::Execution, ApiError>> + Send;
}

/// ECS services.
pub trait EcsServices: Sync {
    /// The service as it stands.
    fn describe(&self, service: &EcsService) -> impl Future<Output = Result<EcsState, ApiError>> + Send;

    /// Asks for a number of tasks, and for a task definition revision unless it is `None`, deployed `anew` even if
    /// it is the service's already; gives the service as it stands then.
    fn update(
        &self,
        service: &EcsService,
        task_definition: Option<&str>,
        desired: u32,
        anew: bool,
    ) -> impl Future<Output = Result<EcsState, ApiError>> + Send;
}

/// ECS task definitions.
pub trait TaskDefinitions: Sync {
    /// The full ARN of a revision.
    fn resolve(&self, revision: &TaskDefinition) -> impl Future<Output = Result<String, ApiError>> + Send;

    /// The ARN of the revision that this release registered: a copy of `from` with the image in the named
    /// container, or in the only one. Registers it unless an earlier call of the same release has; the
    /// release's name is in the revision's tag `spillway:release`.
    fn with_image(
        &self,
        release: &str,
        from: &str,
        container: Option<&str>,
        image: &Image,
    ) -> impl Future<Output = Result<String, ApiError>> + Send;
}

/// Auto Scaling groups.
pub trait AutoScalingGroups: Sync {
    /// The group as it stands.
    fn describe(&self, group: &AutoScalingGroupName) -> impl Future<Output = Result<GroupState, ApiError>> + Send;

    /// Sets the launch template version and the sizes that the change names.
    fn update(
        &self,
        group: &AutoScalingGroupName,
        change: &GroupChange,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// What Auto Scaling groups do with their instances by themselves.
pub trait GroupInstances: Sync {
    /// Lets a group move instances between zones, or not: the process `AZRebalance`.
    fn rebalance(&self, group: &AutoScalingGroupName, on: bool) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Takes scale-in protection from instances that are in service.
    fn unprotect(
        &self,
        group: &AutoScalingGroupName,
        instances: &[String],
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// Automatic scaling of ECS services.
pub trait ScalableTargets: Sync {
    /// Whether dynamic scale-in of the service is suspended; `None` where nothing scales it.
    fn scale_in_suspended(&self, service: &EcsService) -> impl Future<Output = Result<Option<bool>, ApiError>> + Send;

    /// Suspends or resumes dynamic scale-in of the service, and nothing else. Without a scalable target it does nothing.
    fn suspend_scale_in(
        &self,
        service: &EcsService,
        suspended: bool,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;
}
