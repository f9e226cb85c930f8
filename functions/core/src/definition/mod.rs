//! The service definition: what a team writes about one service, once.
//!
//! [`ServiceDefinition::from_json`] is the only way in. It reports every problem that it finds, each
//! with its place, the value there and what is allowed.

mod health;
pub mod length;
mod problems;
mod rules;
mod strategy;
mod traffic;

use serde::{Deserialize, Serialize};

use crate::arn::{RouteArn, TargetGroupArn};
use crate::hook::Hooks;
use crate::slot::PerSlot;
use crate::text::{checked_text, is_word};

pub use health::{
    Alarm, CustomMetric, CustomSource, DryRun, HealthPolicy, LatencyPolicy, MetricLabel, OnInconclusive,
    OnInsufficientData,
};
pub use problems::{InvalidDefinition, Problem};
pub use strategy::{Adapt, Canary, Linear, StepSetting, Strategy, StrategyType};
pub use traffic::{OnSplitMismatch, TrafficPolicy};

checked_text!(
    /// Name of a service, and of its parameter and lease.
    ServiceName,
    "a service name",
    "1 to 32 letters, digits, hyphens and underscores, beginning with a letter",
    "^[A-Za-z][A-Za-z0-9_-]{0,31}$",
    |name| is_word(name, 32, "-_") && name.starts_with(|c: char| c.is_ascii_alphabetic())
);

checked_text!(
    /// Name of an ECS cluster, ECS service or container, or the ARN of one of the first two.
    EcsName,
    "an ECS name or ARN",
    "1 to 255 letters, digits, hyphens and underscores, or an ARN beginning with arn:aws:ecs:",
    "^([A-Za-z0-9_-]{1,255}|arn:aws[a-z-]*:ecs:.{1,500})$",
    |name| is_word(name, 255, "-_")
        || (name.len() <= 512 && name.starts_with("arn:aws") && name.contains(":ecs:") && is_word(name, 512, "-_:/"))
);

checked_text!(
    /// Name of an Auto Scaling group.
    AutoScalingGroupName,
    "an Auto Scaling group name",
    "1 to 255 printable characters without ':'",
    "^[^:\\x00-\\x1f]{1,255}$",
    |name| (1..=255).contains(&name.chars().count()) && !name.contains(|c: char| c.is_control() || c == ':')
);

/// One workload behind one or more load balancers, and how it is released.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ServiceDefinition {
    /// The service's name.
    pub service: ServiceName,
    /// Listener rules, or listeners whose default action counts, that forward to the slots: 1 to 10.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 10)))]
    pub routes: Vec<RouteArn>,
    /// The two slots.
    pub slots: PerSlot<SlotDefinition>,
    /// How traffic moves.
    pub strategy: Strategy,
    /// When the candidate's capacity counts as ready.
    #[serde(default)]
    pub readiness: Readiness,
    /// How health is judged.
    #[serde(default)]
    pub health: HealthPolicy,
    /// What the measured traffic must be like.
    #[serde(default)]
    pub traffic: TrafficPolicy,
    /// Listener rules, or listeners, that lead testers to the candidate before any user reaches it: 0 to 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 10)))]
    pub test_routes: Vec<RouteArn>,
    /// Functions of the service's own that are asked at named points of a release.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// When the slot without traffic is scaled down.
    #[serde(default)]
    pub retirement: Retirement,
    /// What becomes of a release that comes while another one runs. Default `reject`.
    #[serde(default)]
    pub on_conflict: OnConflict,
}

/// What becomes of a release that comes while another one runs. The same version again is the same release.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It is turned away.
    #[default]
    Reject,
    /// It waits, for a day at most, until the other one has ended. The newest that waits takes the place of those before.
    Queue,
    /// The same, and the other one is rolled back at its next check.
    Supersede,
}

