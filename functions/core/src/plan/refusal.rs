//! Reasons not to start a release, each with what to do about it.

use thiserror::Error;

use crate::arn::{AlarmArn, LoadBalancerDimension, RouteArn, TargetGroupArn};
use crate::definition::{AutoScalingGroupName, CustomSource};
use crate::lease::Freeze;
use crate::route::UneditableRoute;
use crate::slot::Slot;
use crate::targets::TargetCounts;

/// A reason not to start.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// The input of the release is not one.
    #[error("input: {0}; allowed: service, version and overrides")]
    InvalidRequest(String),
    /// The version is not one.
    #[error("version: {0}")]
    InvalidVersion(String),
    /// The overrides are not.
    #[error("overrides: {0}")]
    InvalidOverrides(String),
    /// The kind of version and the kind of compute do not go together.
    #[error("version: {version} cannot be brought onto {compute}; allowed: {allowed}")]
    UnsuitableVersion {
        /// The version.
        version: String,
        /// The candidate's compute.
        compute: String,
        /// The kinds that fit.
        allowed: &'static str,
    },
    /// A route that cannot be edited.
    #[error("route {route} {reason}")]
    Route {
        /// The route.
        route: RouteArn,
        /// Why not.
        #[source]
        reason: UneditableRoute,
    },
    /// A route to somewhere else.
    #[error(
        "route {route} forwards to neither slot's target group; it forwards to {groups}: correct routes or slots.*.target_groups"
    )]
    NeitherSlot {
        /// The route.
        route: RouteArn,
        /// Where it forwards to.
        groups: String,
    },
    /// A route whose groups are not a pair.
    #[error(
        "route {route} forwards to groups of different positions in slots.*.target_groups; the groups at one position belong to one load balancer: correct their order"
    )]
    MixedPair {
        /// The route.
        route: RouteArn,
    },
    /// Groups that no route uses.
    #[error(
        "slots.*.target_groups[{0}]: no route forwards to either of these groups; add its route, or remove the groups"
    )]
    UnroutedPair(usize),
    /// A group behind two load balancers.
    #[error(
        "slots.*.target_groups[{index}]: used by routes of {first} and {second}; a target group belongs to one load balancer: correct the routes, or give the second load balancer groups of its own"
    )]
    TwoLoadBalancers {
        /// Position in the lists.
        index: usize,
        /// One load balancer.
        first: LoadBalancerDimension,
        /// The other.
        second: LoadBalancerDimension,
    },
    /// Nothing tells which slot is stable.
    #[error(
        "neither slot carries traffic: every weight is 0, so which slot is stable is unknown; give the stable slot weight in every route"
    )]
    NoTraffic,
    /// Too much tells which slot is stable.
    #[error(
        "both slots carry traffic ({0}): finish or undo the earlier release, or name the stable slot in overrides.stable (blue or green)"
    )]
    BothCarryTraffic(String),
    /// The override names the slot without traffic.
    #[error("overrides.stable: {named} carries no traffic, {other} does; allowed: {other}, or leave it out")]
    StableWithoutTraffic {
        /// The slot named.
        named: Slot,
        /// The other one.
        other: Slot,
    },
    /// A route that the stable slot does not serve.
    #[error(
        "route {route} sends no traffic to the stable slot {stable}; give it weight there or remove the route from the definition"
    )]
    SilentRoute {
        /// The route.
        route: RouteArn,
        /// The stable slot.
        stable: Slot,
    },
    /// Nothing to fall back to.
    #[error(
        "the stable slot {slot} has no healthy target in {group} ({counts}); repair it, or give a reason in overrides.without_stable"
    )]
    StableUnhealthy {
        /// The slot.
        slot: Slot,
        /// The group.
        group: TargetGroupArn,
        /// Its targets.
        counts: TargetCounts,
    },
    /// A route that cannot be read.
    #[error("route {route} cannot be read: {reason}; correct the ARN, or allow the function to read it")]
    UnreadableRoute {
        /// The route.
        route: RouteArn,
        /// Why not.
        reason: String,
    },
    /// Something else that cannot be read.
    #[error("{0}; correct what is asked for, or allow the function to ask")]
    Unreadable(String),
    /// An alarm that would end the release at once.
    #[error("health.alarms[{index}]: {arn} is in ALARM; clear it first, or set its dry_run")]
    AlarmFiring {
        /// Position in the list.
        index: usize,
        /// The alarm.
        arn: AlarmArn,
    },
    /// An alarm that watches nothing.
    #[error("health.alarms[{index}]: {arn} does not exist; create it, correct the ARN, or remove it from the list")]
    AlarmMissing {
        /// Position in the list.
        index: usize,
        /// The alarm.
        arn: AlarmArn,
    },
    /// An alarm that would end the release at once, for want of data.
    #[error(
        "health.alarms[{index}]: {arn} is in INSUFFICIENT_DATA, which its on_insufficient_data takes as ALARM; wait until it has data, or set on_insufficient_data to hold or ignore"
    )]
    AlarmWithoutData {
        /// Position in the list.
        index: usize,
        /// The alarm.
        arn: AlarmArn,
    },
    /// Something of another region or account.
    #[error(
        "{path}: {arn}: of another region or account; allowed: {home}, or those that the installation's SPILLWAY_ALLOWED_HOMES names"
    )]
    Stranger {
        /// Where it stands.
        path: String,
        /// The ARN.
        arn: String,
        /// The installation's region and account.
        home: String,
    },
    /// More than a state machine can carry.
    #[error(
        "the plan takes {bytes} bytes, with the routes' actions as they stand; allowed: {allowed}: fewer routes, or simpler actions"
    )]
    TooLarge {
        /// How much it takes.
        bytes: usize,
        /// How much may be.
        allowed: usize,
    },
    /// A time in which nothing starts.
    #[error("{0}; wait until then, or lift the freeze")]
    Frozen(Freeze),
    /// An Auto Scaling group that cannot do what a release needs.
    #[error("slots.{slot}.compute: {process} is suspended for Auto Scaling group {group}; resume it first")]
    ProcessSuspended {
        /// The slot.
        slot: Slot,
        /// The group.
        group: AutoScalingGroupName,
        /// The process.
        process: &'static str,
    },
    /// New instances that would be old ones.
    #[error(
        "slots.{slot}.compute: Auto Scaling group {group} has a warm pool, whose instances are of the version before; delete the pool, or deploy by other means and release the version as opaque"
    )]
    WarmPool {
        /// The slot.
        slot: Slot,
        /// The group.
        group: AutoScalingGroupName,
    },
    /// A metric that nobody publishes.
    #[error(
        "health.metrics[{index}].{field}: CloudWatch knows no metric {} in {} with these dimensions for either slot; publish it once (a 0 will do), or correct its namespace, name or dimensions", .wanted.metric, .wanted.namespace
    )]
    MetricMissing {
        /// Position in the list.
        index: usize,
        /// `count` or `denominator`.
        field: &'static str,
        /// What was looked for.
        wanted: Box<CustomSource>,
    },
}

/// A release that must not start, with every reason.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub struct Refused(pub Vec<Refusal>);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the release is refused: ")?;
        for (index, refusal) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{refusal}")?;
        }
        Ok(())
    }
}
