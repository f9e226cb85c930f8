//! Planning: from a definition and the live routes to everything that a release will need.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::arn::{LoadBalancerDimension, RouteArn, TargetGroupArn};
use crate::definition::length::{self, Step};
use crate::definition::{Compute, HealthPolicy, Readiness, Retirement, ServiceDefinition, ServiceName, StrategyType};
use crate::route::{self, Action, Groups, UneditableRoute};
use crate::slot::Slot;
use crate::targets::TargetCounts;
use crate::version::Version;
use crate::weight::Percent;

/// What a release will do. Written into the lease before anything is changed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// The service.
    pub service: ServiceName,
    /// What is released.
    pub version: Version,
    /// Which strategy the steps come from.
    pub strategy: StrategyType,
    /// The slot with the traffic.
    pub stable: Side,
    /// The slot that gets the version.
    pub candidate: Side,
    /// Why the release may go on without a healthy stable slot, where it may: then only absolute checks apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_stable: Option<String>,
    /// The routes, in the definition's order, which is the order of writing.
    pub routes: Vec<PlannedRoute>,
    /// The steps before the promotion.
    pub steps: Vec<Step>,
    /// When the candidate counts as ready.
    pub readiness: Readiness,
    /// How health is judged.
    pub health: HealthPolicy,
    /// When the slot without traffic is scaled down.
    pub retirement: Retirement,
}

/// One slot in its role.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Side {
    /// Which slot.
    pub slot: Slot,
    /// Its target groups, each with its load balancer.
    pub groups: Vec<PlannedGroup>,
    /// What runs behind them.
    pub compute: Compute,
}

/// A target group behind its load balancer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PlannedGroup {
    /// The group.
    pub arn: TargetGroupArn,
    /// The only load balancer that uses it.
    pub load_balancer: LoadBalancerDimension,
}

/// A route, its two groups, and its actions before the release.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PlannedRoute {
    /// The route.
    pub arn: RouteArn,
    /// The stable slot's group behind it.
    pub stable: TargetGroupArn,
    /// The candidate slot's.
    pub candidate: TargetGroupArn,
    /// The actions as they were before the release.
    pub original: Vec<Action>,
}

impl PlannedRoute {
    /// The two groups.
    #[must_use]
    pub fn groups(&self) -> Groups<'_> {
        Groups { stable: &self.stable, candidate: &self.candidate }
    }
}

/// What the one who starts a release may say beside the version.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Names the stable slot when both carry traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Slot>,
    /// Why the release may start without a healthy stable slot: a first deployment, or a dead one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_stable: Option<String>,
}

/// A route as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LiveRoute {
    /// The route.
    pub arn: RouteArn,
    /// Its actions.
    pub actions: Vec<Action>,
}

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
    #[error("route {route} forwards to neither slot's target group; it forwards to {groups}")]
    NeitherSlot {
        /// The route.
        route: RouteArn,
        /// Where it forwards to.
        groups: String,
    },
    /// A route whose groups are not a pair.
    #[error(
        "route {route} forwards to groups of different positions in slots.*.target_groups; the groups at one position belong to one load balancer"
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
        "slots.*.target_groups[{index}]: used by routes of {first} and {second}; a target group belongs to one load balancer"
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

/// Which slot is stable, and what that makes of the routes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Roles {
    /// The slot with the traffic.
    pub stable: Slot,
    /// The routes with their groups by role.
    pub routes: Vec<PlannedRoute>,
    /// For each position of the target group lists, its load balancer.
    load_balancers: Vec<LoadBalancerDimension>,
}