/// One slot: a target group for each load balancer, and the compute behind them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SlotDefinition {
    /// Target groups, one for each load balancer, in the same order of load balancers in both slots: 1 to 10.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 10)))]
    pub target_groups: Vec<TargetGroupArn>,
    /// What runs behind the target groups.
    pub compute: Compute,
    /// What the slot costs in an hour while it runs, 0 to 1 000 000, in any currency: each release says what its second slot
    /// has cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000)))]
    pub price_per_hour: Option<f64>,
}

/// What runs a slot's version.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Compute {
    /// An ECS service with the rolling deployment controller.
    EcsService(EcsService),
    /// An EC2 Auto Scaling group with a launch template.
    AutoScalingGroup(AutoScalingGroup),
    /// Something that others deploy and scale.
    External,
}

impl std::fmt::Display for Compute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::EcsService(ecs) => write!(f, "ECS service {}", ecs.service),
            Self::AutoScalingGroup(group) => write!(f, "Auto Scaling group {}", group.name),
            Self::External => f.write_str("external compute"),
        }
    }
}

/// An ECS service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EcsService {
    /// The cluster's name or ARN.
    pub cluster: EcsName,
    /// The service's name or ARN.
    pub service: EcsName,
    /// The container that gets a released image; needed when the task has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<EcsName>,
}

/// An EC2 Auto Scaling group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AutoScalingGroup {
    /// The group's name.
    pub name: AutoScalingGroupName,
}

/// When the candidate's capacity counts as ready.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Readiness {
    /// Seconds until the candidate must be ready, 10 to 86 400; then the release rolls back. Default 1800.
    #[cfg_attr(feature = "schema", schemars(range(min = 10, max = 86_400)))]
    pub timeout_seconds: u32,
    /// Seconds between two looks, 1 to 300. Default 15.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 300)))]
    pub poll_seconds: u32,
    /// Share of the candidate's capacity that must be healthy in every target group, 1 to 100 %. Default 100.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub minimum_healthy_percent: u32,
    /// Warm-up: seconds after the first shift that are not judged, but for a candidate that is broken beyond doubt, 0 to
    /// 3600: a cold start is not what users will see. The first step lasts so much longer. Default 0.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 3600)))]
    pub warm_up_seconds: u32,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { timeout_seconds: 1800, poll_seconds: 15, minimum_healthy_percent: 100, warm_up_seconds: 0 }
    }
}

/// When the slot without traffic is scaled down.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Retirement {
    /// The rollback window: seconds that the slot stays warm after the release has ended, 0 to 2 505 600 (29 days). Default 3600.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 2_505_600)))]
    pub window_seconds: u32,
    /// Seconds without a measured request before a slot counts as quiet, 1 to 86 400: before it is scaled down; and,
    /// within that step's minimum time, but for one metric period at least, before a release at 100 % is promoted. Default 300.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 86_400)))]
    pub quiet_seconds: u32,
}

impl Default for Retirement {
    fn default() -> Self {
        Self { window_seconds: 3600, quiet_seconds: 300 }
    }
}

impl ServiceDefinition {
    /// Reads a definition.
    ///
    /// # Errors
    /// [`InvalidDefinition`] with every problem found.
    pub fn from_json(text: &str) -> Result<Self, InvalidDefinition> {
        problems::read(text)
    }

    /// Checks the part of a definition that says how to release, by itself.
    ///
    /// # Errors
    /// [`InvalidDefinition`] with every problem found.
    pub fn check_policy(strategy: &Strategy, health: &HealthPolicy) -> Result<(), InvalidDefinition> {
        problems::policy(strategy, health)
    }

    /// The JSON Schema of a definition, for editors.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        let mut schema = schemars::schema_for!(Self);
        schema.insert("title".into(), "Spillway service definition".into());
        let mut schema = schema.to_value();
        // Whoever names the schema in a document means editors.
        schema["properties"]["$schema"] =
            serde_json::json!({"description": "Where editors find this schema. Ignored.", "type": "string"});
        schema
    }
}