/// Reads the roles off the live routes.
///
/// # Errors
/// [`Refused`] with every reason.
pub fn roles(definition: &ServiceDefinition, live: &[LiveRoute], overrides: &Overrides) -> Result<Roles, Refused> {
    let mut refusals = Vec::new();
    let mut pairs: Vec<Option<LoadBalancerDimension>> = vec![None; definition.slots.blue.target_groups.len()];
    let mut seen: Vec<(&LiveRoute, usize, [Option<u16>; 2])> = Vec::new();
    for route in live {
        match pair_of(definition, route) {
            Ok((index, weights)) => {
                let load_balancer = route.arn.load_balancer();
                match &pairs[index] {
                    Some(first) if *first != load_balancer => {
                        refusals.push(Refusal::TwoLoadBalancers { index, first: first.clone(), second: load_balancer });
                    }
                    _ => pairs[index] = Some(load_balancer),
                }
                seen.push((route, index, weights));
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    if refusals.is_empty() {
        refusals.extend(
            pairs.iter().enumerate().filter(|(_, lb)| lb.is_none()).map(|(index, _)| Refusal::UnroutedPair(index)),
        );
    }
    if !refusals.is_empty() {
        return Err(Refused(refusals));
    }

    let carries = |slot: Slot| seen.iter().any(|(_, _, weights)| weights[slot as usize].is_some_and(|w| w > 0));
    let stable = match (carries(Slot::Blue), carries(Slot::Green), overrides.stable) {
        (false, false, _) => return Err(Refused(vec![Refusal::NoTraffic])),
        (true, true, None) => return Err(Refused(vec![Refusal::BothCarryTraffic(weights_text(&seen))])),
        (true, true, Some(named)) => named,
        (blue, _, named) => {
            let loaded = if blue { Slot::Blue } else { Slot::Green };
            if let Some(named) = named.filter(|named| *named != loaded) {
                return Err(Refused(vec![Refusal::StableWithoutTraffic { named, other: loaded }]));
            }
            loaded
        }
    };

    let mut routes = Vec::new();
    for (route, index, weights) in seen {
        let planned = PlannedRoute {
            arn: route.arn.clone(),
            stable: definition.slots.get(stable).target_groups[index].clone(),
            candidate: definition.slots.get(stable.other()).target_groups[index].clone(),
            original: route.actions.clone(),
        };
        // The edit that the first shift will make: what cannot be done then is refused now.
        if let Err(reason) = route::with_split(&route.actions, planned.groups(), Percent::ZERO.split()) {
            refusals.push(Refusal::Route { route: route.arn.clone(), reason });
        } else if weights[stable as usize] == Some(0) {
            refusals.push(Refusal::SilentRoute { route: route.arn.clone(), stable });
        }
        routes.push(planned);
    }
    if refusals.is_empty() {
        Ok(Roles { stable, routes, load_balancers: pairs.into_iter().flatten().collect() })
    } else {
        Err(Refused(refusals))
    }
}

/// The position of a route's groups in the slots' lists, and the weights of blue and green there.
fn pair_of(definition: &ServiceDefinition, route: &LiveRoute) -> Result<(usize, [Option<u16>; 2]), Refusal> {
    let uneditable = |reason| Refusal::Route { route: route.arn.clone(), reason };
    let forward = route::forward(&route.actions).map_err(uneditable)?;
    let (blue, green) = (&definition.slots.blue.target_groups, &definition.slots.green.target_groups);
    let mut positions =
        (0..blue.len()).filter(|&i| forward.weight(&blue[i]).is_some() || forward.weight(&green[i]).is_some());
    match (positions.next(), positions.next()) {
        (Some(index), None) => {
            if let Some(foreign) = forward.foreign_traffic(Groups { stable: &blue[index], candidate: &green[index] }) {
                return Err(uneditable(UneditableRoute::ForeignTraffic(foreign.clone())));
            }
            Ok((index, [forward.weight(&blue[index]), forward.weight(&green[index])]))
        }
        (None, _) => {
            let groups: Vec<&str> = forward.groups.iter().map(|g| g.arn.as_str()).collect();
            Err(Refusal::NeitherSlot { route: route.arn.clone(), groups: groups.join(", ") })
        }
        _ => Err(Refusal::MixedPair { route: route.arn.clone() }),
    }
}

fn weights_text(seen: &[(&LiveRoute, usize, [Option<u16>; 2])]) -> String {
    let texts: Vec<String> = seen
        .iter()
        .map(|(route, _, [blue, green])| {
            format!("{}: blue {}, green {}", route.arn, blue.unwrap_or(0), green.unwrap_or(0))
        })
        .collect();
    texts.join("; ")
}

impl Plan {
    /// Puts the plan together, or refuses.
    ///
    /// `stable_targets` are the targets of the stable slot's groups, in their order.
    ///
    /// # Errors
    /// [`Refused`] with every reason.
    pub fn new(
        definition: ServiceDefinition,
        version: Version,
        overrides: Overrides,
        roles: Roles,
        stable_targets: &[TargetCounts],
    ) -> Result<Self, Refused> {
        let side = |slot: Slot| {
            let chosen = definition.slots.get(slot);
            Side {
                slot,
                groups: std::iter::zip(&chosen.target_groups, &roles.load_balancers)
                    .map(|(arn, load_balancer)| PlannedGroup { arn: arn.clone(), load_balancer: load_balancer.clone() })
                    .collect(),
                compute: chosen.compute.clone(),
            }
        };
        let (stable, candidate) = (side(roles.stable), side(roles.stable.other()));
        let mut refusals = Vec::new();
        if !version.suits(&candidate.compute) {
            refusals.push(Refusal::UnsuitableVersion {
                version: version.to_string(),
                compute: candidate.compute.to_string(),
                allowed: match candidate.compute {
                    Compute::EcsService(_) => "image, task_definition, opaque",
                    Compute::AutoScalingGroup(_) => "launch_template_version, opaque",
                    Compute::External => "opaque",
                },
            });
        }
        if overrides.without_stable.is_none() {
            refusals.extend(
                std::iter::zip(&stable.groups, stable_targets).filter(|(_, counts)| counts.healthy == 0).map(
                    |(group, counts)| Refusal::StableUnhealthy {
                        slot: stable.slot,
                        group: group.arn.clone(),
                        counts: *counts,
                    },
                ),
            );
        }
        if !refusals.is_empty() {
            return Err(Refused(refusals));
        }
        let mut steps = definition.strategy.steps();
        if overrides.without_stable.is_some()
            && let Some(last) = steps.pop()
        {
            // Nothing serves on the other side, so there is nothing to be careful with and to compare with.
            steps = vec![Step { weight: Percent::ALL, ..last }];
        }
        Ok(Self {
            steps,
            service: definition.service,
            version,
            strategy: definition.strategy.kind,
            stable,
            candidate,
            without_stable: overrides.without_stable,
            routes: roles.routes,
            readiness: definition.readiness,
            health: definition.health,
            retirement: definition.retirement,
        })
    }

    /// The candidate's weight at a position; after the last step comes the promotion.
    #[must_use]
    pub fn weight_at(&self, position: usize) -> Percent {
        self.steps.get(position).map_or(Percent::ALL, |step| step.weight)
    }

    /// The slot in this role or that.
    #[must_use]
    pub fn side(&self, slot: Slot) -> &Side {
        if self.stable.slot == slot { &self.stable } else { &self.candidate }
    }

    /// Metric periods that the judge plans with.
    #[must_use]
    pub fn planned_periods(&self) -> usize {
        length::planned_periods(&self.steps, &self.health)
    }

    /// Seconds after which a release that still exposes users has taken longer than planned, waiting for people
    /// not counted.
    #[must_use]
    pub fn longest_exposure_seconds(&self) -> u64 {
        length::longest_exposure_seconds(&self.steps, &self.health)
    }

    /// Seconds that a release waits for people, all in all, before it is rolled back.
    #[must_use]
    pub fn longest_wait_seconds(&self) -> u64 {
        length::longest_wait_seconds(&self.health)
    }
}
